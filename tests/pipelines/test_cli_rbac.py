"""`falaj rbac`: 0 where nothing is open, 3 where something is, 2 where nothing can be read."""

import io
import pathlib

import pytest

from components.governance.rbac import paths, reading
from components.governance.rbac.rights import Access
from pipelines.__main__ import main

ROOT = pathlib.Path(__file__).parents[2]
STOCK = ROOT / "tests/components/governance/rbac/stock.yaml"
ACCEPTED = ROOT / "docs/rbac-accepted.yaml"


def test_our_manifests_hold_nothing_that_is_not_accepted_with_a_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["rbac", str(ROOT / "manifests"), "--accepted", str(ACCEPTED)])

    said = capsys.readouterr()
    assert (code, said.err) == (0, ""), said.out
    assert "accepted, but not found" not in said.out


def test_our_manifests_are_not_quiet_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rbac", str(ROOT / "manifests")]) == 3

    said = capsys.readouterr()
    assert "Group falaj:deployer in falaj: pods" in said.out
    assert said.err.endswith("[rbac-paths]\n")


def test_a_role_that_nobody_holds_is_judged_when_asked_for() -> None:
    access = Access.of(reading.read([("stock", STOCK.read_text())]))

    assert len(paths.find(access.with_unbound())) > len(paths.find(access))


def test_a_stock_kubeflow_is_refused_with_reasons_and_ways_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["rbac", str(STOCK)]) == 3

    said = capsys.readouterr().out
    assert "ServiceAccount team/default-editor in team: secrets" in said
    assert "  way out  write get alone, with resourceNames" in said
    assert "4 identities" not in said
    assert "5 identities, 10 ways up, 0 accepted" in said


def test_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: ConfigMap\n"))

    assert main(["rbac"]) == 0

    assert capsys.readouterr().out == "0 identities, 0 ways up, 0 accepted\n"


def test_prints_the_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rbac", "--matrix", str(ROOT / "manifests/rbac")]) == 0

    said = capsys.readouterr().out
    assert "ServiceAccount falaj/falaj-runner" in said
    assert "secrets falaj-object-store" in said


def test_says_which_acceptance_nothing_needs(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("kind: ConfigMap\n")

    assert main(["rbac", str(empty), "--accepted", str(ACCEPTED)]) == 0

    assert "accepted, but not found: Group *:deployer: pods" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "objects-malformed"), ("- 1", "objects-malformed"), (None, "manifests-unreadable")],
)
def test_bad_input_is_one_sentence(
    text: str | None, says: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)

    assert main(["rbac", str(path)]) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"[{says}]" in said
