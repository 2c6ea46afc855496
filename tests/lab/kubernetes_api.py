"""An API fake on loopback: enough of the Kubernetes API for Ansible's kubernetes.core to talk to, in memory.

Discovery, typed lists with label selectors, get, create, replace, JSON merge patch, delete, server-side dry run,
the refusals of `kubernetes_cluster` and the behaviour of `kubernetes_controllers`. What it is not: there is no
schema validation, no authentication, no watch, no strategic merge or server-side apply (415), no field selector
(400), no scheduler, no image, no container and no network. That a manifest is valid is proved with schemas, that
the backend runs from it by running it.
"""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from aiohttp import web

from lab.kubernetes_cluster import Cluster
from lab.kubernetes_objects import ApiError, Key, Object, Resource

_VERSION = {"major": "1", "minor": "30", "gitVersion": "v1.30.0"}
_VERBS = ["create", "delete", "get", "list", "patch", "update"]


class Write(NamedTuple):
    """One request that would change something, as it came in."""

    method: str
    path: str
    dry_run: bool
    body: Object | None


class KubernetesApi:
    """Serves a cluster in a thread; `kubeconfig` leads there. Change `cluster` only while nobody asks."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        """`directory`: where the kubeconfig is written."""
        self.cluster = cluster
        self.writes: list[Write] = []
        self.kubeconfig = directory / "kubeconfig"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> "KubernetesApi":
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        named = {"cluster": "fake", "user": "operator"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "operator", "user": {}}],
            "contexts": [{"name": "fake", "context": named}],
            "current-context": "fake",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            status, body = self._dispatch(request, await request.text())
        except ApiError as error:
            status = error.code
            body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": error.code}
            body |= {"reason": error.reason, "message": str(error)}
        return web.json_response(body, status=status)

    def _dispatch(self, request: web.Request, text: str) -> tuple[int, Any]:
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["version"]:
                return 200, _VERSION
            case ["api"]:
                return 200, {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                return 200, self._groups()
            case ["api", "v1", *rest]:
                return self._resource(request, text, "v1", rest)
            case ["apis", group, version, *rest]:
                return self._resource(request, text, f"{group}/{version}", rest)
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def _groups(self) -> Object:
        groups = []
        for group_version in sorted({resource.group_version for resource in self.cluster.resources} - {"v1"}):
            group, version = group_version.split("/")
            entry = {"groupVersion": group_version, "version": version}
            groups.append({"name": group, "versions": [entry], "preferredVersion": entry})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _resource(self, request: web.Request, text: str, group_version: str, rest: list[str]) -> tuple[int, Any]:
        known = [resource for resource in self.cluster.resources if resource.group_version == group_version]
        if not known:
            raise ApiError(404, "NotFound", f"the server does not know {group_version}")
        if not rest:
            return 200, _resource_list(group_version, known)
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        for resource in known:
            if resource.plural == rest[0] and len(rest) <= 2:
                return self._operate(request, text, resource, namespace, "".join(rest[1:]))
        raise ApiError(404, "NotFound", f"the server could not find {rest[0]} in {group_version}")

    def _operate(
        self, request: web.Request, text: str, resource: Resource, namespace: str, name: str
    ) -> tuple[int, Any]:
        kind = resource.kind
        if request.method == "GET" and name:
            return 200, self.cluster.get(kind, name, namespace)
        if request.method == "GET":
            if "fieldSelector" in request.query:
                raise ApiError(400, "BadRequest", "field selectors are not served here")
            items = self.cluster.find(kind, namespace, request.query.get("labelSelector", ""))
            listed = {"apiVersion": resource.group_version, "kind": f"{kind}List", "metadata": {}}
            return 200, {**listed, "items": items}
        dry_run = request.query.get("dryRun") == "All"
        body = json.loads(text) if text else None
        self.writes.append(Write(request.method, request.path, dry_run, body))
        if request.method == "DELETE" and name:
            self.cluster.delete(Key(kind, namespace, name), dry_run)
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        if not isinstance(body, dict):
            raise ApiError(400, "BadRequest", f"{request.method} needs an object")
        if request.method == "POST" and not name:
            if resource.namespaced:
                body["metadata"]["namespace"] = namespace
            return 201, self.cluster.create(body, dry_run)
        if request.method == "PUT" and name:
            return 200, self.cluster.replace(body, dry_run)
        if request.method == "PATCH" and name:
            if request.content_type != "application/merge-patch+json":
                raise ApiError(415, "UnsupportedMediaType", f"{request.content_type} is not served here")
            return 200, self.cluster.merge(Key(kind, namespace, name), body, dry_run)
        raise ApiError(405, "MethodNotAllowed", f"{request.method} is not allowed on {request.path}")


def _resource_list(group_version: str, known: list[Resource]) -> Object:
    listed = [
        {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _VERBS,
        }
        for resource in known
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}
