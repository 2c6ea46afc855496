"""An agent's rules file: a YAML document over the one that comes with the agent, checked key by key."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import yaml


class RulesError(Exception):
    """A rules file is wrong; the message is one line with the file, the key, the value and what would be right."""


def read_rules(package: str, path: Path | None) -> tuple[str, dict[str, object]]:
    """The rules in `path` over the `rules.yml` of `package`, and what to call them in errors; None: those alone.

    A top-level key that `path` leaves out keeps its value; one that it has takes the place of the whole value.
    Raises RulesError.
    """
    shipped = _parse(resources.files(package).joinpath("rules.yml").read_text(encoding="utf-8"), "rules.yml")
    if path is None:
        return "rules.yml", shipped
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: byte {error.start} is not UTF-8") from error
    given = _parse(text, str(path))
    for key in given:
        if key not in shipped:
            known = ", ".join(sorted(shipped))
            raise RulesError(f"{path}: {key} is {given[key]!r}: no such key; known are {known}")
    return str(path), {**shipped, **given}


def _parse(text: str, source: str) -> dict[str, object]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RulesError(f"{source}: is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise RulesError(f"{source}: the document is {document!r}: must be a mapping of keys and values")
    return document


class CheckedMapping:
    """A mapping at `place` (empty: the top) of a document that came from `source`.

    Raises RulesError where `value` is no mapping of strings or has a key that is not one of `keys`.
    """

    def __init__(self, source: str, place: str, value: object, keys: set[str]) -> None:
        self._source = source
        self._place = place
        self._values = self._mapping("", value)
        for key in self._values:
            if key not in keys:
                raise self.error(key, self._values[key], f"no such key; known are {', '.join(sorted(keys))}")

    def error(self, key: str, value: object, right: str) -> RulesError:
        """The error for `key` (empty: the mapping itself), saying what would be right."""
        where = ".".join(part for part in (self._place, key) if part) or "the document"
        return RulesError(f"{self._source}: {where} is {value!r}: {right}")

    def regex(self, key: str) -> re.Pattern[str]:
        """A regular expression."""
        value = self._string(key)
        try:
            return re.compile(value)
        except re.error as error:
            raise self.error(key, value, f"must be a regular expression ({error})") from error

    def absolute_path(self, key: str) -> str:
        """An absolute path other than the root, without a slash at its end."""
        value = self._string(key)
        if not value.startswith("/") or not value.strip("/"):
            raise self.error(key, value, "must be an absolute path such as /home/coder/project")
        return "/" + value.strip("/")

    def boolean(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, value, "must be true or false")
        return value

    def number(self, key: str, least: float, most: float) -> float:
        """A number from `least` to `most`."""
        value = self._values.get(key)
        # YAML's true is a bool, and in Python a bool is an int.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise self.error(key, value, f"must be a number from {least} to {most}")
        return value

    def whole_number(self, key: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(key, value, f"must be a whole number from {least} to {most}")
        return value

    def strings(
        self,
        key: str,
        *,
        required: bool = False,
        form: re.Pattern[str] | None = None,
        right: str = "strings",
    ) -> tuple[str, ...]:
        """A list of strings that all have the `form`, which `right` describes; empty where the key is missing."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or (required and not value):
            raise self.error(key, value, f"must be a list of {right}")
        for item in value:
            if not isinstance(item, str) or not item or (form is not None and not form.fullmatch(item)):
                raise self.error(key, item, f"must be a list of {right}")
        return tuple(value)

    def mappings(self, key: str, keys: set[str]) -> Iterator[tuple[str, "CheckedMapping"]]:
        """Each name and mapping of a mapping of mappings, whose keys are of `keys`."""
        for name, value in self._mapping(key, self._values.get(key, {})).items():
            yield name, CheckedMapping(self._source, f"{key}.{name}", value, keys)

    def _string(self, key: str) -> str:
        value = self._values.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, value, "must be a string")
        return value

    def _mapping(self, key: str, value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise self.error(key, value, "must be a mapping of keys and values")
        for name in value:
            if not isinstance(name, str):
                raise self.error(key, name, "must be a string (in quotes)")
        return value
