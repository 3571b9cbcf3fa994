"""Tell whether breakglass is over, and end it; RBAC has no binding that ends by itself."""

import datetime
from collections.abc import Mapping
from typing import Any

from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.resources import Resource

NAME = "falaj-breakglass"
EXPIRES = "falaj.example/expires"
ROLE_BINDING = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")


def over(binding: Mapping[str, Any], *, now: datetime.datetime) -> bool:
    """Tell whether a binding has ended; an end that cannot be read has passed."""
    text = (binding["metadata"].get("annotations") or {}).get(EXPIRES, "")
    try:
        expires = datetime.datetime.fromisoformat(text)
    except ValueError:
        return True
    return expires.tzinfo is None or now >= expires


def end(cluster: Cluster, *, now: datetime.datetime) -> str:
    """Delete the binding if it is over; say in one line what was found."""
    where = f"{cluster.namespace}/{NAME}"
    binding = cluster.find(ROLE_BINDING, NAME)
    if binding is None:
        return f"{where}: not open"
    annotations = binding["metadata"].get("annotations") or {}
    if not over(binding, now=now):
        return f"{where}: open until {annotations[EXPIRES]}"
    cluster.delete(ROLE_BINDING, NAME)
    return f"{where}: ended; its end was {annotations.get(EXPIRES, 'not given')}"
