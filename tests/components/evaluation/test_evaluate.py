import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.evaluation import labels
from components.evaluation.evaluate import measure
from components.evaluation.evaluate.component import evaluate
from components.evaluation.evaluate.measure import Evaluation, Settings
from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables

Model = Callable[..., ServedModel]
Make = Callable[..., pa.Table]


def _measure(table: pa.Table, model: ServedModel, **more: Any) -> Evaluation:
    rows = labels.labelled(table, label="late", source="t@1")
    settings = Settings(**{"threshold": 0.5, "resamples": 100, "seed": 1, **more})
    return measure.evaluate(rows, model.score(rows.table), settings, model=model.digest)


def test_the_true_model_is_calibrated_and_inside_its_intervals(model: Model, rows: Make) -> None:
    found = _measure(rows(4000), model())

    assert 0.68 < found.metrics()["auc"] < 0.78
    assert found.metrics()["calibration_error"] < 0.03
    assert found.unlabelled == 80
    for name, interval in found.intervals.items():
        assert interval.low < getattr(found.scores, name) < interval.high


def test_a_steeper_model_ranks_alike_and_is_less_calibrated(model: Model, rows: Make) -> None:
    true = _measure(rows(4000), model())
    steep = _measure(rows(4000), model("steep", slope=3, offset=-3))

    assert steep.metrics()["auc"] == pytest.approx(true.metrics()["auc"])
    assert steep.metrics()["calibration_error"] > 3 * true.metrics()["calibration_error"]


def test_slices_add_up_to_the_whole(model: Model, rows: Make) -> None:
    found = _measure(rows(4000), model(), slices=["airport", "carrier"])

    by_airport = [part for part in found.slices if part.column == "airport"]
    assert {part.name for part in by_airport} == {"airport=AUH", "airport=DXB"}
    assert sum(part.scores.rows for part in by_airport) == found.scores.rows
    assert len(found.slices) == 6


def test_slices_too_small_to_say_anything_are_left_out(model: Model, rows: Make) -> None:
    table = rows(200)
    sizes = [31] * 31 + [29] * 29 + [0] * 140
    table = table.append_column("gate", pa.array([f"of {size}" for size in sizes]))
    table = table.set_column(
        table.schema.get_field_index("late"), "late", pa.array([0.0, 1.0] * 100)
    )

    found = _measure(table, model(), slices=["gate"])

    assert [part.name for part in found.slices] == ["gate=of 0", "gate=of 31"]


def test_days_resampled_whole_are_named_in_the_evaluation(model: Model, rows: Make) -> None:
    found = _measure(rows(1000), model(), groups="day")

    assert found.to_dict()["groups"] == "day"
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["metrics"]["rows"] == 980


def test_refuses_rows_without_any_label(rows: Make) -> None:
    table = rows(10).set_column(4, "late", pa.nulls(10, pa.int64()))

    with pytest.raises(UserError, match="none of 10 rows has a label"):
        labels.labelled(table, label="late", source="t@1")


@pytest.fixture
def run(test_table: str, tmp_path: pathlib.Path) -> Callable[..., Any]:
    def evaluate_it(model: ServedModel, **more: Any) -> Any:
        return evaluate.python_func(
            **{"test": test_table, "label": "late", **more},
            model=dsl.Model(uri=str(model.folder)),
            report=dsl.HTML(uri=str(tmp_path / "report.html")),
            evaluation=dsl.Artifact(uri=str(tmp_path / "evaluation.json")),
            metrics=dsl.Metrics(uri=str(tmp_path / "metrics")),
            classification=dsl.ClassificationMetrics(uri=str(tmp_path / "classes")),
        )

    return evaluate_it


def test_writes_report_evaluation_and_scored_rows(
    run: Any, model: Model, tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    summary, scored = run(
        model(), slices=["airport"], scored=f"s3://falaj-features/{unique}/scored"
    )

    saved = json.loads((tmp_path / "evaluation.json").read_text())
    page = (tmp_path / "report.html").read_text()
    table = tables.read(TableRef.parse(scored))
    assert saved["metrics"] == summary
    assert saved["model"] == model().digest
    assert "airport=AUH" in page
    assert "Calibration" in page
    assert table.num_rows == summary["rows"]
    np.testing.assert_allclose(
        table.column("score").to_numpy(), model().score(table.drop_columns(["score"]))
    )


def test_scored_rows_are_written_once(run: Any, model: Model, unique: str) -> None:
    target = f"s3://falaj-features/{unique}/scored"
    refs = [run(model(), slices=slices, scored=target)[1] for slices in ([], [], ["airport"])]

    assert refs == [f"{target}@0", f"{target}@0", f"{target}@1"]


def test_refuses_a_model_whose_signature_does_not_match_the_table(
    run: Any, model: Model, tables: Tables, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = pa.table({"wnd": [1.0, 2.0], "carrier": [0, 1], "late": [0, 1]})
    test = tables.replace(TableRef("falaj-features", f"{unique}/other"), other)

    with pytest.raises(SystemExit) as ended:
        run(model(), test=str(test))

    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "has no column 'wind', an input of the model; did you mean 'wnd'?" in message


def test_refuses_a_slice_that_is_no_column(
    run: Any, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(model(), slices=["airprt"])

    assert "did you mean 'airport'" in capsys.readouterr().err
