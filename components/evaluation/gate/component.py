"""Stop a run unless a verdict passes.

Reads: a verdict, as another step gave it.
Writes: nothing; a failed step of a cluster loses its artifacts, so the step that judged has
    already kept its report.
Needs: image data.
Fails when: the verdict's decision is not one that passes (accept, promote, stable): exit 3,
    with the verdict's reason.
"""

from components.face import component


@component("data")
def gate(verdict: dict) -> str:
    """Stop a run unless a verdict passes.

    Args:
        verdict: what a validator, evaluator or judge decided.

    Returns:
        The decision that let the run pass.
    """
    from components.foundation.errors import Refused
    from components.foundation.verdict import Verdict
    from components.step import step

    with step("gate"):
        judged = Verdict.from_dict(verdict)
        if not judged.passes:
            raise Refused(str(judged), code="gate-refused")
        print(judged)
        return str(judged.decision)
