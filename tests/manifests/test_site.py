"""The one place: what the site says is said everywhere, and what it said before is said nowhere."""

import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import yaml

from tests.manifests.conftest import ROOT, objects_of
from tests.manifests.teams import Team, containers, one, scalars, teams, title

Thing = dict[str, Any]
PROVIDERS = {
    "aws": "kmsKeyId",
    "azure": "diskEncryptionSetID",
    "oracle": "kms-key-id",
    "on-prem": "encryptionKMSID",
}
NOT_MIXED = {*PROVIDERS, "on-prem-s3", "knative"}
FEATURES = sorted(path.name for path in (ROOT / "kustomize" / "components").iterdir())
NEW: Mapping[str, str] = {
    "AWS_ENDPOINT_URL": "https://store.bank.test:9443",
    "AWS_REGION": "north",
    "FALAJ_BUCKETS": "s3://bank",
    "FALAJ_DOMAIN": "models.bank.test",
    "FALAJ_GROUPS": "bank",
    "FALAJ_ISSUER": "https://login.bank.test",
    "FALAJ_NAMESPACE": "bank",
    "FALAJ_REGISTRY": "images.bank.test/mirror",
    "FALAJ_RESIDENCY": "difc",
    "FALAJ_VOLUME_KEY": "the-banks-key",
    "PROMETHEUS_URL": "https://metrics.bank.test",
    "VAULT_ADDR": "https://keys.bank.test",
}
# What manifests say in the site's place. Labels and annotations go on beginning with our domain.
OLD = re.compile(
    r"//falaj\.example|\.falaj\.example|\.example(?!/)|^unset$"
    r"|\bns/falaj\b|namespace=\"falaj\"|\.falaj\.svc|s3://falaj"
)


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def moved(provider: str, tmp_path_factory: pytest.TempPathFactory) -> list[Thing]:
    """A copy of an overlay with every feature, whose site.yaml alone says something new."""
    tmp_path = tmp_path_factory.mktemp(provider)
    for tree in ("manifests", "kustomize"):
        shutil.copytree(ROOT / tree, tmp_path / tree)
    overlay = tmp_path / "kustomize" / "overlays" / "smb"
    chosen = [name for name in FEATURES if name not in NOT_MIXED] + [provider]
    _change(overlay / "kustomization.yaml", components=[f"../../components/{n}" for n in chosen])
    said = yaml.safe_load((overlay / "site.yaml").read_text())["data"]
    _change(overlay / "site.yaml", data={**said, **NEW, **_hosts()})
    return objects_of(str(overlay))


@pytest.fixture(scope="module")
def team(moved: list[Thing]) -> Team:
    [found] = teams(moved)
    return found


def test_nothing_is_left_of_what_it_said_before(moved: list[Thing]) -> None:
    said = ((title(t), path, text) for t in moved for path, text in _values(t))
    left = {name: (path, text) for name, path, text in said if OLD.search(_without_our_group(text))}

    assert left == {}


def test_nothing_is_left_in_the_old_namespace(moved: list[Thing]) -> None:
    named = {path: text for t in moved for path, text in scalars(t) if _names_a_namespace(path)}

    assert "falaj" not in named.values()
    assert {t["metadata"].get("namespace", "bank") for t in moved} == {"bank"}


def test_the_namespace_is_the_new_one(team: Team) -> None:
    assert team.name == "bank"
    assert team.namespace["metadata"]["labels"]["falaj.example/residency"] == "difc"


def test_every_image_comes_from_the_new_registry_by_the_same_digest(moved: list[Thing]) -> None:
    images = [container["image"] for container in containers(moved)]

    form = re.compile(r"images\.bank\.test/mirror/falaj/[a-z]+@sha256:[0-9a-f]{64}")
    assert len(images) >= 8
    assert [image for image in images if not form.fullmatch(image)] == []


def test_runs_go_to_the_new_store(team: Team) -> None:
    launcher = team.one("ConfigMap", "kfp-launcher")["data"]
    s3 = yaml.safe_load(launcher["providers"])["s3"]["default"]

    assert launcher["defaultPipelineRoot"] == "s3://bank-runs/kfp"
    assert (s3["endpoint"], s3["region"]) == ("store.bank.test:9443", "north")
    assert s3["credentials"]["secretRef"]["secretName"] == "falaj-object-store"


def test_volumes_are_encrypted_with_the_new_key(provider: str, moved: list[Thing]) -> None:
    kept = one(moved, "StorageClass", "falaj")["parameters"]

    assert kept[PROVIDERS[provider]] == "the-banks-key"


def test_rights_are_those_of_the_new_groups(moved: list[Thing]) -> None:
    subjects = [s for t in moved for s in t.get("subjects", [])]

    assert {s["name"].partition(":")[0] for s in subjects if s["kind"] == "Group"} == {"bank"}
    assert {s["namespace"] for s in subjects if s["kind"] == "ServiceAccount"} == {"bank"}


def test_the_site_itself_is_as_said(team: Team) -> None:
    assert NEW.items() <= dict(team.site).items()


def _without_our_group(text: str) -> str:
    """Leave out the group of our own kinds and labels, which is no place of a site."""
    for ours in ("group('falaj.example')", "residency.falaj.example.node-restriction"):
        text = text.replace(ours, "")
    return "" if text == "falaj.example" else text


def _hosts() -> dict[str, str]:
    """Give every other address of the base's site a name of the bank's."""
    text = (ROOT / "manifests/storage/configmap-falaj-site.yaml").read_text()
    data: Mapping[str, str] = yaml.safe_load(text)["data"]
    return {
        name: value.replace("falaj.example", "bank.test")
        for name, value in data.items()
        if name not in NEW and "falaj.example" in value
    }


def _change(path: pathlib.Path, **parts: Any) -> None:
    thing = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**thing, **parts}))


def _values(thing: Thing) -> Iterable[tuple[str, str]]:
    """Yield what an object says, without its apiVersion: groups of ours are no address."""
    return scalars({key: part for key, part in thing.items() if key != "apiVersion"})


def _names_a_namespace(path: str) -> bool:
    return path.endswith(("namespace", "namespace.name", "kubernetes.io/metadata.name"))
