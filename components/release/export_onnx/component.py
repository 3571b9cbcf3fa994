"""Turn a trained model into ONNX and compare the two on real rows.

Reads: a model folder of train_torch or train_tensorflow; some rows of a table.
Writes: an ONNX folder (model.onnx, signature.json, model.json), a verdict.
Needs: the image of the framework that trained the model: torch by default, and for TensorFlow
    `export_onnx(...).set_container_image(images()["tensorflow"])` (decision record 0004).
Fails when: an operator has no ONNX form (it is named), or the rows lack a feature. Scores
    that differ do not fail the step: the verdict refuses, and a gate stops the run.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("torch")
def export_onnx(
    model: dsl.Input[dsl.Model],
    rows: str,
    onnx: dsl.Output[dsl.Model],
    sample_rows: int = 256,
    tolerance: float = 1e-4,
) -> NamedTuple("Outputs", [("max_difference", float), ("verdict", dict), ("decision", str)]):
    """Turn a trained model into ONNX and compare the two on real rows.

    Args:
        model: folder that a trainer wrote.
        rows: table with the features, e.g. s3://falaj-features/flights-validation@2.
        onnx: folder with model.onnx, signature.json and model.json.
        sample_rows: how many rows to compare, spread over the table.
        tolerance: largest difference of two scores that is let through; of scores beyond 1, as a
            part of the score.

    Returns:
        The largest difference, the verdict, and its decision (accept or refuse).
    """
    import pathlib

    from components.release.export_onnx import export
    from components.step import step

    with step("export_onnx") as here:
        source = pathlib.Path(model.path)
        exported = export.export(source, pathlib.Path(onnx.path))
        some = export.sample(here.tables, here.reads(rows), exported, rows=sample_rows)
        compared = export.compare(source, exported, some, tolerance=tolerance)
        verdict = here.record(compared.verdict(exported))
        here.describe(onnx, framework="onnx", max_difference=compared.max_difference)
        return (compared.max_difference, verdict.to_dict(), str(verdict.decision))
