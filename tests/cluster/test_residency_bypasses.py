"""Ways around the policies on residency, tried as an administrator, whom RBAC does not stop."""

import copy
import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.governance.residency import cel, policies, profiles, rules
from components.governance.residency.reading import LABEL
from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Person
from tests.cluster.residency import court
from tests.cluster.residency.asking import Answer
from tests.cluster.residency.court import APPLY, PROFILES, TRY, Court, Thing, until

NAME = "residency-bypasses"
ABROAD, HOME = "https://s3.eu-west-1.amazonaws.com", "https://s3.me-central-1.amazonaws.com"
CHOSEN = ("gateways", "inferenceservices", "pods", "storageclasses", "workloads")
IMAGE = "registry.falaj.svc/falaj/data@sha256:" + 64 * "0"
ENV = [{"name": "AWS_ENDPOINT_URL", "value": ABROAD}]
FIRST = "/spec/template/spec/containers/0/env/0/value"


def _of_containers(container: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


PATCHES: dict[str, tuple[str, Any]] = {
    "json": (
        "application/json-patch+json",
        [{"op": "replace", "path": FIRST, "value": ABROAD}],
    ),
    "merge": (
        "application/merge-patch+json",
        _of_containers({"name": "it", "image": IMAGE, "env": ENV}),
    ),
    "strategic": (
        "application/strategic-merge-patch+json",
        _of_containers({"name": "it", "env": ENV}),
    ),
}


@pytest.fixture(scope="module")
def bench(ground: Access) -> Iterator[Court]:
    """Some policies in force for what carries a label of this file; a Deployment that passes."""
    ground.kubectl("create", "namespace", NAME)
    chosen = [rules.policy(name) for name in CHOSEN]
    try:
        with court.in_session(ground, NAME, ["health", "pdpl"], chosen) as found:
            for thing in (pod(ABROAD), deployment(ABROAD), service(ABROAD)):
                until(functools.partial(_refused, found, thing), f"{thing['kind']} is asked about")
            made = found.server.send("POST", _deployments(), found.held(deployment(HOME), "health"))
            assert made.taken, made.said
            yield found
    finally:
        ground.kubectl("delete", "namespace", NAME, "--wait=false")


def _refused(bench: Court, thing: Thing) -> bool:
    return all(denied(bench.judge(thing, law)) for law in ("health", "pdpl"))


def pod(address: str, **metadata: Any) -> Thing:
    env = [{"name": "AWS_ENDPOINT_URL", "value": address}]
    container = {"name": "it", "image": IMAGE, "env": env}
    named = metadata or {"name": "it"}
    spec = {"containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": spec}


def deployment(address: str) -> Thing:
    template = {"metadata": {"labels": {"app": "it"}}, "spec": pod(address)["spec"]}
    return applied.deployment(NAME, "it", template, replicas=0)


def service(address: str) -> Thing:
    model = {"modelFormat": {"name": "falaj-onnx"}, "storageUri": f"{address}/model"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "it"},
        "spec": {"predictor": {"model": model}},
    }


def denied(answer: Answer) -> bool:
    return "denied request" in answer.said


def _deployments(name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{NAME}/deployments{name and '/' + name}"


# Writing in another way than by creating.


@pytest.mark.parametrize(("kind", "change"), PATCHES.values(), ids=PATCHES)
def test_a_patch_is_judged_by_what_comes_of_it(bench: Court, kind: str, change: Any) -> None:
    answer = bench.server.send("PATCH", _deployments("it"), change, kind=kind)

    assert denied(answer), answer.said
    assert "eu-west-1 at aws" in answer.said


def test_an_update_is_judged(bench: Court) -> None:
    thing = bench.server.send("GET", _deployments("it")).body
    thing["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = ABROAD

    assert denied(bench.server.send("PUT", _deployments("it"), thing))


def test_another_manager_that_applies_by_force_is_judged(bench: Court) -> None:
    where = f"{_deployments('it')}?fieldManager=somebody&force=true"

    assert denied(bench.server.send("PATCH", where, deployment(ABROAD), kind=APPLY))


def test_taking_the_label_of_an_object_off_with_the_change_is_too_late(bench: Court) -> None:
    """Policies of an installation go by namespaces; here an object says itself that it is held.

    The API server asks about the object before and after: one of the two is enough.
    """
    thing = bench.server.send("GET", _deployments("it")).body
    thing["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = ABROAD
    del thing["metadata"]["labels"][TRY]

    assert denied(bench.server.send("PUT", _deployments("it"), thing))


def test_replicas_can_still_be_scaled(bench: Court) -> None:
    change = {"spec": {"replicas": 0}}
    where = f"{_deployments('it')}/scale"

    assert bench.server.send("PATCH", where, change, kind=PATCHES["merge"][0]).taken


def test_a_pod_that_somebody_changes_behind_its_deployment_is_judged(bench: Court) -> None:
    """Of a pod that runs only its images may be changed, and containers added for debugging."""
    where = f"/api/v1/namespaces/{NAME}/pods"
    until(
        lambda: bench.ground.kubectl("-n", NAME, "get", "sa", "default", check=False).stdout, "sa"
    )
    made = bench.server.send("POST", where, bench.held(pod(HOME, name="behind"), "health"))
    assert made.taken, made.said
    image = {"spec": {"containers": [{"name": "it", "image": "gcr.io/other/image:1"}]}}
    debug = {"name": "debug", "image": IMAGE, "env": ENV}
    added = {"spec": {"ephemeralContainers": [debug]}}
    strategic = PATCHES["strategic"][0]

    changed = bench.server.send("PATCH", f"{where}/behind", image, kind=strategic)
    beside = bench.server.send(
        "PATCH", f"{where}/behind/ephemeralcontainers", added, kind=strategic
    )

    assert denied(changed), changed.said
    assert denied(beside), beside.said


def test_a_name_that_is_made_up_later_is_no_way_around(bench: Court) -> None:
    assert denied(bench.judge(pod(ABROAD, generateName="it-"), "health"))


def test_each_object_of_a_list_is_judged(bench: Court) -> None:
    things = [bench.held(pod(where, name=name), "health") for name, where in
              (("first", HOME), ("second", ABROAD))]  # fmt: skip
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})

    done = bench.ground.kubectl(
        "create", "--dry-run=server", "--validate=false", "-f", "-", input=listed, check=False
    )

    assert "pod/first created" in done.stdout
    assert "second" not in done.stdout
    assert "denied request" in done.stderr


def test_an_older_version_of_a_kind_is_judged_as_well(bench: Court) -> None:
    listener = {"name": "it", "port": 443, "protocol": "HTTPS", "hostname": "s3.amazonaws.com"}
    listener["tls"] = {"certificateRefs": [{"name": "it"}]}
    spec = {"gatewayClassName": "istio", "listeners": [listener]}
    gateway = {"kind": "Gateway", "metadata": {"name": "it"}, "spec": spec}

    for version in ("v1", "v1beta1"):
        thing = {"apiVersion": f"gateway.networking.k8s.io/{version}", **gateway}
        answer = bench.judge(thing, "health")
        assert denied(answer), f"{version}: {answer.said}"


# Objects that are not as a policy expects them.


def test_an_object_without_a_spec_is_refused_or_says_nothing(bench: Court) -> None:
    bare = {key: part for key, part in service(HOME).items() if key != "spec"}

    answer = bench.judge(bare, "health")

    assert not answer.taken or "spec" not in answer.body


def test_an_object_too_large_to_judge_is_refused(bench: Court) -> None:
    """What costs more than the API server allows for a policy is an error, and an error denies.

    One address, and at home: nothing but the cost of reading the text after it refuses this.
    """
    thing = pod(HOME)
    thing["spec"]["containers"][0]["args"] = [f"{HOME}/x {'and so on ' * 100_000}"]

    answer = bench.judge(thing, "health")

    assert not cel.evaluate(rules.policy("pods"), thing, profiles.all_by_name()["health"])[
        "findings"
    ]
    assert bench.judge(pod(HOME), "health").taken
    assert denied(answer), answer.said[-300:]
    assert answer.said.endswith("cost limit exceeded"), answer.said[-300:]


# Taking away what policies need.


def test_without_its_profile_a_policy_denies(bench: Court) -> None:
    bound = bench.bind(rules.policy("inferenceservices"), "health")
    bound["metadata"]["name"] += "-gone"
    bound["spec"]["paramRef"]["name"] = "gone"
    bound["spec"]["matchResources"] = {"objectSelector": {"matchLabels": {TRY: "gone"}}}
    bench.make(bound)
    thing = service(HOME)
    thing["metadata"]["labels"] = {TRY: "gone"}

    def said() -> str:
        return bench.server.create(thing, NAME).said

    until(lambda: "no params found" in said() or None, "a policy without its profile denies")


def test_without_the_kind_of_profiles_a_policy_denies(bench: Court) -> None:
    """As if the CustomResourceDefinition were deleted: the kind that the policy names is unknown.

    Then it denies whatever it is about, in every namespace, bound to it or not.
    """
    policy = bench.own(policies.admission(rules.policy("inferenceservices")), "-kindless")
    policy["spec"]["paramKind"]["kind"] = "ForgottenProfile"
    bound = bench.bind(rules.policy("inferenceservices"), "health")
    bound["metadata"]["name"] += "-kindless"
    bound["spec"]["policyName"] = policy["metadata"]["name"]
    bound["spec"]["matchResources"] = {"objectSelector": {"matchLabels": {TRY: "kindless"}}}
    thing = service(HOME)
    thing["metadata"]["labels"] = {TRY: "kindless"}
    bench.make(policy)
    bench.make(bound)

    until(lambda: not bench.server.create(thing, NAME).taken, "it denies")
    bench.drop(policy)

    until(lambda: bench.server.create(thing, NAME).taken, "it is forgotten")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("health", {"hardLocal": False}),
        ("health", {"country": "IE"}),
        ("pdpl", {"hosts": ["@unreadable"]}),
        ("pdpl", {"suffixes": [""]}),
        ("pdpl", {"suffixes": ["com"]}),
        ("pdpl", {"places": ["@scheme"]}),
        ("pdpl", {"networks": ["0.0.0.0/0"]}),
        ("pdpl", {"law": None}),
        ("pdpl", {"bases": [{"id": "b"}]}),
        ("another", {}),
    ],
    ids=str,
)
def test_a_profile_that_would_open_everything_is_no_profile(
    bench: Court, name: str, change: Thing
) -> None:
    thing = copy.deepcopy(profiles.all_by_name()["health" if name == "another" else name])
    thing["metadata"]["name"] = name
    thing["spec"] = {k: v for k, v in {**thing["spec"], **change}.items() if v is not None}
    where = f"{PROFILES}/{name}?fieldManager=tests&force=true&dryRun=All&fieldValidation=Strict"

    answer = bench.server.send("PATCH", where, thing, kind=APPLY)

    assert answer.status == 422, answer.said


# Which law holds.


@pytest.mark.parametrize(
    ("namespace", "labels", "law"),
    [
        ("residency-law-own", {LABEL: "pdpl"}, "pdpl"),
        ("residency-law-none", {}, "unlabelled"),
        ("residency-law-other", {LABEL: "adgm"}, "unlabelled"),
        ("residency-law-unknown", {LABEL: "PDPL"}, "unlabelled"),
        ("kube-public", None, None),
    ],
)
def test_a_namespace_has_the_law_that_it_names_or_the_strictest(
    bench: Court, laws: str, namespace: str, labels: Thing | None, law: str | None
) -> None:
    if labels is not None:
        named = {"name": namespace, "labels": labels}
        bench.server.send("POST", "/api/v1/namespaces", {"metadata": named})
    thing = service(ABROAD)
    thing["metadata"]["labels"] = {TRY: laws}

    def answered() -> Answer | None:
        answer = bench.server.create(thing, namespace)
        return answer if answer.taken == (law is None) and "not found" not in answer.said else None

    answer = until(answered, f"{namespace} is under {law}")
    bench.ground.kubectl("delete", "namespace", namespace, "--wait=false", check=False)
    expected = profiles.all_by_name()[law]["spec"]["law"] if law else ""
    assert expected in answer.said


@pytest.mark.parametrize("law", ["pdpl"])
def test_what_lies_in_no_namespace_is_under_the_sites_law(
    bench: Court, laws: str, law: str
) -> None:
    thing = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "it", "labels": {TRY: laws}},
        "provisioner": "disk.csi.azure.com",
        "parameters": {"location": "westeurope"},
    }

    def said() -> str | None:
        return bench.server.create(thing, "").said or None

    assert profiles.all_by_name()[law]["spec"]["law"] in until(said, "a class is refused")


@pytest.fixture(scope="module")
def laws(bench: Court) -> str:
    """Bindings as they ship, for a site under `pdpl`, of what carries one more label."""
    for policy in (rules.policy("inferenceservices"), rules.policy("storageclasses")):
        for bound in (policies.binding(policy, "pdpl"), policies.strictest(policy, "pdpl")):
            own = bench.own(bound, "-laws")
            own["spec"]["policyName"] += f"-{bench.label}"
            selector = {"matchLabels": {TRY: f"{bench.label}-laws"}}
            own["spec"]["matchResources"]["objectSelector"] = selector
            bench.make(own)
    return f"{bench.label}-laws"


# Who may put a namespace under another law.


@pytest.fixture(scope="module")
def guarded(ground: Access, bench: Court) -> Iterator[str]:
    """A namespace under a law, and people: one may write namespaces, one profiles, one both."""
    things = applied.concern("namespace", NAME)
    own = [bench.own(t) for t in things if t["kind"].startswith("ValidatingAdmission")]
    for thing in own:
        if "policyName" in thing["spec"]:
            thing["spec"]["policyName"] = own[0]["metadata"]["name"]
            selector = {"matchLabels": {TRY: f"{bench.label}-guarded"}}
            thing["spec"]["matchResources"] = {"objectSelector": selector}
        bench.make(thing)
    rights = {
        "namespaces": ("", "namespaces", []),
        "profiles": ("falaj.example", "residencyprofiles", ["pdpl"]),
    }
    roles = list(_roles(bench.label, rights))
    applied.apply(ground, roles)
    yield f"{bench.label}-guarded"
    ground.kubectl("delete", "clusterrole,clusterrolebinding", "-l", f"{TRY}={bench.label}")


def _roles(label: str, rights: dict[str, tuple[str, str, list[str]]]) -> Iterator[Thing]:
    api, labels = "rbac.authorization.k8s.io", {TRY: label}
    people = {"namespaces": ["owner", "both"], "profiles": ["answers", "both"]}
    for name, (group, resource, names) in rights.items():
        metadata = {"name": f"{label}-{name}", "labels": labels}
        rule = {"apiGroups": [group], "resources": [resource], "verbs": ["get", "create", "update",
                "patch"], "resourceNames": names}  # fmt: skip
        kind = {"apiVersion": f"{api}/v1", "metadata": metadata}
        yield {**kind, "kind": "ClusterRole", "rules": [rule if names else _without(rule)]}
        subjects = [{"kind": "User", "name": f"{label}-{one}", "apiGroup": api} for one in
                    people[name]]  # fmt: skip
        ref = {"apiGroup": api, "kind": "ClusterRole", "name": metadata["name"]}
        yield {**kind, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": subjects}


def _without(rule: Thing) -> Thing:
    return {key: part for key, part in rule.items() if key != "resourceNames"}


@pytest.mark.parametrize(
    ("who", "law", "says"),
    [
        ("owner", "pdpl", "may not change the ResidencyProfile pdpl"),
        ("owner", "", ""),
        ("answers", "pdpl", "cannot create resource"),
        ("both", "adgm", "may not change the ResidencyProfile adgm"),
        ("both", "pdpl", ""),
    ],
)
def test_only_who_may_change_a_profile_puts_a_namespace_under_its_law(
    ground: Access, bench: Court, guarded: str, who: str, law: str, says: str
) -> None:
    labels = {TRY: guarded, **({LABEL: law} if law else {})}
    metadata = {"name": f"{bench.label}-{who}", "labels": labels}
    thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    person = Person(f"{bench.label}-{who}")

    def answered() -> str | None:
        done = ground.kubectl("create", "--dry-run=server", "-f", "-", who=person,
                              input=json.dumps(thing), check=False)  # fmt: skip
        return done.stderr if says in done.stderr and bool(says) == bool(done.stderr) else None

    assert says in until(answered, f"{who} is told {says!r}")


# A transfer that somebody recorded.


def test_a_recorded_transfer_passes_where_the_law_knows_one_and_is_written_down(
    bench: Court,
) -> None:
    host = ABROAD.removeprefix("https://")
    basis = {"id": "it", "article": "Article 22", "places": [host], "recordedBy": "dpo",
             "recordedOn": "2026-11-29"}  # fmt: skip
    for law in ("health", "pdpl"):
        thing = copy.deepcopy(profiles.all_by_name()[law])
        thing["spec"]["bases"] = [basis]
        done = bench.server.send("PATCH", f"{PROFILES}/{law}?fieldManager=tests&force=true", thing,
                                 kind=APPLY)  # fmt: skip
        assert done.taken, done.said
    claim = service(ABROAD)
    claim["metadata"]["annotations"] = {"falaj.example/transfer-basis": "it"}

    until(lambda: bench.judge(claim, "pdpl").taken or None, "the recorded transfer passes")

    assert denied(bench.judge(claim, "health"))
    assert denied(bench.judge(service(ABROAD), "pdpl"))
    written = [line for line in bench.ground.audit.read_text().splitlines() if "/transfer" in line]
    assert any(f"{ABROAD}/model" in line for line in written)
