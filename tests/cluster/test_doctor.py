"""`falaj doctor` on a real API server: well with our manifests, and one sentence for what is not.

Of the policies on residency, which take the API server long, one is there; tests beside the
checks look at all of them.
"""

import contextlib
import copy
import functools
import json
import pathlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from components.foundation.kubernetes import calling
from components.foundation.kubernetes.calling import Call
from components.foundation.kubernetes.retries import Retries
from components.foundation.storage import NotFound
from components.governance.doctor import examining
from components.governance.doctor.interface import Finding, Installation, Status
from components.governance.doctor.kubernetes import Kubernetes
from pipelines.__main__ import main
from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Identity, Person
from tests.components.governance.doctor import fit

Thing = dict[str, Any]

HOME = f"falaj-doctor-{uuid.uuid4().hex[:6]}"
AMAL = Person("amal", ("falaj:ml-engineer",))
POLICIES = {"falaj-law", "falaj-residency-pods"}
LOOKED_AT = {
    "ClusterServingRuntime", "ClusterStorageContainer", "ConfigMap", "Gateway", "GatewayClass",
    "Namespace", "ResidencyProfile", "Role", "RoleBinding", "Secret", "ServiceAccount",
    "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


Found = dict[str, Finding]


@dataclass(frozen=True)
class Place:
    """An installation on the API server, and who administers it."""

    ground: Access
    things: dict[str, Thing]

    def look(self, check: str = "", *, who: Identity | None = None, must: str = "") -> Found:
        checks = {k: v for k, v in examining.CHECKS.items() if check in ("", k)}
        api = Kubernetes(self.ground.cluster(who, HOME))
        given = (frozenset({must}), fit.web().fetch, lambda: True)
        at = Installation(api, fit.site(HOME), {}, *given)
        return {one.what: one for one in examining.examine(at, checks)}

    def apply(self, thing: Thing) -> None:
        """Apply an object as who owns it all, whatever others have changed."""
        query = [("fieldManager", "administrator"), ("force", "true")]
        self._ask("PATCH", fit.path(thing), thing, "application/apply-patch+yaml", query)
        if thing["kind"] == "Gateway":
            self.accept({})

    def patch(self, path: str, body: Thing) -> None:
        self._ask("PATCH", path, body, "application/merge-patch+json", [])

    def delete(self, thing: Thing) -> None:
        self._ask("DELETE", fit.path(thing), None, "application/json", [])

    def accept(self, changed: dict[str, str]) -> None:
        """Say of the Gateway what its controller would."""
        status = copy.deepcopy(fit.ACCEPTED)
        when = {
            "reason": "Said",
            "message": "by a test",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for one in status["conditions"]:
            one.update(when, status=changed.get(one["type"], one["status"]))
        self.patch(f"{fit.path(self.things['Gateway falaj'])}/status", {"status": status})

    def _ask(self, verb: str, path: str, body: Any, content: str, query: Any) -> None:
        call = Call(verb, path, f"{verb} {path}", "all", body=body, content=content, query=query)
        calling.ask(self._api, call, Retries())

    @functools.cached_property
    def _api(self) -> Any:
        return self.ground.client()


def things() -> Iterator[Thing]:
    """Yield what the doctor looks at; of the policies one, which asks of nothing here."""
    for one in fit.things(HOME):
        name = one["metadata"]["name"]
        if one["kind"] not in LOOKED_AT:
            continue
        if one["kind"].startswith("Validating") and name not in POLICIES:
            continue
        if one["kind"] == "ValidatingAdmissionPolicyBinding":
            one["spec"]["matchResources"] = {"objectSelector": {"matchLabels": {HOME: "nobody"}}}
        yield one


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[Place]:
    found = Place(ground, {f"{one['kind']} {one['metadata']['name']}": one for one in things()})
    kserve = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kserve"}}
    found.apply(kserve)
    first = ("ResidencyProfile", "Namespace")
    for one in sorted(found.things.values(), key=lambda one: one["kind"] not in first):
        found.apply(one)
    yield found
    for one in found.things.values():
        if one["metadata"].get("namespace") != HOME:
            with contextlib.suppress(NotFound):
                found.delete(one)


def test_an_installation_of_our_manifests_lacks_nothing_but_policies(place: Place) -> None:
    found = place.look()

    rest = {what: str(one) for what, one in found.items() if one.status is not Status.WELL}
    assert set(rest) <= {"buckets", "policies on residency"}, rest
    assert found["split of traffic"].got == "deploy takes twins unless it is told"
    assert found["API server"].got.startswith("v1.")


BROKEN: dict[str, tuple[str, Thing | None, str, str, Status, str]] = {
    "a Secret": ("Secret falaj-signing", None,
        "secrets", "Secret falaj-signing", Status.MISSING, "not there"),
    "a runtime": ("ClusterServingRuntime falaj-torch", None,
        "serving", "ClusterServingRuntime falaj-torch", Status.MISSING, "not there"),
    "an image": ("ClusterStorageContainer falaj-sealed",
        {"spec": {"container": {"name": "storage-initializer", "image": "opener:latest"}}},
        "serving", "ClusterStorageContainer falaj-sealed", Status.WARNING, "opener:latest"),
    "the runner's rights": ("RoleBinding falaj-runner", None,
        "rights", "falaj-runner may deploy", Status.MISSING, "may not get, create, patch"),
    "the guard of the law": ("ValidatingAdmissionPolicyBinding falaj-law", None,
        "residency", "policy falaj-law", Status.MISSING, "not bound"),
    "the policy of the law": ("ValidatingAdmissionPolicy falaj-law", None,
        "residency", "policy falaj-law", Status.MISSING, "not there"),
    "a policy": ("ValidatingAdmissionPolicy falaj-residency-pods", None,
        "residency", "policies on residency", Status.MISSING, "hold for health"),
    "the profile": ("ResidencyProfile health", None,
        "residency", "ResidencyProfile health", Status.MISSING, "not there"),
    "the law": (f"Namespace {HOME}", {"metadata": {"labels": {"falaj.example/residency": None}}},
        "residency", f"law of namespace {HOME}", Status.MISSING, "the strictest holds"),
    "Pod Security": (f"Namespace {HOME}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
        "namespace", f"Pod Security of {HOME}", Status.WARNING, "privileged"),
    "the site": ("ConfigMap falaj-site", {"data": {"AWS_REGION": "us-east-1"}},
        "settings", "ConfigMap falaj-site", Status.MISSING, "AWS_REGION is us-east-1"),
    "KServe's mode": ("ConfigMap inferenceservice-config",
        {"data": {"deploy": '{"defaultDeploymentMode": "Serverless"}'}},
        "kserve", "KServe mode", Status.WARNING, "Serverless"),
    "the class of volumes": ("StorageClass falaj", None,
        "storage", "StorageClass falaj", Status.WARNING, "not there"),
    "the Gateway": ("Gateway falaj", None,
        "gateway", "Gateway falaj", Status.MISSING, "not there"),
    "the Gateway, for rollouts": ("Gateway falaj", None,
        "traffic", "split of traffic", Status.MISSING, "there is no Gateway"),
    "the class of gateways": ("GatewayClass istio", None,
        "gateway", "Gateway falaj class", Status.MISSING, "no GatewayClass istio"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_taken_away_or_changed_is_said(broken: str, place: Place) -> None:
    name, body, check, what, status, words = BROKEN[broken]
    thing = place.things[name]
    if body is None:
        place.delete(thing)
    else:
        place.patch(fit.path(thing), body)

    def changed() -> Finding | None:  # who may do what is known a moment later
        found = place.look(check)[what]
        return None if found.status is Status.WELL else found

    found = applied.until(changed, f"the doctor misses {broken}")

    place.apply(thing)
    assert (found.status, words in found.got) == (status, True), found


def test_a_gateway_that_is_not_programmed_is_missed(place: Place) -> None:
    place.accept({"Programmed": "False"})

    found = place.look("gateway")["Gateway falaj"]

    place.accept({})
    assert (found.status, found.got) == (Status.MISSING, "not Programmed: by a test")


def test_somebody_with_fewer_rights_is_told_what_cannot_be_known(place: Place) -> None:
    found = place.look(who=AMAL)

    unknown = {what for what, one in found.items() if one.status is Status.UNKNOWN}
    missing = [str(one) for one in found.values() if one.status is Status.MISSING]
    assert missing == []
    assert {"Secret falaj-keys", "KServe mode", "policies on residency"} <= unknown, found
    assert found["KServe mode"].got == "for the same reason as KServe settings"
    assert "falaj-runner may deploy" in unknown
    assert found["this identity may run"].status is Status.WELL
    assert found["this identity may deploy"].status is Status.WARNING
    assert found["Secret falaj-object-store"].got == "this identity may not get secrets"
    assert found["Secret falaj-keys"].got == "for the same reason as Secret falaj-object-store"
    admission = "admissionregistration.k8s.io"
    listed = f"this identity may not list validatingadmissionpolicies.{admission}"
    assert found["policies on residency"].got == listed
    reviews = "this identity may not create subjectaccessreviews.authorization.k8s.io"
    assert found["falaj-runner may run a step"].got == reviews


def test_what_somebody_must_do_and_may_not_is_missing(place: Place) -> None:
    found = place.look("rights", who=AMAL, must="deploy")["this identity may deploy"]

    assert found.status is Status.MISSING
    assert "create, patch inferenceservices.serving.kserve.io" in found.got


def test_what_a_secret_holds_does_not_leave_the_api_server(place: Place) -> None:
    path = fit.path(place.things["Secret falaj-keys"])
    place.patch(path, {"stringData": {"wrapping.key": "hidden"}})

    found = Kubernetes(place.ground.cluster(None, HOME)).heading(path)

    assert found is not None
    assert found["metadata"]["name"] == "falaj-keys"
    assert "data" not in found


def test_nothing_is_written_to_the_cluster(place: Place) -> None:
    who = Person(f"doctor-{uuid.uuid4().hex[:6]}", ("system:masters",))

    place.look(who=who)

    asked = [
        (event["verb"], event["objectRef"]["resource"])
        for event in map(json.loads, place.ground.audit.read_text().splitlines())
        if event["user"]["username"] == who.name and event["verb"] not in {"get", "list"}
    ]
    reviews = {"selfsubjectaccessreviews", "selfsubjectreviews", "subjectaccessreviews"}
    assert {verb for verb, _ in asked} == {"create"}
    assert {resource for _, resource in asked} == reviews


def test_the_command_says_it_all_and_ends_by_what_is_missing(
    place: Place,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(fit.quiet(fit.site(HOME)).text())
    monkeypatch.setenv("KUBECONFIG", str(place.ground.kubeconfig()))

    code = main(["doctor", "--site", str(site), "--json"])

    said = capsys.readouterr()
    findings = json.loads(said.out)["findings"]
    missing = [one["what"] for one in findings if one["status"] == "missing"]
    assert (code, missing[0]) == (3, "ConfigMap falaj-site")
    assert set(missing) <= {"ConfigMap falaj-site", "policies on residency"}
    assert {"check", "what", "status", "got", "expected", "do"} == set(findings[0])
    assert "missing; the first is ConfigMap falaj-site: PROMETHEUS_URL is" in said.err
