"""What the attestor signs: an in-toto Statement of what it saw, in the evidence's bucket.

    s3://falaj-evidence/residency/TIME-DIGEST.json

One object a look, written whole and never replaced; then the audit log names it with its digest.
Whoever checks it needs the store and the key ring, and no cluster: the verdict has to follow
from the observations again. statement.json beside this file is its schema.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from components.foundation import digests
from components.foundation.audit import AuditLog, Entry
from components.foundation.digests import SHA256, Digest
from components.foundation.errors import FalajError, Refused
from components.foundation.sealing import envelope
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.statement import KIND as IN_TOTO
from components.foundation.storage import Address, NotFound, ObjectStore
from components.foundation.verdict import Verdict
from components.governance.attest_residency import observation
from components.governance.attest_residency.ledger import Transfer
from components.governance.attest_residency.observation import Observation

STATEMENTS = Address("falaj-evidence", "residency/")
KIND = "residency"  # of entries in the audit log
_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://falaj.example/residency-attestation/v1"
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError, FalajError)


@dataclass(frozen=True, slots=True)
class Statement:
    """One look; `Statement.decode(s.encode(), where) == s`.

    Attributes:
        name: of the installation.
        declared: what it says of itself (Declared.facts).
        profile: the ResidencyProfile by which was judged.
        rules: digest of the policies as the rules render them.
        observations: what was seen.
        transfers: what goes abroad on a recorded basis.
        verdict: what follows.
    """

    name: str
    declared: Mapping[str, Any]
    profile: Mapping[str, Any]
    rules: str
    observations: tuple[Observation, ...]
    transfers: tuple[Transfer, ...]
    verdict: Verdict

    def encode(self) -> bytes:
        subject = {"name": self.name, "digest": {SHA256: _of(self.declared).hex}}
        predicate = {
            "format": 1,
            "time": self.verdict.time,
            "declared": dict(self.declared),
            "profile": dict(self.profile),
            "rules": self.rules,
            "observations": [one.to_dict() for one in self.observations],
            "transfers": [asdict(one) for one in self.transfers],
            "verdict": self.verdict.to_dict(),
        }
        return digests.canonical_json(
            {
                "_type": _TYPE,
                "subject": [subject],
                "predicateType": PREDICATE,
                "predicate": predicate,
            }
        )

    @classmethod
    def decode(cls, payload: bytes, where: str) -> Self:
        """Read a statement whose signature holds.

        Raises:
            Refused: it is of another form, or its verdict does not follow from what was seen.
        """
        try:
            value = json.loads(payload)
            statement = cls._parse(value["subject"][0]["name"], value["predicate"])
            whole = statement.encode() == payload
        except _MALFORMED as error:
            raise _malformed(where, f"it is no statement of format 1 ({error})") from error
        if not whole:
            raise _malformed(where, "its parts contradict each other")
        if not statement.follows():
            raise _malformed(where, "its verdict does not follow from what it says was seen")
        return statement

    @classmethod
    def _parse(cls, name: str, predicate: Mapping[str, Any]) -> Self:
        return cls(
            name,
            predicate["declared"],
            predicate["profile"],
            predicate["rules"],
            tuple(map(Observation.from_dict, predicate["observations"])),
            tuple(map(Transfer.from_dict, predicate["transfers"])),
            Verdict.from_dict(predicate["verdict"]),
        )

    def follows(self) -> bool:
        """Say whether judging again gives the same verdict."""
        verdict = self.verdict
        again = judged(self.name, self.declared, self.observations, self.profile, time=verdict.time)
        return again.to_dict() == verdict.to_dict()


def judged(
    name: str,
    declared: Mapping[str, Any],
    observations: Sequence[Observation],
    profile: Mapping[str, Any],
    *,
    time: str,
) -> Verdict:
    """Judge what was seen at a time."""
    subject = f"residency of {name} as seen"
    verdict = observation.judge(subject, observations, profile, on=time[:10])
    return dataclasses.replace(verdict, judged=str(_of(declared)), time=time)


def publish(statement: Statement, *, store: ObjectStore, keys: KeyRing) -> tuple[Address, Entry]:
    """Sign a statement and write it, then name it in the audit log; return where both are.

    Killed in between, the signed statement is there and no entry: `verify` says so.
    """
    data = envelope.sign(statement.encode(), kind=IN_TOTO, keys=keys)
    digest, time = digests.of_bytes(data), statement.verdict.time
    address = STATEMENTS / f"{time[:19].replace(':', '')}Z-{digest.short}.json"
    store.create(address, data)
    body = {"address": str(address), "digest": str(digest), "signer": keys.signer_id}
    log = AuditLog(store)
    entry = log.append(KIND, statement.name, body)
    log.record(statement.verdict)
    return address, entry


def opened(address: Address, *, store: ObjectStore, keys: KeyRing) -> Statement:
    """Read a statement and check it.

    Raises:
        Refused: it is not signed by our ring, is of another form, or contradicts itself.
    """
    return _opened(store.get_bounded(address, limit=envelope.MAX_BYTES), str(address), keys)


def _opened(data: bytes, where: str, keys: KeyRing) -> Statement:
    signed = envelope.open_signed(data, kind=IN_TOTO, keys=keys, where=where)
    return Statement.decode(signed.payload, where)


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that was checked; `problem` says what is wrong with it, if anything is."""

    address: str
    statement: Statement | None
    logged: bool
    problem: str = ""

    def __str__(self) -> str:
        if self.statement is None:
            return f"refused: {self.problem}"
        entry = "" if self.logged else " (no entry names it: its attestor was stopped in between)"
        verdict = self.statement.verdict
        return f"verified: {self.address}: {verdict.decision} at {verdict.time}{entry}"


def verify(*, store: ObjectStore, keys: KeyRing) -> Iterator[Checked]:
    """Check every statement: those that the audit log names, and whatever else lies there."""
    named = {
        str(entry.body["address"]): str(entry.body["digest"])
        for entry in AuditLog(store).entries()
        if entry.kind == KIND
    }
    lying = [str(item.address) for item in store.list(STATEMENTS)]
    for address in sorted({*named, *lying}):
        yield _checked(address, named.get(address), store, keys)


def _checked(address: str, digest: str | None, store: ObjectStore, keys: KeyRing) -> Checked:
    try:
        data = store.get_bounded(Address.parse(address), limit=envelope.MAX_BYTES)
        got = str(digests.of_bytes(data))
        if digest is not None and got != digest:
            raise Refused(
                f"{address}: its digest is {got}, the audit log holds {digest}; restore the "
                "object's earlier version from the bucket",
                code="attestation-altered",
            )
        return Checked(address, _opened(data, address, keys), digest is not None)
    except NotFound:
        problem = f"{address}: the audit log names it, and it is gone; restore it from the bucket"
        return Checked(address, None, digest is not None, problem)
    except Refused as refusal:
        return Checked(address, None, digest is not None, str(refusal))


def _of(declared: Mapping[str, Any]) -> Digest:
    return digests.of_json(dict(declared))


def _malformed(where: str, problem: str) -> Refused:
    return Refused(
        f"{where}: is signed, but {problem}; have the attestor look again",
        code="attestation-malformed",
    )
