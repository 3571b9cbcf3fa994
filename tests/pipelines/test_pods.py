"""What a site says of pods is what a compiled pipeline holds, for each step and no other."""

import pathlib
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import compiler

from components.foundation.errors import Refused, UserError
from components.foundation.site import Site
from components.governance.residency import checking, reading
from pipelines import compiled, pods
from pipelines.place import Place
from pipelines.project import load

ROOT = pathlib.Path(__file__).parents[2]
CLUSTER = (ROOT / "pipelines/sites/cluster.yaml").read_text()
SAID = """
pods:
  every:
    image_pull_secrets: [registry-login]
    labels: {team: delays}
    node_affinity: [{key: pool, values: [batch, spare]}]
  families:
    torch:
      accelerator: {type: nvidia.com/gpu, count: 2}
      empty_dirs: [{name: shm, mount: /dev/shm, medium: Memory, size: 2Gi}]
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
      node_selector: {nvidia.com/gpu.product: NVIDIA-H100}
  steps:
    train_torch:
      cpu: 4
      memory: 16G
      timeout_s: 7200
      image_pull_policy: IfNotPresent
      security: {user: 1001, group: 1002}
      claims: [{name: cache, mount: /mnt/cache, sub_path: a}]
      secrets: [{name: licence, env: {key: LICENCE}}, {name: ca, mount: /etc/ca, optional: true}]
      config_maps: [{name: proxy, env: {url: HTTPS_PROXY}}, {name: conf, mount: /etc/conf}]
      annotations: {sidecar.istio.io/inject: "false"}
      node_affinity:
        - {key: local-disk, operator: Exists}
        - {key: topology.kubernetes.io/zone, values: [me-central-1a], weight: 50}
      ephemeral_volumes:
        - {name: scratch, mount: /scratch, size: 200Gi, storage_class: encrypted}
        - {name: spill, mount: /spill, size: 1Gi, access_modes: [ReadWriteOncePod],
           labels: {backup: none}, annotations: {why: spill}}
      fields: {NODE: spec.nodeName}
      retries: {times: 4, wait_s: 60, factor: 1.5, longest_wait_s: 900}
"""


@pytest.fixture(scope="module")
def built() -> Any:
    return compiled.pipeline(
        "training-torch", load(ROOT / "examples/flights"), Place(Site.parse(CLUSTER + SAID))
    )


@pytest.fixture(scope="module")
def said(built: Any) -> dict[str, Any]:
    """The Kubernetes settings of each step."""
    spec = json_format.MessageToDict(built.platform_spec)
    executors: dict[str, Any] = spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return executors


@pytest.fixture(scope="module")
def resources(built: Any) -> dict[str, Any]:
    executors = json_format.MessageToDict(built.pipeline_spec)["deploymentSpec"]["executors"]
    return {name: one["container"].get("resources", {}) for name, one in executors.items()}


def site(said: str, folder: pathlib.Path) -> str:
    path = folder / "my-site.yaml"
    path.write_text(CLUSTER + said)
    return str(path)


def test_every_step_gets_what_is_said_of_every_step(said: dict[str, Any]) -> None:
    for step, settings in said.items():
        assert settings["podMetadata"]["labels"] == {"team": "delays"}, step
        assert [one["secretName"] for one in settings["imagePullSecret"]] == ["registry-login"]


def test_a_family_gets_its_devices_and_no_other_family(
    said: dict[str, Any], resources: dict[str, Any]
) -> None:
    with_devices = {step for step, one in resources.items() if "accelerator" in one}

    assert with_devices == {"exec-train-torch", "exec-export-onnx"}
    assert {step for step, one in said.items() if "tolerations" in one} == with_devices
    assert {step for step, one in said.items() if "emptyDirMounts" in one} == with_devices
    assert resources["exec-train-torch"]["accelerator"] == {
        "count": "2",
        "resourceCount": "2",
        "resourceType": "nvidia.com/gpu",
        "type": "nvidia.com/gpu",
    }
    (shared,) = said["exec-train-torch"]["emptyDirMounts"]
    assert (shared["volumeName"], shared["mountPath"]) == ("shm", "/dev/shm")  # noqa: S108
    assert (shared["medium"], shared["sizeLimit"]) == ("Memory", "2Gi")
    assert said["exec-train-torch"]["nodeSelector"] == {
        "labels": {"nvidia.com/gpu.product": "NVIDIA-H100"}
    }


def test_a_step_gets_all_that_is_said_of_it(
    said: dict[str, Any], resources: dict[str, Any]
) -> None:
    mine = said["exec-train-torch"]

    assert resources["exec-train-torch"]["resourceCpuLimit"] == "4"
    assert resources["exec-train-torch"]["resourceMemoryLimit"] == "16G"
    assert mine["activeDeadlineSeconds"] == "7200"
    assert mine["imagePullPolicy"] == "IfNotPresent"
    assert mine["securityContext"] == {
        "runAsUser": "1001",
        "runAsGroup": "1002",
        "runAsNonRoot": True,
    }
    assert mine["podMetadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    (claim,) = mine["pvcMount"]
    assert (claim["constant"], claim["mountPath"], claim["subPath"]) == ("cache", "/mnt/cache", "a")
    assert "activeDeadlineSeconds" not in said["exec-export-onnx"]


def test_a_step_reads_its_secrets_and_settings_in_the_way_that_is_said(
    said: dict[str, Any],
) -> None:
    mine = said["exec-train-torch"]

    files = [
        (one["secretName"], one["mountPath"], one["optional"]) for one in mine["secretAsVolume"]
    ]
    assert files == [("ca", "/etc/ca", True)]
    licence = mine["secretAsEnv"][-1]
    assert licence["secretName"] == "licence"
    assert licence["keyToEnv"] == [{"secretKey": "key", "envVar": "LICENCE"}]
    proxy = mine["configMapAsEnv"][-1]
    assert (proxy["configMapName"], proxy["keyToEnv"][0]["envVar"]) == ("proxy", "HTTPS_PROXY")
    assert mine["configMapAsVolume"][0]["mountPath"] == "/etc/conf"


def test_all_demands_on_a_node_are_one_term_and_each_wish_is_its_own(
    said: dict[str, Any],
) -> None:
    """Of several terms without a weight KFP and Kubernetes are content with any one."""
    pool = {"key": "pool", "operator": "In", "values": ["batch", "spare"]}
    disk = {"key": "local-disk", "operator": "Exists"}
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["me-central-1a"]}

    assert said["exec-train-torch"]["nodeAffinity"] == [
        {"matchExpressions": [pool, disk]},
        {"matchExpressions": [zone], "weight": 50},
    ]
    assert said["exec-export-onnx"]["nodeAffinity"] == [{"matchExpressions": [pool]}]


def test_a_volume_is_claimed_for_one_pod_of_a_class_or_of_the_clusters_own(
    said: dict[str, Any],
) -> None:
    assert said["exec-train-torch"]["genericEphemeralVolume"] == [
        {
            "volumeName": "scratch",
            "mountPath": "/scratch",
            "size": "200Gi",
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "encrypted",
        },
        {
            "volumeName": "spill",
            "mountPath": "/spill",
            "size": "1Gi",
            "accessModes": ["ReadWriteOncePod"],
            "defaultStorageClass": True,
            "metadata": {"labels": {"backup": "none"}, "annotations": {"why": "spill"}},
        },
    ]


def test_a_step_knows_what_its_pod_is(said: dict[str, Any]) -> None:
    assert said["exec-train-torch"]["fieldPathAsEnv"][-1] == {
        "name": "NODE",
        "fieldPath": "spec.nodeName",
    }


def test_a_step_is_tried_as_often_as_is_said_and_no_other_step(built: Any) -> None:
    tasks = json_format.MessageToDict(built.pipeline_spec)["root"]["dag"]["tasks"]

    assert tasks["train-torch"]["retryPolicy"] == {
        "maxRetryCount": 4,
        "backoffDuration": "60s",
        "backoffFactor": 1.5,
        "backoffMaxDuration": "900s",
    }
    others = [one.get("retryPolicy", {}) for name, one in tasks.items() if name != "train-torch"]
    assert all(one.get("backoffMaxDuration", "3600s") == "3600s" for one in others)


def test_a_node_abroad_is_refused_as_in_the_cluster(
    tmp_path: pathlib.Path,
) -> None:
    abroad = "{key: topology.kubernetes.io/region, values: [eu-west-1]}"
    path = site(f"pods:\n  every: {{node_affinity: [{abroad}]}}\n", tmp_path)
    file = tmp_path / "collection.yaml"
    place = Place.named(path)
    built = compiled.pipeline("collection", load(ROOT / "examples/flights"), place)
    compiler.Compiler().compile(built, str(file))
    given = reading.read([(str(file), file.read_text())])

    with pytest.raises(Refused, match="eu-west-1"):
        checking.hold(given, reading.Laws.at(place.site))


def test_a_step_that_nothing_is_said_of_keeps_what_the_pipeline_gives(
    resources: dict[str, Any],
) -> None:
    assert resources["exec-build-training-set"]["resourceMemoryLimit"] == "4G"
    assert resources["exec-validate"]["resourceMemoryLimit"] == "2G"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("steps: {train_troch: {cpu: 2}}", "pods.steps.train_troch: unknown; did you mean 'train_"),
        ("steps: {train-torch: {cpu: 2}}", "did you mean 'train_torch'?"),
        ("families: {troch: {cpu: 2}}", "pods.families.troch: unknown; did you mean 'torch'?"),
        (
            "every: {secrets: [{name: falaj-signing, mount: /x}]}",
            "pods.every.secrets: falaj-signing holds keys",
        ),
        (
            "steps: {validate: {secrets: [{name: falaj-keys, mount: /x}]}}",
            "pods.steps.validate.secrets: falaj-keys holds keys",
        ),
    ],
)
def test_a_name_that_is_not_there_or_not_to_give_is_refused(
    said: str, sentence: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(UserError) as error:
        Place.named(site(f"pods:\n  {said}\n", tmp_path))

    assert sentence in str(error.value)


def test_every_step_can_be_named() -> None:
    assert sorted(one.name.replace("-", "_") for one in compiled.components()) == list(pods.steps())
