"""Which Kubernetes API a command speaks to: KUBECONFIG's, a pod's own, or the laptop's plane."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.foundation.errors import InfrastructureError
from pipelines.commands import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.foundation.kubernetes.client import Cluster

_ELSEWHERE = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where."""
    parser.add_argument(
        "--namespace",
        default="",
        metavar="NAME",
        help="where the model is; FALAJ_NAMESPACE, else default",
    )
    options.state(parser)


@contextlib.contextmanager
def place(arguments: argparse.Namespace) -> "Iterator[tuple[Cluster, Mapping[str, str]]]":
    """Give the API and the environment that leads there.

    Without KUBECONFIG it is the laptop's: the plane that is running there, else it is started
    over what a run left.
    """
    from components.foundation.kubernetes.client import Cluster

    if any(os.environ.get(name) for name in _ELSEWHERE):
        yield Cluster.connect(os.environ, namespace=arguments.namespace), os.environ
        return
    if running := _running(arguments):
        yield running, os.environ
        return
    from pipelines.laptop import session

    with session.running(arguments.state) as laptop:
        yield Cluster.connect(laptop.environment), laptop.environment


def _running(arguments: argparse.Namespace) -> "Cluster | None":
    """Return the laptop's plane, if one runs there now."""
    import dataclasses

    from components.foundation.kubernetes import discovery
    from components.foundation.kubernetes.client import Cluster
    from components.foundation.kubernetes.retries import Retries

    path = arguments.state / "plane" / "kubeconfig"
    if not path.exists():
        return None
    found = Cluster.connect({"KUBECONFIG": str(path)})
    try:
        discovery.release(dataclasses.replace(found, retries=Retries(attempts=1)))
    except InfrastructureError:
        return None
    return found
