"""How tests reach the API server: kubectl and clients, each as a given identity."""

import json
import pathlib
import ssl
import subprocess
import urllib.error
import urllib.request
import uuid
from typing import Any

import yaml
from kubernetes import client, config

from components.foundation.kubernetes.client import Cluster
from tests import kubectl
from tests.cluster.ground.identities import ADMIN, Authority, Identity, Person, Robot

_TOKEN_SECONDS = 3600
_ADDRESS = "address"


class Access:
    """One API server, and everybody who may be asked for.

    Attributes:
        url: its address.
        folder: logs, certificates, the audit log.
    """

    def __init__(self, url: str, folder: pathlib.Path, authority: Authority) -> None:
        self.url = url
        self.folder = folder
        self._authority = authority
        self._known: dict[Identity, pathlib.Path] = {}

    def keep(self) -> None:
        """Write what another process needs to reach it too, by `reopen`."""
        self._authority.keep(self.folder)
        (self.folder / _ADDRESS).write_text(self.url)

    @property
    def audit(self) -> pathlib.Path:
        """The audit log: one JSON event a line."""
        return self.folder / "audit.log"

    def ready(self) -> bool:
        """Ask whether it is ready; nobody is refused that."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        try:
            with urllib.request.urlopen(  # noqa: S310
                f"{self.url}/readyz", timeout=2, context=context
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kubeconfig(self, who: Identity | None = None) -> pathlib.Path:
        """Return the path of a kubeconfig; nobody named is the cluster's administrator."""
        who = who or ADMIN
        if who not in self._known:
            path = self.folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
            path.write_text(yaml.safe_dump(self._config(who)))
            self._known[who] = path
        return self._known[who]

    def client(self, who: Identity | None = None) -> client.ApiClient:
        """Return a client of the API server as somebody."""
        return config.new_client_from_config(config_file=str(self.kubeconfig(who)))

    def cluster(self, who: Identity | None, namespace: str) -> Cluster:
        """Return what our own steps would have as somebody."""
        return Cluster(self.client(who), namespace=namespace)

    def kubectl(
        self, *arguments: str, who: Identity | None = None, input: str = "", check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as somebody; a failure shows what it said."""
        command = [kubectl.path(), f"--kubeconfig={self.kubeconfig(who)}", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done

    def get(self, *arguments: str, who: Identity | None = None) -> Any:
        """Return what `kubectl get ... -o json` prints."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json", who=who).stdout)

    def _config(self, who: Identity) -> dict[str, Any]:
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "ca.crt")}
        context = {"cluster": "test", "user": "test"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "contexts": [{"name": "test", "context": context}],
            "users": [{"name": "test", "user": self._user(who)}],
        }

    def _user(self, who: Identity) -> dict[str, str]:
        match who:
            case Person():
                stem = f"person-{uuid.uuid4().hex[:8]}"
                certificate, key = self._authority.client(who).write(self.folder, stem)
                return {"client-certificate": str(certificate), "client-key": str(key)}
            case Robot(namespace, name):
                return {"token": self._token(namespace, name)}

    def _token(self, namespace: str, name: str) -> str:
        request = {"spec": {"expirationSeconds": _TOKEN_SECONDS}}
        with self.client() as api:
            made = client.CoreV1Api(api).create_namespaced_service_account_token(
                name, namespace, request
            )
        return str(made.status.token)


def reopen(folder: pathlib.Path) -> Access:
    """Return the access to a control plane that another process keeps running."""
    return Access((folder / _ADDRESS).read_text(), folder, Authority.kept(folder))
