"""What every overlay must hold: full equality with its golden, valid objects, safe ones."""

import pathlib
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.site import Profile
from tests.manifests import requests, served, told_once
from tests.manifests.conftest import ROOT, objects_of
from tests.manifests.features import base_with
from tests.manifests.schemas import Schemas
from tests.manifests.teams import Team, containers, one, scalars, teams, title

Thing = dict[str, Any]
DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")
RUNTIMES = pytest.mark.parametrize("name", ["falaj-onnx", "falaj-torch", "falaj-tensorflow"])
ON_A_CLUSTER = {
    "cert-manager.io",
    "cilium.io",
    "falaj.example",
    "jobset.x-k8s.io",
    "keda.sh",
    "kueue.x-k8s.io",
    "monitoring.coreos.com",
    "networking.istio.io",
    "security.istio.io",
    "trainer.kubeflow.org",
}
DANGEROUS = {"*", "escalate", "bind", "impersonate", "deletecollection"}


def test_builds_what_the_golden_says(
    overlay: str, text: str, golden: Callable[[str, str], None]
) -> None:
    golden(f"overlays/{overlay}.yaml", told_once.shortened(text))


def test_every_object_is_valid(things: list[Thing], known: Schemas) -> None:
    mine = [thing for thing in things if known.knows(thing)]

    assert {title(thing): errors for thing in mine if (errors := known.errors(thing))} == {}


def test_only_a_cluster_knows_the_rest(things: list[Thing], known: Schemas) -> None:
    """Their definitions come from Go modules; tests/cluster/test_overlays.py applies them."""
    unknown = {thing["apiVersion"].partition("/")[0] for thing in things if not known.knows(thing)}

    assert unknown <= ON_A_CLUSTER


def test_every_image_is_a_digest(things: list[Thing]) -> None:
    images = [container["image"] for container in containers(things)]

    assert images
    assert [image for image in images if not DIGEST.fullmatch(image)] == []


def test_every_container_is_restricted(things: list[Thing]) -> None:
    for container in containers(things):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, container["name"]


def test_every_container_has_limits_and_a_place_for_temporary_files(things: list[Thing]) -> None:
    for container in containers(things):
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108


@RUNTIMES
def test_every_mount_has_its_volume_in_the_runtime(things: list[Thing], name: str) -> None:
    runtime = one(things, "ClusterServingRuntime", name)
    opener = one(things, "ClusterStorageContainer", "falaj-sealed")
    volumes = {volume["name"] for volume in runtime["spec"]["volumes"]}

    mounts = {m["name"] for c in containers([runtime, opener]) for m in _mounts(c)}

    assert mounts == volumes


def test_only_the_opener_sees_the_keys(things: list[Thing]) -> None:
    """The attestor has a ring of its own."""
    sees = {c["name"] for c in containers(things) for m in _mounts(c) if "keys" in m["name"]}

    assert sees == {"storage-initializer", "attestor"}
    others = [t for t in things if t["kind"] != "CronJob"]
    assert "falaj-attestor-keys" not in {text for t in others for _, text in scalars(t)}


@RUNTIMES
def test_serving_has_the_ring_that_opens_and_all_of_it(things: list[Thing], name: str) -> None:
    """Named keys would leave out what a rotation adds; the Secret holds no key that signs."""
    runtime = one(things, "ClusterServingRuntime", name)
    [keys] = [v["secret"] for v in runtime["spec"]["volumes"] if "secret" in v]

    assert keys["secretName"] == "falaj-keys"
    assert "items" not in keys
    assert keys["defaultMode"] == 0o440  # the key ring refuses files that everybody may read


def test_no_rule_is_dangerous(things: list[Thing]) -> None:
    for rule in _rules(things):
        assert not DANGEROUS.intersection(rule["verbs"] + rule["resources"] + rule["apiGroups"])


def test_secrets_are_read_one_by_one_by_name(things: list[Thing]) -> None:
    """Who keeps the keys may also replace the two that hold them; nobody else writes one."""
    custodian = ("falaj-key-custodian", ["get", "update", "patch"], ["falaj-keys", "falaj-signing"])
    ruled = [(thing["metadata"]["name"], rule) for thing in things for rule in _rules([thing])]
    secret_rules = [(name, rule) for name, rule in ruled if "secrets" in rule["resources"]]

    assert secret_rules
    for name, rule in secret_rules:
        assert rule["resources"] == ["secrets"]
        assert rule["resourceNames"]
        if (name, rule["verbs"], rule["resourceNames"]) != custodian:
            assert rule["verbs"] == ["get"], name


def test_holds_no_secret(things: list[Thing]) -> None:
    assert [title(thing) for thing in things if thing["kind"] == "Secret"] == []


def test_every_namespace_says_its_residency_profile(things: list[Thing]) -> None:
    namespaces = [thing for thing in things if thing["kind"] == "Namespace"]

    assert namespaces
    for namespace in namespaces:
        assert Profile(namespace["metadata"]["labels"]["falaj.example/residency"])


def test_every_namespace_in_use_is_a_teams(things: list[Thing]) -> None:
    used = {thing["metadata"].get("namespace") for thing in things} - {None}

    assert used == {team.name for team in teams(things)}


def test_every_namespace_is_held_to_the_strictest_pod_security(things: list[Thing]) -> None:
    for team in teams(things):
        labels = team.namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_object_is_labelled_as_ours(things: list[Thing]) -> None:
    for thing in things:
        labels = thing["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "falaj", title(thing)


def test_the_site_and_the_namespace_agree(things: list[Thing]) -> None:
    for team in teams(things):
        labels = team.namespace["metadata"]["labels"]
        assert team.site["FALAJ_NAMESPACE"] == team.name
        assert team.site["FALAJ_RESIDENCY"] == labels["falaj.example/residency"]


def test_the_launcher_writes_to_the_same_store_as_the_steps(things: list[Thing]) -> None:
    for team in teams(things):
        store = urllib.parse.urlsplit(team.site["AWS_ENDPOINT_URL"])
        s3 = _providers(team)["s3"]["default"]
        assert s3["endpoint"] == store.netloc
        assert s3["disableSSL"] == (store.scheme == "http")
        assert s3["region"] == team.site["AWS_REGION"]


def test_the_pipeline_root_is_the_sites_and_has_no_query_string(things: list[Thing]) -> None:
    for team in teams(things):
        launcher = team.one("ConfigMap", "kfp-launcher")["data"]
        assert launcher["defaultPipelineRoot"] == f"{team.site['FALAJ_BUCKETS']}-runs/kfp"


def test_the_launcher_may_read_the_secret_it_names(things: list[Thing]) -> None:
    for team in teams(things):
        secret = _providers(team)["s3"]["default"]["credentials"]["secretRef"]["secretName"]
        rules = team.one("Role", "falaj-runner")["rules"]
        assert secret in {name for rule in rules for name in rule.get("resourceNames", [])}


def test_rights_are_given_to_the_teams_own_people_and_machines(things: list[Thing]) -> None:
    for team in teams(things):
        subjects = [s for t in team.things for s in t.get("subjects", [])]
        groups = {s["name"].partition(":")[:2] for s in subjects if s["kind"] == "Group"}
        assert groups == {(team.site["FALAJ_GROUPS"], ":")}
        assert {s["namespace"] for s in subjects if s["kind"] == "ServiceAccount"} == {team.name}


def test_whoever_has_rights_in_the_cluster_is_there(things: list[Thing]) -> None:
    """Each team's own attestor; an account that nobody made could be made by somebody else."""
    made = {title(thing) for thing in things if thing["kind"] == "ServiceAccount"}
    bound = [
        (subject, thing)
        for thing in things
        for subject in thing.get("subjects", [])
        if subject["kind"] == "ServiceAccount"
    ]

    assert {f"ServiceAccount/{s['namespace']}/{s['name']}" for s, _ in bound} <= made
    wide = [s["namespace"] for s, thing in bound if thing["kind"] == "ClusterRoleBinding"]
    assert sorted(wide) == sorted(team.name for team in teams(things))


def test_a_served_model_has_no_kubernetes_token(things: list[Thing]) -> None:
    for team in teams(things):
        account = team.one("ServiceAccount", "falaj-serving")
        assert account["automountServiceAccountToken"] is False
        assert account["secrets"] == [{"name": "falaj-object-store"}]


def test_a_team_has_what_every_team_has() -> None:
    first, second = teams(_enterprise())

    assert {title(t).replace(first.name, second.name) for t in first.things} == {
        title(t) for t in second.things
    }


def test_nothing_is_lost_between_the_platform_and_the_teams(tmp_path: pathlib.Path) -> None:
    whole = base_with(tmp_path, "../overlays/enterprise/features")

    assert _kinds(_enterprise()) == _kinds(whole)


def test_teams_share_no_bucket_and_no_people() -> None:
    first, second = (team.site for team in teams(_enterprise()))

    assert first["FALAJ_BUCKETS"] != second["FALAJ_BUCKETS"]
    assert first["FALAJ_GROUPS"] != second["FALAJ_GROUPS"]


def test_health_data_is_kept_for_25_years_and_lies_in_the_country() -> None:
    [team] = teams(_built("health"))
    declared = yaml.safe_load(team.one("ConfigMap", "falaj-buckets")["data"]["buckets.yaml"])

    assert team.site["FALAJ_RESIDENCY"] == Profile.HEALTH.value
    assert declared["retention_years"][team.site["FALAJ_RESIDENCY"]] >= 25
    assert team.site["FALAJ_COUNTRY"] == "AE"


def test_what_an_overlay_asks_of_its_nodes_is_what_the_page_says(
    overlay: str, things: list[Thing]
) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()

    asked = (requests.standing(things), _with_a_model(things), requests.passing(things))

    assert f"| `{overlay}` | {' | '.join(map(str, asked))} |" in page


def _mounts(container: Mapping[str, Any]) -> list[Thing]:
    mounts: list[Thing] = container.get("volumeMounts", [])
    return mounts


def _rules(things: list[Thing]) -> Iterator[Thing]:
    for thing in things:
        yield from thing.get("rules", [])


def _with_a_model(things: list[Thing]) -> requests.Requests:
    """Add one pod in each slot of one model of each team."""
    service = slots.manifest(Version("a", RELEASE), Capacity())
    pod = requests.of_pod(served.predictor(service)["spec"])
    return requests.standing(things) + pod.times(len(slots.SLOTS) * len(teams(things)))


def _providers(team: Team) -> Thing:
    text = team.one("ConfigMap", "kfp-launcher")["data"]["providers"]
    providers: Thing = yaml.safe_load(text)
    return providers


def _built(overlay: str) -> list[Thing]:
    return objects_of(f"kustomize/overlays/{overlay}")


def _enterprise() -> list[Thing]:
    return _built("enterprise")


def _kinds(things: list[Thing]) -> set[tuple[str, str]]:
    """Name what there is, whosever it is; a namespace is called as its team."""
    return {(thing["kind"], _whosever(thing)) for thing in things}


def _whosever(thing: Thing) -> str:
    """Leave out of a name the team's: all of a namespace's, the end of what is labelled so."""
    name: str = thing["metadata"]["name"]
    own = thing["metadata"].get("labels", {}).get("falaj.example/of") == "team"
    return "" if thing["kind"] == "Namespace" else name.partition(".")[0] if own else name
