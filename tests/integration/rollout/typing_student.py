"""A student who saves without a pause while the node is upgraded."""

import httpx

from lab.node import Node
from lab.waiting import wait_for

_WORKSPACE = "os-1-202600777"
_DIRECTORY = f"/srv/workspace/codes/workspace/{_WORKSPACE}/hw1"
_SCRIPT = f"""
mkdir --parents {_DIRECTORY}
number=0
while [ ! -e /run/enough ]; do
    number=$((number + 1))
    echo "int version = $number;" >{_DIRECTORY}/file$((number % 40)).c
    sleep 0.05
done
rm /run/enough
"""


class TypingStudent:
    """Saves forty files in turn, twenty times a second, while the context is entered."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __enter__(self) -> "TypingStudent":
        self._node.run(f"cat >/run/type <<'END'\n{_SCRIPT}END\nnohup sh /run/type >/dev/null 2>&1 &")
        return self

    def __exit__(self, *_: object) -> None:
        self._node.run("touch /run/enough; while [ -e /run/enough ]; do sleep 0.1; done; rm /run/type")

    def missing(self, backend: str) -> list[str]:
        """The files whose last content is not at the backend half a minute later; all of them were saved."""
        contents = self._node.run(f"cd {_DIRECTORY} && grep . *.c").stdout.splitlines()
        wanted = dict(line.split(":", 1) for line in contents)
        assert len(wanted) == 40
        with httpx.Client(base_url=backend, trust_env=False) as client:
            try:
                wait_for(lambda: not _missing(client, wanted), "the last contents at the backend", 30.0)
            except AssertionError:
                return _missing(client, wanted)
        return []


def _missing(client: httpx.Client, wanted: dict[str, str]) -> list[str]:
    newest: dict[str, str] = {}
    after: dict[str, str] = {}
    while True:
        parameters = {"class_div": "os-1", "student_id": "202600777", "type": "snapshot", "limit": "1000", **after}
        page = client.get("/api/v1/events", params=parameters).raise_for_status().json()
        for event in sorted(page["events"], key=lambda event: str(event["occurred_at"])):
            newest[event["filename"]] = event["id"]
        if not page["events"]:
            break
        after = {"after": page["next"]}
    return [
        name
        for name, line in wanted.items()
        if name not in newest or client.get(f"/api/v1/events/{newest[name]}/content").text.strip() != line
    ]
