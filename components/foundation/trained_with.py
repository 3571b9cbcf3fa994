"""The features that a model was trained with, as a sealed release's facts say it.

Written by `seal`, told by the server in its model's metadata, and held by the transformer
against the features that it reads.
"""

from collections.abc import Mapping
from typing import Any, Final

from components.foundation.errors import UserError

SERVICE: Final = "feature_service"
REGISTRY: Final = "feature_registry"


def said(service: str, registry: str) -> dict[str, str]:
    """Return the facts to seal; none where a model takes no features from a store.

    Raises:
        UserError: one is said without the other.
    """
    if not service and not registry:
        return {}
    if not service or not registry:
        lacking = SERVICE if not service else REGISTRY
        raise UserError(
            f"{lacking}: is empty; expected {SERVICE} and {REGISTRY} both, as build_training_set "
            "was given them, or neither",
            code="features-half-said",
        )
    return {SERVICE: service, REGISTRY: registry}


def of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return these facts of a release, nothing where it has none."""
    return {name: facts[name] for name in (SERVICE, REGISTRY) if isinstance(facts.get(name), str)}
