"""Settings that both agents read from the environment, and how any setting is checked.

Every setting has a `WATCHER_...` name; where the deployment guide that sites follow today has another name for
it, that works too, and the `WATCHER_...` name wins where both are set.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_HIDDEN = "(not shown)"
SPOOL_BYTES = 1024 * 1024 * 1024
"""What the spool may hold unless it is set: docs/decisions/0014-the-spool.md says what that is on the disk."""
LEAST_SPOOL_BYTES = 8 * 1024 * 1024
MOST_SPOOL_BYTES = 1024**4
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingError(ValueError):
    """A setting is missing or wrong; the message is one line: the setting, its value, what would be right."""

    def __init__(self, name: str, value: str | None, expected: str) -> None:
        given = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{name} {given}: expected {expected}")


@dataclass(frozen=True)
class AgentSettings:
    """What both agents need to know."""

    api_url: str
    """The backend's address without a trailing slash."""
    api_token: str | None
    ca_file: Path | None
    """CA certificates that the backend's certificate is checked with; None: the system's."""
    log_level: str
    state_dir: Path
    metrics_port: int
    rules_file: Path | None
    """None: the rules that come with the agent."""
    node_name: str
    spool_bytes: int
    """What the spool may hold."""


def read_agent_settings(environ: Mapping[str, str], agent: str, metrics_port: int) -> AgentSettings:
    """Read the settings of `agent` (filemon, procmon), whose metrics are on `metrics_port` unless set.

    Raises SettingError.
    """
    return AgentSettings(
        api_url=http_url(environ, ("WATCHER_API_URL", "API_ENDPOINT")),
        api_token=_token(environ),
        ca_file=existing_file(environ, "WATCHER_CA_FILE"),
        log_level=choice(environ, ("WATCHER_LOG_LEVEL", "LOG_LEVEL"), LOG_LEVELS, "INFO"),
        state_dir=absolute_path(environ, "WATCHER_STATE_DIR", f"/var/lib/watcher/{agent}"),
        metrics_port=port(environ, "WATCHER_METRICS_PORT", metrics_port),
        rules_file=rules_file(environ, agent),
        node_name=_node_name(environ),
        spool_bytes=_spool_bytes(environ),
    )


def lookup(environ: Mapping[str, str], names: Sequence[str]) -> tuple[str, str] | None:
    """The first of `names` that is set, with its value; an empty value counts as not set."""
    for name in names:
        value = environ.get(name, "").strip()
        if value:
            return name, value
    return None


def http_url(environ: Mapping[str, str], names: Sequence[str]) -> str:
    """A required http or https address. Raises SettingError."""
    expected = "the backend's address, such as http://10.96.0.20:3000"
    found = lookup(environ, names)
    if found is None:
        raise SettingError(names[0], None, expected)
    name, value = found
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if "@" in value:
        # It may hold a password, which must not reach a log.
        raise SettingError(name, _HIDDEN, f"{expected}, without a user")
    if not valid or parts.query or parts.fragment:
        raise SettingError(name, value, expected)
    return value.rstrip("/")


def choice(
    environ: Mapping[str, str],
    names: Sequence[str],
    choices: Sequence[str],
    default: str,
) -> str:
    """One of `choices`, in whatever case it is written. Raises SettingError."""
    found = lookup(environ, names)
    if found is None:
        return default
    name, value = found
    for one in choices:
        if value.lower() == one.lower():
            return one
    raise SettingError(name, value, "one of " + ", ".join(choices))


def absolute_path(environ: Mapping[str, str], name: str, default: str) -> Path:
    """A path that does not depend on where the program was started. Raises SettingError."""
    found = lookup(environ, (name,))
    value = found[1] if found else default
    if not value.startswith("/"):
        raise SettingError(name, value, "an absolute path, such as " + default)
    return Path(os.path.normpath(value))


def existing_directory(environ: Mapping[str, str], name: str, default: str) -> Path:
    """An absolute path of a directory that is there. Raises SettingError."""
    path = absolute_path(environ, name, default)
    if not path.is_dir():
        raise SettingError(name, str(path), "a directory that exists")
    return path


def existing_file(environ: Mapping[str, str], name: str) -> Path | None:
    """An absolute path of a file that is there, or None where the setting is not set. Raises SettingError."""
    found = lookup(environ, (name,))
    if found is None:
        return None
    path = Path(found[1])
    if not path.is_absolute() or not path.is_file():
        raise SettingError(name, found[1], "the absolute path of a file that exists")
    return path


def port(environ: Mapping[str, str], name: str, default: int) -> int:
    """A TCP port. Raises SettingError."""
    found = lookup(environ, (name,))
    if found is None:
        return default
    if not found[1].isascii() or not found[1].isdigit() or not 1 <= int(found[1]) <= 65535:
        raise SettingError(name, found[1], "a port from 1 to 65535")
    return int(found[1])


def _spool_bytes(environ: Mapping[str, str]) -> int:
    found = lookup(environ, ("WATCHER_SPOOL_BYTES",))
    if found is None:
        return SPOOL_BYTES
    name, value = found
    # Below it, what is just being delivered would be most of it.
    if not value.isascii() or not value.isdigit() or not LEAST_SPOOL_BYTES <= int(value[:20]) <= MOST_SPOOL_BYTES:
        raise SettingError(name, value, f"bytes, from {LEAST_SPOOL_BYTES} (8 MiB) to {MOST_SPOOL_BYTES} (1 TiB)")
    return int(value)


def rules_file(environ: Mapping[str, str], agent: str) -> Path | None:
    """The rules file that counts now, None for the rules that come with the agent. Raises SettingError."""
    usual = Path("/etc/watcher") / f"{agent}.yml"
    return existing_file(environ, "WATCHER_RULES_FILE") or (usual if usual.is_file() else None)


def _token(environ: Mapping[str, str]) -> str | None:
    found = lookup(environ, ("WATCHER_API_TOKEN",))
    if found is None:
        return None
    if not all("!" <= char <= "~" for char in found[1]):
        raise SettingError("WATCHER_API_TOKEN", _HIDDEN, "a token of printable ASCII without spaces")
    return found[1]


def _node_name(environ: Mapping[str, str]) -> str:
    found = lookup(environ, ("WATCHER_NODE_NAME",))
    name = found[1] if found else socket.gethostname()
    if len(name) > 253 or not name.isprintable():
        raise SettingError("WATCHER_NODE_NAME", name, "a host name of up to 253 characters")
    return name
