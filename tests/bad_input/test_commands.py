"""Commands that are wrong."""

import pathlib

import pytest

from components.foundation import error_catalogue
from pipelines.__main__ import main
from tests.bad_input.said import EXITS


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        (["run", "monitorin"], "pipeline-unknown", "did you mean 'monitoring'?"),
        (["run", "monitoring", "--set", "sinse=2013"], "parameter-unknown", "mean 'since'?"),
        (["run", "monitoring", "--set", "since"], "parameter-malformed", "expected NAME=VALUE"),
        (["compile", "--site", "SITE"], "site-malformed", "did you mean 'region'?"),
        (["compile", "--site", "nowhere.yaml"], "site-missing", "no such file"),
        (["compile", "--project", "nowhere"], "project-missing", "project.yaml"),
    ],
    ids=["pipeline", "parameter", "value", "site typo", "site", "project"],
)
def test_a_command_that_is_wrong(
    command: list[str],
    code: str,
    hint: str,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = tmp_path / "site.yaml"
    shipped = pathlib.Path("pipelines/sites/cluster.yaml").read_text()
    site.write_text(shipped.replace("region:", "regoin:", 1))

    exit_code = main([str(site) if word == "SITE" else word for word in command])

    said = capsys.readouterr().err
    assert exit_code == EXITS[error_catalogue.entry(code).kind]
    assert said.startswith("falaj: ")
    assert said.endswith(f" [{code}]\n")
    assert hint in said
