"""What somebody else has changed of a model's InferenceServices while they are judged.

A server whose template changed is another one than was measured. Who changed which field is in
the object itself, as the API server keeps it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from components.foundation.kubernetes.client import MANAGER, Manifest

_TOLD = 3  # fields that a sentence names


def foreign(service: Manifest) -> frozenset[str]:
    """Return each field of a spec that is another manager's, with its name and the time.

    The same manager's next change has another time, so it is not among these.
    """
    metadata = service["metadata"]
    return frozenset(
        f"{metadata['name']}: {path} by {entry.get('manager')} at {entry.get('time', '?')}"
        for entry in metadata.get("managedFields", [])
        if entry.get("manager") != MANAGER and not entry.get("subresource")
        for path in _paths(entry.get("fieldsV1", {}))
        if path.startswith(("spec.", "metadata.annotations.", "metadata.labels."))
    )


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields of ours that a live object no longer has as we want them."""
    name = live["metadata"]["name"]
    return frozenset(
        f"{name}: {path} is not as deployed" for path in _different(wanted["spec"], live["spec"])
    )


def sentence(edits: frozenset[str]) -> str:
    """Say what was changed, in one sentence."""
    told = sorted(edits)
    more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return (
        f"its template was changed while it was judged ({'; '.join(told[:_TOLD])}{more}): what was "
        "measured is not what would be promoted"
    )


def _paths(fields: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the fields that an entry of managedFields names."""
    inner = {key: value for key, value in fields.items() if key.startswith(("f:", "k:"))}
    if not inner and path:
        yield path
    for key, value in inner.items():
        yield from _paths(value, f"{path}.{key.partition(':')[2]}".lstrip("."))


def _different(wanted: Any, live: Any, path: str = "spec") -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            yield from _different(value, live.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for number, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from _different(one, other, f"{path}.{number}")
    elif wanted != live:
        yield path
