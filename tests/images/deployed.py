"""What a cluster runs in our images besides steps: read from the manifests, and from `deploy`."""

import pathlib
from collections.abc import Iterator
from typing import Any

import yaml

from images.build import PLACEHOLDER
from images.families import ROOT


def deployed() -> set[tuple[str, tuple[str, ...]]]:
    """Return every family and the command that a container of it is started by."""
    paths = sorted((ROOT / "manifests").rglob("*.yaml"))
    texts = [yaml.safe_load(path.read_text()) for path in paths]
    return {_started(container) for text in [*texts, _transformer()] for container in _in(text)}


def modules(family: str) -> set[str]:
    """Return the programs that a cluster starts in a family; a training runtime names none."""
    commands = [command for where, command in deployed() if where == family]
    return {command[-1] for command in commands if command[-2:-1] == ("-m",)}


def _started(container: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    family = container["image"].partition("@")[0].removeprefix(f"{PLACEHOLDER}/")
    return family, tuple(container["command"])


def _in(value: Any) -> Iterator[dict[str, Any]]:
    match value:
        case {"image": str(), "command": list()}:
            yield value
        case dict():
            for part in value.values():
                yield from _in(part)
        case list():
            for part in value:
                yield from _in(part)


def _transformer() -> Any:
    from components.deployment import transformer

    image = f"{PLACEHOLDER}/transformer@sha256:{'0' * 64}"
    return transformer.Transformer(image, "features", "s", "r").manifest("m", "0")


def feature_stores() -> Iterator[str]:
    """Yield the modules that the example's feature_store.yaml names: Feast imports them."""
    path: pathlib.Path = ROOT / "examples" / "flights" / "features" / "feature_store.yaml"
    text = yaml.safe_load(path.read_text())
    named = [text["registry"]["registry_store_type"], text["offline_store"]["type"]]
    yield from (name.rpartition(".")[0] for name in named)
