"""Judge what a model folder holds before it is served or sealed; nothing of it is ever loaded.

Reads: every file of the model folder, within bounds.
Writes: a verdict, a page and a JSON with every finding by file.
Needs: picklescan and modelscan are asked as well where they are installed.
Fails when: a declaration has another form than the documented one (2). A folder that may not be
    sealed is no failure: the verdict says so, and a gate stops the run.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("release")
def scan_model(
    model: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.HTML],
    findings: dsl.Output[dsl.Artifact],
    licence: str = "",
    source: str = "",
    trained_by: str = "",
    declared: dict = {},  # noqa: B006 - kfp wants a literal default, and never changes it
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Scan a model folder for pickles, code, outside data, and what deceives.

    Args:
        model: folder of a model, such as export_onnx writes.
        report: page with every finding by file.
        findings: the same as JSON.
        licence: SPDX expression, e.g. Apache-2.0 or LicenseRef-internal; else model.json's.
        source: where the model comes from; else model.json's.
        trained_by: who answers for its training; else model.json's.
        declared: what is unusual and let through, beside what model.json declares: pickles, as
            {file: [globals]}, and domains of custom ONNX operators, as a list.

    Returns:
        verdict: the judgement with its numbers.
        decision: accept or refuse.
    """
    import pathlib
    import sys

    from components.release.scan_model import judge, scanners
    from components.release.scan_model import report as pages
    from components.release.scan_model.declared import Declared
    from components.step import step

    with step("scan_model") as here:
        folder = pathlib.Path(model.path)
        given = {"licence": licence, "source": source, "trained_by": trained_by}
        said = Declared.read(folder, given=given, extra=declared)
        programs = scanners.installed(pathlib.Path(sys.executable).parent)
        verdict, found = judge.judge(folder, said, programs=programs)
        here.publish(findings, pages.to_dict(verdict, found), decision=str(verdict.decision))
        here.publish(report, pages.render(here.record(verdict), found), files=len(found.files))
        return (verdict.to_dict(), str(verdict.decision))
