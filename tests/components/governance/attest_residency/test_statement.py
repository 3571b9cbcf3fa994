"""A statement is what was signed, whole or not there, and its verdict follows from it."""

import dataclasses
import json
import pathlib
from typing import Any

import jsonschema
import pytest

from components.foundation import digests
from components.foundation.audit import AuditLog
from components.foundation.digests import Digest
from components.foundation.errors import Refused
from components.foundation.sealing import envelope
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.statement import KIND as IN_TOTO
from components.foundation.storage import Conflict, ObjectStore
from components.governance.attest_residency import statement
from components.governance.attest_residency.observation import Observation, Standing
from components.governance.attest_residency.statement import Checked, Statement
from tests.components.foundation.sealing.memory import Killed, Memory
from tests.components.governance.attest_residency.installed import site
from tests.manifests.conftest import ROOT

SCHEMA = json.loads((ROOT / "components/governance/attest_residency/statement.json").read_text())
HOME = Observation("bucket falaj-raw location", Standing.HOME, "me-central-1", "it says so")
ABROAD = dataclasses.replace(HOME, standing=Standing.ABROAD, value="me-south-1")
PROFILE: dict[str, Any] = {
    "metadata": {"name": "health"},
    "spec": {
        "law": "Profile health",
        "hardLocal": True,
        "country": "AE",
        "hosts": [],
        "networks": [],
        "bases": [],
    },
}


def stated(*observations: Observation, time: str = "2026-11-29T01:02:03.456+00:00") -> Statement:
    facts = site("health").facts()
    verdict = statement.judged("falaj", facts, observations, PROFILE, time=time)
    rules = str(Digest("0" * 64))
    return Statement("falaj", facts, PROFILE, rules, observations, (), verdict)


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> KeyRing:
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def own() -> Memory:
    return Memory()


def checked(store: ObjectStore, keys: KeyRing) -> list[Checked]:
    return list(statement.verify(store=store, keys=keys))


def test_it_is_what_its_schema_says() -> None:
    value = json.loads(stated(HOME, ABROAD).encode())

    jsonschema.validate(value, SCHEMA, cls=jsonschema.Draft202012Validator)
    fields = set(SCHEMA["$defs"]["observation"]["properties"])
    assert fields == {one.name for one in dataclasses.fields(Observation)}
    assert SCHEMA["properties"]["predicateType"]["const"] == statement.PREDICATE


def test_reading_gives_what_was_written() -> None:
    written = stated(HOME, ABROAD)

    assert Statement.decode(written.encode(), "here") == written


def without(value: dict[str, Any], **changes: Any) -> bytes:
    return digests.canonical_json({**value, "predicate": {**value["predicate"], **changes}})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"observations": [HOME.to_dict()]}, "does not follow"),
        ({"observations": []}, "does not follow"),
        ({"profile": {**PROFILE, "spec": {**PROFILE["spec"], "law": "none"}}}, "does not follow"),
        ({"declared": {}}, "contradict"),
        ({"time": "2020-01-01T00:00:00.000+00:00"}, "contradict"),
        ({"more": 1}, "contradict"),
        ({"format": 2}, "contradict"),
        ({"observations": None}, "no statement"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_statement_that_was_signed_but_contradicts_itself_is_refused(
    change: dict[str, Any], says: str
) -> None:
    value = json.loads(stated(ABROAD).encode())

    with pytest.raises(Refused, match=says) as refusal:
        Statement.decode(without(value, **change), "here")

    assert refusal.value.code == "attestation-malformed"


def test_what_was_published_verifies_and_is_in_the_audit_log(own: Memory, keys: KeyRing) -> None:
    address, entry = statement.publish(stated(ABROAD), store=own, keys=keys)

    [found] = checked(own, keys)
    assert str(found).startswith(f"verified: {address}: refuse at 2026-11-29")
    assert (found.logged, found.problem) == (True, "")
    assert entry.kind == "residency"
    assert [one.kind for one in AuditLog(own).entries()] == ["residency", "verdict"]
    assert AuditLog(own).verify() == 2


def test_a_forged_statement_is_refused_wherever_it_lies(
    own: Memory, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    others = KeyRing.create(tmp_path / "others")
    forged = envelope.sign(stated(HOME).encode(), kind=IN_TOTO, keys=others)
    own.create(statement.STATEMENTS / "forged.json", forged)
    own.create(statement.STATEMENTS / "plain.json", stated(HOME).encode())

    forged_one, plain = checked(own, keys)

    assert "not signed by our signer" in forged_one.problem
    assert "not a signed envelope" in plain.problem


def test_a_statement_that_was_replaced_is_refused_even_by_one_that_we_signed(
    own: Memory, keys: KeyRing
) -> None:
    address, _ = statement.publish(stated(ABROAD), store=own, keys=keys)
    own.put(address, envelope.sign(stated(HOME).encode(), kind=IN_TOTO, keys=keys))

    [found] = checked(own, keys)

    assert "the audit log holds" in found.problem


def test_a_statement_that_is_gone_is_missed(own: Memory, keys: KeyRing) -> None:
    address, _ = statement.publish(stated(ABROAD), store=own, keys=keys)
    own.delete(address)

    [found] = checked(own, keys)

    assert "it is gone" in found.problem


def test_killed_anywhere_it_leaves_no_half_statement_and_hinders_no_later_one(
    keys: KeyRing,
) -> None:
    whole = Memory()
    statement.publish(stated(ABROAD), store=whole, keys=keys)
    states = set()

    for at in range(1, whole.operations + 1):
        store = Memory()
        store.dies_at = at
        with pytest.raises(Killed):
            statement.publish(stated(ABROAD), store=store, keys=keys)
        store.dies_at = 0

        found = checked(store, keys)
        states.add(tuple((one.logged, one.problem) for one in found))
        AuditLog(store).verify()
        statement.publish(stated(HOME), store=store, keys=keys)
        assert len(checked(store, keys)) == len(found) + 1

    assert states == {(), ((False, ""),), ((True, ""),)}


def test_it_is_the_same_on_a_real_store(store: ObjectStore, keys: KeyRing) -> None:
    address, _ = statement.publish(stated(ABROAD), store=store, keys=keys)

    assert statement.opened(address, store=store, keys=keys) == stated(ABROAD)
    with pytest.raises(Conflict):  # never replaced
        store.create(address, b"{}")
