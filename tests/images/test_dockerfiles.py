"""The Dockerfiles: pinned, non-root, read-only ready, and with no more of our code than needed."""

import json
import pathlib
import re

import pytest

from components.face import images
from images.families import FAMILIES, ROOT
from tests.images.deployed import deployed

FACES = sorted((ROOT / "components").glob("*/*/component.py"))
LEAN = ("serving", "initializer", "transformer")
NOT_BUILT_HERE = {"triton"}  # NVIDIA's own image, copied to the site's registry


def dockerfile(family: str) -> str:
    return (ROOT / "images" / family / "Dockerfile").read_text()


def instructions(family: str) -> list[tuple[str, str]]:
    """Every instruction and its argument, continued lines joined."""
    joined = dockerfile(family).replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def copied(family: str) -> set[str]:
    """What a family's image takes from the working tree, build stages aside."""
    arguments = [a for name, a in instructions(family) if name == "COPY" and "--from" not in a]
    return {source for argument in arguments for source in argument.split()[:-1]}


def test_the_lock_the_table_and_the_folders_name_the_same_families() -> None:
    folders = {path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")}

    assert folders == set(FAMILIES) == set(images()) - NOT_BUILT_HERE


@pytest.mark.parametrize("face", FACES, ids=lambda path: path.parent.name)
def test_a_component_runs_in_a_family_that_runs_steps(face: pathlib.Path) -> None:
    [family] = re.findall(r'^@component\("(\w+)"\)', face.read_text(), re.MULTILINE)

    assert FAMILIES[family].runs_steps


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_has_no_default_and_is_the_only_one(family: str) -> None:
    assert instructions(family)[0] == ("ARG", "BASE")
    assert {a.split()[0] for name, a in instructions(family) if name == "FROM"} == {"${BASE}"}


@pytest.mark.parametrize("family", FAMILIES)
def test_runs_no_shell(family: str) -> None:
    commands = [a for name, a in instructions(family) if name in {"RUN", "ENTRYPOINT", "CMD"}]

    assert not {"sh", "bash", "-c"}.intersection(*[json.loads(command) for command in commands])


@pytest.mark.parametrize("family", FAMILIES)
def test_installs_only_what_its_lock_has_by_hash(family: str) -> None:
    installs = [json.loads(a) for n, a in instructions(family) if n == "RUN" and "install" in a]
    syncs = [json.loads(a) for n, a in instructions(family) if n == "RUN" and "sync" in a]

    assert [command[-1] for command in installs] == ["/locks/uv.lock"]
    assert [command[-1] for command in syncs] == [f"/locks/{family}.lock"]
    assert all("--require-hashes" in command for command in installs + syncs)


@pytest.mark.parametrize("family", FAMILIES)
def test_builds_from_source_with_locked_tools_or_not_at_all(family: str) -> None:
    [sync] = [json.loads(a) for n, a in instructions(family) if n == "RUN" and "sync" in a]

    if family in LEAN:
        assert "--no-build" in sync
    else:
        assert "--require-build-hashes" in sync
        assert sync[sync.index("--build-constraints") + 1] == "/locks/build.lock"


@pytest.mark.parametrize("family", FAMILIES)
def test_ends_as_a_numbered_user_that_is_not_root(family: str) -> None:
    users = [argument for name, argument in instructions(family) if name == "USER"]

    assert users == ["65532:65532"]
    rest = instructions(family)[instructions(family).index(("USER", users[0])) :]
    assert {name for name, _ in rest} <= {"USER", "ENTRYPOINT"}


@pytest.mark.parametrize("family", LEAN)
def test_a_serving_image_has_its_programs_and_the_foundation_only(family: str) -> None:
    server = {
        f"inference/server/{name}" for name in ("__init__.py", "random_digits.py", "routes.py")
    }
    server |= {f"inference/server/{name}" for name in ("protocol", "security", "telemetry")}
    features = {f"components/features/{name}.py" for name in ("__init__", "repository", "settings")}
    features |= {f"components/features/{name}_store" for name in ("offline", "registry")}
    transformer = {"inference/transformer", "inference/transport", "${PROJECT}"}
    programs = {
        "serving": {f"inference/{name}" for name in ("observer", "router", "server", "transport")},
        "initializer": {"inference/initializer"},
        "transformer": transformer | server | features,
    }

    assert copied(family) == {
        "components/__init__.py",
        "components/foundation",
        "inference/__init__.py",
        *programs[family],
        "requirements/uv.lock",
        f"requirements/{family}.lock",
    }


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(LEAN)))
def test_a_step_image_has_no_pipelines_and_no_plane(family: str) -> None:
    ours = {source for source in copied(family) if not source.startswith("requirements/")}

    server = {f"inference/{name}" for name in ("__init__.py", "observer", "server", "transport")}
    assert ours <= {"components", "${PROJECT}", *server}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_copied_is_let_through_to_the_build(family: str) -> None:
    ignore = (ROOT / ".dockerignore").read_text().split()

    assert ignore[ignore.index("*") :][:1] == ["*"]
    for source in copied(family) - {"${PROJECT}"}:
        assert f"!{source.partition('/')[0]}" in ignore


def test_a_lean_image_starts_one_of_the_programs_that_a_cluster_runs_in_it() -> None:
    for family in LEAN:
        [entry] = [argument for name, argument in instructions(family) if name == "ENTRYPOINT"]
        assert (family, tuple(json.loads(entry))) in deployed()
