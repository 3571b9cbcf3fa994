"""What the images hold: declared once, locked with hashes, and no more than a family needs."""

import pathlib
import re

import pytest

from images.families import FAMILIES, LOCKS, ROOT, Declared, Family, name_of

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
TESTED = ROOT / "requirements.lock"
LEAN = ("serving", "initializer", "transformer")
TOO_HEAVY = {"kfp", "kserve", "kubernetes", "tensorflow-cpu", "torch"}
FEAST = {"feast", "pandas", "pyarrow"}  # what reads the online store, and nobody else


def pins(path: pathlib.Path) -> dict[str, str]:
    return {name_of(name): version for name, version in PIN.findall(path.read_text())}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lock_has_every_requirement_of_its_family(family: str) -> None:
    wanted = {name_of(line) for line in Declared.read().of(FAMILIES[family])}

    assert wanted <= set(pins(LOCKS / f"{family}.lock"))


@pytest.mark.parametrize("family", [*FAMILIES, "build"])
def test_a_lock_has_only_what_was_tested(family: str) -> None:
    assert pins(LOCKS / f"{family}.lock").items() <= pins(TESTED).items()


@pytest.mark.parametrize("family", [*FAMILIES, "build"])
def test_every_package_of_a_lock_has_hashes(family: str) -> None:
    text = (LOCKS / f"{family}.lock").read_text()

    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]

    assert entries
    assert [e for e in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", e)] == []


@pytest.mark.parametrize("family", [*FAMILIES, "build"])
def test_a_lock_names_no_index(family: str) -> None:
    text = (LOCKS / f"{family}.lock").read_text()

    assert "://" not in text
    assert "--index-url" not in text


@pytest.mark.parametrize("family", LEAN)
def test_what_runs_in_serving_pods_is_lean(family: str) -> None:
    heavy = TOO_HEAVY if family == "transformer" else TOO_HEAVY | FEAST

    assert heavy.isdisjoint(pins(LOCKS / f"{family}.lock"))


def test_a_step_family_has_what_kfp_needs_to_run_a_step() -> None:
    steps = [name for name, family in FAMILIES.items() if family.runs_steps]

    assert steps == ["data", "torch", "tensorflow", "release"]
    assert all("kfp" in pins(LOCKS / f"{name}.lock") for name in steps)


def test_extras_of_ours_are_expanded(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "setup.cfg"
    path.write_text(
        "[options]\ninstall_requires =\n    kfp==2\n"
        "[options.extras_require]\ndata =\n    duckdb>=2\nfeatures =\n    falaj[data]\n    feast\n"
    )

    wanted = Declared.read(path).of(Family(extras=("features",)))

    assert wanted == ["duckdb>=2", "feast"]


def test_a_single_requirement_keeps_its_bounds(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "setup.cfg"
    path.write_text(
        "[options]\ninstall_requires =\n    numpy>=2\n[options.extras_require]\nx =\n    minio\n"
    )

    assert Declared.read(path).of(Family(only=("numpy", "minio"))) == ["minio", "numpy>=2"]


def test_refuses_a_requirement_that_is_not_declared() -> None:
    with pytest.raises(ValueError, match=r"left-pad: setup\.cfg does not declare it"):
        Declared.read().of(Family(only=("left-pad",)))
