"""Building: what is asked of docker, and what is written when it answers."""

import json
import pathlib
import re

import pytest
import yaml

from images import build
from images.families import FAMILIES, ROOT

BASE = "python@sha256:" + "b" * 64
REVISION = "c" * 40
STUB = """\
#!/usr/bin/env python3
import json, pathlib, sys
with pathlib.Path(__file__).with_name("calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "image":
    name = sys.argv[-1].rpartition(":")[0]
    print(json.dumps(["elsewhere/x@sha256:" + "0" * 64, name + "@sha256:" + "a" * 64]))
"""


@pytest.fixture
def docker(tmp_path: pathlib.Path) -> pathlib.Path:
    """A docker that notes what it is asked and has pushed what it names."""
    tool = tmp_path / "docker"
    tool.write_text(STUB)
    tool.chmod(0o755)
    return tool


def calls(docker: pathlib.Path) -> list[list[str]]:
    return [json.loads(line) for line in docker.with_name("calls").read_text().splitlines()]


def test_builds_pushes_and_returns_the_digest_in_the_registry(docker: pathlib.Path) -> None:
    builder = build.Builder(str(docker), BASE, "registry.test/falaj")

    image = builder.make("serving", revision=REVISION)

    assert image == "registry.test/falaj/serving@sha256:" + "a" * 64
    assert [call[0] for call in calls(docker)] == ["build", "push", "image"]


def test_gives_the_build_its_base_and_revision(docker: pathlib.Path) -> None:
    build.Builder(str(docker), BASE, "registry.test/falaj").make("data", revision=REVISION)

    asked = calls(docker)[0]

    assert {f"BASE={BASE}", f"REVISION={REVISION}", "PROJECT=examples"} <= set(asked)
    assert "images/data/Dockerfile" in asked
    assert {"PIP_INDEX_URL", "UV_DEFAULT_INDEX"} <= set(asked)


@pytest.mark.parametrize(
    "base", ["python:3.11-slim", "python", "python@sha256:abc"], ids=["tag", "bare", "short"]
)
def test_refuses_a_base_that_is_not_a_digest(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main([f"--base={base}", "--registry=registry.test/falaj"])

    assert "is not pinned; expected name@sha256:" in capsys.readouterr().err


def test_writes_the_lock_and_the_kustomize_component(
    docker: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LOCK", _copy(build.LOCK, tmp_path))
    monkeypatch.setattr(build, "KUSTOMIZE", _copy(build.KUSTOMIZE, tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin:/usr/local/bin")

    build.main([f"--base={BASE}", "--registry=registry.test/falaj/", "--family=serving"])

    assert build.read_lock()["serving"] == "registry.test/falaj/serving@sha256:" + "a" * 64
    assert {"name": f"{build.PLACEHOLDER}/serving", "digest": "sha256:" + "a" * 64} in _images()


def test_the_committed_files_are_what_the_lock_says() -> None:
    lock = build.read_lock()

    assert build.LOCK.read_text() == build.lock_text(lock)
    assert build.KUSTOMIZE.read_text() == build.kustomize_text(lock)


def test_refuses_a_registry_where_manifests_would_not_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        build.main([f"--base={BASE}", "--registry=registry.test/models"])

    assert "does not end in /falaj; manifests look" in capsys.readouterr().err


def test_manifests_name_placeholders_of_images_in_the_lock() -> None:
    texts = [p.read_text() for p in (ROOT / "manifests").rglob("*.yaml")]

    named = {name for text in texts for name in re.findall(r"image: (\S+)@sha256:0{64}", text)}

    assert named
    assert named <= {f"{build.PLACEHOLDER}/{name}" for name in build.read_lock()}


def test_the_lock_has_every_family() -> None:
    assert set(FAMILIES) < set(build.read_lock())


def _copy(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    copy = folder / path.name
    copy.write_text(path.read_text())
    return copy


def _images() -> list[dict[str, str]]:
    found: list[dict[str, str]] = yaml.safe_load(build.KUSTOMIZE.read_text())["images"]
    return found
