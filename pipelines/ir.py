"""A compiled pipeline, read from KFP's intermediate representation."""

import json
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

from components.foundation import digests
from components.foundation.errors import UserError


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled file, parsed: the specification and what is particular to Kubernetes."""

    name: str
    spec: Mapping[str, Any]
    platforms: Mapping[str, Any]
    size: int

    @classmethod
    def read(cls, source: pathlib.Path | Mapping[str, Any]) -> Self:
        """Read a file, or take its content; raises UserError when it is no compiled pipeline."""
        if isinstance(source, pathlib.Path):
            name, text = str(source), _text(source)
            documents = _documents(name, text)
        else:
            name, text, documents = "pipeline", json.dumps(source), [dict(source)]
        whole: dict[str, Any] = {key: value for one in documents for key, value in one.items()}
        info, root = whole.get("pipelineInfo"), whole.get("root")
        if not (isinstance(info, dict) and info.get("name") and isinstance(root, dict)):
            raise UserError(
                f"{name}: not a compiled pipeline; expected pipelineInfo with a name, and root; "
                "name a file that `falaj compile` wrote",
                code="pipeline-malformed",
            )
        platforms = whole.pop("platforms", {})
        return cls(name, whole, platforms, len(text.encode()))

    @property
    def pipeline(self) -> str:
        """What KFP calls it."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def digest(self) -> digests.Digest:
        """What it is: the same for the same content, wherever its file lies."""
        return digests.of_json({"spec": self.spec, "platforms": self.platforms})

    def at(self, *path: str) -> str:
        return f"{self.name} {'.'.join(path)}"

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield where each container is, and the container."""
        executors = self.spec.get("deploymentSpec", {}).get("executors", {})
        for name, executor in executors.items():
            if "container" in executor:
                yield self.at("executors", name), executor["container"]

    def dags(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the root and every component that has tasks of its own."""
        yield "root", self.spec["root"]
        for name, component in self.spec.get("components", {}).items():
            if "dag" in component:
                yield name, component

    def pods(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield each executor that has Kubernetes settings, and the settings."""
        deployment = self.platforms.get("kubernetes", {}).get("deploymentSpec", {})
        yield from deployment.get("executors", {}).items()


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: {type(error).__name__}; name a file that `falaj compile` wrote",
            code="pipeline-malformed",
        ) from error


def _documents(name: str, text: str) -> list[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
    try:
        whole = list(yaml.load_all(text, Loader=loader))
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not YAML: {error}", code="pipeline-malformed") from error
    return [one for one in whole if isinstance(one, dict)]
