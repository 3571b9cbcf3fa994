import json
import pathlib
from typing import Any

import pytest
from kfp import dsl

from components.foundation.errors import UserError
from components.release.scan_model.component import scan_model
from components.release.scan_model.declared import Declared
from tests.components.release import scan_samples as samples
from tests.inference.models import write_model

GIVEN = {"licence": "Apache-2.0", "source": "tests", "trained_by": "nobody"}
CARD = {"train": "s3://falaj-features/x@1", "validation": "s3://falaj-features/y@1"}


@pytest.fixture
def candidate(tmp_path: pathlib.Path) -> dsl.Model:
    folder = write_model(tmp_path / "onnx")
    (folder / "model.json").write_text(json.dumps(CARD))
    return dsl.Model(uri=str(folder))


@pytest.fixture
def outputs(tmp_path: pathlib.Path) -> dict[str, Any]:
    return {
        "report": dsl.HTML(uri=str(tmp_path / "deep/report.html")),
        "findings": dsl.Artifact(uri=str(tmp_path / "deep/findings.json")),
    }


def test_a_sound_folder_is_accepted_with_what_was_counted(
    environment: None, candidate: dsl.Model, outputs: dict[str, Any]
) -> None:
    verdict, decision = scan_model.python_func(model=candidate, **outputs, **GIVEN)

    evidence = verdict["evidence"]
    assert decision == "accept", verdict
    assert (evidence["files"], evidence["operators"], evidence["tensors"]) == (3, 3, 1)
    assert evidence["provenance"] == {**GIVEN, "tables": list(CARD.values())}
    assert evidence["kinds"] == {"JSON": 2, "ONNX graph": 1}
    assert evidence["scanners"][0] == "opcodes"
    assert json.loads(pathlib.Path(outputs["findings"].path).read_text())["findings"] == []


def test_a_hostile_folder_is_refused_not_failed_and_every_file_is_named(
    environment: None, candidate: dsl.Model, outputs: dict[str, Any]
) -> None:
    folder = pathlib.Path(candidate.path)
    (folder / "<script>alert(1)<").mkdir()
    (folder / "<script>alert(1)<" / "x.pkl").write_bytes(samples.calling("os", "system", "x"))
    (folder / "setup.sh").write_text("#!/bin/sh")

    verdict, decision = scan_model.python_func(model=candidate, **outputs, **GIVEN)

    named = {finding["file"] for finding in verdict["evidence"]["findings"]}
    page = pathlib.Path(outputs["report"].path).read_text()
    written = json.loads(pathlib.Path(outputs["findings"].path).read_text())
    assert decision == "refuse"
    assert {"<script>alert(1)</x.pkl", "setup.sh"} <= named
    assert "os.system, which can run code" in page
    assert "<script" not in page
    assert {finding["file"] for finding in written["findings"]} == named


def test_the_same_folder_is_judged_the_same_wherever_it_lies(
    environment: None, candidate: dsl.Model, outputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    first, _ = scan_model.python_func(model=candidate, **outputs, **GIVEN)
    moved = pathlib.Path(candidate.path).rename(tmp_path / "elsewhere")
    again, _ = scan_model.python_func(model=dsl.Model(uri=str(moved)), **outputs, **GIVEN)

    assert {**first, "time": ""} == {**again, "time": ""}


@pytest.mark.parametrize("lacking", GIVEN)
def test_a_model_that_nobody_answers_for_is_refused(
    environment: None, candidate: dsl.Model, outputs: dict[str, Any], lacking: str
) -> None:
    verdict, decision = scan_model.python_func(
        model=candidate, **outputs, **{**GIVEN, lacking: " "}
    )

    assert decision == "refuse"
    assert verdict["reason"].startswith(f"model.json: provenance: {lacking}: missing")


def test_a_model_that_names_no_table_is_refused() -> None:
    [said] = Declared(GIVEN).findings()

    assert "train: missing" in said.says


@pytest.mark.parametrize("licence", ["free", "Apache 2", "MIT AND", "Apache-2.0 OR whatever"])
def test_a_licence_is_an_spdx_expression(tmp_path: pathlib.Path, licence: str) -> None:
    said = Declared({**GIVEN, "licence": licence}, ("s3://x@1",))

    assert [f"{finding.rule}" for finding in said.findings()] == ["provenance"]


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0 OR MIT", "LicenseRef-internal"])
def test_licences_that_are_spdx_expressions_are_taken(licence: str) -> None:
    assert list(Declared({**GIVEN, "licence": licence}, ("s3://x@1",)).findings()) == []


def test_what_a_card_says_holds_where_nothing_is_given(tmp_path: pathlib.Path) -> None:
    card = {**CARD, "provenance": GIVEN, "declares": {"pickles": {"a.pkl": ["x.Y"]}}}
    (tmp_path / "model.json").write_text(json.dumps(card))

    said = Declared.read(
        tmp_path, given={"licence": "MIT", "source": ""}, extra={"domains": ["com.microsoft"]}
    )

    assert said.provenance == {**GIVEN, "licence": "MIT"}
    assert said.pickles == {"a.pkl": frozenset({"x.Y"})}
    assert said.domains == {"com.microsoft"}


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"pickle": {}}, "'pickle': unknown; did you mean 'pickles'"),
        ({"pickles": ["a.pkl"]}, "pickles: is list, expected names and values"),
        ({"pickles": {"a.pkl": "os.system"}}, r"pickles\.a\.pkl: is str, expected a list"),
        ({"domains": "own"}, "domains: is str, expected a list"),
    ],
    ids=["unknown", "list", "text", "domain"],
)
def test_a_declaration_of_another_form_is_the_callers_mistake(
    tmp_path: pathlib.Path, extra: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Declared.read(tmp_path, given={}, extra=extra)
