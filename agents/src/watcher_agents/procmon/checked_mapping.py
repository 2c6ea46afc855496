"""Reads a mapping of a YAML document and says precisely what is wrong with it."""

import re
from collections.abc import Iterator


class RulesError(Exception):
    """A rules file is wrong; the message is one line with the file, the key, the value and what would be right."""


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
