"""docs/faults.md tells what the suite does: every fault has a row, every row is full, every fault has its test."""

from pathlib import Path

import pytest

from lab.fault_groups import GROUPS
from lab.faults import FAULTS, Fault
from lab.faults_table import DOCUMENT, cells, document
from lab.nfs_faults import NFS_FAULTS, TESTS, NfsFault


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == document(), "run `make docs`"


@pytest.mark.parametrize("fault", [*FAULTS, *NFS_FAULTS], ids=lambda fault: fault.name)
def test_a_fault_has_a_row_without_an_empty_cell(fault: Fault | NfsFault) -> None:
    assert all(cell.strip() for cell in cells(fault))
    assert f"| {fault.name} |" in DOCUMENT.read_text()


def test_every_fault_is_in_one_group_and_every_name_is_a_faults() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(fault.name for fault in FAULTS)


def test_the_tests_on_real_nfs_are_there() -> None:
    source = (Path(__file__).parents[3] / TESTS).read_text()
    assert [fault.test for fault in NFS_FAULTS if f"def {fault.test}(" not in source] == []
