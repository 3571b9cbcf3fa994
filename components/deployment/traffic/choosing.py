"""Which backend carries a model: what its record says, else what the cluster can carry."""

from components.deployment import route as routes
from components.deployment.record import Record
from components.deployment.route import Route
from components.deployment.traffic.interface import Backend, Traffic
from components.deployment.traffic.twins import Twins
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Cluster

AUTO = "auto"


def taken(record: Record) -> Traffic:
    """Return what carries a model that was deployed before."""
    return Twins(record.cluster, routes.of(record.cluster, record.model))


def chosen(cluster: Cluster, route: Route, record: Record | None, *, asked: str) -> Traffic:
    """Return what carries a model, for a deployment that asks for a backend or leaves it open.

    Raises:
        Refused: the model is carried by another one, or the cluster cannot carry this one.
    """
    if record is not None and asked not in (AUTO, record.state.backend):
        raise Refused(
            f"model {record.model}: is carried by {record.state.backend}, asked for {asked}; leave "
            "the backend out, or deploy under another model's name",
            code="backend-changed",
        )
    return Twins(cluster, route)


def backend(record: Record) -> Backend:
    return Backend(record.state.backend)
