"""Secrets do not leave the node; what is recorded for its own sake does."""

import pytest

from watcher_agents.procmon.redaction import REDACTED, redacted

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--password=hunter2", f"--password={REDACTED}"),
        ("--db-password=a=b c", f"--db-password={REDACTED}"),
        ("-password=x", f"-password={REDACTED}"),
        ("--API_KEY=x", f"--API_KEY={REDACTED}"),
        ("--access-token=x", f"--access-token={REDACTED}"),
        ("PASSWORD=x", f"PASSWORD={REDACTED}"),
        ("GITHUB_TOKEN=x", f"GITHUB_TOKEN={REDACTED}"),
        ("aws_secret_access_key=x", f"aws_secret_access_key={REDACTED}"),
        ("-DAPI_KEY=x", f"-DAPI_KEY={REDACTED}"),
        ("-eDB_PASSWORD=x", f"-eDB_PASSWORD={REDACTED}"),
        ("postgres://me:s3cret@db:5432/x", f"postgres://me:{REDACTED}@db:5432/x"),
        ("https://:s3cret@h/", f"https://:{REDACTED}@h/"),
        ("git+https://abcdefghijklmnop1234@github.com/x", f"git+https://{REDACTED}@github.com/x"),
        ("https://h/p?a=1&token=abc&b=2", f"https://h/p?a=1&token={REDACTED}&b=2"),
        ("https://h/?x-api-key=abc#frag", f"https://h/?x-api-key={REDACTED}#frag"),
        ("Authorization: Basic dXNlcjpwdw==", f"Authorization: {REDACTED}"),
        ("X-Api-Key:abc", f"X-Api-Key:{REDACTED}"),
        ("bearer abcdefghij", f"bearer {REDACTED}"),
        ('{"user": "u", "password": "p w"}', f'{{"user": "u", "password": "{REDACTED}"}}'),
        ("connect(token='abc')", "connect(token='abc')".replace("abc", REDACTED)),
        ("PGPASSWORD=x", f"PGPASSWORD={REDACTED}"),
        ("SSHPASS=x", f"SSHPASS={REDACTED}"),
        ("ROOT_PASSWORD2=x", f"ROOT_PASSWORD2={REDACTED}"),
        ("--accessToken=x", f"--accessToken={REDACTED}"),
        ("--clientSecret=x", f"--clientSecret={REDACTED}"),
        ("--cookie=sid=1", f"--cookie={REDACTED}"),
        ("Cookie: sid=1; b=2", f"Cookie: {REDACTED}"),
        ("PRIVATE-TOKEN: abc", f"PRIVATE-TOKEN: {REDACTED}"),
        ("Proxy-Authorization:Basic eA==", f"Proxy-Authorization:{REDACTED}"),
        ("x-vault-token: s.abc", f"x-vault-token: {REDACTED}"),
        ("host=db;user=me;password=x;port=5", f"host=db;user=me;password={REDACTED};port=5"),
        ("host=db dbname=x password = p", f"host=db dbname=x password = {REDACTED}"),
        ("AccountName=a;AccountKey=abc==;x=y", f"AccountName=a;AccountKey={REDACTED};x=y"),
        ("--user=me:hunter2", f"--user=me:{REDACTED}"),
        ("-ume:hunter2", f"-ume:{REDACTED}"),
        ("pass:hunter2", f"pass:{REDACTED}"),
        ("https://hooks.slack.com/services/T0/B0/abcdef", f"https://hooks.slack.com/services/{REDACTED}"),
        ("https://discord.com/api/webhooks/12/abcdef", f"https://discord.com/api/webhooks/{REDACTED}"),
        ("https://api.telegram.org/bot12:abcdef/send", f"https://api.telegram.org/bot{REDACTED}"),
        ("123456789:AA" + "h" * 33, REDACTED),
        ("sk_live_" + "a1" * 12, REDACTED),
        ("SG." + "a" * 22 + "." + "b" * 43, REDACTED),
        ("ghp_" + "a1" * 18, REDACTED),
        ("x=github_pat_" + "a1" * 20, f"x={REDACTED}"),
        ("glpat-" + "a1" * 10, REDACTED),
        ("sk-proj-" + "a1" * 20, REDACTED),
        ("xoxb-1234567890-abc", REDACTED),
        ("AKIAIOSFODNN7EXAMPLE", REDACTED),
        ("AIza" + "a" * 35, REDACTED),
        ("hf_" + "a" * 34, REDACTED),
        (JWT, REDACTED),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", REDACTED),
    ],
)
def test_secret_in_one_argument(argument: str, told: str) -> None:
    """The secret goes, whole; what tells what it was stays."""
    assert redacted(("./a.out", argument, "end")) == ("./a.out", told, "end")


@pytest.mark.parametrize(
    "option", ["--password", "--token", "-token", "--db-passwd", "--client-secret", "--api-key"]
)
def test_secret_in_the_next_argument(option: str) -> None:
    """An option alone takes the argument after it, and no more."""
    assert redacted(("a", option, "hunter2", "b")) == ("a", option, REDACTED, "b")


def test_option_after_a_secret_option_is_an_option() -> None:
    """A flag that only looks like one with a value hides no other option, and the last one hides nothing."""
    assert redacted(("a", "--token", "--verbose", "x")) == ("a", "--token", "--verbose", "x")
    assert redacted(("a", "--token")) == ("a", "--token")


def test_p_is_a_password_only_where_it_is_one() -> None:
    """That of mysql is; a port, a path or gcc's -pthread is not."""
    assert redacted(("/usr/bin/mysql", "-u", "root", "-phunter2")) == (
        "/usr/bin/mysql",
        "-u",
        "root",
        f"-p{REDACTED}",
    )
    for argv in (("gcc", "-pthread", "-pedantic"), ("./server", "-p8080"), ("mkdir", "-p", "x"), ("mysql", "-p")):
        assert redacted(argv) == argv


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("sshpass", "-p", "x", "ssh", "h"), ("sshpass", "-p", REDACTED, "ssh", "h")),
        (("sshpass", "-px", "ssh"), ("sshpass", f"-p{REDACTED}", "ssh")),
        (("mongosh", "-u", "me", "-p", "x", "db"), ("mongosh", "-u", "me", "-p", REDACTED, "db")),
        (("redis-cli", "-a", "x", "get", "k"), ("redis-cli", "-a", REDACTED, "get", "k")),
        (("ldapsearch", "-w", "x"), ("ldapsearch", "-w", REDACTED)),
        (("unzip", "-P", "x", "a.zip"), ("unzip", "-P", REDACTED, "a.zip")),
        (("7z", "x", "-px", "a.7z"), ("7z", "x", f"-p{REDACTED}", "a.7z")),
        (("mysql", "-p", "database"), ("mysql", "-p", "database")),
        (("curl", "-u", "me:x", "h"), ("curl", "-u", f"me:{REDACTED}", "h")),
        (("./client", "--user", "me:x"), ("./client", "--user", f"me:{REDACTED}")),
        (("./client", "--proxy-user", "me:x"), ("./client", "--proxy-user", f"me:{REDACTED}")),
        (("./serve", "-u", "1000:1000"), ("./serve", "-u", "1000:1000")),
        (("python3", "-u", "main.py"), ("python3", "-u", "main.py")),
        (("curl", "-H", "Cookie: a=b"), ("curl", "-H", f"Cookie: {REDACTED}")),
        (("env", "FOO_TOKEN=x", "./prog"), ("env", f"FOO_TOKEN={REDACTED}", "./prog")),
        (("./prog", "--password", "x", "a.txt", "b.txt"), ("./prog", "--password", REDACTED, "a.txt", "b.txt")),
        (("./prog", "--password", "--x", "y"), ("./prog", "--password", "--x", "y")),
        (("openssl", "rsa", "-passin", "pass:x"), ("openssl", "rsa", "-passin", f"pass:{REDACTED}")),
    ],
)
def test_programs_with_ways_of_their_own(argv: tuple[str, ...], told: tuple[str, ...]) -> None:
    """Where a short option, or the argument after it, is known to be a secret; and where it is not."""
    assert redacted(argv) == told


@pytest.mark.parametrize(
    "argument",
    [
        "main.c",
        "token.c",
        "src/password.py",
        "secret_key.java",
        "ghp_" + "a" * 36 + ".py",
        "/home/coder/project/hw1/api_key.cpp",
        "--output=token.txt",
        "--author=me",
        "--passes=3",
        "--key=value",
        "--tokenizer=bpe",
        "--max-tokens-count=5",
        "-Wall",
        "-I/usr/include",
        "-DNDEBUG",
        "-DMAX=5",
        "-std=c11",
        "compass=north",
        "monkey=1",
        "bypass=1",
        "https://example.com/a?page=2",
        "user@example.com",
        "ssh://git@github.com/x",
        "10:30",
        "-lm",
        "trespass=1",
        "--keyboard=us",
        "--monkey-key: no",
        "-Wl,-rpath,/x",
        "a=1;b=2,c=3",
        "compass:north",
        "int x = 5; token_count = 3",
        "Basic programming",
        "",
    ],
)
def test_what_is_no_secret_stays(argument: str) -> None:
    """Sources above all, and ordinary options."""
    assert redacted(("a", argument)) == ("a", argument)


def test_source_after_a_secret_option_stays() -> None:
    """The name of a source is what the record is about."""
    assert redacted(("gcc", "--token", "main.c")) == ("gcc", "--token", "main.c")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "://",
        "://a:",
        "eyJ",
        "eyJa.",
        "token=",
        "?token=",
        "password='",
        "a-",
        "a_",
        "ghp_",
        "-",
        "Bearer ",
        "x-",
        "a-key",
        "-u:",
        ";a-",
        ",token",
        "SG.",
        "1",
        "secret",
        ".c",
        '"',
    ],
)
def test_any_argument_is_read_in_one_go(unit: str) -> None:
    """The longest argument of the most awkward shape takes no time; one that backtracks takes minutes."""
    for _ in range(20):
        redacted(("a", unit * (16384 // len(unit)), "--" + unit * 20))
