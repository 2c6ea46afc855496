"""Making text from outside safe to show in a log line or an answer."""

MAX_SHOWN = 200


def printable(value: object, limit: int = MAX_SHOWN) -> str:
    """Return a one-line, printable, valid-Unicode rendering of ``value``, at most ``limit`` characters long.

    Containers are named, not rendered: a hostile body must not cost its own size again, and could be nested
    too deeply to render at all.
    """
    if isinstance(value, str):
        shown = value[:limit]
    elif isinstance(value, bytes):
        shown = value[:limit].decode("utf-8", "backslashreplace")
    elif isinstance(value, dict):
        shown = f"an object of {len(value)} members"
    elif isinstance(value, list | tuple):
        shown = f"an array of {len(value)} elements"
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        # str() of a very large integer is refused by Python itself.
        shown = f"an integer of {value.bit_length()} bits"
    elif value is None or isinstance(value, bool):
        shown = {None: "null", True: "true", False: "false"}[value]
    else:
        shown = str(value)
    escaped = escape_control(shown)
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"


def escape_control(text: str) -> str:
    """Escape everything that is not printable (control characters, line separators, lone surrogates)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
