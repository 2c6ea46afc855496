"""A mount whose server does not answer is told from one that does, without hanging with it."""

from pathlib import Path

from watcher_agents.node.mount_state import answers, hangs, mount_state
from watcher_agents.node.mount_table import host_mounts


def test_a_hung_mount_is_called_so(hung: Path) -> None:
    assert not answers(str(hung), 0.2)
    state = mount_state(str(hung), host_mounts())
    assert (state.state, state.source, state.type) == ("hung", "nobody", "fuse")


def test_a_mount_that_answers_is_mounted_and_a_directory_is_absent(tmp_path: Path) -> None:
    proc = mount_state("/proc", host_mounts())
    assert (proc.state, proc.type) == ("mounted", "proc")
    assert mount_state(str(tmp_path), host_mounts()).state == "absent"


def test_a_path_hangs_only_where_not_even_an_error_comes_back(hung: Path, tmp_path: Path) -> None:
    assert hangs(str(hung / "workspace"), 0.2)
    assert not hangs(str(tmp_path.parent))
    assert not hangs("/nowhere")
