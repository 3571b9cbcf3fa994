"""An append-only, hash-chained log of verdicts and releases, one object an entry.

Entries are created, never replaced (If-None-Match), so two writers cannot take the same
place; each entry carries the digest of the one before it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from components.foundation import digests, verdict
from components.foundation.errors import Refused
from components.foundation.storage import Address, Conflict, ObjectStore

LOG = Address("falaj-evidence", "audit/")
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `previous` is the digest of the entry before it."""

    number: int
    time: str
    kind: str
    subject: str
    body: Mapping[str, Any]
    previous: str

    def encode(self) -> bytes:
        return digests.canonical_json(asdict(self))

    def digest(self) -> str:
        return str(digests.of_bytes(self.encode()))


@dataclass(frozen=True, slots=True)
class AuditLog:
    store: ObjectStore

    def append(self, kind: str, subject: str, body: Mapping[str, Any]) -> Entry:
        """Add an entry after the newest; races are lost and tried again."""
        for _ in range(_ATTEMPTS):
            entry = self._next(kind, subject, body)
            try:
                self.store.create(LOG / f"{entry.number:08d}.json", entry.encode())
            except Conflict:
                continue
            return entry
        raise Conflict(f"audit log {LOG}: lost the race {_ATTEMPTS} times; run the step again")

    def entries(self) -> Iterator[Entry]:
        for item in self.store.list(LOG):
            yield Entry(**json.loads(self.store.get(item.address)))

    def verify(self) -> int:
        """Return how many entries there are; raises Refused at the first broken link."""
        previous, count = "", 0
        for count, entry in enumerate(self.entries(), start=1):
            if entry.number != count or entry.previous != previous:
                raise Refused(
                    f"audit log {LOG}: entry {entry.number} does not follow from the one before "
                    "it; an entry was changed or removed"
                )
            previous = entry.digest()
        return count

    def _next(self, kind: str, subject: str, body: Mapping[str, Any]) -> Entry:
        last = max((item.address for item in self.store.list(LOG)), key=str, default=None)
        if last is None:
            return Entry(1, verdict.now(), kind, subject, body, "")
        head = Entry(**json.loads(self.store.get(last)))
        return Entry(head.number + 1, verdict.now(), kind, subject, body, head.digest())
