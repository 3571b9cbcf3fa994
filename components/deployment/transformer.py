"""The transformer of a slot: the component of its InferenceService before the server."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_ACCOUNT = "falaj-serving"
_SITE, _STORE = "falaj-site", "falaj-object-store"
_STORE_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ONLINE, _ONLINE_NAME = "falaj-online-store", "FALAJ_ONLINE_STORE"
# As the servers' runtimes have them: what scrapes one finds the other.
_SCRAPED = {"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": "8080"}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True, slots=True)
class Transformer:
    """What looks features up before a server; `Transformer.from_dict(t.to_dict()) == t`.

    Attributes:
        image: the transformer's, by digest.
        repository: the package of the feature definitions, which lies in the image.
        service: the feature service that the release was trained with.
        registry: its definitions, as the release has them.
    """

    image: str
    repository: str
    service: str
    registry: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, str]) -> "Transformer":
        return cls(**value)

    def manifest(self, model: str, version: str) -> dict[str, Any]:
        """Return the component that serves one version of a model and no other."""
        return {
            "annotations": _SCRAPED,
            "serviceAccountName": _ACCOUNT,
            "containers": [self._container(model, version)],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}],
        }

    def _container(self, model: str, version: str) -> dict[str, Any]:
        return {
            "name": "kserve-container",
            "image": self.image,
            "command": ["python", "-m", "inference.transformer"],
            "args": self._arguments(model, version),
            "envFrom": [{"configMapRef": {"name": _SITE}}],
            "env": [*(_secret(_STORE, name) for name in _STORE_NAMES), _online_store()],
            "ports": [{"name": "http1", "containerPort": 8080, "protocol": "TCP"}],
            "startupProbe": {**_probe("live"), "periodSeconds": 2, "failureThreshold": 60},
            "livenessProbe": {**_probe("live"), "periodSeconds": 10},
            "readinessProbe": {**_probe("ready"), "periodSeconds": 2},
            "resources": {
                "requests": {"cpu": "250m", "memory": "512Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            },
            "securityContext": _RESTRICTED,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of its own
        }

    def _arguments(self, model: str, version: str) -> list[str]:
        """Say everything but the predictor's address, which KServe adds."""
        return [
            *("--model_name", model),  # KServe adds the slot's name unless it finds this word
            *("--http_port", "8080"),
            f"--expected_version={version}",
            f"--feature_repository={self.repository}",
            f"--feature_service={self.service}",
            f"--feature_registry={self.registry}",
            "--host=0.0.0.0",
            "--drain_delay_s=5",
            # The mesh encrypts and says who may ask, as for the servers.
            "--allow_plaintext",
            "--allow_anonymous",
        ]


def _online_store() -> dict[str, Any]:
    """Say where Feast's online store is; a repository may also name it without a secret."""
    entry = _secret(_ONLINE, _ONLINE_NAME)
    entry["valueFrom"]["secretKeyRef"]["optional"] = True
    return entry


def _secret(secret: str, name: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}


def _probe(what: str) -> dict[str, Any]:
    return {"httpGet": {"path": f"/v2/health/{what}", "port": 8080}, "timeoutSeconds": 2}
