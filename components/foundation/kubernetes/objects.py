"""Read Kubernetes objects as files, `kubectl get -o yaml` and `kubectl kustomize` have them."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from components.foundation.errors import UserError

Thing = Mapping[str, Any]
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def objects(text: str, name: str) -> Iterator[Thing]:
    """Yield every object of a text of YAML or JSON: of several documents, and of lists in them.

    Args:
        text: what was read.
        name: where, for messages.

    Raises:
        UserError: the text is no YAML, or a part of it no object.
    """
    try:
        documents = [one for one in yaml.load_all(text, Loader=_LOADER) if one is not None]
    except yaml.YAMLError as error:
        raise _wrong(name, f"no YAML: {' '.join(str(error).split())}") from error
    for document in documents:
        if not isinstance(document, dict):
            raise _wrong(name, f"a document is a {type(document).__name__}")
        yield from _unlisted(document, name)


def _unlisted(thing: Thing, name: str) -> Iterator[Thing]:
    kind, items = str(thing.get("kind", "")), thing.get("items")
    if not kind.endswith("List") or not isinstance(items, list):
        yield thing
        return
    for item in items:
        if not isinstance(item, dict):
            raise _wrong(name, f"an item is a {type(item).__name__}")
        yield from _unlisted({**_heading(thing, kind), **item}, name)


def _heading(thing: Thing, kind: str) -> dict[str, Any]:
    """The items of a typed list do not repeat their kind."""
    if kind == "List":
        return {}
    return {"apiVersion": thing.get("apiVersion"), "kind": kind.removesuffix("List")}


def _wrong(name: str, got: str) -> UserError:
    return UserError(
        f"{name}: {got}, expected Kubernetes objects; correct it", code="objects-malformed"
    )
