"""What is written twice must agree: manifests on one side, programs and pipelines on the other."""

import subprocess
import sys
from typing import Any

import pytest
import yaml

from pipelines import place
from tests.manifests.conftest import ROOT


def manifest(name: str) -> dict[str, Any]:
    thing: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / name).read_text())
    return thing


def test_the_runtime_gives_the_server_options_that_it_has() -> None:
    [container] = manifest("serving/clusterservingruntime-falaj-onnx.yaml")["spec"]["containers"]
    module = container["command"][-1]
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    unknown = [arg for arg in container["args"] if f"{arg.partition('=')[0]} " not in shown]

    assert unknown == []
    assert "--host=0.0.0.0" in container["args"]  # the default listens on loopback only


def test_the_opener_is_a_program_of_ours() -> None:
    command = manifest("serving/clusterstoragecontainer-falaj-sealed.yaml")["spec"]["container"]

    assert command["command"] == ["python", "-m", "inference.initializer"]
    assert (ROOT / "inference" / "initializer" / "__main__.py").exists()


def test_the_site_has_every_name_that_steps_take_from_it() -> None:
    site = manifest("storage/configmap-falaj-site.yaml")

    assert site["metadata"]["name"] == place.SITE_CONFIG
    assert set(place.SITE_NAMES) <= set(site["data"])


@pytest.mark.parametrize("secret", [place.STORE_SECRET, place.OPENING_SECRET, place.SIGNING_SECRET])
def test_the_secrets_that_steps_take_are_documented(secret: str) -> None:
    assert f"| `{secret}` |" in (ROOT / "manifests/storage/README.md").read_text()


def test_the_launcher_reads_the_secret_and_the_names_that_steps_read() -> None:
    launcher = manifest("pipelines/configmap-kfp-launcher.yaml")["data"]["providers"]

    reference = yaml.safe_load(launcher)["s3"]["default"]["credentials"]["secretRef"]

    assert reference["secretName"] == place.STORE_SECRET
    assert {reference["accessKeyKey"], reference["secretKeyKey"]} == set(place.STORE_NAMES)


def test_keys_lie_in_one_place_everywhere() -> None:
    opener = manifest("serving/clusterstoragecontainer-falaj-sealed.yaml")["spec"]["container"]

    [keys] = [env["value"] for env in opener["env"] if env["name"] == "FALAJ_KEYS"]

    assert keys == place.KEYS_PATH
    assert keys in {mount["mountPath"] for mount in opener["volumeMounts"]}
