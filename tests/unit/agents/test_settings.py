"""Settings: every mistake is one line that names the setting, the value and what would be right."""

from pathlib import Path

import pytest

from watcher_agents.filemon.settings import read_filemon_settings
from watcher_agents.settings import SettingError, read_agent_settings

URL = {"WATCHER_API_URL": "http://10.96.0.20:3000/"}


def test_defaults_are_those_of_the_contract() -> None:
    settings = read_agent_settings(URL, "procmon", 9091)
    assert settings.api_url == "http://10.96.0.20:3000"
    assert settings.state_dir == Path("/var/lib/watcher/procmon")
    assert (settings.log_level, settings.metrics_port, settings.api_token) == ("INFO", 9091, None)


def test_the_guides_names_work_and_the_watcher_names_win() -> None:
    guide = {"API_ENDPOINT": "https://backend:3000", "LOG_LEVEL": "debug"}
    assert read_agent_settings(guide, "procmon", 9091).api_url == "https://backend:3000"
    assert read_agent_settings(guide, "procmon", 9091).log_level == "DEBUG"
    both = guide | {"WATCHER_API_URL": "http://other", "WATCHER_LOG_LEVEL": "ERROR"}
    assert read_agent_settings(both, "procmon", 9091).api_url == "http://other"
    assert read_agent_settings(both, "procmon", 9091).log_level == "ERROR"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WATCHER_API_URL", "backend:3000", "such as http://"),
        ("WATCHER_API_URL", "ftp://backend", "such as http://"),
        ("WATCHER_API_URL", "http://[::1", "such as http://"),
        ("WATCHER_API_URL", "http://backend:99999", "such as http://"),
        ("WATCHER_API_URL", "http://backend?x=1", "such as http://"),
        ("WATCHER_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR"),
        ("WATCHER_METRICS_PORT", "0", "a port from 1 to 65535"),
        ("WATCHER_METRICS_PORT", "9x", "a port from 1 to 65535"),
        ("WATCHER_SPOOL_BYTES", "1G", "bytes, from 8388608 (8 MiB) to 1099511627776 (1 TiB)"),
        ("WATCHER_SPOOL_BYTES", "8388607", "bytes, from 8388608 (8 MiB) to 1099511627776 (1 TiB)"),
        ("WATCHER_SPOOL_BYTES", "9" * 30, "bytes, from 8388608 (8 MiB) to 1099511627776 (1 TiB)"),
        ("WATCHER_STATE_DIR", "var/lib", "an absolute path"),
        ("WATCHER_RULES_FILE", "/nowhere/rules.yml", "a file that exists"),
        ("WATCHER_CA_FILE", "/nowhere/ca.pem", "a file that exists"),
        ("WATCHER_NODE_NAME", "a\nb", "a host name"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_agent_settings(URL | {name: value}, "filemon", 9090)
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}: expected ")
    assert expected in message
    assert "\n" not in message


def test_the_backends_address_is_required() -> None:
    with pytest.raises(SettingError, match=r"^WATCHER_API_URL is not set: expected the backend's address"):
        read_agent_settings({}, "filemon", 9090)


@pytest.mark.parametrize(
    ("name", "value"), [("WATCHER_API_TOKEN", "pass word"), ("WATCHER_API_URL", "http://me:password@backend")]
)
def test_what_may_be_a_secret_is_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name) as caught:
        read_agent_settings(URL | {name: value}, "filemon", 9090)
    assert "pass" not in str(caught.value).replace("a token", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCHER_WORKSPACES", "some"),
        ("WATCHER_WATCH_ROOT", "/nowhere/workspace"),
        ("WATCHER_SNAPSHOT_ROOT", "/nowhere/snapshots"),
        ("WATCHER_SNAPSHOT_ROOT", "/proc/self"),
    ],
)
def test_filemon_refuses_directories_that_are_not_there_or_not_to_be_written(
    name: str, value: str, tmp_path: Path
) -> None:
    right = URL | {"WATCHER_WATCH_ROOT": str(tmp_path), "WATCHER_SNAPSHOT_ROOT": str(tmp_path)}
    assert read_filemon_settings(right).workspaces == "auto"
    with pytest.raises(SettingError, match=name):
        read_filemon_settings(right | {name: value})
