#!/usr/bin/python
"""Whether our mount of an export shares its superblock with the students' pods' mounts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nfs_superblock
short_description: Compare our mount of an export with those of the pods on this node
description:
  - inotify sees what pods write only where both mounts share one superblock, that is, have the same device.
    The kernel lets two NFS mounts share it where their options agree (fs/nfs/super.c, nfs_compare_super).
  - Changes nothing, in check mode or not.
options:
  point:
    description: Our mount point.
    type: path
    required: true
  server:
    description: The export's server, as an address; empty for what is not NFS.
    type: str
    default: ""
  path:
    description: The export's path on the server.
    type: str
    default: ""
  unit:
    description: File of our mount unit.
    type: path
    default: ""
author: Watcher
"""

EXAMPLES = r"""
- name: Look how pods mount the export
  nfs_superblock:
    point: /watcher/codes
    server: 10.43.0.7
    path: /pvc-0f3c
"""

RETURN = r"""
mounted:
  description: Whether something is mounted at the point.
  returned: always
  type: bool
device:
  description: Device of what is mounted at the point, as major:minor.
  returned: always
  type: str
pods:
  description:
    - How many mounts of single workspaces there are on this node, which is what students' pods have.
    - Where there is none, how many other mounts of the export.
  returned: always
  type: int
pod_options:
  description: The options that most of them have, as mount(8) takes them; empty where there is none.
  returned: always
  type: str
unit_options:
  description: Options that the mount unit has; empty where there is none.
  returned: always
  type: str
blind:
  description: Each of them with another device than ours, and which options differ.
  returned: always
  type: list
  elements: dict
"""

import re

from ansible.module_utils.basic import AnsibleModule

# What the kernel tells of a mount and mount(8) does not take, or what belongs to the mount point alone.
_NOT_TO_BE_GIVEN = (
    "addr",
    "clientaddr",
    "mountaddr",
    "mountport",
    "mountproto",
    "mountvers",
    "namlen",
    "noatime",
    "relatime",
    "ro",
    "rw",
    "seclabel",
)
# Not compared by the kernel, so of no account for sharing.
_NOT_COMPARED = ("addr", "clientaddr", "namlen", "noatime", "relatime", "retrans", "ro", "rw", "seclabel", "timeo")


def main():
    """Read the node's mounts and answer what they tell."""
    module = AnsibleModule(
        argument_spec={
            "point": {"type": "path", "required": True},
            "server": {"type": "str", "default": ""},
            "path": {"type": "str", "default": ""},
            "unit": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    with open("/proc/1/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = parse(file.read())
    wanted = module.params
    found = compare(mounts, wanted["point"], wanted["server"], wanted["path"])
    module.exit_json(changed=False, unit_options=unit_options(wanted["unit"]), **found)


def unit_options(path):
    """The options that a mount unit gives, by which its mount was made; empty where there is no such unit."""
    try:
        with open(path, encoding="utf-8") as file:
            given = [line.partition("=")[2].strip() for line in file if line.startswith("Options=")]
    except FileNotFoundError:
        given = []
    return given[-1] if given else ""


def parse(mountinfo):
    """The mounts of a mountinfo file (proc_pid_mountinfo(5)) as dictionaries, in the order of mounting."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        kind, source, of_superblock = right.split(" ", 2)
        mounts.append(
            {
                "device": fields[2],
                "point": unescaped(fields[4]),
                "type": kind,
                "source": unescaped(source),
                "options": options(fields[5] + "," + of_superblock),
            }
        )
    return mounts


def compare(mounts, point, server, path):
    """What the module returns, from the node's mounts."""
    # Of two mounts at one point the later one is what is seen.
    ours = [mount for mount in mounts if mount["point"] == point][-1:]
    others = of_pods([mount for mount in mounts if mount["point"] != point and is_of(mount, server, path)], path)
    device = ours[0]["device"] if ours else ""
    return {
        "mounted": bool(ours),
        "device": device,
        "pods": len(others),
        "pod_options": most_common([as_given(mount["options"]) for mount in others]),
        "blind": [
            {"point": mount["point"], "why": why(mount["point"], difference(ours[0]["options"], mount["options"]))}
            for mount in others
            if ours and mount["device"] != device
        ],
    }


def is_of(mount, server, path):
    """Whether a mount shows this export, or a directory of it; the server is compared by its address."""
    if not server or not mount["type"].startswith("nfs"):
        return False
    address = mount["options"].get("addr") or mount["source"].rpartition(":/")[0].strip("[]")
    path = path.strip("/")
    # Of an export that is the server's root everything is below it.
    return address == server and (not path or (directory(mount) + "/").startswith("/" + path + "/"))


def of_pods(mounts, path):
    """Those of single workspaces, where there are any: what shows more is kubelet's, or no student's."""
    workspaces = "/" + (path.strip("/") + "/workspace/").lstrip("/")
    return [mount for mount in mounts if directory(mount).startswith(workspaces)] or mounts


def most_common(found):
    """The text that is there most often, of several the first; empty where there is none."""
    return max(found, key=found.count, default="")


def directory(mount):
    """What an NFS mount shows of its server, without a slash at the end."""
    return "/" + mount["source"].rpartition(":/")[2].strip("/")


def difference(ours, theirs):
    """Option to `[ours, theirs]` for what the kernel compares and is not the same; None: not given."""
    names = sorted(set(ours) | set(theirs))
    return {
        name: [ours.get(name), theirs.get(name)]
        for name in names
        if name not in _NOT_COMPARED and ours.get(name) != theirs.get(name)
    }


def why(point, differs):
    """One line that says what keeps the mount at `point` and ours apart."""
    words = [
        "{} there, {} here".format(shown(name, theirs), shown(name, ours))
        for name, (ours, theirs) in differs.items()
    ]
    return "{}: {}".format(point, ", ".join(words) or "the same options, but another address or network namespace")


def shown(name, value):
    """An option as it is given."""
    if value is None:
        return "no " + name
    return name if value is True else "{}={}".format(name, value)


def options(text):
    """Comma-separated options as a dictionary; one without a value is true."""
    pairs = (option.partition("=") for option in text.split(",") if option)
    return {name: value if equals else True for name, equals, value in pairs}


def as_given(found):
    """Options as mount(8) takes them."""
    given = sorted((name, value) for name, value in found.items() if name not in _NOT_TO_BE_GIVEN)
    return ",".join(name if value is True else "{}={}".format(name, value) for name, value in given)


def unescaped(field):
    """A field with the kernel's octal escapes of blanks undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


if __name__ == "__main__":
    main()
