"""The end of a rollout, whichever way it went: one version serves, the other is put away."""

import time

from components.deployment import slots
from components.deployment.record import Phase, Record
from components.deployment.route import Route

_DRAIN_S = 1.0  # requests already on their way; gateways take a moment to follow a route


def clear(record: Record, route: Route, *, drain_s: float = _DRAIN_S) -> None:
    """Give the champion all traffic, then stop the slot that lost."""
    state = record.state
    if state.phase is not Phase.CLEARING or state.champion is None:
        return
    route.split(record.cluster, {state.champion: 100})
    if state.candidate is not None:
        time.sleep(drain_s)
        slots.stop(record.cluster, state.candidate)
    record.change(phase=Phase.STABLE, candidate=None, trial={})
