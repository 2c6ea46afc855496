"""What kinds of objects the API fake of `kubernetes_api` knows, and how they are named and selected."""

import re
from typing import Any, NamedTuple

Object = dict[str, Any]


class Resource(NamedTuple):
    """One kind of object, as discovery names it."""

    group_version: str
    plural: str
    kind: str
    namespaced: bool = True


class Key(NamedTuple):
    """Where an object is; `namespace` is empty where the kind has none."""

    kind: str
    namespace: str
    name: str


RESOURCES = (
    Resource("v1", "namespaces", "Namespace", namespaced=False),
    Resource("v1", "nodes", "Node", namespaced=False),
    Resource("v1", "persistentvolumes", "PersistentVolume", namespaced=False),
    Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    Resource("v1", "configmaps", "ConfigMap"),
    Resource("v1", "events", "Event"),
    Resource("v1", "pods", "Pod"),
    Resource("v1", "secrets", "Secret"),
    Resource("v1", "services", "Service"),
    Resource("apps/v1", "deployments", "Deployment"),
    Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    Resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    Resource("storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False),
)
SERVICE_MONITORS = Resource("monitoring.coreos.com/v1", "servicemonitors", "ServiceMonitor")


class ApiError(Exception):
    """What the API server would answer instead of an object."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def key_of(item: Object) -> Key:
    """Where an object is."""
    return Key(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])


def selects(selector: str, labels: dict[str, str]) -> bool:
    """Whether labels fulfil a selector of name, !name, name=value and name!=value. Raises ApiError (400)."""
    for requirement in filter(None, selector.split(",")):
        match = re.fullmatch(r"(!?)([\w./-]+)(?:(!=|==?)([\w.-]*))?", requirement.strip())
        if not match:
            raise ApiError(400, "BadRequest", f"unable to parse requirement: {requirement!r}")
        absent, name, operator, value = match.groups()
        if operator is None:
            holds = (name in labels) != bool(absent)
        else:
            holds = (labels.get(name) == value) == (operator != "!=")
        if not holds:
            return False
    return True
