"""A student who saves all the while, each time something else, in whichever pod is his at the moment."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from integration.nfs.site import NfsSite, wait_gently

FILES = 5
_UNIT = "typist"
_PLACE = f"/run/{_UNIT}"
# A file is saved anew only after the others: slowly enough for each of its versions to be seen on its own.
_LOOP = f"""\
number=0
while [ ! -e {_PLACE}/enough ]; do
    number=$((number + 1))
    echo "int version = $number;" >{_PLACE}/project/hw1/file$((number % {FILES})).c
    echo $number >{_PLACE}/number.new
    mv {_PLACE}/number.new {_PLACE}/number
    sleep 0.5
done
"""


class Typist:
    """Saves FILES files in turn; started by `typing`."""

    def __init__(self, site: NfsSite) -> None:
        self._site = site
        self._total: int | None = None

    def move(self, project: str) -> None:
        """Go on in another directory, from one save to the next."""
        self._site.root(
            f"mkdir -p {_PLACE} {project}/hw1\n"
            f"ln -s {project} {_PLACE}/project.new\nmv --no-target-directory {_PLACE}/project.new {_PLACE}/project"
        )

    def saved(self) -> int:
        """How often he has saved."""
        return self._total or int(self._site.root(f"cat {_PLACE}/number 2>/dev/null || echo 0"))

    def wait_for_more(self, saves: int) -> None:
        """Wait until he has saved so many times more."""
        wanted = self.saved() + saves
        wait_gently(lambda: self.saved() >= wanted, f"the student to save {saves} times")

    def start(self) -> None:
        """Begin to save."""
        self._site.root(f"cat >{_PLACE}/loop <<'END'\n{_LOOP}END")
        self._site.root(f"systemd-run --quiet --unit={_UNIT} --property=RemainAfterExit=yes sh -eu {_PLACE}/loop")

    def stop(self) -> None:
        """Save no more; AssertionError where a save has failed."""
        self._site.root(f"touch {_PLACE}/enough")
        wait_gently(self._has_ended, "the student to end")
        self._total = self.saved()

    def _has_ended(self) -> bool:
        state = self._site.root(f"systemctl show --property=SubState --value {_UNIT}").strip()
        assert state in ("running", "exited"), f"a save failed:\n{self._site.machine.journal(_UNIT)}"
        return state == "exited"

    def contents(self) -> Counter[str]:
        """All that he has saved, each once, in the form of `site.counted`."""
        wanted: Counter[str] = Counter()
        saved = self.saved()
        assert saved > 0
        for number in range(1, saved + 1):
            digest = hashlib.sha256(f"int version = {number};\n".encode()).hexdigest()
            wanted[f"file{number % FILES}.c {digest}"] += 1
        return wanted


@contextmanager
def typing(site: NfsSite, project: str) -> Iterator[Typist]:
    """He saves in a workspace, given as a path of the machine, while the context is entered."""
    typist = Typist(site)
    typist.move(project)
    typist.start()
    try:
        yield typist
        typist.stop()
    finally:
        site.root(f"systemctl stop {_UNIT}; rm -r {_PLACE}", check=False)
