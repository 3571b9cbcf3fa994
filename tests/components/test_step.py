"""What a face stands on: exit codes, evidence, and nothing guessed about the place."""

import json
import pathlib
from typing import Any

import pytest
from kfp import dsl

from components.foundation import cost
from components.foundation.cost import Cost
from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.storage import Address, ObjectStore
from components.step import Step, step


@pytest.fixture
def run_id(environment: None, monkeypatch: pytest.MonkeyPatch, unique: str) -> str:
    monkeypatch.setenv("FALAJ_RUN_ID", unique)
    return unique


def events(store: ObjectStore, run_id: str) -> dict[str, Any]:
    listed = store.list(Address("falaj-evidence", f"lineage/{run_id}/"))
    read = [json.loads(store.get(item.address)) for item in listed]
    return {event["eventType"]: event for event in read}


@pytest.mark.parametrize(
    ("error", "code"), [(UserError, 2), (Refused, 3), (InfrastructureError, 75)]
)
def test_an_error_of_ours_leaves_as_its_exit_code_with_its_words(
    run_id: str,
    error: type[FalajError],
    code: int,
    store: ObjectStore,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FALAJ_TERMINATION_LOG", str(tmp_path / "said"))

    with pytest.raises(SystemExit) as left, step("validate"):
        raise error("the reason", code="why")

    assert left.value.code == code
    assert capsys.readouterr().err == "validate: the reason [why]\n"
    said = json.loads((tmp_path / "said").read_text())
    assert said == {
        "step": "validate",
        "exit_code": code,
        "code": "why",
        "message": "the reason",
    }
    assert set(events(store, run_id)) == {"START", "FAIL"}


def test_an_error_of_others_stays_what_it_is(run_id: str, store: ObjectStore) -> None:
    with pytest.raises(ZeroDivisionError), step("validate"):
        _ = 1 / 0

    assert set(events(store, run_id)) == {"START", "FAIL"}


def test_a_step_says_what_it_used_and_made(run_id: str, store: ObjectStore) -> None:
    with step("ingest_sql") as here:
        here.uses("postgres://db:5432/shop.public.orders")
        here.writes("s3://falaj-raw/orders@3")

    event = events(store, run_id)["COMPLETE"]
    assert [one["name"] for one in event["inputs"]] == ["shop.public.orders"]
    assert [one["name"] for one in event["outputs"]] == ["orders"]


def test_the_place_is_what_the_site_declares_and_nothing_more(
    run_id: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALAJ_COUNTRY", "AE")
    monkeypatch.setenv("FALAJ_RESIDENCY", "health")
    monkeypatch.delenv("FALAJ_PROVIDER", raising=False)

    with step("validate"):
        pass

    facet = events(store, run_id)["START"]["run"]["facets"]["residency"]
    assert (facet["country"], facet["profile"], facet["provider"]) == ("AE", "health", "undeclared")


def test_an_artifact_says_its_digest_and_who_made_it(tmp_path: pathlib.Path) -> None:
    page = dsl.HTML(uri=str(tmp_path / "page.html"))
    pathlib.Path(page.path).write_text("<p>")

    Step("validate", {}).describe(page, rows=3)

    assert page.metadata["digest"].startswith("sha256:")
    assert (page.metadata["producer"], page.metadata["rows"]) == ("validate", 3)


def test_publishes_text_as_it_is_and_values_as_json(tmp_path: pathlib.Path) -> None:
    here = Step("evaluate", {})
    text, value = (dsl.Artifact(uri=str(tmp_path / "deep" / name)) for name in ("t", "v"))

    here.publish(text, "\u00fc")
    here.publish(value, {"auc": 0.5}, rows=3)

    assert pathlib.Path(text.path).read_text(encoding="utf-8") == "\u00fc"
    assert json.loads(pathlib.Path(value.path).read_text()) == {"auc": 0.5}
    assert value.metadata["rows"] == 3
    assert value.metadata["digest"] != text.metadata["digest"] != ""


def test_publishes_no_number_that_json_cannot_say(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Step("evaluate", {}).publish(dsl.Artifact(uri=str(tmp_path / "v")), float("nan"))


def test_a_step_says_what_it_cost_to_the_runner_the_log_and_lineage(
    run_id: str,
    store: ObjectStore,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FALAJ_COST_LOG", str(tmp_path / "cost"))
    monkeypatch.setenv("FALAJ_LOG", "json")
    page = dsl.HTML(uri=str(tmp_path / "page.html"))

    with step("curate") as here:
        cost.reads("s3://falaj-raw/flights@7", rows=10, bytes=100)
        here.publish(page, "<p>")

    said = json.loads((tmp_path / "cost").read_text())
    assert (said["rows_read"], said["bytes_written"]) == (10, 3)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["step"]) == ("cost", "curate")
    assert Cost.from_dict(line) == Cost.from_dict(said)
    assert events(store, run_id)["COMPLETE"]["run"]["facets"]["cost"]["rows_read"] == 10


def test_a_step_that_failed_has_cost_something_too(
    run_id: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALAJ_COST_LOG", str(tmp_path / "cost"))

    with pytest.raises(SystemExit), step("curate"):
        raise UserError("no", code="test")

    assert json.loads((tmp_path / "cost").read_text())["seconds"] >= 0
