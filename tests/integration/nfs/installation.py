"""Watcher set up on the machine without Ansible: the roles' own units, also those of the mounts."""

import json

import jinja2

from integration.nfs.installed_volume import PLACE, release_root
from lab.machine import NAME, Machine
from lab.machine_image import EXPORTS
from lab.machine_pods import CSI_OPTIONS
from unit.roles.loading import ROLES
from unit.roles.specifications import NAMES, defaults
from unit.roles.units import TEMPLATES

BACKEND_PORT = 3000
METRICS_PORTS = {"filemon": 9090, "procmon": 9091}
PORTS = [BACKEND_PORT, *METRICS_PORTS.values()]
WATCHDOG_SECONDS = 20
"""Shorter than the roles have it: what blocks an agent's main thread is found out within a test's outage."""

MOUNTS = {"/watcher/codes": EXPORTS[0], "/watcher/snapshots": EXPORTS[1]}
"""Where the node has the two exports."""

CODES_UNIT = "watcher-codes.mount"
_MOUNT_UNITS = {CODES_UNIT: "/watcher/codes", "watcher-snapshots.mount": "/watcher/snapshots"}
_MOUNT_TEMPLATE = ROLES / "workspace_mount" / "templates" / "watcher.mount.j2"
_ENVIRONMENT = {
    # It reads where the server has the volume, so that an outage is the agents' alone.
    "backend": {
        "DB_URL": "sqlite:////var/lib/watcher-backend/database.db",
        "WATCHER_HOST": "0.0.0.0",
        "WATCHER_PORT": str(BACKEND_PORT),
        "WATCHER_SNAPSHOT_ROOT": EXPORTS[1],
    },
    **{
        agent: {
            "WATCHER_API_URL": f"http://127.0.0.1:{BACKEND_PORT}",
            "WATCHER_NODE_NAME": NAME,
            "WATCHER_METRICS_PORT": str(port),
        }
        for agent, port in METRICS_PORTS.items()
    },
}


def install(machine: Machine, address: str) -> None:
    """Mount both exports of the server at `address`, and start backend and agents; all are up on return."""
    script = ["set -eu", f"mkdir -p {PLACE} /etc/watcher /var/lib/kubelet/pods"]
    script += [f"mount -o ro,noload /dev/vdb {PLACE}"]
    for unit, point in _MOUNT_UNITS.items():
        script.append(_unit_file(unit, _mount_unit(address, point)))
    for program, settings in _ENVIRONMENT.items():
        lines = [f"{name}={value}" for name, value in settings.items()]
        script.append(_file(f"/etc/watcher/{program}.env", "\n".join(lines)))
        script.append(_unit_file(f"watcher-{program}.service", _service_unit(program)))
    units = " ".join([*_MOUNT_UNITS, *(f"watcher-{program}" for program in _ENVIRONMENT)])
    script += ["systemctl daemon-reload", f"systemctl start {units}"]
    machine.login.run("sudo sh", text="\n".join(script), seconds=240.0)


def own_address(machine: Machine) -> str:
    """The machine's IPv4 address, which its NFS server has, too."""
    links = json.loads(machine.ssh("ip -json -4 address show dev eth0").stdout)
    address: str = links[0]["addr_info"][0]["local"]
    return address


def _mount_unit(address: str, point: str) -> str:
    """As the role makes it for a node whose pods mount the volume with CSI_OPTIONS."""
    return _rendered(
        _MOUNT_TEMPLATE.read_text(),
        _workspace_mount_export={"server": address, "path": MOUNTS[point], "from": "Of the tests"},
        _workspace_mount_what="A volume",
        _workspace_mount_where=point,
        _workspace_mount_with=CSI_OPTIONS,
    )


def _service_unit(program: str) -> str:
    variables = {name: value for role in NAMES for name, value in defaults(role).items()}
    variables |= {
        "common_release_root": release_root("agents"),
        "backend_release_root": release_root("backend"),
        "filemon_watchdog_seconds": WATCHDOG_SECONDS,
        "procmon_watchdog_seconds": WATCHDOG_SECONDS,
    }
    return _rendered(TEMPLATES[program].read_text(), **variables)


def _rendered(template: str, **variables: object) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(variables, ansible_managed="Of the tests")


def _unit_file(name: str, content: str) -> str:
    return _file(f"/etc/systemd/system/{name}", content)


def _file(path: str, content: str) -> str:
    return f"cat >{path} <<'END_OF_FILE'\n{content}\nEND_OF_FILE"
