"""Try a candidate in the real server, before it is sealed.

Reads: the model; the first rows of a table.
Writes: a verdict, a page with what was sent and how it was answered; nothing about rows.
Needs: a free port on the loopback; the server in the same image, and for a program of PyTorch or
    TensorFlow its framework: set the step's image to `torch` or `tensorflow`.
Fails when: the rows lack what the model wants (2); the server was not ready in time (75). A
candidate that does not start, errs, differs or is slow is no failure: the verdict says so.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("release")
def smoke_test(
    model: dsl.Input[dsl.Model],
    rows: str,
    report: dsl.Output[dsl.HTML],
    sample_rows: int = 64,
    max_latency_ms: float = 250.0,
    max_difference: float = 1e-5,
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Serve a candidate and send it real rows and malformed requests.

    Args:
        model: folder with signature.json and a program: model.onnx, program.pt2 or saved_model.
        rows: reference of a table with the model's inputs, e.g. s3://falaj-features/test@3.
        report: page with what was sent and how it was answered.
        sample_rows: how many rows are sent, each alone and all at once.
        max_latency_ms: limit of the 99th percentile of single rows.
        max_difference: limit of the difference to the same program in this process; of answers
            beyond 1, as a part of the answer.

    Returns:
        verdict: the judgement with its numbers.
        decision: accept or refuse.
    """
    import pathlib

    from components.release.smoke_test import reference, trial
    from components.release.smoke_test.report import render
    from components.step import step

    with step("smoke_test") as here:
        folder = pathlib.Path(model.path)
        files = here.tables.files(here.reads(rows), here.cache)
        sample = reference.Sample.of(folder, reference.first_rows(files, sample_rows))
        limits = trial.Limits(p99_ms=max_latency_ms, difference=max_difference)
        verdict = trial.judge(folder, sample, limits, here.environment)
        here.publish(report, render(here.record(verdict)), decision=str(verdict.decision))
        return (verdict.to_dict(), str(verdict.decision))
