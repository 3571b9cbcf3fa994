"""Triton on a GPU: what it asks for, and that the opener lays a release where it looks."""

import pathlib
import subprocess
import sys
from typing import Any

import pytest

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.storage import ObjectStore
from tests.manifests import requests, served
from tests.manifests.features import base_with, on_page, one
from tests.manifests.schemas import Schemas

Thing = dict[str, Any]

SLICES = ("1g.10gb", "2g.20gb", "3g.40gb")
SERVICE = on_page("serving-cluster.md")["InferenceService", "delays-gpu"]


@pytest.fixture
def container() -> Thing:
    [found] = served.runtime("falaj-triton")["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_runtime_and_a_service_on_it_are_valid(known: Schemas) -> None:
    assert known.errors(served.runtime("falaj-triton")) == []
    assert known.errors(SERVICE) == []


def test_a_gpu_is_asked_for_whole(container: Thing) -> None:
    asked, limits = container["resources"]["requests"], container["resources"]["limits"]

    assert asked["nvidia.com/gpu"] == limits["nvidia.com/gpu"] == 1


@pytest.mark.parametrize("profile", SLICES)
def test_a_slice_takes_the_place_of_the_gpu(profile: str, tmp_path: pathlib.Path) -> None:
    things = base_with(tmp_path, "gpu", f"gpu/mig-{profile}")

    [container] = one(things, "ClusterServingRuntime", "falaj-triton")["spec"]["containers"]

    for part in ("requests", "limits"):
        gpus = {k: v for k, v in container["resources"][part].items() if "nvidia" in k}
        assert gpus == {f"nvidia.com/mig-{profile}": 1}


def test_its_pods_go_to_gpu_nodes_and_nowhere_else() -> None:
    pod = served.predictor(SERVICE)["spec"]

    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod[
        "tolerations"
    ]


def test_it_is_never_chosen_in_place_of_our_own_server() -> None:
    formats = {
        name: [one["autoSelect"] for one in served.runtime(name)["spec"]["supportedModelFormats"]]
        for name in ("falaj-onnx", "falaj-triton")
    }

    assert formats == {"falaj-onnx": [True], "falaj-triton": [False]}


def test_nobody_loads_another_model_into_it(container: Thing) -> None:
    assert "--model-control-mode=none" in container["args"]


def test_only_its_opener_sees_keys(container: Thing) -> None:
    assert not [mount for mount in container["volumeMounts"] if "keys" in mount["name"]]
    assert "env" not in container or "AWS" not in str(container["env"])


def test_the_opener_says_that_it_opens_several_releases() -> None:
    """KServe takes no storageUris without; `mountPath` is what Triton's layout needs."""
    assert served.opener()["spec"]["supportsMultiModelDownload"] is True


def test_a_release_is_opened_where_triton_looks(
    store: ObjectStore,
    environment: None,
    tmp_path: pathlib.Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"model")
    ring = KeyRing.create(tmp_path / "site")
    care.share(Kept.load(tmp_path / "site"), tmp_path / "keys")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    uri = release.seal(folder, model=unique, facts={}, store=store, keys=ring).uri
    [opener] = served.predictor(SERVICE)["spec"]["initContainers"]
    repository = tmp_path / "repository"

    given = [uri, str(repository / pathlib.Path(opener["args"][1]).relative_to(served.MODELS))]
    command = [sys.executable, *opener["command"][1:], *given]
    subprocess.run(command, check=True, capture_output=True)

    assert (repository / "delays" / "1" / "model.onnx").read_bytes() == b"model"
    assert [path.name for path in repository.iterdir()] == ["delays"]


def test_a_pod_asks_for_what_the_page_says() -> None:
    asked = requests.of_pod(served.predictor(SERVICE)["spec"])

    assert str(asked) == "1 CPU, 4096 MiB, 1 GPU"
