"""Which workspaces a node watches."""

from pathlib import Path

from watcher_agents.filemon.workspaces import choose_mode


def test_auto_means_pods_where_kubelet_keeps_pods_and_all_elsewhere(tmp_path: Path) -> None:
    assert choose_mode("auto", tmp_path) == "pods"
    assert choose_mode("auto", tmp_path / "missing") == "all"


def test_a_mode_that_was_set_is_the_mode(tmp_path: Path) -> None:
    assert choose_mode("all", tmp_path) == "all"
    assert choose_mode("pods", tmp_path / "missing") == "pods"
