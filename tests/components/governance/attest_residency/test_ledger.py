"""The ledger tells each transfer once, by whom and on which basis, and which bases lapsed."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation.audit import AuditLog
from components.foundation.storage import Address, ObjectStore
from components.governance.attest_residency import ledger
from components.governance.attest_residency.ledger import Transfer
from components.governance.residency import checking, profiles
from tests.components.governance.attest_residency.installed import BASIS, pod
from tests.manifests.conftest import ROOT

Thing = dict[str, Any]
TODAY = "2026-11-29"
ABROAD = "https://s3.me-south-1.amazonaws.com"
AUDITED = "falaj-residency-pods/transfer"


@pytest.fixture
def log(store: ObjectStore, unique: str) -> AuditLog:
    return AuditLog(store, Address("falaj-evidence", f"{unique}/"))


def laws(*bases: Thing, **changes: Any) -> dict[str, Thing]:
    found = profiles.all_by_name()
    found["pdpl"]["spec"] |= {"bases": list(bases), "hosts": ["registry.falaj.example"], **changes}
    return found


def judged(thing: Thing, known: dict[str, Thing], source: str, who: str) -> Iterator[Transfer]:
    for one in checking.judge(thing, known["pdpl"]):
        yield from ledger.claimed(thing, one, known["pdpl"], source=source, who=who)


def event(**changes: Any) -> str:
    """An event of the API server's audit log."""
    thing = pod(basis="t-2026-014")
    told = {
        "stage": "ResponseComplete",
        "auditID": "a-1",
        "user": {"username": "amal"},
        "objectRef": {"resource": "pods", "namespace": "falaj", "name": "p"},
        "responseStatus": {"code": 201},
        "requestObject": {"metadata": {"annotations": thing["metadata"]["annotations"]}},
        "annotations": {AUDITED: f"spec.env[A] = {ABROAD}; spec.env[B] = x.example"},
    }
    return json.dumps({**told, **changes})


@pytest.mark.parametrize("source", ["check", "compile", "run"])
def test_a_verdict_before_a_run_lands_in_it(log: AuditLog, source: str) -> None:
    known = laws(BASIS)
    thing = pod(basis="t-2026-014", AWS_ENDPOINT_URL=ABROAD)

    ledger.note(log, judged(thing, known, source, "amal"))

    [line] = ledger.read(log, known, on=TODAY)
    assert str(line).endswith(
        f"Pod p in falaj: spec.containers[main].env[AWS_ENDPOINT_URL] = {ABROAD}, by amal "
        f"({source}), on t-2026-014 (PDPL 23(1)(a)), recorded by data protection officer on "
        "2026-11-01"
    )
    assert log.verify() == 1


def test_what_is_seen_every_night_is_one_line(log: AuditLog) -> None:
    known = laws(BASIS)
    thing = pod(basis="t-2026-014", AWS_ENDPOINT_URL=ABROAD)

    for _ in range(3):
        ledger.note(log, judged(thing, known, "scan", ""))

    assert len(list(ledger.read(log, known, on=TODAY))) == 1


def test_what_the_api_server_let_pass_lands_in_it_with_who_asked(log: AuditLog) -> None:
    known = laws(BASIS)

    for _ in range(2):  # read again, nothing is added
        ledger.note(log, ledger.of_audit_lines([event()], known))

    first, second = (line.transfer for line in ledger.read(log, known, on=TODAY))
    assert (first.who, first.subject, first.value) == ("amal", "pods p in falaj", ABROAD)
    assert (first.basis, first.article, first.asked) == ("t-2026-014", "PDPL 23(1)(a)", "a-1")
    assert second.field == "spec.env[B]"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no json",
        event()[:-5],
        event(stage="RequestReceived"),
        event(annotations={}),
        event(responseStatus={"code": 403}),
    ],
    ids=["empty", "text", "half a line", "another stage", "none", "refused by another"],
)
def test_lines_that_tell_of_no_transfer_are_passed_over(line: str) -> None:
    assert list(ledger.of_audit_lines([line], laws(BASIS))) == []


def test_a_request_whose_object_was_not_audited_is_told_without_its_basis() -> None:
    [first, _] = ledger.of_audit_lines([event(requestObject=None)], laws(BASIS))

    assert (first.value, first.basis, first.article) == (ABROAD, "not recorded", "not recorded")


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (laws(BASIS), ""),
        (laws({**BASIS, "until": TODAY}), ""),
        (laws({**BASIS, "until": "2026-11-28"}), "it ended on 2026-11-28"),
        (laws(), "it was removed"),
        (laws(BASIS, hardLocal=True), "profile pdpl knows no transfer"),
        ({}, "there is no profile pdpl"),
    ],
    ids=["holds", "its last day", "ended", "removed", "law became hard", "no law"],
)
def test_a_basis_that_lapsed_is_reported(log: AuditLog, known: dict[str, Thing], says: str) -> None:
    thing = pod(basis="t-2026-014", AWS_ENDPOINT_URL=ABROAD)
    ledger.note(log, judged(thing, laws(BASIS), "scan", ""))

    [line] = ledger.read(log, known, on=TODAY)

    assert says in line.lapsed
    assert bool(line.lapsed) == bool(says)
    assert ("LAPSED" in str(line)) == bool(says)


def test_a_line_that_was_edited_shows(log: AuditLog, store: ObjectStore) -> None:
    known = laws(BASIS)
    [entry] = ledger.note(log, judged(pod(basis="t-2026-014", A_URL=ABROAD), known, "scan", ""))
    place = log.log / f"{entry.number:08d}.json"

    store.put(place, store.get(place).replace(b"data protection officer", b"nobody in particular"))

    with pytest.raises(Exception, match="edited"):
        log.verify()


def test_the_command_in_the_audit_policy_keeps_what_the_ledger_reads() -> None:
    """Annotations are written at every level; the object's own only with its request."""
    policy = pathlib.Path(ROOT / "manifests/audit/policy.yaml").read_text()

    assert "ResponseComplete" not in policy.partition("omitStages")[2].partition("rules:")[0]
