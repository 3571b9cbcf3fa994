"""The ledger of transfers: what went abroad, on which recorded basis, by whom, and since when.

Its lines are entries of the audit log, so nothing is added to it unseen and nothing taken away.
What is said again, word for word, is one line: a scan every night tells of a transfer once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from components.foundation.audit import AuditLog, Entry
from components.governance.attest_residency import bases
from components.governance.residency.checking import Judged

KIND = "transfer"
CLAIM = "falaj.example/transfer-basis"
Thing = Mapping[str, Any]
_ANNOTATION = "/transfer"  # how API servers write the key, after the name of the policy
_UNKNOWN = "not recorded"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One value of one object that goes abroad on a basis.

    Attributes:
        source: who saw it: scan, check, compile, run, admission.
        who: who asked for it, as far as that is known.
        subject: the object, with its namespace.
        field: what of it says the place.
        value: the place.
        basis: the id in the profile, with its article, and who recorded it when.
        profile: the law.
        asked: the id of the request, where there was one.
    """

    source: str
    who: str
    subject: str
    field: str
    value: str
    basis: str
    article: str
    recorded_by: str
    recorded_on: str
    profile: str
    asked: str = ""

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Line:
    """A transfer in the ledger; `lapsed` says why its basis holds no longer, if it does not."""

    number: int
    time: str
    transfer: Transfer
    lapsed: str = field(default="")

    def __str__(self) -> str:
        one = self.transfer
        recorded = (
            f"{one.basis} ({one.article}), recorded by {one.recorded_by} on {one.recorded_on}"
        )
        lapsed = f"; LAPSED: {self.lapsed}" if self.lapsed else ""
        return (
            f"{self.number} {self.time} {one.subject}: {one.field} = {one.value}, by {one.who} "
            f"({one.source}), on {recorded}{lapsed}"
        )


def claimed(
    thing: Thing, judged: Judged, profile: Thing, *, source: str, who: str = ""
) -> Iterator[Transfer]:
    """Yield the transfers that a policy let an object make.

    Args:
        thing: the object, whose annotation names the basis.
        judged: what the policy said.
        profile: the ResidencyProfile by which it was judged.
        source: scan, check, compile or run.
        who: who asks; nothing: whoever wrote the object last, as the API server has it.
    """
    id = _annotations(thing).get(CLAIM, "")
    namespace = thing.get("metadata", {}).get("namespace")
    subject = f"{judged.subject} in {namespace}" if namespace else judged.subject
    known = _recorded(id, profile)
    for item in judged.transfers:
        where, _, value = item.partition(" = ")
        yield Transfer(source, who or _writer(thing), subject, where, value, *known, _name(profile))


def of_audit_lines(lines: Iterable[str], known: Mapping[str, Thing]) -> Iterator[Transfer]:
    """Yield the transfers that an API server let pass, from the lines of its audit log.

    Args:
        lines: JSON, an event a line; what is none, is of another stage or has none, is passed over.
        known: the ResidencyProfiles by name; the request tells the basis, they its article.
    """
    for line in lines:
        if f'{_ANNOTATION}"' not in line:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line that is still being written
        if event.get("stage") == "ResponseComplete" and not _refused(event):
            yield from _of_event(event, known)


def _refused(event: Mapping[str, Any]) -> bool:
    return int(event.get("responseStatus", {}).get("code", 200)) >= 400


def _of_event(event: Mapping[str, Any], known: Mapping[str, Thing]) -> Iterator[Transfer]:
    ref = event.get("objectRef", {})
    subject = f"{ref.get('resource', '')} {ref.get('name', '')}".strip()
    subject = f"{subject} in {ref['namespace']}" if ref.get("namespace") else subject
    id = _annotations(event.get("requestObject") or {}).get(CLAIM, "")
    holder = next((one for one in known.values() if bases.named(id, one["spec"])), None)
    recorded = _recorded(id, holder)
    law = _name(holder) if holder else _UNKNOWN
    for key, text in sorted(event.get("annotations", {}).items()):
        if not key.endswith(_ANNOTATION):
            continue
        for item in str(text).split("; "):
            where, _, value = item.partition(" = ")
            user, asked = event.get("user", {}).get("username", _UNKNOWN), event["auditID"]
            yield Transfer("admission", user, subject, where, value, *recorded, law, asked)


def note(log: AuditLog, transfers: Iterable[Transfer]) -> list[Entry]:
    """Write transfers into the ledger; those that are there already stay as they are."""
    return [log.append(KIND, one.subject, asdict(one)) for one in transfers]


def read(log: AuditLog, known: Mapping[str, Thing], *, on: str) -> Iterator[Line]:
    """Yield every line, oldest first.

    Args:
        log: the audit log.
        known: the ResidencyProfiles of today by name, against which bases are held.
        on: the day.
    """
    for entry in log.entries():
        if entry.kind == KIND:
            one = Transfer.from_dict(entry.body)
            yield Line(entry.number, entry.time, one, _lapsed(one, known, on))


def _lapsed(one: Transfer, known: Mapping[str, Thing], on: str) -> str:
    if one.profile not in known:
        return f"there is no profile {one.profile}"
    spec = known[one.profile]["spec"]
    if spec["hardLocal"]:
        return f"profile {one.profile} knows no transfer"
    return bases.why_not(bases.named(one.basis, spec), on=on) or ""


def _recorded(id: str, profile: Thing | None) -> tuple[str, str, str, str]:
    basis = bases.named(id, profile["spec"]) if profile else None
    if basis is None:
        return (id or _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    return (id, str(basis["article"]), str(basis["recordedBy"]), str(basis["recordedOn"]))


def _writer(thing: Thing) -> str:
    fields = thing.get("metadata", {}).get("managedFields") or []
    written = sorted((str(one.get("time", "")), str(one.get("manager", ""))) for one in fields)
    return f"manager {written[-1][1]}" if written else _UNKNOWN


def _annotations(thing: Thing) -> Mapping[str, str]:
    return (thing.get("metadata") or {}).get("annotations") or {}


def _name(profile: Thing) -> str:
    return str(profile["metadata"]["name"])
