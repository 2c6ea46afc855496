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
    r"(?:pass(?:wd|word|phrase|code)?|pwd|secrets?"
    r"|(?:auth|access|account|api|private|secret|shared|encryption|signing)[-_]?keys?"
    r"|apikey|tokens?|credentials?|bearer|authorization|cookies?)"
)
# Those that mean a secret also where another word is run into them: PGPASSWORD, accessToken, but not compass.
_ENDING = r"(?:passwd|password|passphrase|secret|token|apikey|sshpass|(?:db|pg|my|root|user|admin)pass)"
# The word alone, or with others before it: --db-password, GITHUB_TOKEN, PASSWORD2; --token-file is a file's name.
_SECRET_NAME = re.compile(rf"(?:[a-z0-9]+[-_.])*(?:{_WORD}|[a-z0-9]*{_ENDING})[0-9]{{0,4}}", re.IGNORECASE)
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
# A header of HTTP that carries one: Authorization, Cookie, X-Api-Key, PRIVATE-TOKEN, X-Vault-Token.
_SECRET_HEADER = re.compile(
    r"(?P<name>(?<![A-Za-z0-9-])(?:(?:Proxy-)?Authorization|(?:Set-)?Cookie"
    r"|(?:[A-Za-z0-9]{1,32}-){1,4}(?:Key|Token|Secret|Password))\s{0,8}:\s{0,8}).+",
    re.IGNORECASE | re.DOTALL,
)
# One of several settings in an argument: host=db;user=me;password=x
_SETTING = re.compile(
    rf"(?P<name>[;,\s](?:[a-z0-9]{{1,32}}[-_.]){{0,4}}{_WORD}\s{{0,2}}=\s{{0,2}})[^;,&\s\"']{{1,4096}}",
    re.IGNORECASE,
)
_WEBHOOK = re.compile(
    r"(?P<name>hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)[^\s?#]{8,}"
)
# What openssl's -passin, -passout and -pass take.
_PASS_PHRASE = re.compile(r"(?P<name>pass:).+", re.DOTALL)
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
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|GOCSPX-[A-Za-z0-9_-]{16,}"
    r"|dckr_pat_[A-Za-z0-9_-]{16,}"
    r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"
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

# Programs with a short option that takes a password; to most others it is a port, a path or a page. mysql takes it
# joined to the option only: what follows a lone -p is the database.
_JOINED, _NEXT = 1, 2
_PASSWORD_OPTIONS = (
    (re.compile(r"mysql\w*|mariadb(?:-\w+)?|7z[ar]?"), "-p", _JOINED),
    (re.compile(r"sshpass|mongo\w*"), "-p", _JOINED | _NEXT),
    (re.compile(r"redis-cli"), "-a", _JOINED | _NEXT),
    (re.compile(r"ldap\w+"), "-w", _JOINED | _NEXT),
    (re.compile(r"zip|unzip"), "-P", _JOINED | _NEXT),
)
# Of curl and its like: a name, and after a colon the password. A user and a group are numbers.
_USER_OPTION = re.compile(r"-u|-U|--user|--proxy-user")
_USER_JOINED = re.compile(r"(?P<name>(?:-u|-U|--user=|--proxy-user=)[^\s:/=]{1,256}:)[^\s/]{1,1024}")
_USER = re.compile(r"(?P<name>[^\s:/=]{1,256}:)[^\s/]{1,1024}")
_NUMBERS = re.compile(r"[0-9]+:[0-9]+")


def redacted(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line without its secrets; as many arguments as before."""
    option, forms = _password_option(argv[0].rpartition("/")[2] if argv else "")
    result: list[str] = []
    before = ""
    for argument in argv:
        is_value = _is_value_of_secret(before, argument) or bool(forms & _NEXT and before == option)
        if _SOURCE_FILE.fullmatch(argument):
            result.append(argument)
        elif is_value:
            result.append(REDACTED)
        elif forms & _JOINED and argument.startswith(option) and len(argument) > len(option):
            result.append(option + REDACTED)
        elif _USER_OPTION.fullmatch(before) and _USER.fullmatch(argument) and not _NUMBERS.fullmatch(argument):
            result.append(_USER.sub(rf"\g<name>{REDACTED}", argument))
        else:
            result.append(_redacted_argument(argument))
        # A secret may look like an option; it is none.
        before = "" if is_value else argument
    return tuple(result)


def _password_option(program: str) -> tuple[str, int]:
    for programs, option, forms in _PASSWORD_OPTIONS:
        if programs.fullmatch(program):
            return option, forms
    return "", 0


def _is_value_of_secret(before: str, argument: str) -> bool:
    is_option = _LONE_OPTION.fullmatch(before) is not None and _is_secret(before)
    return is_option and not _LONE_OPTION.fullmatch(argument)


def _redacted_argument(argument: str) -> str:
    for form in (_OPTION, _ASSIGNMENT):
        match = form.fullmatch(argument)
        if match is not None and match["value"] and _is_secret(match["name"]):
            return f"{match['name']}={REDACTED}"
    if _USER_JOINED.fullmatch(argument):
        return _USER_JOINED.sub(rf"\g<name>{REDACTED}", argument)
    if _PASS_PHRASE.fullmatch(argument):
        return _PASS_PHRASE.sub(rf"\g<name>{REDACTED}", argument)
    argument = _URL_USER.sub(rf"\g<user>:{REDACTED}@", argument)
    argument = _URL_TOKEN.sub(f"{REDACTED}@", argument)
    argument = _QUERY.sub(rf"\g<name>{REDACTED}", argument)
    argument = _WEBHOOK.sub(rf"\g<name>{REDACTED}", argument)
    argument = _SECRET_HEADER.sub(rf"\g<name>{REDACTED}", argument)
    argument = _SETTING.sub(rf"\g<name>{REDACTED}", argument)
    argument = _HEADER.sub(rf"\g<name>{REDACTED}", argument)
    argument = _INLINE.sub(rf"\g<name>\g<quote>{REDACTED}\g<quote>", argument)
    argument = _PRIVATE_KEY.sub(REDACTED, argument)
    return _SHAPES.sub(REDACTED, argument)


def _is_secret(name: str) -> bool:
    """Whether what an option or a variable of this name holds is secret."""
    bare = _DEFINITION_PREFIX.sub("", name).strip("-_")
    return _SECRET_NAME.fullmatch(bare) is not None
