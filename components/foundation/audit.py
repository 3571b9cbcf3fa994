"""An append-only, hash-chained log of verdicts and releases, one object an entry.

Entries are created, never replaced (If-None-Match), so two writers cannot take the same
place; each entry carries the digest of the one before it. A head object says how far the log
goes and with which digest, so that appending reads two objects, however long the log is, and
an edited last entry or a shortened log shows. What is said again, word for word, as by a step
that is retried, is not written again: each entry that the head has passed has a mark named by
what the entry says. Whoever can rewrite both the entries and the
head can still shorten the log unseen: signed checkpoints, and the bucket's object lock, are
what prevents that.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from components.foundation import digests, verdict
from components.foundation.errors import Refused
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

LOG = Address("falaj-evidence", "audit/")
_ATTEMPTS = 100


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

    @property
    def said(self) -> str:
        """The digest of what it says, wherever in the log it says it."""
        return said(self.kind, self.subject, self.body)


def said(kind: str, subject: str, body: Mapping[str, Any]) -> str:
    """Digest what an entry would say; verdicts and moves hold their time, so each is its own."""
    written = json.loads(digests.canonical_json([kind, subject, body]))  # as it will be read
    return digests.of_json(written).hex


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log goes, at least; it may lag behind, it is never ahead."""

    number: int = 0
    digest: str = ""

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(entry.number, entry.digest())


@dataclass(frozen=True, slots=True)
class AuditLog:
    store: ObjectStore
    log: Address = LOG

    def append(self, kind: str, subject: str, body: Mapping[str, Any]) -> Entry:
        """Add an entry after the newest, unless one says the same; races are tried again.

        Raises:
            Refused: entries that the head names are gone or changed.
        """
        for _ in range(_ATTEMPTS):
            head, newer = self._state()
            if (known := self._known(said(kind, subject, body), newer)) is not None:
                return known
            last = Head.of(newer[-1]) if newer else head
            entry = Entry(last.number + 1, verdict.now(), kind, subject, body, last.digest)
            try:
                self.store.create(self._place(entry.number), entry.encode())
            except Conflict:
                continue
            self._pass([*newer, entry])
            return entry
        raise Conflict(
            f"audit log {self.log}: lost the race {_ATTEMPTS} times; run the step again",
            code="audit-raced",
        )

    def find(self, kind: str, subject: str, body: Mapping[str, Any]) -> Entry | None:
        """Return the entry that says exactly this, if there is one; raises as `append` does."""
        _, newer = self._state()
        return self._known(said(kind, subject, body), newer)

    def record(self, judged: verdict.Verdict) -> Entry:
        """Add a verdict."""
        return self.append("verdict", judged.subject, judged.to_dict())

    def entries(self) -> Iterator[Entry]:
        for item in self.store.list(self.log):
            yield self._parse(item.address, self.store.get(item.address))

    def verify(self) -> int:
        """Return how many entries there are.

        Raises:
            Refused: an entry was edited, removed, moved, or cut off the end.
        """
        head, last = self._head(), Head()
        for item in self.store.list(self.log):
            last = self._follow(last, item.address)
            if last.number == head.number and last.digest != head.digest:
                raise self._broken(f"entry {last.number} is not the one the head names: edited")
        if last.number < head.number:
            raise self._broken(
                f"it ends at entry {last.number}, its head names {head.number}: it was cut"
            )
        return last.number

    def _follow(self, last: Head, address: Address) -> Head:
        """Check that an object is the entry after the last one, and become it."""
        number = last.number + 1
        if address != self._place(number):
            raise self._broken(f"entry {number} is missing: it was removed")
        data = self.store.get(address)
        entry = self._parse(address, data)
        if entry.number != number:
            raise self._broken(f"place {number} holds entry {entry.number}: entries were moved")
        if entry.previous != last.digest:
            raise self._broken(f"entry {number} does not follow from entry {last.number}: edited")
        return Head(number, str(digests.of_bytes(data)))

    def _place(self, number: int) -> Address:
        return self.log / f"{number:08d}.json"

    @property
    def _head_place(self) -> Address:
        return Address(self.log.bucket, f"{self.log.key.rstrip('/')}-head.json")

    def _head(self) -> Head:
        return self._head_with_etag()[0]

    def _head_with_etag(self) -> tuple[Head, str]:
        try:
            data, etag = self.store.get_with_etag(self._head_place)
        except NotFound:
            return Head(), ""
        return Head(**json.loads(data)), etag

    def _state(self) -> tuple[Head, list[Entry]]:
        """Read the head, and the few entries that it has not passed yet."""
        head = self._head()
        if head.number and self._digest(head.number) != head.digest:
            raise self._broken(f"entry {head.number} is not the one the head names; verify the log")
        newer: list[Entry] = []
        while (entry := self._entry(head.number + len(newer) + 1)) is not None:
            newer.append(entry)
        return head, newer

    def _known(self, wanted: str, newer: list[Entry]) -> Entry | None:
        """Find the entry that says something already: a new one, or one that has a mark."""
        if found := next((entry for entry in newer if entry.said == wanted), None):
            return found
        try:
            number = int(self.store.get(self._mark(wanted)))
        except NotFound:
            return None
        marked = self._entry(number)
        if marked is None or marked.said != wanted:
            raise self._broken(f"mark {wanted} names entry {number}, which does not say that")
        return marked

    def _pass(self, entries: list[Entry]) -> None:
        """Mark entries, then move the head past them: what it has passed can be looked up."""
        for entry in entries:
            with contextlib.suppress(Conflict):
                self.store.create(self._mark(entry.said), str(entry.number).encode())
        self._advance(Head.of(entries[-1]))

    def _mark(self, said: str) -> Address:
        return Address(self.log.bucket, f"{self.log.key.rstrip('/')}-said/{said}")

    def _digest(self, number: int) -> str | None:
        try:
            return str(digests.of_bytes(self.store.get(self._place(number))))
        except NotFound:
            return None

    def _entry(self, number: int) -> Entry | None:
        place = self._place(number)
        try:
            return self._parse(place, self.store.get(place))
        except NotFound:
            return None

    def _advance(self, head: Head) -> None:
        """Move the head forward, never back; others may move it further meanwhile."""
        for _ in range(_ATTEMPTS):
            current, etag = self._head_with_etag()
            if current.number >= head.number:
                return
            data = digests.canonical_json(asdict(head))
            try:
                if etag:
                    self.store.swap(self._head_place, data, etag=etag)
                else:
                    self.store.create(self._head_place, data)
            except Conflict:
                continue
            return

    def _parse(self, address: Address, data: bytes) -> Entry:
        try:
            return Entry(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise self._broken(f"{address} is not an entry ({error})") from error

    def _broken(self, what: str) -> Refused:
        return Refused(
            f"audit log {self.log}: {what}; restore the object's earlier version from the bucket",
            code="audit-broken",
        )
