"""Evidence as the object store holds it: the audit log, lineage, releases and their signatures.

What a record says is believed only as far as it is here too.
"""

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from components.foundation import digests
from components.foundation.audit import AuditLog, Entry
from components.foundation.errors import FalajError, Refused
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Address, ObjectStore
from components.foundation.verdict import Verdict

_LINEAGE = Address("falaj-evidence", "lineage/")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A release as it lies in the store; `problem` says why it does not verify."""

    uri: str
    signer: str
    statement: str
    content: str
    facts: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class Proof:
    """What the store holds of evidence.

    Attributes:
        entries: of the audit log, whose every link was checked.
        sources: of every table, release and object that a step wrote: what it was made from.
        sealed: every release by its address.
    """

    entries: tuple[Entry, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sealed: Mapping[str, Sealed] = field(default_factory=dict)

    @classmethod
    def gather(cls, store: ObjectStore, keys: KeyRing) -> Self:
        """Read all evidence; raises Refused if the audit log does not hold."""
        log = AuditLog(store)
        log.verify()
        found = (_sealed(uri, store, keys) for uri in release.releases(store=store))
        return cls(
            tuple(log.entries()),
            dict(_sources(store)),
            {one.uri: one for one in found},
        )

    @property
    def head(self) -> str:
        """Digest of the newest entry."""
        return self.entries[-1].digest() if self.entries else ""

    def entry(self, verdict: Verdict) -> int:
        """Return the number of a verdict's entry.

        Raises:
            Refused: the audit log has no such verdict, or another one in its place.
        """
        held = self._verdicts.get((verdict.subject, verdict.time))
        if held is None:
            raise Refused(
                f"verdict {verdict.subject!r} of {verdict.time}: the audit log has none; the run's "
                "record was changed, or belongs to another store",
                code="verdict-unproven",
            )
        got, expected = (digests.of_json(v) for v in (verdict.to_dict(), dict(held.body)))
        if got != expected:
            raise Refused(
                f"verdict {verdict.subject!r} of {verdict.time}: the record's digest is "
                f"{got.short}, entry {held.number} of the audit log holds {expected.short}; the "
                "record was changed: restore it, or run the stage again",
                code="verdict-unproven",
            )
        return held.number

    def sealing(self, uri: str) -> int:
        """Return the number of the entry that says a release was sealed; 0 if none does."""
        found = (e.number for e in self.entries if (e.kind, e.subject) == ("release", uri))
        return next(found, 0)

    @cached_property
    def _verdicts(self) -> dict[tuple[str, str], Entry]:
        return {
            (e.subject, str(e.body.get("time"))): e for e in self.entries if e.kind == "verdict"
        }


def _sources(store: ObjectStore) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Read from lineage what every output was made from; what did not change it is left out."""
    for item in store.list(_LINEAGE):
        if not item.address.key.endswith("-COMPLETE/event.json"):
            continue
        event = json.loads(store.get(item.address))
        inputs = tuple(dict.fromkeys(map(_named, event["inputs"])))
        for output in map(_named, event["outputs"]):
            yield output, tuple(name for name in inputs if name != output)


def _named(dataset: Mapping[str, Any]) -> str:
    """Write a dataset of OpenLineage as a reference; of a file only its name, no machine's path."""
    version = dataset.get("facets", {}).get("version", {}).get("datasetVersion", "")
    namespace = str(dataset["namespace"])
    scheme, _, path = namespace.partition(":///")
    if path:
        namespace = f"{scheme}:{path.rpartition('/')[2]}"
    elif urllib.parse.urlsplit(namespace).hostname in {"127.0.0.1", "localhost"}:
        namespace = namespace.partition("://")[0] + "://localhost"  # the port is by chance
    return f"{namespace}/{dataset['name']}" + (f"@{version}" if version else "")


def _sealed(uri: str, store: ObjectStore, keys: KeyRing) -> Sealed:
    """Read a release's signature, and verify every byte of it."""
    data = store.get(ReleaseUri.parse(uri).address / "statement.json")
    problem = ""
    try:
        release.verify(uri, store=store, keys=keys)
    except Refused as refusal:
        problem = str(refusal)
    signer = content = ""
    facts: Mapping[str, Any] = {}
    try:
        sealed = release.read(ReleaseUri.parse(uri), store=store, keys=keys)
        signer, facts = sealed.signer, sealed.statement.facts
        content = str(sealed.statement.content)
    except FalajError as error:
        problem = problem or str(error)
    return Sealed(uri, signer, str(digests.of_bytes(data)), content, facts, problem)
