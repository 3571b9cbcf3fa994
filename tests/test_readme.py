"""README and docs say what is so: their commands run, their paths lead somewhere."""

import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from components.foundation.sealing.keys import KeyRing
from pipelines.__main__ import main
from pipelines.compiled import BUILDERS

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CLUSTER = (ROOT / "docs/cluster.md").read_text()
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/**/README.md")})
PAGES = [
    page for page in PAGES if not {"out", ".venv", ".cache"} & set(page.relative_to(ROOT).parts)
]
BIN = pathlib.Path(sys.executable).parent

# Paths that pages name because they are not there.
NOT_THERE = {
    "tests/components/__init__.py": "what must not be",
}

# Commands too long for here: the file that runs them, and its words.
ELSEWHERE = {
    ".venv/bin/falaj new demand --task regression": (
        "docs/first-hour.md",  # run by tests/docs/test_first_hour.py
        "falaj new demand --task regression",
    ),
    "make run": (".ci/run", "make run"),
    "make test": (".ci/run", "make test "),
    "make serve": ("tests/pipelines/test_cli_releases.py", '"serve", "delays"'),
    ".venv/bin/falaj verify": ("tests/pipelines/test_cli_releases.py", 'main(["verify"'),
}

# Commands of docs/cluster.md, and what is run for them where there is neither cluster nor registry.
ON_A_CLUSTER = {
    "python -m images.build --base python@sha256:<digest of python:3.11-slim> "
    "--registry <host>/falaj": "python -m images.build --help",
    "kubectl kustomize kustomize/overlays/<yours>": "kubectl kustomize kustomize/overlays/health",
    "kubectl apply --server-side -k manifests/definitions": (
        "kubectl kustomize manifests/definitions"
    ),
    "kubectl apply --server-side -k kustomize/overlays/<yours>": (
        "kubectl kustomize kustomize/overlays/smb"
    ),
    "kubectl -n falaj create secret generic falaj-object-store --from-env-file=store.env": (
        "kubectl -n falaj create secret generic falaj-object-store --dry-run=client "
        "--from-env-file=TMP/store.env"
    ),
    "kubectl -n falaj create secret generic falaj-buckets --from-env-file=buckets.env": (
        "kubectl -n falaj create secret generic falaj-buckets --dry-run=client "
        "--from-env-file=TMP/store.env"
    ),
    "export FALAJ_KEYS=keys": "true",
    "falaj keys share keys-opening": "falaj keys share --help",
    "kubectl -n falaj create secret generic falaj-keys --from-file=keys-opening/": (
        "kubectl -n falaj create secret generic falaj-keys --dry-run=client --from-file=TMP/keys"
    ),
    "kubectl -n falaj create configmap falaj-policy --from-file=policy.yaml": (
        "kubectl -n falaj create configmap falaj-policy --dry-run=client --from-file=TMP/store.env"
    ),
    "kubectl -n falaj create secret generic falaj-signing --from-file=keys/": (
        "kubectl -n falaj create secret generic falaj-signing --dry-run=client --from-file=TMP/keys"
    ),
    "falaj keys new keys-attestor": "falaj keys new TMP/keys-attestor",
    "kubectl -n falaj create secret generic falaj-attestor --from-env-file=attestor.env": (
        "kubectl -n falaj create secret generic falaj-attestor --dry-run=client "
        "--from-env-file=TMP/store.env"
    ),
    "kubectl -n falaj create secret generic falaj-attestor-keys --from-file=keys-attestor/": (
        "kubectl -n falaj create secret generic falaj-attestor-keys --dry-run=client "
        "--from-file=TMP/keys"
    ),
    "falaj residency check my-site.yaml": "falaj residency check pipelines/sites/cluster.yaml",
    "falaj compile --site my-site.yaml --out build": (
        "falaj compile --site pipelines/sites/cluster.yaml --out TMP/build"
    ),
}


def commands(page: str) -> list[str]:
    """Every line of a page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def run(line: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in the project's folder, with the programs of this environment."""
    program, *arguments = shlex.split(line)
    beside = BIN / pathlib.Path(program).name
    command = [str(beside) if beside.exists() else program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_command_of_the_readme_runs_here_or_in_a_named_test(tmp_path: pathlib.Path) -> None:
    here = [line for line in commands(README) if line not in ELSEWHERE]

    assert len(here) >= 3
    for line in here:
        ran = run(line.replace("--out build", f"--out {tmp_path}/build"))
        assert ran.returncode == 0, f"{line}: {ran.stderr}"


@pytest.mark.parametrize("line", ELSEWHERE)
def test_a_command_that_runs_elsewhere_does_so(line: str) -> None:
    file, words = ELSEWHERE[line]

    assert line in commands(README)
    assert words in (ROOT / file).read_text()


def test_every_command_for_a_cluster_has_one_that_runs_here() -> None:
    assert commands(CLUSTER) == list(ON_A_CLUSTER)


@pytest.mark.parametrize("line", ON_A_CLUSTER.values())
def test_a_command_for_a_cluster_is_well_formed(line: str, tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path / "keys")
    (tmp_path / "store.env").write_text("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n")

    ran = run(line.replace("TMP", str(tmp_path)))

    assert ran.returncode == 0, ran.stderr


def test_the_help_in_the_readme_is_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])

    assert f"```text\n$ falaj --help\n{capsys.readouterr().out}```" in README


def test_every_make_target_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for page in PAGES:
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= targets, page


def test_every_pipeline_that_cluster_names_is_there() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \| .* \|$", _section("Pipelines"), re.M)) == set(
        BUILDERS
    )


def _section(title: str) -> str:
    (section,) = re.findall(rf"^## \d\. {title}\n(.*?)(?=^## |\Z)", CLUSTER, re.M | re.DOTALL)
    return str(section)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_files_that_are_there(page: pathlib.Path) -> None:
    places = (ROOT, page.parent)

    lost = [name for name in _named(page) if not any(list(place.glob(name)) for place in places)]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_links_to_files_that_are_there(page: pathlib.Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#\S*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def _named(page: pathlib.Path) -> Iterator[str]:
    """Yield the paths in backticks that begin with a folder of the project, as globs."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"out", "build"}
    for name in re.findall(r"`([\w.*{},/-]+)`", page.read_text()):
        if "/" in name and name.split("/")[0] in folders and name not in NOT_THERE:
            head, _, rest = name.partition("{")
            choices, _, tail = rest.partition("}")
            yield from (f"{head}{one}{tail}".rstrip("/") for one in choices.split(","))


def test_the_picture_of_the_channel_names_every_component_once() -> None:
    picture = (ROOT / "docs/channel.svg").read_text()
    named = re.findall(r'class="name2?"[^>]*>(\w+)<', picture)

    assert sorted(named) == sorted(p.parent.name for p in ROOT.glob("components/*/*/component.py"))


@pytest.mark.parametrize("record", sorted(ROOT.glob("docs/decisions/*.md")), ids=lambda p: p.stem)
def test_a_decision_is_one_page_with_its_cost_and_its_end(record: pathlib.Path) -> None:
    text = record.read_text()

    assert text.startswith(f"# {record.name[:4]}: ")
    assert len(text.splitlines()) <= 40
    for part in ("**Context.**", "**Decision.**", "**Cost.**", "**What would change our mind.**"):
        assert part in text


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted(ROOT.glob("docs/decisions/*.md"))]

    assert numbers == list(range(1, len(numbers) + 1))
