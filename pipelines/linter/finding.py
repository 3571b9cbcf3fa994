"""What the rules read, and what they find."""

import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import yaml

from components.face import images
from components.foundation.errors import UserError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change: which rule, where in which file, what is there, what to do."""

    rule: str
    where: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.do} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled file, parsed: the specification and what is particular to Kubernetes."""

    name: str
    spec: Mapping[str, Any]
    platforms: Mapping[str, Any]
    size: int
    locked: frozenset[str] = field(default_factory=lambda: frozenset(images().values()))

    @classmethod
    def read(cls, source: pathlib.Path | Mapping[str, Any]) -> Self:
        """Read a file, or take its content; raises UserError when it is no compiled pipeline."""
        if isinstance(source, pathlib.Path):
            name, text = str(source), source.read_text(encoding="utf-8")
            documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]
        else:
            name, text, documents = "pipeline", json.dumps(source), [dict(source)]
        whole: dict[str, Any] = {key: value for one in documents for key, value in one.items()}
        if "pipelineInfo" not in whole or "root" not in whole:
            raise UserError(
                f"{name}: not a compiled pipeline; expected pipelineInfo and root",
                code="pipeline-malformed",
            )
        return cls(name, whole, whole.get("platforms", {}), len(text.encode()))

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


Rule = Callable[[Compiled], Iterator[Finding]]
