"""The program that a pod runs: what it prints, and its exit codes."""

import json
import pathlib

import pytest
import yaml

from components.foundation.buckets.__main__ import main
from components.foundation.storage import Settings

ROOT = pathlib.Path(__file__).parents[4]
DECLARED = str(ROOT / "manifests/storage/configmap-falaj-buckets.yaml")


@pytest.fixture(autouse=True)
def _site(environment: None, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALAJ_BUCKETS", f"s3://{unique}")
    monkeypatch.setenv("FALAJ_RESIDENCY", "cbuae")
    monkeypatch.setenv("FALAJ_STORE_LACKS", "location,public_access")


def test_applies_and_then_has_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", DECLARED]) == 3
    assert "7 differs" in capsys.readouterr().out

    assert main(["apply", DECLARED]) == 0
    assert "evidence bucket: changed: made" in capsys.readouterr().out

    assert main(["apply", DECLARED]) == 0
    said = capsys.readouterr().out
    assert said.endswith("42 is as declared; 14 is done without\n")
    assert "changed" not in said


def test_a_store_that_cannot_do_what_is_declared_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FALAJ_STORE_LACKS", "location")

    assert main(["apply", DECLARED]) == 3

    assert "public_access: is not supported by the store" in capsys.readouterr().err


def test_a_store_that_is_away_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    assert main(["check", DECLARED]) == 75


def test_a_declaration_that_means_nothing_is_the_users_to_mend(tmp_path: pathlib.Path) -> None:
    wrong = tmp_path / "buckets.yaml"
    wrong.write_text("format: 2")

    assert main(["check", str(wrong)]) == 2


def test_the_job_runs_this_program_with_what_it_reads(s3: Settings) -> None:
    path = ROOT / "manifests/storage/cronjob-falaj-buckets.yaml"
    template = yaml.safe_load(path.read_text())["spec"]["jobTemplate"]["spec"]["template"]
    [container] = template["spec"]["containers"]

    assert container["command"] == ["python", "-m", "components.foundation.buckets"]
    assert container["args"] == ["apply", "/etc/falaj/buckets.yaml"]
    assert json.dumps({"configMapRef": {"name": "falaj-site"}}) in json.dumps(container["envFrom"])
