"""Remember what a long job has done, so that a second run does only what changed."""

import json
import os
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.foundation import digests

Work = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage gave; JSON values only."""

    title: str
    result: dict[str, Any]
    seconds: float
    skipped: bool


@dataclass
class Memo:
    """One JSON file a stage, named by its title; written whole after the stage ended."""

    folder: pathlib.Path
    code: str
    outcomes: list[Outcome] = field(default_factory=list)

    def stage(self, title: str, inputs: Any, do: Work) -> Outcome:
        """Run a stage unless the same code has run it on the same inputs."""
        key = str(digests.of_json([self.code, title, inputs]))
        path = self.folder / f"{title.lower().replace(' ', '-')}.json"
        outcome = self._recall(path, key, title) or self._run(path, key, title, do)
        self.outcomes.append(outcome)
        return outcome

    def _recall(self, path: pathlib.Path, key: str, title: str) -> Outcome | None:
        if not path.exists():
            return None
        known = json.loads(path.read_text())
        if known["key"] != key:
            return None
        return Outcome(title, known["result"], known["seconds"], skipped=True)

    def _run(self, path: pathlib.Path, key: str, title: str, do: Work) -> Outcome:
        began = time.monotonic()
        outcome = Outcome(title, do(), time.monotonic() - began, skipped=False)
        kept = {"key": key, "result": outcome.result, "seconds": outcome.seconds}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(kept))
        os.replace(partial, path)
        return outcome
