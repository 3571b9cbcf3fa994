"""Judge whether a site keeps its bytes in the country that its profile demands.

Reads: the text of a site file; nothing is looked up on the network.
Writes: a verdict, also in the audit log.
Needs: the object store of the evidence.
Fails when: the site file is wrong (exit 2). A site abroad is a verdict, not a failure.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def attest_residency(
    site: str,
    report: dsl.Output[dsl.HTML],
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Judge where a site keeps its bytes.

    Args:
        site: text of the site file (YAML); secrets have no place in it.
        report: what was looked up, what was declared, and what nobody attests.

    Returns:
        verdict: the judgement; its evidence says what was looked up and what declared.
        decision: "accept" or "refuse".
    """
    from components.foundation.site import Site
    from components.governance.attest_residency import attestation
    from components.governance.attest_residency.report import render
    from components.step import step

    with step("attest_residency") as here:
        verdict = here.record(attestation.attest(Site.parse(site)))
        here.publish(report, render(verdict), decision=str(verdict.decision))
        return (verdict.to_dict(), str(verdict.decision))
