"""Which faults share a run in the tests: what is alike, so that a run that fails tells where to look."""

GROUPS: dict[str, tuple[str, ...]] = {
    "backend": (
        "backend killed",
        "backend answers 500",
        "backend answers 503",
        "backend answers 429",
        "backend hangs",
        "request cut",
        "answer cut",
        "answer lost",
        "connection refused",
        "backend slow",
        "foreign page",
    ),
    "agents": (
        "filemon suspended",
        "filemon killed",
        "procmon killed",
        "ring buffer overflow",
        "queue overflow",
        "watch limit",
        "watch root unmounted",
    ),
    "pods": (
        "pod replaced",
        "pod moves",
    ),
    "disks": (
        "state disk full",
        "state disk read-only",
        "spool damaged",
        "snapshot volume full",
        "snapshot volume read-only",
        "snapshot volume unmounted",
        "spool full",
    ),
}
"""Names of faults by the name of the group; each fault is in one."""


def group_of(name: str) -> str:
    """The group that a fault is in; KeyError where it is in none."""
    for group, names in GROUPS.items():
        if name in names:
            return group
    raise KeyError(name)
