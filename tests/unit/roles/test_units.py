"""The services' units are ones that systemd takes whole, and that leave a service no more than it needs."""

import re
import subprocess
from pathlib import Path

import pytest

from unit.roles.units import TEMPLATES, render

AGENTS = ("filemon", "procmon")
SERVICES = (*AGENTS, "backend")
_HARDENING = re.compile(
    r"(Ambient|CapabilityBounding|Keyring|Lock|MemoryDeny|NoNew|Private|Protect|ReadOnly|ReadWrite|RemoveIPC|Restrict"
    r"(?=[ANRS])|SystemCall)\w+="
)
_AT_MOST_UNDER_ONE_REASON = 7


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_has_nothing_to_say_about_a_unit(service: str, tmp_path: Path) -> None:
    """No line is unknown, misspelt or of a wrong form, which systemd would ignore with a line in the journal."""
    done = analyze("verify", "--man=no", str(render(service, tmp_path)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("service", "tenths"), [("filemon", 30), ("procmon", 50), ("backend", 20)])
def test_exposure_is_bounded(service: str, tenths: int, tmp_path: Path) -> None:
    """Systemd's own measure of what a service could do stays below what was promised for it."""
    done = analyze("security", "--offline=true", f"--threshold={tenths}", str(render(service, tmp_path)))
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "NotifyAccess=main",
        "Restart=always",
        r"RestartPreventExitStatus=2",
        r"WatchdogSec=\d+",
        r"TimeoutStartSec=\d+",
        r"TimeoutStopSec=\d+",
        r"ExecReload=\S+ --check-settings",
        r"ExecReload=/bin/kill -HUP \$MAINPID",
        r"MemoryMax=\d+M",
        r"WorkingDirectory=\S+/current",
        r"WantedBy=multi-user\.target.*",
    ],
)
def test_an_agents_life_is_systemds_to_watch(agent: str, line: str, tmp_path: Path) -> None:
    """It says when it is ready and that it lives, is started again, reloads only what is right, and has limits."""
    lines = render(agent, tmp_path).read_text().splitlines()
    assert any(re.fullmatch(line, each) for each in lines)


@pytest.mark.parametrize("service", SERVICES)
def test_every_hardening_line_has_its_reason(service: str) -> None:
    """A comment stands above it, for at most a handful of lines."""
    without, under = [], _AT_MOST_UNDER_ONE_REASON + 1
    for line in TEMPLATES[service].read_text().splitlines():
        if line.startswith("#"):
            under = 0
        elif not line:
            under = _AT_MOST_UNDER_ONE_REASON + 1
        else:
            under += 1
        if _HARDENING.match(line) and under > _AT_MOST_UNDER_ONE_REASON:
            without.append(line)
    assert without == []
