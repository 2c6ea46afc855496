#!/usr/bin/python
"""What the roles have to know of a node before they change it, gathered in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watcher_node
short_description: Gather what the roles have to know of a node
description:
  - Reads what preflight judges and what the other tasks decide by. Changes nothing, in check mode or not.
options:
  packages:
    description: Distribution packages whose presence is wanted.
    type: list
    elements: str
    default: []
  units:
    description: systemd units whose state is wanted.
    type: list
    elements: str
    default: []
  release_root:
    description: Directory that holds C(releases/) and C(current).
    type: path
    default: /opt/watcher
author: Watcher
"""

EXAMPLES = r"""
- name: Gather what the roles have to know
  watcher_node:
    packages: [python3-venv]
    units: [watcher-filemon.service]
"""

RETURN = r"""
node:
  description: The facts; see the functions of this module for each.
  returned: always
  type: dict
"""

import os
import platform

from ansible.module_utils.basic import AnsibleModule

MARKER = ".complete"
"""In a release that was installed to its end: the SHA-256 of the archive that it came from."""
_LIMITS = ("max_user_watches", "max_user_instances", "max_queued_events")


def main():
    """Gather everything and answer."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "release_root": {"type": "path", "default": "/opt/watcher"},
        },
        supports_check_mode=True,
    )
    node = {
        "python": python_version(module),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "distribution": distribution(),
        "systemd": systemd_version(module),
        "btf": os.access("/sys/kernel/btf/vmlinux", os.R_OK),
        "lockdown": lockdown(),
        "free_bytes": {path: free_bytes(path) for path in ("/opt", "/var", "/etc")},
        "missing_packages": missing_packages(module, module.params["packages"]),
        "units": {unit: unit_state(module, unit) for unit in module.params["units"]},
        "listening_ports": listening_ports(),
        "inotify": {name: int(read("/proc/sys/fs/inotify/" + name)) for name in _LIMITS},
        "kubelet": os.path.isdir("/var/lib/kubelet/pods"),
    }
    node.update(releases(module.params["release_root"]))
    module.exit_json(changed=False, node=node)


def python_version(module):
    """`[3, 11, 2]` of the interpreter that the agents' virtual environment is made from, or None."""
    if not os.path.exists("/usr/bin/python3"):
        return None
    code, out, _ = module.run_command(
        ["/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:3])"], check_rc=False
    )
    return [int(part) for part in out.split()] if code == 0 else None


def distribution():
    """`ID` and `VERSION_ID` of os-release(5)."""
    fields = {}
    for line in read("/etc/os-release").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields[key] = value.strip("\"'")
    return {"id": fields.get("ID", ""), "version": fields.get("VERSION_ID", "")}


def systemd_version(module):
    """The major version where systemd is what manages this node, else None."""
    if not os.path.isdir("/run/systemd/system"):
        return None
    _, out, _ = module.run_command(["systemctl", "--version"], check_rc=True)
    return int(out.split()[1])


def lockdown():
    """The kernel's lockdown mode: `none`, `integrity`, `confidentiality`; `none` where there is no such thing."""
    modes = read("/sys/kernel/security/lockdown").split()
    chosen = [mode.strip("[]") for mode in modes if mode.startswith("[")]
    return chosen[0] if chosen else "none"


def free_bytes(path):
    """Bytes that root may still write in the file system that holds `path`, or would when it is made."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    state = os.statvfs(path)
    return state.f_bfree * state.f_frsize


def missing_packages(module, names):
    """Those of `names` that dpkg does not have installed; all of them where there is no dpkg."""
    if not names:
        return []
    command = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"]
    if module.get_bin_path("dpkg-query") is None:
        return list(names)
    # dpkg-query exits 1 where it does not know one of the names; what it prints of the others counts.
    _, out, _ = module.run_command([*command, *names], check_rc=False)
    installed = {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def unit_state(module, unit):
    """The unit's `load` and `active` states and, where it runs, the release directory that it was started in."""
    properties = ["LoadState", "ActiveState", "MainPID", "UnitFileState"]
    code, out, _ = module.run_command(
        ["systemctl", "show", "--property=" + ",".join(properties), unit], check_rc=False
    )
    if code != 0:
        return {"load": "not-found", "active": "inactive", "enabled": False, "release": None}
    found = dict(line.partition("=")[::2] for line in out.splitlines())
    return {
        "load": found["LoadState"],
        "active": found["ActiveState"],
        "enabled": found["UnitFileState"] == "enabled",
        "release": running_release(found.get("MainPID", "0")),
    }


def running_release(pid):
    """The version whose directory a process has as its own; the units start in `current`, which then moves on."""
    if pid == "0":
        return None
    try:
        return os.path.basename(os.readlink("/proc/{}/cwd".format(pid)))
    except OSError:
        return None


def releases(root):
    """`releases`: version to archive checksum, of those that are complete, oldest first; `current`; `previous`."""
    base = os.path.join(root, "releases")
    found = []
    for version in os.listdir(base) if os.path.isdir(base) else []:
        marker = os.path.join(base, version, MARKER)
        if os.path.isfile(marker):
            found.append((os.path.getmtime(marker), version, read(marker).strip()))
    links = {}
    for name in ("current", "previous"):
        path = os.path.join(root, name)
        links[name] = os.path.basename(os.readlink(path)) if os.path.islink(path) else None
    return {"releases": {version: checksum for _, version, checksum in sorted(found)}, **links}


def listening_ports():
    """TCP ports that something on the node listens on."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(ports)


def read(path):
    """The file's text; empty where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    main()
