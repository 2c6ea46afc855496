"""What was done = what is stored + what is declared lost, checked for every file and every program.

The rule, to the letter:

- **A row belongs to a state** of its file in the ledger (a save, an open file's growth, a deletion) by the
  content's SHA-256; no two contents are alike, so there is one state or none. Rows of one agent, in the order of
  their sequence, belong to states in the order in which these were made. A deletion's row belongs to the first
  deletion after the state of the row before it.
- `invented`: a row without a state, or whose snapshot holds something else than its SHA-256 says. `torn`: such a
  row whose content is the beginning of a content that the file had, read while it was being saved. `twice`: a row
  for a state, or with an id, that has a row already. `order`: a row whose state is older than the row before it.
- **A missing save** is a completed save, or an open file's content that nobody changed for QUIET_NS, without a
  row or with one whose content was dropped. It could be seen from its begin until the next state of the file was
  done.
- **Declared** is a missing save where a gap with `events_lost` null, of filemon, that concerns the student (names
  it, or names nobody) overlaps the time in which it could be seen. Both ends count, give or take SLACK_NS.
- **Counted** is one where such a gap with a number has room for it: each gap makes up for as many missing saves
  as events_lost says, each missing save takes one, and there must be enough for all (a matching is looked for).
- `lost`: a missing save that is neither.
- `final`: a file that is there at the end, whose newest row has another content; one that was deleted and whose
  newest row is none of the deletion, unless a gap as above makes up for it. Contents at the end are never
  excused.
- **A program** has one row with its type, exit code and signal, known by its marker, or is declared or counted by
  a gap of procmon that overlaps its life; a gap's number counts records, of which a program has two at least.
- `unexplained`: a gap that no fault of the run explains (see Explanation), or more of them than it explains.
  `implausible`: one that counts more lost saves than there were in its time.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

from lab.ledger import FileKey, FileState, Ledger, ProgramDone

SLACK_NS = 50_000_000
"""A file's times come from the kernel's tick, a gap's from a clock that is read later."""

_GAP_FIELDS = ("agent", "cause", "student_id", "started_at", "occurred_at", "events_lost", "detail")
_EMPTY = sha256(b"").hexdigest()
_SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Violation:
    """One thing that does not add up."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True)
class Explanation:
    """What one fault, from `begun_ns` to `done_ns`, may make the agents declare: each cause, and how often."""

    fault: str
    begun_ns: int
    done_ns: int
    causes: frozenset[str]
    most: int
    """Gaps of each cause."""


@dataclass
class Verdict:
    """What the check found, and the figures that it went by."""

    violations: list[Violation] = field(default_factory=list)
    saves: int = 0
    deletions: int = 0
    programs: int = 0
    rows: int = 0
    declared_saves: int = 0
    declared_programs: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    told_gaps: list[str] = field(default_factory=list)
    """Each gap in a line, for people."""

    def count(self, *kinds: str) -> int:
        """Violations of these kinds."""
        return sum(violation.kind in kinds for violation in self.violations)

    def add(self, kind: str, what: str) -> None:
        """Note a violation."""
        self.violations.append(Violation(kind, what))


@dataclass(frozen=True)
class _Missing:
    student_id: int
    begun_ns: int
    until_ns: int
    what: str


def check(
    ledger: Ledger,
    events: Iterable[dict[str, Any]],
    gaps: Sequence[dict[str, Any]],
    explanations: Sequence[Explanation],
    snapshot: Callable[[str], bytes | None],
    present: Callable[[FileKey], bytes | None],
) -> Verdict:
    """Check a finished run.

    `events`, `gaps`: all rows as REST gives them. `snapshot`: the content at a path of the volume, `present`: of a
    file now; None where there is none.
    """
    verdict = Verdict(gaps=Counter(gap["cause"] for gap in gaps))
    versions: dict[FileKey, list[dict[str, Any]]] = defaultdict(list)
    programs: list[dict[str, Any]] = []
    seen: set[str] = set()
    for event in events:
        verdict.rows += 1
        if event["id"] in seen:
            verdict.add("twice", f"two rows with the id {event['id']}")
        seen.add(event["id"])
        if event["type"] == "snapshot":
            key = FileKey(event["student_id"], event["hw_name"], event["filename"])
            versions[key].append(event)
        else:
            programs.append(event)
    missing: list[_Missing] = []
    for key in sorted(ledger.files.keys() | versions.keys()):
        missing += _check_file(ledger, key, versions.get(key, []), snapshot, present, verdict)
    verdict.declared_saves = _settle(missing, gaps, "filemon", verdict)
    _check_programs(ledger, programs, gaps, verdict)
    _check_gaps(ledger, gaps, explanations, verdict)
    return verdict


def _check_file(
    ledger: Ledger,
    key: FileKey,
    rows: list[dict[str, Any]],
    snapshot: Callable[[str], bytes | None],
    present: Callable[[FileKey], bytes | None],
    verdict: Verdict,
) -> list[_Missing]:
    states = ledger.files.get(key, [])
    recorded: set[int] = set()
    newest: tuple[int, dict[str, Any]] | None = None
    for agent_rows in _by_agent(rows):
        last = -1
        for row in agent_rows:
            index = _state_of(row, states, last, recorded)
            if index is None:
                _add_unknown(verdict, key, row, states, recorded, snapshot)
                continue
            if index < last:
                verdict.add("order", f"{_named(key, row)} is older than what the agent recorded before it")
            last = max(last, index)
            recorded.add(index)
            if newest is None or index > newest[0]:
                newest = (index, row)
            if row["change"] != "deleted" and not _has_content(verdict, key, row, snapshot):
                recorded.discard(index)
    missing = []
    for index, state in enumerate(states):
        if state.kind == "deleted":
            verdict.deletions += 1
        if ledger.must_be_recorded(key, index):
            verdict.saves += 1
            if index not in recorded:
                what = f"{key}: {_around(states, index, recorded)}"
                missing.append(
                    _Missing(key.student_id, state.begun_ns, ledger.until_ns(key, index), f"lost: {what}")
                )
    if states:
        missing += _check_end(ledger, key, newest, present, verdict)
    return missing


def _by_agent(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each agent in the order of its sequence."""
    agents: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        agents[str(row["node"]), str(row["boot_id"])].append(row)
    return [sorted(found, key=lambda row: int(row["sequence"])) for _, found in sorted(agents.items())]


def _state_of(row: dict[str, Any], states: list[FileState], last: int, recorded: set[int]) -> int | None:
    """The state that a row belongs to, None where there is none that has no row yet."""
    if row["change"] == "deleted":
        noticed_ns = nanoseconds(row["occurred_at"]) + SLACK_NS
        candidates = [
            index
            for index, state in enumerate(states)
            if state.kind == "deleted" and index > last and state.begun_ns <= noticed_ns
        ]
    else:
        candidates = [index for index, state in enumerate(states) if state.digest == row["sha256"]]
    free = [index for index in candidates if index not in recorded]
    later = [index for index in free if index > last]
    # Empty contents alone are alike: one that comes late is a file that was read while it was being saved.
    return next(iter(later if row["sha256"] == _EMPTY else later or free), None)


def _add_unknown(
    verdict: Verdict,
    key: FileKey,
    row: dict[str, Any],
    states: list[FileState],
    recorded: set[int],
    snapshot: Callable[[str], bytes | None],
) -> None:
    named = _named(key, row)
    if row["change"] == "deleted":
        several = any(state.kind == "deleted" for state in states)
        verdict.add("twice" if several else "invented", f"{named}: there was no deletion that it can be")
    elif row["sha256"] != _EMPTY and any(states[index].digest == row["sha256"] for index in recorded):
        verdict.add("twice", f"{named}: this save has a row already")
    else:
        content = snapshot(row["snapshot_path"]) if row["snapshot_path"] else None
        begins = f"{key.student_id}/".encode()
        is_known = content is not None and (begins.startswith(content) or content.startswith(begins))
        verdict.add(
            "torn" if states and is_known else "invented", f"{named}: never saved: {(content or b'')[:60]!r}"
        )


def _has_content(
    verdict: Verdict, key: FileKey, row: dict[str, Any], snapshot: Callable[[str], bytes | None]
) -> bool:
    """Whether the content is there too; one that was dropped is missing, one that is not there or wrong a lie."""
    if row["content_omitted"] is not None:
        return False
    content = snapshot(row["snapshot_path"])
    if content is None:
        verdict.add("invented", f"{_named(key, row)}: its snapshot {row['snapshot_path']} is not there")
    elif sha256(content).hexdigest() != row["sha256"]:
        verdict.add("invented", f"{_named(key, row)}: its snapshot {row['snapshot_path']} holds something else")
    # Either way it is told as what it is, and not as lost besides.
    return True


def _check_end(
    ledger: Ledger,
    key: FileKey,
    newest: tuple[int, dict[str, Any]] | None,
    present: Callable[[FileKey], bytes | None],
    verdict: Verdict,
) -> list[_Missing]:
    """Whether the newest row tells how the file ended; what may be made up for by a gap is returned."""
    last = len(ledger.files[key]) - 1
    end = ledger.files[key][last]
    content = present(key)
    digest = None if content is None else sha256(content).hexdigest()
    if digest != end.digest:
        raise AssertionError(f"the ledger is wrong about {key}: it holds {content!r}, by the ledger {end}")
    if newest is not None and newest[0] == last:
        # Where its content was dropped, that is missing by the rule of missing saves.
        return []
    if end.kind != "deleted":
        verdict.add("final", f"{key}: its content at the end has no row")
        return []
    if newest is None:
        # Nothing of it was recorded, so there is nothing that could have been deleted; its saves are missing.
        return []
    what = f"final: {key}: was deleted, and its newest row is {newest[1]['change']}"
    return [_Missing(key.student_id, end.begun_ns, ledger.until_ns(key, last), what)]


def _settle(missing: list[_Missing], gaps: Sequence[dict[str, Any]], agent: str, verdict: Verdict) -> int:
    """Make up for what is missing by gaps; the rest is a violation. How much was made up for."""
    own = [gap for gap in gaps if gap["agent"] == agent]
    unknown = [gap for gap in own if gap["events_lost"] is None]
    numbered = [gap for gap in own if gap["events_lost"]]
    counted = [loss for loss in missing if not any(_covers(gap, loss) for gap in unknown)]
    unmatched = _unmatched(counted, numbered)
    for loss in unmatched:
        kind, _, what = loss.what.partition(": ")
        verdict.add(kind, what)
    return len(missing) - len(unmatched)


def _covers(gap: dict[str, Any], loss: _Missing) -> bool:
    if gap["student_id"] not in (None, loss.student_id):
        return False
    begins = gap["started_at"] is None or nanoseconds(gap["started_at"]) <= loss.until_ns + SLACK_NS
    return begins and loss.begun_ns - SLACK_NS <= nanoseconds(gap["occurred_at"])


def _unmatched(losses: list[_Missing], gaps: list[dict[str, Any]]) -> list[_Missing]:
    """The losses that are left when each gap makes up for as many as it says: augmenting paths."""
    taken: list[list[int]] = [[] for _ in gaps]
    fits = [[place for place, gap in enumerate(gaps) if _covers(gap, loss)] for loss in losses]

    def place_one(loss: int, tried: set[int]) -> bool:
        for place in fits[loss]:
            if place in tried:
                continue
            tried.add(place)
            if len(taken[place]) < gaps[place]["events_lost"]:
                taken[place].append(loss)
                return True
            for position, other in enumerate(taken[place]):
                if place_one(other, tried):
                    taken[place][position] = loss
                    return True
        return False

    return [losses[index] for index in range(len(losses)) if not place_one(index, set())]


def _check_programs(
    ledger: Ledger, rows: list[dict[str, Any]], gaps: Sequence[dict[str, Any]], verdict: Verdict
) -> None:
    done = {program.marker: program for program in ledger.programs}
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        marker = next(
            (marker for argument in row["argv"] if (marker := argument.removeprefix("-D")) in done), None
        )
        told = f"{row['type']} {' '.join(row['argv'])[:80]} ({row['id']})"
        if marker is None:
            verdict.add("invented", f"{told}: nobody ran it")
        elif marker in found:
            verdict.add("twice", f"{told}: this program has a row already")
        else:
            found[marker] = row
            _compare(done[marker], row, told, verdict)
    verdict.programs = len(done)
    missing = [
        _Missing(program.student_id, program.begun_ns, program.done_ns, f"lost: {program}")
        for marker, program in done.items()
        if marker not in found
    ]
    verdict.declared_programs = _settle(missing, gaps, "procmon", verdict)


def _compare(program: ProgramDone, row: dict[str, Any], told: str, verdict: Verdict) -> None:
    expected = (program.student_id, program.type, program.exit_code, program.signal)
    stored = (row["student_id"], row["type"], row["exit_code"], row["signal"])
    if stored != expected:
        verdict.add("invented", f"{told}: stored as {stored}, was {expected}")


def _check_gaps(
    ledger: Ledger, gaps: Sequence[dict[str, Any]], explanations: Sequence[Explanation], verdict: Verdict
) -> None:
    room = Counter({(place, cause): one.most for place, one in enumerate(explanations) for cause in one.causes})
    for gap in sorted(gaps, key=lambda gap: str(gap["occurred_at"])):
        told = " ".join(f"{name}={gap[name]}" for name in _GAP_FIELDS if gap[name] is not None)
        verdict.told_gaps.append(told)
        if gap["cause"] == "saves_overtaken" and gap["events_lost"] > _saves_during(ledger, gap):
            verdict.add("implausible", f"gap {told}: in that time were {_saves_during(ledger, gap)}")
        fitting = [(place, gap["cause"]) for place, one in enumerate(explanations) if _explains(one, gap)]
        chosen = next((place for place in fitting if room[place] > 0), None)
        if chosen is not None:
            room[chosen] -= 1
            continue
        why = "more than its faults explain" if fitting else "no fault explains it"
        verdict.add("unexplained", f"gap {told}: {why}")


def _saves_during(ledger: Ledger, gap: dict[str, Any]) -> int:
    """States that files of the student got in a gap's time; a second more, for what waited to be looked at."""
    ended = nanoseconds(gap["occurred_at"])
    began = (ended if gap["started_at"] is None else nanoseconds(gap["started_at"])) - _SECOND_NS
    return sum(
        state.begun_ns <= ended and state.done_ns >= began
        for key, states in ledger.files.items()
        if gap["student_id"] in (None, key.student_id)
        for state in states
    )


def _explains(explanation: Explanation, gap: dict[str, Any]) -> bool:
    ended = nanoseconds(gap["occurred_at"])
    began = ended if gap["started_at"] is None else nanoseconds(gap["started_at"])
    overlaps = began <= explanation.done_ns + SLACK_NS and explanation.begun_ns - SLACK_NS <= ended
    return gap["cause"] in explanation.causes and overlaps


def nanoseconds(instant: str) -> int:
    """An instant of the wire, in nanoseconds since the epoch."""
    moment = datetime.fromisoformat(instant.replace("Z", "+00:00"))
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _shown(moment_ns: int) -> str:
    return (_EPOCH + timedelta(microseconds=moment_ns // 1000)).strftime("%H:%M:%S.%f")


def _around(states: list[FileState], index: int, recorded: set[int]) -> str:
    """What the file was before and after a state that is missing, and which of it has rows."""
    shown = []
    for number in range(max(0, index - 2), min(len(states), index + 3)):
        state = states[number]
        mark = "MISSING" if number == index else "stored" if number in recorded else "no row"
        shown.append(f"{number} {state.kind} {_shown(state.begun_ns)} to {_shown(state.done_ns)} {mark}")
    return "; ".join(shown)


def _named(key: FileKey, row: dict[str, Any]) -> str:
    return f"{key} {row['change']} at {row['occurred_at']} (sequence {row['sequence']}, {row['id']})"
