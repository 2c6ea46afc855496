"""Takes secrets out of a command line, before it is kept, sent or logged.

A student's program gets its secrets like any other: `--token X`, `API_KEY=X`, a URL with a password. What stands
in place of a secret is always `[redacted]`, so that its length is not told either. Names of source files stay what
they are, however they look: they are what the record is about.

Every expression reads an argument in one go (no nested repetition, and a repetition starts only where the text
before it cannot be part of it): an argument may be 16 KiB of a student's choosing.
"""

import re
from collections.abc import Sequence

REDACTED = "[redacted]"

_WORD = (
    r"(?:pass(?:wd|word|phrase|code)?|pwd|secrets?|(?:auth|access|api|private|secret|encryption|signing)[-_]?keys?"
    r"|apikey|tokens?|credentials?|bearer|authorization)"
)
# The word alone, or with others before or after it: --db-password, GITHUB_TOKEN, --token-file is a file's name.
_SECRET_NAME = re.compile(rf"(?:[a-z0-9]+[-_.])*{_WORD}", re.IGNORECASE)
_OPTION = re.compile(r"(?P<name>--?[A-Za-z][\w.-]{0,63})=(?P<value>.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"(?P<name>(?:-D|-e|-E)?[A-Za-z_][\w.-]{0,63})=(?P<value>.*)", re.DOTALL)
_LONE_OPTION = re.compile(r"--?[A-Za-z][\w.-]{0,63}")
_DEFINITION_PREFIX = re.compile(r"-[DeE](?=[A-Z_])")

_SOURCE_FILE = re.compile(
    r"[^\s=:?&]*\.(?:c|h|cc|cpp|cxx|hpp|hh|s|py|ipynb|js|mjs|ts|java|rs|go|rb|pl|php|kt|scala|r|sh)"
)

# In any place of an argument.
_URL_USER = re.compile(r"(?<=://)(?P<user>[^/\s:@]{0,256}):[^/\s@]{1,1024}@")
_URL_TOKEN = re.compile(r"(?<=://)[A-Za-z0-9_.~%+-]{16,1024}@")
_QUERY = re.compile(rf"(?P<name>[?&](?:[a-z0-9]{{1,32}}[-_.]){{0,4}}{_WORD}=)[^&\s#]{{1,4096}}", re.IGNORECASE)
_HEADER = re.compile(r"(?P<name>\bBearer\s{1,8})[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    r"(?P<name>\b(?:Authorization|X-Api-Key|X-Auth-Token)\s{0,8}:\s{0,8}).+", re.I | re.DOTALL
)
_INLINE = re.compile(
    rf"(?P<name>(?<![A-Za-z0-9]){_WORD}[\"']?\s{{0,8}}[=:]\s{{0,8}})(?P<quote>[\"'])[^\"']{{1,4096}}(?P=quote)",
    re.IGNORECASE,
)
# Tokens whose issuers gave them a shape to be recognised by (as secret scanners know them).
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}"
    r"|sk-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|hf_[A-Za-z0-9]{20,}"
    r"|npm_[A-Za-z0-9]{20,}"
    r"|pypi-[A-Za-z0-9_-]{20,}"
    r"|A(?:KI|SI)A[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}"
    r"|ya29\.[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
    r")"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*", re.DOTALL)

# Programs whose -p takes a password, joined to it; to most others it is a port, a path or a page.
_PASSWORD_P = re.compile(r"(?:mysql\w*|mariadb(?:-\w+)?|sshpass)")


def redacted(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line without its secrets; as many arguments as before."""
    password_p = bool(argv) and _PASSWORD_P.fullmatch(argv[0].rpartition("/")[2]) is not None
    result: list[str] = []
    value_of_secret = False
    for argument in argv:
        if _SOURCE_FILE.fullmatch(argument):
            result.append(argument)
            value_of_secret = False
        elif value_of_secret and not _LONE_OPTION.fullmatch(argument):
            result.append(REDACTED)
            value_of_secret = False
        elif password_p and argument.startswith("-p") and len(argument) > 2:
            result.append("-p" + REDACTED)
            value_of_secret = False
        else:
            result.append(_redacted_argument(argument))
            value_of_secret = bool(_LONE_OPTION.fullmatch(argument)) and _is_secret(argument)
    return tuple(result)


def _redacted_argument(argument: str) -> str:
    for form in (_OPTION, _ASSIGNMENT):
        match = form.fullmatch(argument)
        if match is not None and match["value"] and _is_secret(match["name"]):
            return f"{match['name']}={REDACTED}"
    argument = _URL_USER.sub(rf"\g<user>:{REDACTED}@", argument)
    argument = _URL_TOKEN.sub(f"{REDACTED}@", argument)
    argument = _QUERY.sub(rf"\g<name>{REDACTED}", argument)
    argument = _AUTHORIZATION.sub(rf"\g<name>{REDACTED}", argument)
    argument = _HEADER.sub(rf"\g<name>{REDACTED}", argument)
    argument = _INLINE.sub(rf"\g<name>\g<quote>{REDACTED}\g<quote>", argument)
    argument = _PRIVATE_KEY.sub(REDACTED, argument)
    return _SHAPES.sub(REDACTED, argument)


def _is_secret(name: str) -> bool:
    """Whether what an option or a variable of this name holds is secret."""
    bare = _DEFINITION_PREFIX.sub("", name).strip("-_")
    return _SECRET_NAME.fullmatch(bare) is not None
