"""Give a candidate traffic step by step, judged on live counters.

Reads: `inference_requests_total` by version from PROMETHEUS_URL/federate, or
    `falaj_transformer_requests_total` of a version with a transformer; the model's
    InferenceServices, HTTPRoute and ConfigMap `<model>-rollout`.
Writes: weights in the HTTPRoute, state in the ConfigMap, a stop on the slot that lost.
Needs: KUBECONFIG or a pod's service account; PROMETHEUS_URL; a candidate that `deploy` left.
Fails when: another run moves the same rollout, the Kubernetes API is down, or the object store
    is, so that nothing can be told; the champion then has all traffic until it is run again.
    Metrics that are missing hold the rollout, for as long as max_seconds and bake_s together.
    A run that is cancelled, or a pod that is told to end, leaves all traffic to the champion.
    Run again, also after a kill, it goes on where it was.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("release")
def roll_out(
    model_name: str,
    report: dsl.Output[dsl.HTML],
    history: dsl.Output[dsl.Artifact],
    steps: list = [10, 50],  # noqa: B006 - kfp takes defaults from the signature
    alpha: float = 0.05,
    error_margin: float = 0.05,
    min_requests: int = 200,
    interval_s: float = 1.0,
    max_seconds: float = 600.0,
    bake_s: float = 10.0,
    namespace: str = "",
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Raise a candidate's share of traffic step by step; promote it or roll it back.

    Args:
        model_name: name of the model, e.g. "delays".
        report: share, errors and evidence over the requests, as a page.
        history: JSON list of one point an interval: seconds, requests, weight, requests and
            errors of both versions, e_value.
        steps: percent of traffic for the candidate, step by step, before all of it.
        alpha: bound on rolling back a healthy candidate, over all looks together.
        error_margin: promotion needs confidence 1 - alpha that the candidate's error rate is
            at most this much above the champion's, e.g. 0.05.
        min_requests: requests that the candidate must answer in each step.
        interval_s: seconds between looks; not below the scrape interval of Prometheus.
        max_seconds: after this the rollout is inconclusive and rolled back.
        bake_s: seconds with all traffic before the old slot is stopped.
        namespace: where the objects live; empty: the site's.

    Returns:
        The verdict (promote, roll back, inconclusive; stable when no candidate waits) and
        its decision as text.
    """
    from components.deployment.roll_out.report import render
    from components.deployment.roll_out.rollout import Rollout
    from components.deployment.roll_out.trial import Rules
    from components.foundation.termination import unwinding
    from components.step import step

    with step("roll_out") as here, unwinding():
        shares = tuple(map(int, steps))
        rules = Rules(shares, alpha, error_margin, min_requests, interval_s, max_seconds, bake_s)
        rollout = Rollout.connect(
            here.environment, model_name, rules, namespace=namespace, tell=here.record
        )
        verdict, points = rollout.run(), rollout.history
        here.publish(report, render(verdict, points), decision=str(verdict.decision))
        here.publish(history, points, points=len(points))
        return (verdict.to_dict(), str(verdict.decision))
