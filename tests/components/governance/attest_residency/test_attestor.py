"""Whatever a reader fails at is said, and no hard law accepts it; a soft one says it too."""

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.foundation.audit import AuditLog
from components.foundation.errors import (
    FalajError,
    InfrastructureError,
    Refused,
    UserError,
)
from components.foundation.sealing.keys import KeyRing
from components.foundation.verdict import Decision
from components.governance.attest_residency import attestor, bases, ledger, observation, statement
from components.governance.attest_residency.attestor import Attestor
from components.governance.attest_residency.observation import Observation, Standing
from components.governance.residency import profiles
from tests.components.foundation.sealing.memory import Memory
from tests.components.governance.attest_residency.installed import (
    BASIS,
    HARD,
    SOFT,
    Weed,
    in_force,
    node,
    pod,
    site,
)
from tests.components.governance.attest_residency.recorded import Thing, recorded

ABROAD = "https://s3.me-south-1.amazonaws.com"
FAILURES = [
    InfrastructureError("away", code="kubernetes-unreachable"),
    Refused("denied", code="kubernetes-forbidden"),
    UserError("malformed", code="kubernetes-invalid"),
    OSError("no name"),
    KeyError("items"),
    TypeError("none"),
    RecursionError("deep"),
]


@pytest.fixture(autouse=True)
def _resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(0, 0, 0, "", ("10.1.2.3", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *asked, **named: answer)


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> KeyRing:
    return KeyRing.create(tmp_path / "keys")


def installation(
    law: str, *things: Thing, failing: Mapping[str, FalajError] | None = None
) -> Attestor:
    known = in_force(law, () if law in HARD else (BASIS,))
    return Attestor(site(law), recorded(*known, node(), *things, failing=failing), Weed())


@pytest.mark.parametrize("law", [*HARD, *SOFT])
def test_an_installation_as_it_should_be_is_accepted_and_says_what_was_declared(law: str) -> None:
    found = installation(law, pod()).look()

    assert found.verdict.decision is Decision.ACCEPT, found.verdict
    assert "declared" in found.verdict.reason
    assert found.verdict.evidence["cannot_be_attested"] == []


@pytest.mark.parametrize("law", [*HARD, *SOFT])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_reader_that_fails_is_said_and_no_hard_law_accepts_it(law: str, error: Exception) -> None:
    profile = profiles.all_by_name()[law]

    def fails() -> Iterable[Observation]:
        yield Observation("a", Standing.HOME, "1", "seen before it failed")
        raise error

    seen = observation.look({"readable": lambda: [_home()], "failing": fails})
    verdict = observation.judge("all", seen, profile, on="2026-11-29")

    assert [one.what for one in seen] == ["readable", "a", "failing"]
    assert seen[-1].standing is Standing.UNKNOWN
    assert seen[-1].passing is isinstance(error, InfrastructureError | OSError)
    assert len(verdict.evidence["cannot_be_attested"]) == 1
    assert verdict.decision is (Decision.REFUSE if law in HARD else Decision.ACCEPT)
    assert "cannot be attested" in verdict.reason


def _home() -> Observation:
    return Observation("readable", Standing.HOME, "1", "it says so")


def test_a_reader_that_says_nothing_is_said() -> None:
    [found] = observation.look({"silent": lambda: []})

    assert (found.what, found.standing) == ("silent", Standing.UNKNOWN)


@given(st.lists(st.sampled_from(Standing), min_size=1), st.sampled_from([*HARD, *SOFT]))
@settings(max_examples=200, deadline=None)
def test_nothing_but_home_declared_and_following_is_accepted_by_a_hard_law(
    standings: list[Standing], law: str
) -> None:
    profile = _PROFILES[law]
    seen = [replace(_home(), standing=one) for one in standings]

    verdict = observation.judge("all", seen, profile, on="2026-11-29")

    lets = {Standing.HOME, Standing.DECLARED, Standing.FOLLOWS}
    lets |= set() if law in HARD else {Standing.UNKNOWN}
    assert verdict.passes is (set(standings) <= lets)
    unknown = standings.count(Standing.UNKNOWN)
    assert len(verdict.evidence["cannot_be_attested"]) == unknown


_PROFILES = profiles.all_by_name()


@pytest.mark.parametrize(
    ("law", "basis", "place", "expected"),
    [
        ("pdpl", BASIS, "aws/me-south-1", True),
        ("pdpl", BASIS, "aws/us-east-1", False),
        ("pdpl", BASIS, "", False),
        ("pdpl", {**BASIS, "until": "2026-11-28"}, "aws/me-south-1", False),
        ("health", BASIS, "aws/me-south-1", False),
    ],
)
def test_a_place_abroad_takes_a_basis_that_names_it(
    law: str, basis: Thing, place: str, expected: bool
) -> None:
    spec = {**_PROFILES[law]["spec"], "bases": [basis]}

    assert (bases.of("", place, spec, on="2026-11-29") is not None) is expected


@dataclass(frozen=True)
class Case:
    """How an installation is off, and how a look at it ends."""

    things: tuple[Thing, ...] = ()
    failing: tuple[tuple[str, FalajError], ...] = ()
    code: int = 0


AWAY = InfrastructureError("away", code="kubernetes-unreachable")
ENDINGS = {
    "as it should be": Case((pod(),)),
    "an object abroad": Case((pod(AWS_ENDPOINT_URL=ABROAD),), code=3),
    "nobody answers for nodes": Case(failing=(("/api/v1/nodes", AWAY),), code=75),
    "abroad, and nobody answers": Case(
        (pod(AWS_ENDPOINT_URL=ABROAD),), (("/api/v1/nodes", AWAY),), 3
    ),
    "not allowed to look": Case(
        failing=(("/api/v1/nodes", Refused("no", code="kubernetes-forbidden")),), code=3
    ),
    "nobody answers at all": Case(failing=(("/", AWAY),), code=75),
}


@pytest.mark.parametrize("case", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_look_ends_with_a_statement_and_an_exit_code(case: Case, keys: KeyRing) -> None:
    store = Memory()
    looking = installation("health", *case.things, failing=dict(case.failing))

    code = 0
    try:
        lines = list(attestor.attest(looking, store=store, keys=keys))
        assert lines
    except FalajError as error:
        code = error.exit_code

    assert code == case.code
    [checked] = statement.verify(store=store, keys=keys)
    assert checked.problem == ""
    assert checked.statement is not None
    assert checked.statement.verdict.passes is (code == 0)


def test_transfers_of_a_look_are_in_the_ledger_once(keys: KeyRing) -> None:
    store = Memory()
    looking = installation("pdpl", pod(basis="t-2026-014", AWS_ENDPOINT_URL=ABROAD))

    for _ in range(2):
        *_, verdict = attestor.attest(looking, store=store, keys=keys)
        assert ": accept - " in verdict
        assert "1 abroad" in verdict

    known: dict[str, Any] = {"pdpl": looking.look().profile}
    [line] = ledger.read(AuditLog(store), known, on="2026-11-29")
    assert (line.transfer.value, line.lapsed) == (ABROAD, "")


@pytest.mark.parametrize(
    ("law", "zone", "code"),
    [("pdpl", "me-south-1a", 0), ("pdpl", "eu-west-1a", 3), ("gov", "me-south-1a", 3)],
)
def test_what_lies_abroad_itself_takes_a_basis_and_lands_in_the_ledger(
    keys: KeyRing, law: str, zone: str, code: int
) -> None:
    store, abroad = Memory(), node()
    abroad["metadata"] = {"name": "n2", "annotations": {ledger.CLAIM: "t-2026-014"}}
    abroad["spec"] = {"providerID": f"aws:///{zone}/i-1"}
    looking = installation(law, abroad)

    try:
        list(attestor.attest(looking, store=store, keys=keys))
        got = 0
    except Refused as refusal:
        got = refusal.exit_code

    known: dict[str, Any] = {law: looking.look().profile}
    lines = [line.transfer for line in ledger.read(AuditLog(store), known, on="2026-11-29")]
    assert got == code
    assert (("nodes", "aws/me-south-1") in {(one.field, one.value) for one in lines}) is (code == 0)


def test_a_store_in_the_cluster_is_followed() -> None:
    looking = installation("health")
    inside = site("health", AWS_ENDPOINT_URL="http://seaweedfs.kubeflow.svc:9000")

    found = replace(looking, declared=inside).look()

    [store] = [one for one in found.observations if one.what.startswith("object store")]
    assert store.standing is Standing.UNKNOWN
    assert found.verdict.decision is Decision.REFUSE


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"FALAJ_PROVIDER": "unset"}, "FALAJ_PROVIDER 'unset'"),
        ({"FALAJ_STORE_ADDRESSES": "everywhere"}, "expected ranges"),
    ],
)
def test_a_site_that_says_too_little_is_an_error(change: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        site("health", **change)
