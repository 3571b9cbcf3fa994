import copy
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.page import number
from components.foundation.tables import TableRef, Tables
from components.release.smoke_test.component import smoke_test
from components.release.smoke_test.malformed import Outcome
from components.release.smoke_test.process import without_secrets
from components.release.smoke_test.reference import difference
from components.release.smoke_test.trial import Limits, Trial
from tests.inference.models import SIGNATURE, write_model


@pytest.fixture
def report(tmp_path: pathlib.Path) -> dsl.HTML:
    return dsl.HTML(uri=str(tmp_path / "deep/report.html"))


def test_a_sound_candidate_is_accepted(
    environment: None, model: dsl.Model, rows: str, report: dsl.HTML
) -> None:
    verdict, decision = smoke_test.python_func(
        model=model, rows=rows, report=report, sample_rows=30, max_latency_ms=5000.0
    )

    evidence = verdict["evidence"]
    assert decision == "accept", verdict
    assert (evidence["rows"], evidence["errors"]) == (30, 0)
    assert evidence["difference"] <= 1e-6
    assert len(evidence["malformed"]) >= 10
    assert all(case["good"] for case in evidence["malformed"])
    page = pathlib.Path(report.path).read_text()
    assert "p99_ms" not in evidence
    assert number(verdict["measured"]["p99_ms"]) in page
    assert "an unknown input" in page
    assert "<script" not in page


def test_a_candidate_that_errs_is_refused(
    environment: None, model: dsl.Model, tables: Tables, unique: str, report: dsl.HTML
) -> None:
    table = pa.table({"delay": [1.0] * 10, "carrier": [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]})
    ref = str(tables.replace(TableRef("falaj-features", unique), table))
    write_model(pathlib.Path(model.path), zero_only=True)

    verdict, decision = smoke_test.python_func(model=model, rows=ref, report=report)

    assert decision == "refuse"
    assert "6 of 10 rows were answered with an error" in verdict["reason"]


def test_a_candidate_that_does_not_start_is_refused(
    environment: None, tmp_path: pathlib.Path, rows: str, report: dsl.HTML
) -> None:
    signature: dict[str, Any] = copy.deepcopy(SIGNATURE)
    signature["inputs"].reverse()
    signature["inputs"][0]["shape"] = [-1, 1]
    wrong = dsl.Model(uri=str(write_model(tmp_path / "wrong", signature=signature)))

    verdict, decision = smoke_test.python_func(model=wrong, rows=rows, report=report)

    assert decision == "refuse"
    assert "does not start" in verdict["reason"]
    assert "'carrier': the model has INT64 [-1], the signature INT64 [-1, 1]" in verdict["reason"]


def test_rows_that_lack_an_input_are_the_callers_mistake(
    environment: None,
    model: dsl.Model,
    tables: Tables,
    unique: str,
    report: dsl.HTML,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ref = str(tables.replace(TableRef("falaj-features", unique), pa.table({"dely": [1.0]})))

    with pytest.raises(SystemExit) as ended:
        smoke_test.python_func(model=model, rows=ref, report=report)

    assert ended.value.code == 2
    assert "did you mean 'dely'" in capsys.readouterr().err


def test_a_candidate_sees_no_credentials() -> None:
    environment = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "FALAJ_KEYS": "/k"}

    assert without_secrets(environment) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("given", "apart"),
    [
        pytest.param([0.1, 0.7, None], 0.2, id="the largest of all rows"),
        pytest.param([0.1, 0.5], float("inf"), id="another count"),
        pytest.param([0.1, 0.5, 0.9], float("inf"), id="an answer where none should be"),
    ],
)
def test_an_answer_is_as_far_off_as_its_worst_row(given: list[float | None], apart: float) -> None:
    answer = {"outputs": [{"name": "probability", "data": given}]}
    want = {"probability": np.array([9.0, 0.1, 0.5, np.nan])}

    assert difference(answer, want, slice(1, 4)) == pytest.approx(apart)


GOOD = Outcome("no JSON", 400, 400, leaks=False)


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        pytest.param(Trial(4, 0, 0.0, (1.0,) * 4, [GOOD]), "", id="sound"),
        pytest.param(Trial(4, 1, 0.0, (1.0,) * 4, [GOOD]), "1 of 4 rows", id="errors"),
        pytest.param(Trial(4, 0, 0.1, (1.0,) * 4, [GOOD]), "answers differ by 0.1", id="differs"),
        pytest.param(Trial(4, 0, float("inf"), (1.0,) * 4, [GOOD]), "differ by inf", id="missing"),
        pytest.param(Trial(4, 0, 0.0, (1, 1, 1, 99.0), [GOOD]), "p99 is 99.0 ms", id="slow"),
        pytest.param(
            Trial(4, 0, 0.0, (1.0,) * 4, [Outcome("no JSON", 400, 500, leaks=False)]),
            "no JSON: the server answered 500, expected 400",
            id="5xx",
        ),
        pytest.param(
            Trial(4, 0, 0.0, (1.0,) * 4, [Outcome("no JSON", 400, 400, leaks=True)]),
            "with internals in its answer",
            id="leaks",
        ),
    ],
)
def test_the_first_complaint_is_the_reason(trial: Trial, says: str) -> None:
    complaint = trial.complaint(Limits(p99_ms=50, difference=1e-5))

    assert says in complaint
    assert bool(says) == bool(complaint)


def test_a_step_that_is_killed_takes_its_server_along(model: dsl.Model) -> None:
    program = (
        "import os, pathlib, sys, time\n"
        "from components.release.smoke_test.process import serving\n"
        "with serving(pathlib.Path(sys.argv[1]), model='m', environment=os.environ) as client:\n"
        "    print(client.port, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, model.path]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as step:
        assert step.stdout
        port = int(step.stdout.readline())
        step.kill()
        assert step.stdout.read() == ""  # the server does not hold the step's output

    deadline = time.monotonic() + 30
    while _listens(port):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
