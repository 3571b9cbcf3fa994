"""Where things are kept: encrypted, in the UAE, at the site's own store and nowhere else."""

import json
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.foundation.buckets.declaration import Declaration
from components.foundation.buckets.names import BUCKETS
from components.foundation.buckets.wanted import Place
from pipelines.place import KEEPER_NAMES, SITE_NAMES
from tests.manifests.conftest import ROOT, built
from tests.manifests.schemas import Schemas

Thing = dict[str, Any]
PROVIDERS = {"aws": "aws", "azure": "azure", "oracle": "oracle", "on-prem": "on-premises"}
KEYS = {  # by which parameter a driver is given the site's key
    "aws": "kmsKeyId",
    "azure": "diskEncryptionSetID",
    "oracle": "kms-key-id",
    "on-prem": "encryptionKMSID",
}
IN_THE_UAE = re.compile(r"me-central-1[abc]|uae(north|central)-[123]|ME-(DUBAI|ABUDHABI)-1-AD-1|AE")
ABROAD = {"location", "resourceGroup", "subscriptionID", "snapshotregion", "region"}
SITE = {
    "AWS_ENDPOINT_URL": "https://s3.me-central-1.amazonaws.com",
    "AWS_REGION": "me-central-1",
    "FALAJ_BUCKETS": "s3://acme-ml",
    "FALAJ_VOLUME_KEY": "arn:aws:kms:me-central-1:1:key/k",
}


def volumes(provider: str) -> Thing:
    [found] = yaml.safe_load_all(built(f"manifests/storage-{provider}"))
    assert isinstance(found, dict)
    return found


def installation(*features: str, **site: str) -> dict[tuple[str, str], Thing]:
    """Build the base with features at a site; nothing is written into the tree."""
    with tempfile.TemporaryDirectory() as folder:
        up = pathlib.Path("../" * (len(pathlib.Path(folder).parts) - 1)) / ROOT.relative_to("/")
        metadata = {"name": "falaj-site", "namespace": "falaj"}
        patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": site}
        overlay = {
            "resources": [str(up / "kustomize/base")],
            "components": [str(up / "kustomize/components" / feature) for feature in features],
            "patches": [{"patch": yaml.safe_dump(patch)}],
            "transformers": [str(up / "kustomize/transformers/site")],
        }
        path = pathlib.Path(folder) / "kustomization.yaml"
        path.write_text(yaml.safe_dump(overlay))
        things = yaml.safe_load_all(built(folder))
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in things}


def addresses(text: str) -> set[str]:
    """Find the bucket of every address; what stands for any, and a site's own start, are none."""
    lines = (line for line in text.splitlines() if "FALAJ_BUCKETS:" not in line)
    return set(re.findall(r"s3://(?!bucket/)([a-z0-9][-a-z0-9.]*)", "\n".join(lines)))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_volumes_lie_in_the_uae_and_nowhere_else(provider: str) -> None:
    thing = volumes(provider)

    [terms] = [term["matchLabelExpressions"] for term in thing["allowedTopologies"]]
    zones = [zone for term in terms for zone in term["values"]]
    assert zones
    assert [zone for zone in zones if not IN_THE_UAE.fullmatch(zone)] == []
    assert ABROAD.isdisjoint(thing["parameters"])
    assert not re.search(r"_(RA)?G(Z)?RS", json.dumps(thing["parameters"]))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_volumes_are_encrypted_with_a_key_that_the_site_must_name(provider: str) -> None:
    parameters = volumes(provider)["parameters"]

    assert parameters[KEYS[provider]] == "unset"  # with it the driver makes no volume
    assert parameters.get("encrypted", "true") == "true"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_volume_waits_for_its_pod_and_outlives_its_claim(provider: str) -> None:
    thing = volumes(provider)

    assert thing["volumeBindingMode"] == "WaitForFirstConsumer"
    assert thing["reclaimPolicy"] == "Retain"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_copy_lies_where_its_volume_lies_and_goes_with_its_object(provider: str) -> None:
    [thing] = yaml.safe_load_all(built(f"manifests/snapshots-{provider}"))

    given = {name.lower() for name in thing.get("parameters", {})}
    assert thing["driver"] == volumes(provider)["provisioner"]
    assert thing["metadata"] == volumes(provider)["metadata"]
    assert thing["deletionPolicy"] == "Delete"
    assert given.isdisjoint(name.lower() for name in ABROAD)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_claim_names_the_same_class_everywhere(provider: str, known: Schemas) -> None:
    thing = volumes(provider)

    assert thing["metadata"]["name"] == "falaj"
    assert thing["metadata"]["labels"] == {"falaj.example/provider": PROVIDERS[provider]}
    assert known.errors(thing) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_site_says_region_key_and_buckets_once(provider: str) -> None:
    things = installation(provider, "mlflow", **SITE)

    launcher = things["ConfigMap", "kfp-launcher"]["data"]
    providers = yaml.safe_load(launcher["providers"])["s3"]["default"]
    mlflow = things["ConfigMap", "falaj-mlflow"]["data"]
    parameters = things["StorageClass", "falaj"]["parameters"]
    assert launcher["defaultPipelineRoot"] == "s3://acme-ml-runs/kfp"
    assert providers["endpoint"] == "s3.me-central-1.amazonaws.com"
    assert providers["region"] == "me-central-1"
    assert mlflow["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://acme-ml-runs/mlflow"
    assert mlflow["MLFLOW_S3_ENDPOINT_URL"] == SITE["AWS_ENDPOINT_URL"]
    assert parameters[KEYS[provider]] == SITE["FALAJ_VOLUME_KEY"]
    assert things["ConfigMap", "falaj-site"]["data"]["FALAJ_PROVIDER"] == PROVIDERS[provider]


def test_the_launcher_is_told_what_its_struct_has() -> None:
    plain, inside = (installation(*features) for features in ([], ["on-prem-s3"]))

    for things, without_tls in ((plain, False), (inside, True)):
        [(scheme, whole)] = yaml.safe_load(
            things["ConfigMap", "kfp-launcher"]["data"]["providers"]
        ).items()
        assert scheme == "s3"
        assert set(whole) == {"default"}
        assert set(whole["default"]) == {
            *("endpoint", "region", "disableSSL", "forcePathStyle", "credentials")
        }
        assert whole["default"]["disableSSL"] is without_tls
        assert whole["default"]["credentials"]["fromEnv"] is False


def test_what_a_store_of_ones_own_lacks_is_said_by_its_feature() -> None:
    data = installation("on-prem-s3")["ConfigMap", "falaj-site"]["data"]

    assert Place.from_environment(data).lacks == {"location", "public_access"}


def test_the_site_as_shipped_can_be_read_and_lacks_nothing() -> None:
    data = installation()["ConfigMap", "falaj-site"]["data"]

    place = Place.from_environment(data)

    assert place.lacks == frozenset()
    assert [place.names.on_store(bucket) for bucket in BUCKETS] == list(BUCKETS)
    assert set(SITE_NAMES) <= set(data)


def test_buckets_are_declared_as_the_program_reads_them() -> None:
    declared = installation()["ConfigMap", "falaj-buckets"]["data"]["buckets.yaml"]

    assert Declaration.parse(declared).buckets["evidence"].lock == "compliance"


def stores() -> Iterator[tuple[str, str]]:
    """Every file that says where pipelines, Feast and observers keep things."""
    for folder in (
        "manifests",
        "kustomize",
        "examples",
        "pipelines/sites",
        "tests/golden/pipelines",
    ):
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            if "s3://" in (text := path.read_text()):
                yield path.relative_to(ROOT).as_posix(), text


def test_nothing_is_kept_outside_of_the_sites_buckets() -> None:
    found = {name: addresses(text) - set(BUCKETS) for name, text in stores()}

    assert len(found) > 8
    assert {name: odd for name, odd in found.items() if odd} == {}


def test_a_keepers_token_reaches_the_opener_and_nobody_else() -> None:
    things = installation("vault")

    opener = things["ClusterStorageContainer", "falaj-sealed"]["spec"]["container"]
    [token] = [env["value"] for env in opener["env"] if env["name"] == "VAULT_JWT_FILE"]
    [mount] = [m["mountPath"] for m in opener["volumeMounts"] if m["name"] == "falaj-vault"]
    runtimes = [thing["spec"] for (kind, _), thing in things.items() if "ServingRuntime" in kind]
    assert token == f"{mount}/token"
    assert runtimes
    for runtime in runtimes:
        [volume] = [v for v in runtime["volumes"] if v["name"] == "falaj-vault"]
        [source] = volume["projected"]["sources"]
        assert source["serviceAccountToken"]["path"] == "token"
        assert source["serviceAccountToken"]["audience"]  # the Kubernetes API takes no other's
        mounts = [m for c in runtime["containers"] for m in c.get("volumeMounts", [])]
        assert "falaj-vault" not in {m["name"] for m in mounts}


def test_the_keeper_is_named_by_what_pods_read() -> None:
    data = installation("vault")["ConfigMap", "falaj-site"]["data"]

    assert {name for name in data if name.startswith("VAULT_")} <= set(KEEPER_NAMES)
    assert data["VAULT_ADDR"].startswith("https://")


def test_the_job_that_keeps_buckets_is_nobody_to_kubernetes() -> None:
    things = installation()
    pod = things["CronJob", "falaj-buckets"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    [container] = pod["containers"]
    names = [one.get("configMapRef", one.get("secretRef"))["name"] for one in container["envFrom"]]
    assert pod["automountServiceAccountToken"] is False
    assert names == ["falaj-site", "falaj-buckets"]
    assert "falaj-buckets" in (ROOT / "manifests/storage/README.md").read_text()


def test_the_job_gives_up_where_a_person_has_to_act() -> None:
    spec = installation()["CronJob", "falaj-buckets"]["spec"]["jobTemplate"]["spec"]

    [rule] = spec["podFailurePolicy"]["rules"]
    [container] = spec["template"]["spec"]["containers"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [2, 3]  # user error, refused: docs/errors.md
    assert rule["onExitCodes"]["containerName"] == container["name"]
