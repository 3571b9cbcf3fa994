"""What a face stands on: the environment, evidence, and exit codes.

Usage, in the body of a component:

    with step("validate") as here:
        verdict = check(here.tables.files(ref, here.cache), contract)
        here.record(verdict)
"""

import contextlib
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from components.foundation import cost, digests
from components.foundation.audit import AuditLog
from components.foundation.errors import FULL, FalajError, InfrastructureError
from components.foundation.lineage import Lineage
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore, Settings
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Verdict, now

_DECLARED = {
    "provider": "FALAJ_PROVIDER",
    "country": "FALAJ_COUNTRY",
    "profile": "FALAJ_RESIDENCY",
}


@dataclass
class Step:
    """One run of one component, and what it leaves as evidence."""

    name: str
    environment: Mapping[str, str]
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    @cached_property
    def store(self) -> ObjectStore:
        return ObjectStore(self.settings)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.settings)

    @cached_property
    def keys(self) -> KeyRing:
        """The site's key ring, which seals and opens releases."""
        return KeyRing.from_environment(self.environment)

    @property
    def cache(self) -> pathlib.Path:
        """A folder for immutable files; kept on a laptop, an emptyDir in a pod."""
        default = pathlib.Path(tempfile.gettempdir()) / "falaj-cache"
        return pathlib.Path(self.environment.get("FALAJ_CACHE", default))

    @property
    def run_id(self) -> str:
        return self.environment.get("FALAJ_RUN_ID", "local")

    @property
    def place(self) -> dict[str, str]:
        """What the site declares of its object store; what it does not is left out."""
        named = {fact: self.environment.get(name, "") for fact, name in _DECLARED.items()}
        return {fact: value for fact, value in named.items() if value}

    def reads(self, *refs: str) -> TableRef:
        """Parse and pin a table reference, and note it as an input of this step.

        Several may be given; the last is returned.
        """
        for text in refs:
            ref = self.tables.resolve(TableRef.parse(text))
            self.inputs.append(str(ref))
        return ref

    def uses(self, *sources: object) -> None:
        """Note inputs that `reads` does not pin: releases, objects, tables and services elsewhere.

        Args:
            sources: as `lineage.dataset` takes them; never with a password or a query string.
        """
        self.inputs += map(str, sources)

    def writes(self, thing: object) -> str:
        """Note a table, release or object as an output; return it as text."""
        self.outputs.append(str(thing))
        return str(thing)

    def record(self, verdict: Verdict) -> Verdict:
        """Put a verdict in the audit log and on the screen."""
        AuditLog(self.store).record(verdict)
        print(verdict)
        return verdict

    def audit(self, kind: str, subject: str, body: Mapping[str, Any]) -> None:
        """Put an event that is no verdict in the audit log: a release, a channel that moved."""
        AuditLog(self.store).append(kind, subject, body)

    def publish(self, artifact: Any, content: object, **facts: Any) -> None:
        """Write an output artifact of one file, and describe it.

        Args:
            artifact: of any type of KFP.
            content: text or bytes as they are; another value as JSON.
            facts: as `describe` takes them.
        """
        path = pathlib.Path(artifact.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(content))
        self.describe(artifact, **facts)

    def log(self, metrics: Any, numbers: Mapping[str, float]) -> None:
        """Show numbers in the dashboard by a metrics artifact."""
        for name, value in numbers.items():
            metrics.log_metric(name, value)

    def log_confusions(self, matrices: Any, found: Iterable[tuple[list[str], Any]]) -> None:
        """Show confusion matrices, names and counts, by a classification artifact."""
        for names, counts in found:
            matrices.log_confusion_matrix(names, counts)

    def describe(self, artifact: Any, **facts: Any) -> None:
        """Say on an artifact what it is: digest, producer, and facts such as rows."""
        path = pathlib.Path(artifact.path)
        cost.writes(artifact.uri, bytes=_size(path))
        artifact.metadata["digest"] = str(digests.of_path(path)) if path.exists() else ""
        artifact.metadata["producer"] = self.name
        artifact.metadata.update(facts)


@contextlib.contextmanager
def step(name: str) -> Iterator[Step]:
    """Run a component's body: lineage around it, our errors as exit codes.

    Raises:
        SystemExit: with the error's exit code, after its message went to standard error.
    """
    here = Step(name, os.environ)
    try:
        with _metered(here) as meter:
            lineage = Lineage(here.store, run_id=here.run_id, job=name, place=here.place)
            lineage.start()
            with lineage.failing(), _room():
                yield here
            lineage.complete(inputs=here.inputs, outputs=here.outputs, meter=meter)
    except FalajError as error:
        print(f"{name}: {error.shown}", file=sys.stderr)
        _leave_termination_message(here, error)
        raise SystemExit(error.exit_code) from error


@contextlib.contextmanager
def _room() -> Iterator[None]:
    """Turn a full disk into an error of ours, wherever in a step it was met."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InfrastructureError(
            f"{error.filename or 'disk'}: {error.strerror}; give the step a larger volume, or "
            "empty its cache folder, then run again",
            code="disk-full",
        ) from error


@contextlib.contextmanager
def _metered(here: Step) -> Iterator[cost.Meter]:
    """Meter a step, ended well or not; say what it cost in its log, and where the runner looks."""
    with cost.metered() as meter:
        try:
            yield meter
        finally:
            said = meter.cost().to_dict()
            if here.environment.get("FALAJ_LOG") == "json":
                print(json.dumps({"time": now(), "event": "cost", "step": here.name, **said}))
            if path := here.environment.get("FALAJ_COST_LOG"):
                pathlib.Path(path).write_text(json.dumps(said))


def _size(path: pathlib.Path) -> int:
    """Return the bytes of a file, or of all files below a folder; nothing there: 0."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def _encoded(content: object) -> bytes:
    match content:
        case bytes():
            return content
        case str():
            return content.encode()
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _leave_termination_message(here: Step, error: FalajError) -> None:
    """Say why where the runner looks, as a pod does in its termination log."""
    path = here.environment.get("FALAJ_TERMINATION_LOG")
    if path:
        said = {
            "step": here.name,
            "exit_code": error.exit_code,
            "code": error.code,
            "message": str(error),
        }
        pathlib.Path(path).write_text(json.dumps(said))
