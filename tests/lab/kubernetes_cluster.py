"""The objects behind the API fake of `kubernetes_api`.

Written through, an object gets the defaults, and is refused for the reasons, that matter to the roles here.
"""

import copy
import re
import uuid
from typing import Any

from lab.kubernetes_controllers import Controllers
from lab.kubernetes_objects import RESOURCES, SERVICE_MONITORS, ApiError, Key, Object, Resource, key_of, selects

_UNITS = {"": 1, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}


class Cluster:
    """A cluster's objects in memory. Not for several threads at a time."""

    def __init__(self, prometheus_operator: bool = True) -> None:
        """`prometheus_operator`: whether ServiceMonitors are known."""
        self.resources = (*RESOURCES, SERVICE_MONITORS) if prometheus_operator else RESOURCES
        self.unpullable_images: set[str] = set()
        self._objects: dict[Key, Object] = {}
        self._version = 0
        self._controllers = Controllers(self._objects, self.unpullable_images)
        self._last_node_port = 30000
        for name in ("default", "kube-system"):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        """A copy of one object. Raises ApiError (404)."""
        key = Key(kind, namespace, name)
        if key not in self._objects:
            raise ApiError(404, "NotFound", f'{self._resource(kind).plural} "{name}" not found')
        return copy.deepcopy(self._objects[key])

    def find(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """Copies of all objects of a kind, of one namespace or of all, that a label selector matches."""
        return [
            copy.deepcopy(found)
            for key, found in sorted(self._objects.items())
            if key.kind == kind
            and namespace in ("", key.namespace)
            and selects(selector, found["metadata"].get("labels") or {})
        ]

    def create(self, wanted: Object, dry_run: bool = False) -> Object:
        """Make an object and return it as stored. Raises ApiError."""
        made = _without_nulls(wanted)
        key = key_of(made)
        if key.namespace and Key("Namespace", "", key.namespace) not in self._objects:
            raise ApiError(404, "NotFound", f'namespaces "{key.namespace}" not found')
        if key in self._objects:
            raise ApiError(409, "AlreadyExists", f'{self._resource(key.kind).plural} "{key.name}" already exists')
        made["metadata"] |= {
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        return self._store(key, None, made, dry_run)

    def replace(self, wanted: Object, dry_run: bool = False) -> Object:
        """Give an object that exists a new content; its status stays. Raises ApiError."""
        made = _without_nulls(wanted)
        key = key_of(made)
        old = self.get(key.kind, key.name, key.namespace)
        made["metadata"] |= {name: old["metadata"][name] for name in ("uid", "generation", "creationTimestamp")}
        if "status" in old:
            made["status"] = old["status"]
        if made.get("spec") != old.get("spec"):
            made["metadata"]["generation"] += 1
        return self._store(key, old, made, dry_run)

    def merge(self, key: Key, patch: Object, dry_run: bool = False) -> Object:
        """Change an object by a JSON merge patch (RFC 7386). Raises ApiError."""
        return self.replace(_merged(self.get(key.kind, key.name, key.namespace), patch), dry_run)

    def delete(self, key: Key, dry_run: bool = False) -> None:
        """Remove an object, and with a namespace all that is in it. Raises ApiError (404)."""
        self.get(key.kind, key.name, key.namespace)
        if dry_run:
            return
        del self._objects[key]
        if key.kind == "Namespace":
            for inside in [other for other in self._objects if other.namespace == key.name]:
                del self._objects[inside]
        self._controllers.settle()

    def _resource(self, kind: str) -> Resource:
        for resource in self.resources:
            if resource.kind == kind:
                return resource
        raise ApiError(404, "NotFound", f"the server could not find the requested resource: {kind}")

    def _store(self, key: Key, old: Object | None, new: Object, dry_run: bool) -> Object:
        self._fill_in(new, old)
        self._admit(key, new, old)
        changed = old is None or _without_version(old) != _without_version(new)
        if changed and not dry_run:
            self._version += 1
            new["metadata"]["resourceVersion"] = str(self._version)
            self._objects[key] = new
            self._controllers.settle()
            return self.get(key.kind, key.name, key.namespace)
        if old is not None:
            new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        return copy.deepcopy(new)

    def _fill_in(self, new: Object, old: Object | None) -> None:
        spec = new.get("spec", {})
        if new["kind"] == "Service":
            self._fill_in_service(spec, old["spec"] if old else {})
        elif new["kind"] == "Deployment":
            _fill_in_deployment(spec)
        elif new["kind"] == "NetworkPolicy":
            for rule in spec.get("ingress", []):
                for port in rule.get("ports", []):
                    port.setdefault("protocol", "TCP")
        elif new["kind"] == "PersistentVolumeClaim":
            spec.setdefault("volumeMode", "Filesystem")
            new.setdefault("status", {"phase": "Pending"})
        elif new["kind"] == "Namespace":
            new.setdefault("status", {"phase": "Active"})

    def _fill_in_service(self, spec: Object, old: Object) -> None:
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        if "clusterIP" not in spec:
            spec["clusterIP"] = old.get("clusterIP") or self._controllers.new_address("10.96.0")
        spec["clusterIPs"] = [spec["clusterIP"]]
        node_ports = {port["port"]: port["nodePort"] for port in old.get("ports", []) if "nodePort" in port}
        for port in spec["ports"]:
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
            if spec["type"] == "ClusterIP":
                port.pop("nodePort", None)
            elif "nodePort" not in port:
                self._last_node_port += 1
                port["nodePort"] = node_ports.get(port["port"], self._last_node_port)

    def _admit(self, key: Key, new: Object, old: Object | None) -> None:
        spec, before = new.get("spec", {}), old.get("spec", {}) if old else None
        wrong = ""
        if key.kind == "Service":
            taken = {other["spec"]["clusterIP"] for other in self.find("Service") if key_of(other) != key}
            if before and before["clusterIP"] != spec["clusterIP"]:
                wrong = "spec.clusterIPs[0]: Invalid value: may not change once set"
            elif spec["clusterIP"] != "None" and spec["clusterIP"] in taken:
                wrong = f"spec.clusterIPs: Invalid value: {spec['clusterIP']}: provided IP is already allocated"
        elif key.kind == "Deployment":
            labels = spec["template"]["metadata"]["labels"].items()
            if before and before["selector"] != spec["selector"]:
                wrong = "spec.selector: Invalid value: field is immutable"
            elif not spec["selector"]["matchLabels"].items() <= labels:
                wrong = "spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`"
            elif spec["strategy"]["type"] == "Recreate" and "rollingUpdate" in spec["strategy"]:
                wrong = "spec.strategy.rollingUpdate: Forbidden: may not be specified when `type` is 'Recreate'"
        elif key.kind == "PersistentVolumeClaim" and before:
            if _bytes(before) > _bytes(spec):
                wrong = "spec.resources.requests.storage: Forbidden: field can not be less than previous value"
            elif _fixed_part(before) != _fixed_part(spec):
                wrong = "spec: Forbidden: spec is immutable after creation except resources.requests"
        if wrong:
            raise ApiError(422, "Invalid", f'{key.kind} "{key.name}" is invalid: {wrong}')


def _fill_in_deployment(spec: Object) -> None:
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {"maxUnavailable": "25%", "maxSurge": "25%"})
    pod = spec["template"]["spec"]
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("dnsPolicy", "ClusterFirst")
    for container in pod["containers"]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            if name in container:
                container[name].setdefault("successThreshold", 1)
                container[name].get("httpGet", {}).setdefault("scheme", "HTTP")


def _without_version(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "resourceVersion": ""}}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _bytes(claim_spec: Object) -> int:
    quantity = claim_spec["resources"]["requests"]["storage"]
    match = re.fullmatch(r"(\d+)([A-Za-z]*)", quantity)
    if not match or match[2] not in _UNITS:
        raise ApiError(400, "BadRequest", f"quantities must match the regular expression: {quantity!r}")
    return int(match[1]) * _UNITS[match[2]]


def _fixed_part(claim_spec: Object) -> Object:
    return {name: value for name, value in claim_spec.items() if name != "resources"}
