"""Build the programs of a control plane, or find them: `make control-plane`.

Usage: python -m tests.cluster.ground.build. KUBEBUILDER_ASSETS, where it is set, names a folder
that has them already, as everywhere in the world of Kubernetes.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).parents[3]
MODULE = ROOT / "tests" / "cluster" / "controlplane"
BUILT = ROOT / ".cache" / "control-plane"
PACKAGES: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
_VERSION = "k8s.io/component-base/version"
_WAY_OUT = "run `make control-plane`, which needs Go 1.24 or newer, or set KUBEBUILDER_ASSETS"


class Missing(Exception):
    """There is no control plane here; the message says how to get one."""


def folder(environment: Mapping[str, str]) -> pathlib.Path:
    """Return the folder of the programs.

    Raises:
        Missing: one of them is not there.
    """
    where = pathlib.Path(environment.get("KUBEBUILDER_ASSETS") or BUILT)
    if lacking := [name for name in PACKAGES if not (where / name).exists()]:
        raise Missing(f"{where}: expected {', '.join(lacking)} there; {_WAY_OUT}")
    return where


def build() -> None:
    """Build what is not built yet, with versions as go.mod names them.

    Raises:
        Missing: there is no go command.
        CalledProcessError: the compiler refused; its output has been shown.
    """
    compiler = go()
    BUILT.mkdir(parents=True, exist_ok=True)
    for name, package in PACKAGES.items():
        _compile(compiler, name, package)


def go() -> str:
    """Return the path of the go command.

    Raises:
        Missing: there is none.
    """
    found = shutil.which("go")
    if found is None:
        raise Missing(f"go is not on PATH; {_WAY_OUT}")
    return found


def _compile(compiler: str, name: str, package: str) -> None:
    started = time.monotonic()
    module = MODULE / "kwok" if name == "kwok" else MODULE
    options = ["-trimpath", "-ldflags", _flags(), "-o", str(BUILT / name)]
    command = [compiler, "build", *options, package]
    subprocess.run(command, cwd=module, env=_environment(), check=True)
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def _environment() -> Mapping[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}


def _flags() -> str:
    """Name the release in the programs; without it they call themselves v0.0.0."""
    major, minor, _ = release().lstrip("v").split(".")
    values = {"gitVersion": release(), "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {_VERSION}.{key}={value}" for key, value in values.items())])


def release() -> str:
    """Return the release of Kubernetes that go.mod names, such as v1.34.2."""
    [found] = re.findall(
        r"^(?:require|)\s+k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(), re.M
    )
    return str(found)


def main() -> int:
    """Build, unless a folder is named that has everything; return the exit code."""
    try:
        if not os.environ.get("KUBEBUILDER_ASSETS"):
            build()
        print(f"control plane: {folder(os.environ)}")
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
