"""`falaj residency check` says what is wrong with each object, and by which law."""

import io
import json
import pathlib

import pytest
import yaml

from components.foundation.site import Profile
from components.governance.residency import profiles
from pipelines.__main__ import main

ROOT = pathlib.Path(__file__).parents[2]
ABROAD, HOME = "gs://models/pricing", "sealed+s3://falaj-models/pricing/7"


def model(uri: str, namespace: str = "team") -> dict[str, object]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "pricing", "namespace": namespace},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "x"}, "storageUri": uri}}},
    }


def namespace(profile: str) -> dict[str, object]:
    labels = {"falaj.example/residency": profile}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "team", "labels": labels},
    }


def check(folder: pathlib.Path, *things: object, asked: tuple[str, ...] = ()) -> int:
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(things))
    return main(["residency", "check", str(folder), *asked])


def test_an_object_that_sends_bytes_abroad_is_named_with_all_that_is_needed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, model(ABROAD), asked=("--profile", "health")) == 3

    said = capsys.readouterr()
    assert f"{tmp_path / 'objects.yaml'}: InferenceService pricing [inferenceservices]" in said.out
    assert f"spec.predictor.model.storageUri = {ABROAD}: an address without a region" in said.out
    assert "Federal Law 2/2019 on ICT in health fields, Article 13 (secondary:" in said.out
    assert "1 of 1 refused" in said.err


def test_an_object_that_stays_is_counted(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "x"}}

    assert check(tmp_path, model(HOME), config) == 0

    assert capsys.readouterr().out == "1 objects judged, 1 that say nothing of places\n"


@pytest.mark.parametrize(
    ("labelled", "law"),
    [("cbuae", "CBUAE Outsourcing"), ("pdpl", "Federal Decree-Law 45/2021"), ("x", "No profile")],
)
def test_the_label_of_the_namespace_says_which_law_holds(
    labelled: str, law: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, namespace(labelled), model(ABROAD), asked=("--profile", "health")) == 3

    assert law in capsys.readouterr().out


def test_without_a_namespace_or_a_profile_the_strictest_holds(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, model(ABROAD)) == 3

    assert "No profile is named here" in capsys.readouterr().out


def test_a_transfer_on_a_recorded_basis_passes_and_is_told(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profiles.profile(Profile.PDPL)
    profile["spec"]["bases"] = [{"id": "t-1", "places": ["models.example"]}]
    moved = model("https://models.example/pricing")
    moved["metadata"] = {"name": "p", "annotations": {"falaj.example/transfer-basis": "t-1"}}

    assert check(tmp_path, profile, moved, asked=("--profile", "pdpl")) == 0

    assert "https://models.example/pricing: goes abroad on a recorded basis" in (
        capsys.readouterr().out
    )


def test_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(model(ABROAD))))

    assert main(["residency", "check"]) == 3

    assert "standard input: InferenceService pricing" in capsys.readouterr().out


def test_refuses_a_profile_that_nobody_knows(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, model(HOME), asked=("--profile", "helth")) == 2

    assert "health" in capsys.readouterr().err


def test_an_object_without_its_kinds_shape_is_one_sentence(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, {**model(HOME), "spec": 1}) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "[residency-malformed]" in said


def test_the_ledger_takes_in_what_an_api_server_let_pass_once(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    basis = {
        "id": "t-1",
        "article": "Article 23(1)(a)",
        "places": ["models.example"],
        "recordedBy": "dpo@bank.example",
        "recordedOn": "2026-11-02",
    }
    profile = profiles.profile(Profile.PDPL)
    profile["spec"]["bases"] = [basis]
    moved = model("https://models.example/pricing")
    moved["metadata"] = {"name": "p", "annotations": {"falaj.example/transfer-basis": "t-1"}}
    event = {
        "stage": "ResponseComplete",
        "auditID": "a-1",
        "user": {"username": "amal"},
        "objectRef": {"resource": "inferenceservices", "name": "p", "namespace": "team"},
        "requestObject": moved,
        "annotations": {
            "falaj-residency-inferenceservices/transfer": "spec.predictor.model.storageUri = "
            "https://models.example/pricing"
        },
    }
    (tmp_path / "audit.log").write_text(json.dumps(event) + "\n")
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile))
    given = ["--profiles", str(tmp_path / "profile.yaml")]
    command = ["residency", "ledger", "--state", str(tmp_path / "laptop"), *given]

    for _ in range(2):
        assert main([*command, "--audit-log", str(tmp_path / "audit.log")]) == 0

        said = capsys.readouterr().out
        assert "inferenceservices p in team: spec.predictor.model.storageUri = https://" in said
        assert "by amal (admission), on t-1 (Article 23(1)(a)), recorded by dpo@bank" in said
        assert "1 transfers, 0 of them lapsed" in said

    profile["spec"]["bases"] = []
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile))
    assert main(command) == 0
    assert "1 transfers, 1 of them lapsed" in capsys.readouterr().out


def test_nothing_to_judge_is_no_acceptance(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["residency", "check", str(tmp_path)]) == 2

    assert "there is nothing to judge" in capsys.readouterr().err
