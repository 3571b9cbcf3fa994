"""A real control plane on loopback: etcd, API server, controllers, scheduler, and fake nodes.

The API server has RBAC, an audit log, Pod Security and ValidatingAdmissionPolicy on, and signs
tokens of service accounts; kwok plays the kubelets. What reconciles InferenceServices, routes or
gateways does not run here.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec

from tests.cluster.ground import identities, programs
from tests.cluster.ground.clients import Access
from tests.cluster.ground.programs import Programs
from tests.inference.processes import free_ports

AUDIT_POLICY = pathlib.Path(__file__).parents[3] / "manifests" / "audit" / "policy.yaml"
_ISSUER = "https://kubernetes.default.svc"
_EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
# Fake nodes carry a taint until somebody calls them ready; nobody does.
_OFF = "TaintNodesByCondition"


@contextlib.contextmanager
def running(binaries: pathlib.Path, folder: pathlib.Path) -> Iterator[Access]:
    """Run a control plane until the block ends; logs and the audit log stay in the folder.

    Raises:
        DidNotStart: a program of it did not become ready.
    """
    with programs.stopped_after(Programs(binaries, folder)) as started:
        etcd = _etcd(started)
        access = _api_server(started, etcd)
        _controllers(started, access)
        yield access


def _etcd(started: Programs) -> str:
    client, peer = free_ports(2)
    here, there = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    options = ["--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn"]
    options += [f"--listen-client-urls={here}", f"--advertise-client-urls={here}"]
    options += [f"--listen-peer-urls={there}", f"--initial-advertise-peer-urls={there}"]
    started.start("etcd", [*options, f"--initial-cluster=default={there}"])
    started.wait("etcd", programs.healthy(f"{here}/health"))
    return here


def _api_server(started: Programs, etcd: str) -> Access:
    authority = identities.Authority()
    [port] = free_ports(1)
    folder = started.folder
    (folder / "ca.crt").write_bytes(authority.certificate)
    authority.server().write(folder, "server")
    (folder / "tokens.key").write_bytes(identities.private(ec.generate_private_key(ec.SECP256R1())))
    policy = AUDIT_POLICY.read_text() if AUDIT_POLICY.exists() else _EVERYTHING
    (folder / "audit.yaml").write_text(policy)
    options = {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "tls-cert-file": "server.crt",
        "tls-private-key-file": "server.key",
        "client-ca-file": "ca.crt",
        "authorization-mode": "RBAC",
        "service-cluster-ip-range": "10.96.0.0/16",
        "service-account-issuer": _ISSUER,
        "service-account-signing-key-file": "tokens.key",
        "service-account-key-file": "tokens.key",
        "disable-admission-plugins": _OFF,
        "audit-policy-file": "audit.yaml",
        "audit-log-path": "audit.log",
        "audit-log-mode": "blocking",
    }
    started.start("kube-apiserver", [f"--{name}={value}" for name, value in options.items()])
    access = Access(f"https://127.0.0.1:{port}", folder, authority)
    started.wait("kube-apiserver", access.ready)
    return access


def _controllers(started: Programs, access: Access) -> None:
    kubeconfig = f"--kubeconfig={access.kubeconfig(None)}"
    manager, scheduler, kwok = free_ports(3)
    once = ["--leader-elect=false", "--bind-address=127.0.0.1", kubeconfig]
    tokens = ["--use-service-account-credentials", "--root-ca-file=ca.crt"]
    # Fake pods of a node that was once late do not become ready again; a busy machine is late.
    tokens += ["--node-monitor-grace-period=10m"]
    tokens += ["--service-account-private-key-file=tokens.key", f"--secure-port={manager}"]
    # Looked at each second, not each 15: tests wait for autoscalers.
    tokens += ["--horizontal-pod-autoscaler-sync-period=1s"]
    started.start("kube-controller-manager", [*once, *tokens])
    started.start("kube-scheduler", [*once, f"--secure-port={scheduler}"])
    address = f"--server-address=127.0.0.1:{kwok}"
    started.start("kwok", [kubeconfig, "--manage-all-nodes=true", address])
