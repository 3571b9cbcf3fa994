"""Policies are attested only as they are rendered; objects are judged again."""

import copy
from collections.abc import Callable, Mapping

import pytest

from components.foundation.errors import FalajError, Refused
from components.foundation.site import Profile
from components.governance.attest_residency.ledger import Transfer
from components.governance.attest_residency.listing import Listing
from components.governance.attest_residency.observation import Observation, Standing
from components.governance.attest_residency.readers.objects import Objects
from components.governance.attest_residency.readers.policies import Policies, standing_law
from components.governance.residency import rules
from tests.components.governance.attest_residency.installed import BASIS, in_force, node, pod
from tests.components.governance.attest_residency.recorded import Thing, recorded

FIRST = f"falaj-residency-{rules.policies()[0].name}"


def seen(things: list[Thing], law: Profile = Profile.HEALTH) -> list[Observation]:
    return list(Policies(Listing(recorded(*things)), law)())


def wrong(things: list[Thing]) -> list[Observation]:
    return [one for one in seen(things) if one.standing is Standing.BROKEN]


def of(things: list[Thing], kind: str, name: str) -> Thing:
    [found] = [t for t in things if (t["kind"], t["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture(scope="module")
def installed() -> list[Thing]:
    return in_force("health")


@pytest.fixture
def things(installed: list[Thing]) -> list[Thing]:
    return copy.deepcopy(installed)


def test_policies_as_the_rules_render_them_are_home(things: list[Thing]) -> None:
    found = seen(things)

    assert {one.standing for one in found} == {Standing.HOME, Standing.DECLARED}
    assert found[0].what == f"{3 * len(rules.policies())} policies and bindings"


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["validations"][0].update(expression="true"),
        lambda spec: spec.update(failurePolicy="Ignore"),
        lambda spec: spec["matchConstraints"].update(objectSelector={"matchLabels": {"a": "b"}}),
        lambda spec: spec["matchConstraints"].update(matchPolicy="Exact"),
        lambda spec: spec["matchConstraints"].update(excludeResourceRules=[{"scope": "*"}]),
        lambda spec: spec.update(matchConditions=[{"name": "never", "expression": "false"}]),
        lambda spec: spec["variables"].pop(),
        lambda spec: spec["matchConstraints"]["resourceRules"].pop(),
    ],
)
def test_a_policy_that_was_changed_is_told(
    things: list[Thing], change: Callable[[Thing], None]
) -> None:
    change(of(things, "ValidatingAdmissionPolicy", FIRST)["spec"])

    [found] = wrong(things)

    assert found.what == f"ValidatingAdmissionPolicy {FIRST}"
    assert "it was changed" in found.because


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(validationActions=["Audit"]),
        lambda spec: spec["paramRef"].update(name="pdpl"),
        lambda spec: spec["paramRef"].update(parameterNotFoundAction="Allow"),
        lambda spec: spec["matchResources"].update(namespaceSelector={"matchLabels": {"x": "y"}}),
    ],
)
def test_a_binding_that_was_changed_is_told(
    things: list[Thing], change: Callable[[Thing], None]
) -> None:
    change(of(things, "ValidatingAdmissionPolicyBinding", FIRST)["spec"])

    [found] = wrong(things)

    assert found.what == f"ValidatingAdmissionPolicyBinding {FIRST}"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ValidatingAdmissionPolicy", FIRST),
        ("ValidatingAdmissionPolicyBinding", FIRST),
        ("ValidatingAdmissionPolicyBinding", f"{FIRST}-unlabelled"),
        ("ResidencyProfile", "health"),
        ("ResidencyProfile", "unlabelled"),
    ],
)
def test_what_is_missing_is_told(things: list[Thing], kind: str, name: str) -> None:
    things.remove(of(things, kind, name))

    [found] = wrong(things)

    assert (found.what, found.value) == (f"{kind} {name}", "none")


@pytest.mark.parametrize(
    ("field", "value"),
    [("hardLocal", False), ("country", "BH"), ("places", ["aws/me-south-1"]), ("law", "none")],
)
def test_a_profile_that_was_changed_is_told(things: list[Thing], field: str, value: object) -> None:
    of(things, "ResidencyProfile", "health")["spec"][field] = value

    [found] = wrong(things)

    assert found.what == "ResidencyProfile health"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hosts", "s3.me-south-1.amazonaws.com"),
        ("hosts", "storage.googleapis.com"),
        ("suffixes", ".me-south-1.amazonaws.com"),
        ("suffixes", ".amazonaws.com"),
    ],
)
def test_a_clouds_host_cannot_be_declared_home(things: list[Thing], field: str, value: str) -> None:
    of(things, "ResidencyProfile", "health")["spec"][field].append(value)

    [found] = wrong(things)

    assert found.what == "ResidencyProfile health host"
    assert found.value.endswith(value)


def test_hosts_of_the_site_are_told_as_declared(things: list[Thing]) -> None:
    of(things, "ResidencyProfile", "health")["spec"]["hosts"].append("s3.bank.ae")

    [found] = [one for one in seen(things) if one.standing is Standing.DECLARED]

    assert found.value == "registry.falaj.example, s3.bank.ae"


def test_a_hard_law_stays_hard_whatever_the_cluster_has(things: list[Thing]) -> None:
    spec = of(things, "ResidencyProfile", "health")["spec"]
    spec |= {"hardLocal": False, "bases": [BASIS]}

    found = standing_law(Listing(recorded(*things)), Profile.HEALTH)

    assert found["spec"]["hardLocal"] is True


def scanned(
    *things: Thing, law: Profile = Profile.PDPL, failing: Mapping[str, FalajError] | None = None
) -> tuple[list[Observation], list[Transfer]]:
    found = in_force(str(law), (BASIS,))
    [profile] = [one for one in found if one["metadata"]["name"] == str(law)]
    transfers: list[Transfer] = []
    cluster = recorded(*things, failing=failing)
    return list(Objects(Listing(cluster), "falaj", profile, transfers)()), transfers


def test_an_object_that_admission_did_not_see_is_refused_in_its_sentence() -> None:
    found, transfers = scanned(
        pod(name="old", AWS_ENDPOINT_URL="https://s3.me-south-1.amazonaws.com"), node()
    )

    [sentence] = [one for one in found if one.standing is Standing.BROKEN]
    assert sentence.what == "Pod old in falaj spec.containers[main].env[AWS_ENDPOINT_URL]"
    assert sentence.value == "https://s3.me-south-1.amazonaws.com"
    assert "Bahrain" in sentence.because
    assert sentence.way_out
    assert transfers == []


def test_objects_are_read_to_the_last_page() -> None:
    abroad = {"AWS_ENDPOINT_URL": "https://s3.me-south-1.amazonaws.com"}
    found, _ = scanned(pod("a"), pod("b"), pod("c"), pod("d"), pod("last", **abroad))

    assert found[-1].value == "5 judged"
    assert [one.what for one in found if "last" in one.what]


def test_a_transfer_on_a_basis_is_collected_with_all_that_was_recorded() -> None:
    thing = pod(basis="t-2026-014", AWS_ENDPOINT_URL="https://s3.me-south-1.amazonaws.com")

    found, [transfer] = scanned(thing)

    assert transfer == Transfer(
        "scan",
        "manager kubectl",
        "Pod p in falaj",
        "spec.containers[main].env[AWS_ENDPOINT_URL]",
        "https://s3.me-south-1.amazonaws.com",
        "t-2026-014",
        "PDPL 23(1)(a)",
        "data protection officer",
        "2026-11-01",
        "pdpl",
    )
    assert [(one.standing, one.basis) for one in found[:-1]] == [(Standing.ABROAD, "t-2026-014")]


def test_a_kind_that_may_not_be_listed_cannot_be_attested_and_hides_no_other() -> None:
    abroad = {"AWS_ENDPOINT_URL": "https://s3.me-south-1.amazonaws.com"}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "falaj"},
        "spec": {},
    }
    denied = Refused("GET: forbidden", code="kubernetes-forbidden")

    found, _ = scanned(
        pod(**abroad), claim, failing={"/api/v1/namespaces/falaj/persistentvolumeclaims": denied}
    )

    assert {one.standing for one in found} == {Standing.UNKNOWN, Standing.BROKEN, Standing.HOME}


def test_an_object_that_no_rule_can_read_cannot_be_attested() -> None:
    thing = pod()
    thing["spec"]["containers"] = "none"

    found, _ = scanned(thing)

    assert found[0].standing is Standing.UNKNOWN
