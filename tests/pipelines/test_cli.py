"""The command line `falaj`: what each command does, says, and ends with."""

import pathlib
import shlex

import pytest

from pipelines import compiled
from pipelines.__main__ import main, parser
from pipelines.commands import catalogue

ROOT = pathlib.Path(__file__).parents[2]
SITES = ROOT / "pipelines/sites"
COMMANDS = (
    "new",
    "put",
    "compile",
    "catalogue",
    "run",
    "report",
    "runs",
    "upload",
    "schedule",
    "schedules",
    "explain",
    "serve",
    "status",
    "rollback",
    "seal",
    "unseal",
    "verify",
    "channels",
    "keys",
    "keys new",
    "keys list",
    "keys share",
    "keys rotate",
    "keys revoke",
    "rewrap",
    "resign",
    "residency",
    "residency check",
    "residency ledger",
    "rbac",
    "doctor",
    "errors",
)


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default project folder is relative, as for whoever types the command."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "120")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed, errors included."""
    captured = capsys.readouterr()
    return captured.out + captured.err


# help


@pytest.mark.parametrize("command", ["", *COMMANDS], ids=lambda command: command or "falaj")
def test_help_ends_well_and_shows_lines_to_copy(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])

    assert ended.value.code == 0
    examples = said(capsys).partition("examples:\n")[2]
    assert f"  falaj {command}".rstrip() in examples


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])

    options = said(capsys).partition("options:\n")[2].partition("\nexamples:")[0]
    assert [line for line in options.splitlines() if len(line.split("  ")) < 3] == []


@pytest.mark.parametrize("command", ["", *COMMANDS], ids=lambda command: command or "falaj")
def test_a_line_to_copy_is_one_that_the_parser_takes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])

    for line in said(capsys).partition("examples:\n")[2].strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "falaj"
        assert callable(parser().parse_args(arguments).do)


@pytest.mark.parametrize("line", ["", "compil", "seal folder", "run deployment --sit laptop -x"])
def test_a_line_that_is_no_command_is_the_users_mistake(line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())

    assert ended.value.code == 2


def test_an_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "do", interrupted)

    assert main(["catalogue"]) == 130


# compile and catalogue


def test_compile_writes_every_pipeline_and_component_without_findings(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "--out", str(tmp_path)]) == 0

    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.yaml")}
    assert {f"pipelines/{name}.yaml" for name in compiled.BUILDERS} <= files
    assert "components/validate.yaml" in files
    assert f"{len(files)} files" in (words := said(capsys))
    assert "no findings" in words


def test_compile_refuses_what_the_linter_finds(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines import linter

    finding = linter.Finding("pip", "gate.yaml", "planted [/in] brackets", "take it out")
    monkeypatch.setattr(linter, "lint", lambda path: [finding] if path.stem == "gate" else [])

    assert main(["compile", "--out", str(tmp_path)]) == 3
    words = said(capsys)
    assert "planted [/in] brackets" in words
    assert "1 findings" in words


def test_compile_names_the_project_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--project", "examples/nowhere"]) == 2
    assert "examples/nowhere/project.yaml: not found" in said(capsys)


def test_catalogue_lists_components(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue"]) == 0
    assert "ingestion/ingest_sql [data]" in said(capsys)


def test_catalogue_writes_the_pages_in_docs(tmp_path: pathlib.Path) -> None:
    assert main(["catalogue", "--write", str(tmp_path)]) == 0
    assert (tmp_path / "release.md").read_text() == (
        ROOT / "docs/components/release.md"
    ).read_text()


# run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deploymnt", "did you mean 'deployment'?"),
        ("deployment --set relaese=x", "did you mean 'release'?"),
        ("deployment --set release", "expected NAME=VALUE"),
        ("deployment --set min_requests=many", "expected a whole number"),
        ("deployment --set min_requests=1.5", "expected a whole number"),
        ("deployment --set min_requests=true", "expected a whole number"),
        ("deployment --set alpha=x", "expected a number"),
        ("deployment --set steps=5", "expected a JSON list"),
        ("deployment --site cluster --traffic s3://x/y", "--traffic is for laptops"),
        ("deployment --site cluster --set relaese=x", "did you mean 'release'?"),
        ("deployment --name mine", "--name is for clusters"),
        ("deployment --site nowhere", "no such file"),
        ("deployment --project examples/nowhere", "not found"),
    ],
)
def test_run_says_what_is_wrong_before_anything_starts(
    line: str, words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *line.split(), "--state", str(tmp_path / "state")]) == 2
    assert words in said(capsys)
    assert not (tmp_path / "state").exists()


def test_set_gives_a_value_the_type_of_its_parameter() -> None:
    from pipelines import parameters
    from pipelines.place import Place
    from pipelines.project import load

    built = compiled.pipeline("deployment", load(ROOT / "examples/flights"), Place.named("laptop"))

    pairs = ["release=123456789012", "steps=[5, 25]", "alpha=1", "min_requests=7"]
    values = {"release": "123456789012", "steps": [5, 25], "alpha": 1, "min_requests": 7}
    assert parameters.parse(pairs, built) == values


def test_run_without_a_candidate_says_so(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "deployment", "--state", str(tmp_path)]) == 2
    assert "channel delays/candidate: was never set; register a release" in said(capsys)


# residency


@pytest.mark.parametrize(
    "site", ["laptop.yaml", "cluster.yaml", ""], ids=["laptop", "cluster", "both"]
)
def test_residency_accepts_the_sites_that_ship(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["residency", "check", str(SITES / site)]) == 0
    assert "accept - data stay in AE" in said(capsys)


def test_residency_refuses_a_site_abroad_beside_good_ones(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    abroad = (SITES / "cluster.yaml").read_text().replace("me-central-1", "me-south-1")
    (tmp_path / "abroad.yaml").write_text(abroad)

    paths = [str(SITES / "laptop.yaml"), str(tmp_path / "abroad.yaml")]
    assert main(["residency", "check", *paths]) == 3
    words = said(capsys)
    assert "residency laptop: accept" in words
    assert "aws me-south-1" in words
    assert "1 of 2 refused" in words


def test_residency_answers_a_typo_with_the_nearest_name(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typo = (SITES / "cluster.yaml").read_text().replace("pipeline_root:", "pipeline_rot:")
    (tmp_path / "typo.yaml").write_text(typo)

    assert main(["residency", "check", str(tmp_path / "typo.yaml")]) == 2
    assert "did you mean 'pipeline_root'" in said(capsys)
