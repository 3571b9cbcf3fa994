"""What every overlay must hold: full equality with its golden, valid objects, safe ones."""

import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from components.foundation.site import Profile
from tests.manifests.schemas import Schemas

Thing = dict[str, Any]
DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
RUNTIMES = pytest.mark.parametrize("name", ["falaj-onnx", "falaj-torch", "falaj-tensorflow"])
ON_A_CLUSTER = {
    "cert-manager.io",
    "cilium.io",
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
    golden(f"overlays/{overlay}.yaml", text)


def test_every_object_is_valid(things: list[Thing], known: Schemas) -> None:
    mine = [thing for thing in things if known.knows(thing)]

    assert {_title(thing): errors for thing in mine if (errors := known.errors(thing))} == {}


def test_only_a_cluster_knows_the_rest(things: list[Thing], known: Schemas) -> None:
    """Their definitions come from Go modules; tests/cluster/test_overlays.py applies them."""
    unknown = {thing["apiVersion"].partition("/")[0] for thing in things if not known.knows(thing)}

    assert unknown <= ON_A_CLUSTER


def test_every_image_is_a_digest(things: list[Thing]) -> None:
    images = [container["image"] for container in _containers(things)]

    assert images
    assert [image for image in images if not DIGEST.fullmatch(image)] == []


def test_every_container_is_restricted(things: list[Thing]) -> None:
    for container in _containers(things):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, container["name"]


def test_every_container_has_limits_and_a_place_for_temporary_files(things: list[Thing]) -> None:
    for container in _containers(things):
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108


@RUNTIMES
def test_every_mount_has_its_volume_in_the_runtime(things: list[Thing], name: str) -> None:
    runtime = _one(things, "ClusterServingRuntime", name)
    opener = _one(things, "ClusterStorageContainer", "falaj-sealed")
    volumes = {volume["name"] for volume in runtime["spec"]["volumes"]}

    mounts = {m["name"] for c in _containers([runtime, opener]) for m in _mounts(c)}

    assert mounts == volumes


def test_only_the_opener_sees_the_keys(things: list[Thing]) -> None:
    sees = {c["name"] for c in _containers(things) for m in _mounts(c) if "keys" in m["name"]}

    assert sees == {"storage-initializer"}


@RUNTIMES
def test_serving_has_the_ring_that_opens_and_all_of_it(things: list[Thing], name: str) -> None:
    """Named keys would leave out what a rotation adds; the Secret holds no key that signs."""
    runtime = _one(things, "ClusterServingRuntime", name)
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
    assert [_title(thing) for thing in things if thing["kind"] == "Secret"] == []


def test_every_namespace_says_its_residency_profile(things: list[Thing]) -> None:
    namespaces = [thing for thing in things if thing["kind"] == "Namespace"]

    assert namespaces
    for namespace in namespaces:
        assert Profile(namespace["metadata"]["labels"]["falaj.example/residency"])


def test_every_namespace_in_use_is_one_of_ours(things: list[Thing]) -> None:
    ours = {thing["metadata"]["name"] for thing in things if thing["kind"] == "Namespace"}

    used = {thing["metadata"].get("namespace") for thing in things} - {None}

    assert used == ours


def test_every_object_is_labelled_as_ours(things: list[Thing]) -> None:
    for thing in things:
        labels = thing["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "falaj", _title(thing)


def test_the_site_and_the_namespace_agree_on_residency(things: list[Thing]) -> None:
    site = _one(things, "ConfigMap", "falaj-site")["data"]

    namespace = _one(things, "Namespace", site["FALAJ_NAMESPACE"])

    assert namespace["metadata"]["labels"]["falaj.example/residency"] == site["FALAJ_RESIDENCY"]


def test_the_launcher_writes_to_the_same_store_as_the_steps(things: list[Thing]) -> None:
    site = _one(things, "ConfigMap", "falaj-site")["data"]
    store = urllib.parse.urlsplit(site["AWS_ENDPOINT_URL"])

    s3 = _providers(things)["s3"]["default"]

    assert s3["endpoint"] == store.netloc
    assert s3["disableSSL"] == (store.scheme == "http")
    assert s3["region"] == site["AWS_REGION"]


def test_the_pipeline_root_has_no_query_string(things: list[Thing]) -> None:
    launcher = _one(things, "ConfigMap", "kfp-launcher")["data"]

    assert re.fullmatch(r"s3://falaj-runs/[\w/-]+", launcher["defaultPipelineRoot"])


def test_the_launcher_may_read_the_secret_it_names(things: list[Thing]) -> None:
    secret = _providers(things)["s3"]["default"]["credentials"]["secretRef"]["secretName"]

    allowed = {name for rule in _rules(things) for name in rule.get("resourceNames", [])}

    assert secret in allowed


def test_a_served_model_has_no_kubernetes_token(things: list[Thing]) -> None:
    account = _one(things, "ServiceAccount", "falaj-serving")

    assert account["automountServiceAccountToken"] is False
    assert account["secrets"] == [{"name": "falaj-object-store"}]


def _one(things: list[Thing], kind: str, name: str) -> Thing:
    [found] = [t for t in things if t["kind"] == kind and t["metadata"]["name"] == name]
    return found


def _containers(things: list[Thing]) -> Iterator[Thing]:
    for thing in things:
        spec = thing.get("spec", {})
        yield from spec.get("containers", [])
        yield from [spec["container"]] if "container" in spec else []


def _mounts(container: Mapping[str, Any]) -> list[Thing]:
    mounts: list[Thing] = container.get("volumeMounts", [])
    return mounts


def _rules(things: list[Thing]) -> Iterator[Thing]:
    for thing in things:
        yield from thing.get("rules", [])


def _providers(things: list[Thing]) -> Thing:
    providers: Thing = yaml.safe_load(
        _one(things, "ConfigMap", "kfp-launcher")["data"]["providers"]
    )
    return providers


def _title(thing: Thing) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"
