"""The checker of the fault suite finds every kind of thing that may not add up, and nothing where all does."""

from hashlib import sha256
from typing import Any

import pytest

from lab.equation import Explanation, Verdict, check
from lab.ledger import FileKey, Ledger, ProgramDone

STUDENT, OTHER = 1, 2
SECOND = 1_000_000_000
FILE = FileKey(STUDENT, "hw1", "a.c")


def instant(seconds: float) -> str:
    """So many seconds after a fixed minute, as on the wire."""
    return f"2026-01-02T03:04:{seconds:09.6f}Z"


def at(seconds: float) -> int:
    """The same, in nanoseconds since the epoch."""
    return 1_767_323_040 * SECOND + int(seconds * SECOND)


class Played:
    """A ledger with one file (saved at 1 s, 2 s and 3 s) and one program, and the rows that are right for it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.contents = [f"{STUDENT}/a.c version {number}".encode() for number in (1, 2, 3)]
        self.snapshots: dict[str, bytes] = {}
        self.rows: list[dict[str, Any]] = []
        self.gaps: list[dict[str, Any]] = []
        self.present: dict[FileKey, bytes] = {FILE: self.contents[-1]}
        self.explanations: list[Explanation] = []
        for number, content in enumerate(self.contents, start=1):
            self.ledger.saved(FILE, content, at(number), at(number + 0.01))
            self.row(content, number)
        self.ledger.ran(ProgramDone(STUDENT, "M1", "run", 3, None, at(4), at(5)))
        self.rows.append(self.program("M1"))
        self.ledger.closed_ns = at(10)

    def row(self, content: bytes | None, seconds: float, **different: Any) -> dict[str, Any]:
        """A version, None: a deletion, as REST tells it; recorded after all that are there."""
        number = len(self.rows) + 1
        path = f"{number}.c"
        if content is not None:
            self.snapshots[path] = content
        row = {
            "id": f"id{number}",
            "type": "snapshot",
            "student_id": STUDENT,
            "hw_name": "hw1",
            "filename": "a.c",
            "node": "worker-1",
            "agent": "filemon",
            "boot_id": "b",
            "sequence": number,
            "occurred_at": instant(seconds),
            "change": "deleted" if content is None else "modified",
            "sha256": None if content is None else sha256(content).hexdigest(),
            "snapshot_path": path,
            "content_omitted": None,
            **different,
        }
        self.rows.append(row)
        return row

    def program(self, marker: str, **different: Any) -> dict[str, Any]:
        """A program as REST tells it."""
        return {
            "id": f"id-{marker}-{len(self.rows)}",
            "type": "run",
            "student_id": STUDENT,
            "argv": ["./tool", marker],
            "exit_code": 3,
            "signal": None,
            **different,
        }

    def gap(self, begins: float | None, ends: float, **different: Any) -> None:
        """A gap of filemon that concerns everybody and cannot be counted."""
        self.gaps.append(
            {
                "agent": "filemon",
                "cause": "agent_stopped",
                "student_id": None,
                "started_at": None if begins is None else instant(begins),
                "occurred_at": instant(ends),
                "events_lost": None,
                "detail": None,
                **different,
            }
        )
        self.explanations.append(Explanation("any", at(0), at(59), frozenset({self.gaps[-1]["cause"]}), 1))

    def lose(self, *numbers: int) -> None:
        """Take the rows of these versions away."""
        digests = {sha256(self.contents[number - 1]).hexdigest() for number in numbers}
        self.rows = [row for row in self.rows if row.get("sha256") not in digests]

    def delete(self, seconds: float) -> None:
        """The file is deleted at the end."""
        self.ledger.deleted(FILE, at(seconds), at(seconds))
        del self.present[FILE]

    def verdict(self) -> Verdict:
        return check(self.ledger, self.rows, self.gaps, self.explanations, self.snapshots.get, self.present.get)

    def found(self) -> list[str]:
        """The kinds of what does not add up."""
        return sorted(violation.kind for violation in self.verdict().violations)


@pytest.fixture
def played() -> Played:
    return Played()


def test_what_adds_up_is_no_violation(played: Played) -> None:
    verdict = played.verdict()
    assert verdict.violations == []
    assert (verdict.saves, verdict.programs, verdict.rows, verdict.declared_saves) == (3, 1, 4, 0)


def test_a_save_without_a_row_is_lost(played: Played) -> None:
    played.lose(2)
    assert played.found() == ["lost"]


@pytest.mark.parametrize(
    ("begins", "ends", "student", "found"),
    [
        (2.5, 2.6, None, []),
        (2.5, 2.6, STUDENT, []),
        (None, 2.6, None, []),
        (2.5, 2.6, OTHER, ["lost"]),
        (0.5, 1.5, None, ["lost"]),
        (3.5, 4.5, None, ["lost"]),
    ],
    ids=["of the node", "of the student", "since ever", "of another student", "before it", "after it"],
)
def test_a_gap_declares_the_saves_that_could_be_seen_in_its_time(
    played: Played, begins: float | None, ends: float, student: int | None, found: list[str]
) -> None:
    played.lose(2)
    played.gap(begins, ends, student_id=student)
    assert played.found() == found


def test_a_gap_of_the_other_agent_declares_no_save(played: Played) -> None:
    played.lose(2)
    played.gap(1.5, 2.5, agent="procmon")
    assert played.found() == ["lost"]


@pytest.mark.parametrize(("counted", "found"), [(2, []), (1, ["lost"]), (0, ["lost", "lost"])])
def test_a_gap_with_a_number_makes_up_for_so_many_saves(played: Played, counted: int, found: list[str]) -> None:
    played.lose(1, 2)
    played.gap(0.5, 3.5, cause="saves_overtaken", events_lost=counted, student_id=STUDENT)
    assert played.found() == found


def test_numbers_are_dealt_out_so_that_they_suffice(played: Played) -> None:
    """The gap that fits both saves must not be spent on the one that the other gap fits as well."""
    played.lose(1, 2)
    played.gap(0.5, 3.5, cause="saves_overtaken", events_lost=1)
    played.gap(0.5, 1.5, cause="saves_overtaken", events_lost=1)
    assert played.found() == []
    played.gaps.reverse()
    assert played.found() == []


def test_more_lost_saves_than_there_were_are_implausible(played: Played) -> None:
    played.gap(0.5, 3.5, cause="saves_overtaken", events_lost=100, student_id=STUDENT)
    assert played.found() == ["implausible"]


def test_content_that_was_dropped_is_lost_unless_declared(played: Played) -> None:
    played.rows[1] |= {"content_omitted": "spool_full", "snapshot_path": None}
    assert played.found() == ["lost"]
    played.gap(0.5, 3.5, cause="spool_full", events_lost=1, student_id=STUDENT)
    assert played.found() == []


def test_a_second_row_for_a_save_is_told(played: Played) -> None:
    played.row(played.contents[2], 3)
    assert played.found() == ["twice"]


def test_a_second_row_with_an_id_is_told(played: Played) -> None:
    played.rows.append(played.program("M1", id=played.rows[0]["id"]))
    assert played.found() == ["twice", "twice"]


def test_a_content_that_was_never_saved_is_invented(played: Played) -> None:
    played.row(b"of nobody", 3.5)
    assert played.found() == ["invented"]


@pytest.mark.parametrize("content", [b"", b"1/a.c vers"])
def test_the_beginning_of_a_content_is_torn(played: Played, content: bytes) -> None:
    played.row(content, 3.5)
    assert played.found() == ["torn"]


def test_a_file_that_nobody_had_is_invented(played: Played) -> None:
    played.row(played.contents[2], 3, filename="b.c")
    assert played.found() == ["invented"]


def test_a_snapshot_that_is_not_there_or_holds_something_else_is_invented(played: Played) -> None:
    played.snapshots["1.c"] = b"something else"
    del played.snapshots["2.c"]
    assert played.found() == ["invented", "invented"]


def test_rows_against_the_order_of_the_saves_are_told(played: Played) -> None:
    played.rows[0]["sequence"], played.rows[1]["sequence"] = 2, 1
    assert played.found() == ["order"]


def test_two_nodes_count_their_sequences_by_themselves(played: Played) -> None:
    played.rows[2] |= {"node": "worker-2", "sequence": 1}
    assert played.found() == []


def test_a_content_at_the_end_that_has_no_row_is_never_excused(played: Played) -> None:
    played.lose(3)
    assert played.found() == ["final", "lost"]
    played.gap(2.5, 9)
    assert played.found() == ["final"]


def test_a_deletion_at_the_end_needs_a_row_or_a_gap(played: Played) -> None:
    played.delete(6)
    assert played.found() == ["final"]
    played.gap(5.5, 6.5)
    assert played.found() == []
    played.gaps.clear()
    played.row(None, 6.2)
    assert played.found() == []


def test_a_deletion_that_was_none_is_told(played: Played) -> None:
    played.row(None, 3.5)
    assert played.found() == ["invented"]


def test_one_deletion_is_not_two(played: Played) -> None:
    played.delete(6)
    played.row(None, 6.1)
    played.row(None, 6.2)
    assert played.found() == ["twice"]


def test_a_deletion_before_it_happened_is_told(played: Played) -> None:
    played.delete(6)
    played.row(None, 5)
    assert played.found() == ["final", "twice"]


def test_an_open_file_that_is_left_in_peace_has_to_be_recorded(played: Played) -> None:
    key = FileKey(STUDENT, "hw1", "log.c")
    played.ledger.grown(key, b"1/log.c one", at(1), at(1))
    played.ledger.grown(key, b"1/log.c one two", at(2), at(2))
    played.ledger.saved(key, b"1/log.c one two three", at(8), at(8))
    played.present[key] = b"1/log.c one two three"
    played.row(b"1/log.c one two three", 8, filename="log.c")
    # The first was overwritten after a second, the second after six.
    assert played.found() == ["lost"]


def test_an_empty_content_that_comes_late_is_torn(played: Played) -> None:
    """A file that was opened had it at first, which a row after its saves is not of."""
    key = FileKey(STUDENT, "hw1", "log.c")
    played.ledger.grown(key, b"", at(1), at(1))
    played.ledger.saved(key, b"1/log.c one", at(2), at(2))
    played.present[key] = b"1/log.c one"
    played.row(b"1/log.c one", 2, filename="log.c")
    assert played.found() == []
    played.row(b"", 3, filename="log.c")
    assert played.found() == ["torn"]


def test_closing_an_open_file_later_gives_its_former_content_no_more_time(played: Played) -> None:
    key = FileKey(STUDENT, "hw1", "log.c")
    played.ledger.grown(key, b"1/log.c one", at(1), at(1))
    played.ledger.grown(key, b"1/log.c one two", at(2), at(2))
    played.ledger.saved(key, b"1/log.c one two", at(9), at(9))
    played.present[key] = b"1/log.c one two"
    played.row(b"1/log.c one two", 2, filename="log.c")
    assert played.found() == []


def test_the_same_content_again_is_no_new_version(played: Played) -> None:
    played.ledger.saved(FILE, played.contents[2], at(5), at(5))
    assert played.found() == []
    played.row(played.contents[2], 5)
    assert played.found() == ["twice"]


@pytest.mark.parametrize(
    "different",
    [{"exit_code": 4}, {"exit_code": None, "signal": 9}, {"type": "build"}, {"student_id": OTHER}],
)
def test_a_program_that_is_told_otherwise_is_invented(played: Played, different: dict[str, Any]) -> None:
    played.rows[-1] |= different
    assert played.found() == ["invented"]


def test_a_program_that_nobody_ran_is_invented_and_one_told_again_is_twice(played: Played) -> None:
    played.rows.append(played.program("M2"))
    played.rows.append(played.program("M1"))
    assert played.found() == ["invented", "twice"]


@pytest.mark.parametrize(
    ("gap", "found"),
    [
        ({"agent": "procmon"}, []),
        ({"agent": "procmon", "cause": "probe_loss", "events_lost": 1}, []),
        ({"agent": "procmon", "cause": "probe_loss", "events_lost": 0}, ["lost"]),
        ({"agent": "filemon"}, ["lost"]),
    ],
    ids=["declared", "counted", "counted as none", "of the other agent"],
)
def test_a_program_without_a_row_is_lost_unless_declared(
    played: Played, gap: dict[str, Any], found: list[str]
) -> None:
    played.rows.pop()
    assert played.found() == ["lost"]
    played.gap(4.5, 4.6, **gap)
    assert played.found() == found


def test_a_gap_that_no_fault_explains_is_told(played: Played) -> None:
    played.gap(1, 2)
    played.gap(1, 2)
    assert played.found() == []
    played.explanations.pop()
    assert played.found() == ["unexplained"]
    played.explanations = [Explanation("another cause", at(0), at(59), frozenset({"remounted"}), 9)]
    assert played.found() == ["unexplained", "unexplained"]
    played.explanations = [Explanation("later", at(20), at(59), frozenset({"agent_stopped"}), 9)]
    assert played.found() == ["unexplained", "unexplained"]


def test_a_ledger_that_is_wrong_about_a_file_proves_nothing(played: Played) -> None:
    played.present[FILE] = b"somebody else wrote here"
    with pytest.raises(AssertionError, match=r"the ledger is wrong about 1/hw1/a\.c"):
        played.verdict()
