"""What operators and tools see: documentation without the internet, metrics, probes."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from integration.backend.server import Server
from unit.backend import samples


class _Addresses(HTMLParser):
    """Collects every address that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_documentation_needs_nothing_from_another_host(server: Server) -> None:
    page = server.client.get("/docs")
    assert page.status_code == 200
    addresses = _Addresses()
    addresses.feed(page.text)
    addresses.found += re.findall(r"url: '([^']+)'", page.text)
    assert len(addresses.found) >= 4
    assert re.findall(r"https?:|//[a-z]+\.", page.text) == []
    for address in addresses.found:
        full = urljoin(f"{server.client.base_url}/docs", address)
        assert urlsplit(full).netloc == f"127.0.0.1:{server.port}"
        asset = server.client.get(full)
        assert asset.status_code == 200, address
        assert asset.content
        if address.endswith(".css"):
            assert re.findall(r"url\((?!['\"]?data:)[^)]*", asset.text) == []


def test_every_route_is_documented_with_its_problems(server: Server) -> None:
    document = server.get("/openapi.json")
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) == 24
    for path, method, operation in operations:
        assert operation["summary"], path
        assert "application/json" in operation["responses"]["200"]["content"] or path.endswith(
            ("content", "metrics")
        )
        if path not in ("/healthz", "/metrics"):
            for status in ("422", "503"):
                assert "application/problem+json" in operation["responses"][status]["content"], (path, status)
        if method == "post":
            assert operation["requestBody"]["content"]["application/json"]["schema"], path
            assert "429" in operation["responses"]
        named = set(re.findall(r"{(\w+)}", path))
        assert named == {item["name"] for item in operation.get("parameters", ()) if item["in"] == "path"}


def test_every_reference_of_the_openapi_document_leads_somewhere(server: Server) -> None:
    document = server.get("/openapi.json")

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = set(references(document))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_metrics_do_not_grow_with_what_is_asked(server: Server) -> None:
    def ask(number: int) -> None:
        server.client.get(f"/nowhere/{number}")
        server.client.get(f"/api/os-{number}/hw{number}/{number}")
        server.client.get(f"/api/os-{number}/hw1/x{number}")
        server.client.get("/api/v1/events", params={"after": f"x{number}"})
        server.client.get("/api/v1/gaps", params={"node": f"worker-{number}"})
        server.client.get(f"/api/v1/gaps/{number:032x}")
        server.client.request(("GET", "PATCH", "PROPFIND", "MKCOL", "PURGE")[number % 5], f"/{number}")
        server.client.get(f"/static-offline-docs/{number}.js")
        server.client.post(f"/api/os-1/hw1/1/f{number}.c/20250730_061753.c", json={"bytes": number})

    def series() -> int:
        lines = server.client.get("/metrics").text.splitlines()
        return sum(not line.startswith("#") for line in lines)

    for number in range(10):
        ask(number)
    series()  # itself a request that is counted
    before = series()
    for number in range(10, 160):
        ask(number)
    assert series() == before
    text = server.client.get("/metrics").text
    assert 'route="unmatched"' in text
    assert 'route="/api/{class_div}/{hw_name}/{student_id}"' in text
    assert 'route="/api/v1/gaps/{id}"' in text
    assert "os-7" not in text


def test_requests_and_events_are_counted_under_bounded_labels(server: Server) -> None:
    server.post("/api/v1/events", samples.batch(samples.snapshot(), samples.process(type="run"), samples.gap()))
    labels = {"method": "POST", "route": "/api/v1/events"}
    assert server.metric("watcher_http_requests_total", **labels, status="200") == 1
    assert server.metric("watcher_http_request_duration_seconds_count", **labels) == 1
    assert server.metric("watcher_ingest_events_total", type="run", outcome="stored") == 1
    assert server.metric("watcher_ingest_events_total", type="gap", outcome="stored") == 1
    assert server.metric("watcher_ingest_commit_events_sum") == 3
    assert server.metric("watcher_ingest_commit_duration_seconds_count") == 1
    assert server.metric("watcher_ingest_queue_events") == 0
    assert server.metric("process_resident_memory_bytes") > 1e6


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer(server: Server, path: str) -> None:
    assert server.get(path) == {"status": "ok"}
