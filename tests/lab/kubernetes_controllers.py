"""What happens to the objects of `kubernetes_cluster` by itself, all at once: what controllers do in a cluster.

Deployments get pods and a status, claims that a pod uses (or whose class binds at once) get a volume, Longhorn's
RWX volumes that a pod uses get their share-manager and its Service, Services that select pods get an
EndpointSlice, and what lost its owner goes.
"""

import copy
import hashlib
import json
import uuid

from lab.kubernetes_objects import Key, Object, key_of

LONGHORN_NAMESPACE = "longhorn-system"


class Controllers:
    """Work on a cluster's objects."""

    def __init__(self, objects: dict[Key, Object], unpullable_images: set[str]) -> None:
        """`unpullable_images`: a pod with one of them waits for it for ever."""
        self._objects = objects
        self._unpullable_images = unpullable_images
        self._last_address = 0

    def new_address(self, network: str) -> str:
        """An IPv4 address that nobody has, in a network named by its first three numbers."""
        self._last_address += 1
        return f"{network}.{self._last_address}"

    def settle(self) -> None:
        """Bring the objects to where they would come to rest."""
        for _ in range(3):  # a pod needs its claims first, and a Service its pods
            self._run_pods()
            self._bind_claims()
            self._serve_volumes()
            self._select_endpoints()
            self._collect_orphans()

    def _of_kind(self, kind: str) -> list[Object]:
        return [found for key, found in self._objects.items() if key.kind == kind]

    def _put(self, owner: Object | None, made: Object) -> None:
        if owner:
            made["metadata"]["ownerReferences"] = [
                {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            ]
        made["metadata"].setdefault("uid", str(uuid.uuid4()))
        self._objects[key_of(made)] = made

    def _run_pods(self) -> None:
        for deployment in self._of_kind("Deployment"):
            metadata, spec = deployment["metadata"], deployment["spec"]
            digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
            wanted = {f"{metadata['name']}-{digest}-{index}" for index in range(spec["replicas"])}
            for pod in self._owned_by(deployment, "Pod"):
                if pod["metadata"]["name"] not in wanted:
                    del self._objects[key_of(pod)]
            for name in wanted - {pod["metadata"]["name"] for pod in self._owned_by(deployment, "Pod")}:
                labels = spec["template"]["metadata"]["labels"]
                placed = {"name": name, "namespace": metadata["namespace"], "labels": labels}
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": placed, "spec": spec["template"]["spec"]}
                self._put(deployment, copy.deepcopy(pod))
        for pod in self._of_kind("Pod"):
            self._run(pod)
        for deployment in self._of_kind("Deployment"):
            pods = self._owned_by(deployment, "Pod")
            ready = sum(pod["status"]["phase"] == "Running" for pod in pods)
            counts = {"replicas": len(pods), "updatedReplicas": len(pods)}
            counts |= {"readyReplicas": ready, "availableReplicas": ready} if ready else {}
            counts |= {"unavailableReplicas": len(pods) - ready} if ready < len(pods) else {}
            deployment["status"] = {"observedGeneration": deployment["metadata"]["generation"], **counts}

    def _run(self, pod: Object) -> None:
        unbound = [claim for claim in self._claims(pod) if claim["status"]["phase"] != "Bound"]
        address = pod.get("status", {}).get("podIP") or self.new_address("10.244.0")
        states = []
        for container in pod["spec"]["containers"]:
            if container["image"] in self._unpullable_images:
                message = f'Back-off pulling image "{container["image"]}"'
                states.append({"waiting": {"reason": "ImagePullBackOff", "message": message}})
            else:
                states.append({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
        running = not unbound and all("running" in state for state in states)
        pod["status"] = {
            "phase": "Running" if running else "Pending",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": str(running)}],
            "containerStatuses": [
                {"name": container["name"], "ready": running, "state": state}
                for container, state in zip(pod["spec"]["containers"], states, strict=True)
            ],
        }

    def _claims(self, pod: Object) -> list[Object]:
        names = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes", [])
            if "persistentVolumeClaim" in volume
        ]
        keys = [Key("PersistentVolumeClaim", pod["metadata"]["namespace"], name) for name in names]
        return [self._objects[key] for key in keys if key in self._objects]

    def _bind_claims(self) -> None:
        used = {key_of(claim) for pod in self._of_kind("Pod") for claim in self._claims(pod)}
        for claim in self._of_kind("PersistentVolumeClaim"):
            storage_class = self._objects.get(Key("StorageClass", "", claim["spec"].get("storageClassName", "")))
            if not storage_class:
                continue
            if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and key_of(claim) not in used:
                continue
            requested = claim["spec"]["resources"]["requests"]["storage"]
            claim["status"] = {"phase": "Bound", "capacity": {"storage": requested}}
            if "volumeName" not in claim["spec"]:
                self._put(None, _volume_for(claim, storage_class))
                claim["spec"]["volumeName"] = f"pvc-{claim['metadata']['uid']}"

    def _serve_volumes(self) -> None:
        if Key("Namespace", "", LONGHORN_NAMESPACE) not in self._objects:
            return
        for pod in self._of_kind("Pod"):
            for claim in self._claims(pod):
                volume = self._objects.get(Key("PersistentVolume", "", claim["spec"].get("volumeName", "")))
                if (
                    not volume
                    or "ReadWriteMany" not in claim["spec"]["accessModes"]
                    or "csi" not in volume["spec"]
                ):
                    continue
                handle = volume["spec"]["csi"]["volumeHandle"]
                if Key("Service", LONGHORN_NAMESPACE, handle) in self._objects:
                    continue
                placed = {"namespace": LONGHORN_NAMESPACE}
                service = {"clusterIP": self.new_address("10.96.0"), "ports": [{"name": "nfs", "port": 2049}]}
                self._put(
                    None,
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "metadata": {**placed, "name": handle},
                        "spec": service,
                    },
                )
                container = {"name": "share-manager", "image": "longhornio/longhorn-share-manager"}
                manager = {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {**placed, "name": f"share-manager-{handle}"},
                    "spec": {"containers": [container]},
                }
                self._put(None, manager)
                self._run(manager)

    def _select_endpoints(self) -> None:
        for service in self._of_kind("Service"):
            selector = service["spec"].get("selector")
            if not selector:
                continue
            metadata = service["metadata"]
            pods = [
                pod
                for pod in self._of_kind("Pod")
                if pod["metadata"]["namespace"] == metadata["namespace"]
                and selector.items() <= (pod["metadata"].get("labels") or {}).items()
            ]
            endpoints = [
                {
                    "addresses": [pod["status"]["podIP"]],
                    "conditions": {"ready": pod["status"]["phase"] == "Running"},
                }
                for pod in pods
            ]
            name = f"{metadata['name']}-selected"
            labels = {
                "kubernetes.io/service-name": metadata["name"],
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            }
            made = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [
                    {"name": port.get("name", ""), "port": port["targetPort"]} for port in service["spec"]["ports"]
                ],
            }
            self._put(service, made)

    def _owned_by(self, owner: Object, kind: str) -> list[Object]:
        uid = owner["metadata"]["uid"]
        return [
            found
            for found in self._of_kind(kind)
            if any(reference["uid"] == uid for reference in found["metadata"].get("ownerReferences", []))
        ]

    def _collect_orphans(self) -> None:
        alive = {found["metadata"]["uid"] for found in self._objects.values()}
        for key, found in list(self._objects.items()):
            if any(reference["uid"] not in alive for reference in found["metadata"].get("ownerReferences", [])):
                del self._objects[key]


def _volume_for(claim: Object, storage_class: Object) -> Object:
    name = f"pvc-{claim['metadata']['uid']}"
    source = {"driver": storage_class["provisioner"], "volumeHandle": name, "fsType": "ext4"}
    spec: Object = {
        "capacity": claim["spec"]["resources"]["requests"],
        "accessModes": claim["spec"]["accessModes"],
        "claimRef": {"name": claim["metadata"]["name"], "namespace": claim["metadata"]["namespace"]},
        "csi": {**source, "volumeAttributes": storage_class.get("parameters", {})},
        "storageClassName": storage_class["metadata"]["name"],
    }
    if "mountOptions" in storage_class:
        spec["mountOptions"] = storage_class["mountOptions"]
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
