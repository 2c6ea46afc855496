"""Writes docs/faults.md: every fault that the suite injects, and what comes of it.

cd tests && ../.venv/bin/python -m lab.faults_table            # the document anew
cd tests && ../.venv/bin/python -m lab.faults_table --check    # changes nothing; 1 where it is not up to date
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.fault_groups import group_of
from lab.faults import FAULTS, Fault
from lab.nfs_faults import NFS_FAULTS, NfsFault

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"

_HEAD = """# Faults and what comes of them

Written by `make docs` from `tests/lab/faults.py` and `nfs_faults.py`; a test fails where this is not up to date.

What was generated = what is stored + what is declared lost. `tests/integration/faults/` has students work by the
dice, keeps a ledger of every save, deletion and program, does to the node what stands here, and then checks that
equation for every file and every program. `make test` does each fault once, `make soak MINUTES=30` goes on for so
long, with a seed to have the same again. `tests/integration/nfs/` does what takes a real NFS server, on a machine
with its own kernel. What a gap's cause means is told in [gaps.md](gaps.md); `GET /api/v1/gaps` lists them.

Whatever the fault: nothing is stored twice, nothing is stored that was not there, versions are stored in the order
in which they were saved, and a file's content at the end is the newest that is stored.

"""
_COLUMNS = ("fault", "what happens", "what is kept", "what is declared", "how it is told", "test")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; 0 after success, 1 where `--check` finds the document out of date."""
    parser = argparse.ArgumentParser(prog="lab.faults_table", description="Writes docs/faults.md.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail where the document is old")
    options = parser.parse_args(arguments)
    if not options.check:
        DOCUMENT.write_text(document())
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != document():
        sys.stderr.write(f"faults_table: {DOCUMENT}: not what tests/lab/faults.py says: run `make docs`\n")
        return 1
    return 0


def document() -> str:
    """The whole document."""
    faults: tuple[Fault | NfsFault, ...] = (*FAULTS, *NFS_FAULTS)
    lines = [_row(_COLUMNS), _row(["---"] * len(_COLUMNS)), *(_row(cells(fault)) for fault in faults)]
    return _HEAD + "\n".join(lines) + "\n"


def cells(fault: Fault | NfsFault) -> tuple[str, ...]:
    """A fault's row, in the order of the columns."""
    if isinstance(fault, Fault):
        test = f"`test_faults.py`, group `{group_of(fault.name)}`"
    else:
        test = f"`test_real_nfs.py`, `{fault.test}`"
    return (fault.name, fault.does, fault.kept, fault.declared, fault.told, test)


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


if __name__ == "__main__":
    sys.exit(main())
