"""The files of a ring in a Kubernetes Secret: `FALAJ_KEYS=kubernetes://NAMESPACE/SECRET`.

Read through the API, once, and kept in memory: nothing is mounted or written.
"""

import base64
import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from components.foundation.errors import InfrastructureError, UserError
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import Resource
from components.foundation.sealing.keys.secret import Secret
from components.foundation.storage import NotFound

SCHEME = "kubernetes://"
_SECRET = Resource("v1", "Secret", "secrets")
_NAME = re.compile(SCHEME + r"([a-z0-9][a-z0-9-]{0,62})/([a-z0-9][a-z0-9.-]{0,252})")
_ANSWERS = logging.getLogger("kubernetes.client.rest")


@dataclass(frozen=True, slots=True)
class KubernetesSecret:
    """The files of a Secret, by name."""

    name: str
    data: Mapping[str, Secret]

    @classmethod
    def fetch(cls, name: str, environment: Mapping[str, str]) -> Self:
        """Get one Secret by its name; the right to `get` it is enough.

        Args:
            name: kubernetes://NAMESPACE/SECRET.
            environment: KUBECONFIG; without it we are the pod that we run in.

        Raises:
            UserError: the name is malformed, there is no such Secret, or no API is named.
            Refused: the API says that we may not.
            InfrastructureError: the API is failing or away.
        """
        namespace, secret = _parsed(name)
        return cls(name, _data(name, _got(name, secret, _connected(environment, namespace))))

    def where(self, name: str) -> str:
        return f"{self.name}/{name}"

    def exists(self, name: str) -> bool:
        return name in self.data

    def read(self, name: str) -> bytes:
        if name not in self.data:
            raise UserError(
                f"{self.where(name)}: the Secret has no such key; it holds the files of a ring: "
                "verify.pem, wrapping.key and, to seal, signing.pem",
                code="key-missing",
            )
        return self.data[name].reveal()

    def read_secret(self, name: str) -> bytes:
        return self.read(name)


def _parsed(name: str) -> tuple[str, str]:
    found = _NAME.fullmatch(name)
    if not found:
        raise UserError(
            f"key ring {name[:400]!r}: expected {SCHEME}NAMESPACE/SECRET", code="key-place-unknown"
        )
    return found[1], found[2]


def _connected(environment: Mapping[str, str], namespace: str) -> Cluster:
    try:
        return Cluster.connect(environment, namespace=namespace)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name}: not installed here, so a ring is read from a folder only; mount the "
            "Secret, and name its folder in FALAJ_KEYS",
            code="extra-not-installed",
        ) from error


def _got(name: str, secret: str, cluster: Cluster) -> Manifest:
    try:
        with _unlogged():
            return _object(cluster.get(_SECRET, secret))
    except NotFound:
        raise UserError(
            f"{name}: there is no such Secret; make it with kubectl create secret generic "
            f"{secret} --namespace {cluster.namespace} --from-file FOLDER",
            code="key-missing",
        ) from None
    except ValueError:
        failed = InfrastructureError(
            f"{name}: the Kubernetes API gave an answer that is no object; check that KUBECONFIG "
            "names the API itself, then run again",
            code="kubernetes-failed",
        )
    raise failed  # outside, so that what was answered does not stay with it


def _object(answer: Manifest) -> Manifest:
    if not isinstance(answer, dict):
        raise ValueError("no object")
    return answer


def _data(name: str, manifest: Manifest) -> dict[str, Secret]:
    try:
        found = {file: _decoded(text) for file, text in (manifest.get("data") or {}).items()}
    except (AttributeError, TypeError, ValueError):
        found = {}
    if not found:
        raise UserError(
            f"{name}: holds no files, expected those of a key ring; fill it from the folder of one",
            code="key-missing",
        )
    return found


def _decoded(text: str) -> Secret:
    return Secret(base64.b64decode(text, validate=True))


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the client from logging what it is answered, as it does at level DEBUG."""

    def nothing(record: logging.LogRecord) -> bool:
        return False

    _ANSWERS.addFilter(nothing)
    try:
        yield
    finally:
        _ANSWERS.removeFilter(nothing)
