"""The end of a rollout, whichever way it went: one version serves, the other is put away."""

import time
from collections.abc import Callable
from typing import Any

from components.deployment.record import Phase, Record
from components.deployment.traffic.interface import Traffic
from components.foundation.verdict import Verdict

Tell = Callable[[Verdict], Any]

_DRAIN_S = 1.0  # requests already on their way; gateways take a moment to follow a route


def clear(record: Record, traffic: Traffic, *, tell: Tell, drain_s: float = _DRAIN_S) -> None:
    """Give the champion all traffic, tell what was decided, then stop the slot that lost.

    Telling needs the object store, and traffic does not wait for it. Whoever comes after a kill
    does all of it again; the verdict told twice has the same time.
    """
    state = record.state
    if state.phase is not Phase.CLEARING or state.champion is None:
        return
    traffic.settle(state.champion, state.candidate)
    tell(Verdict.from_dict(state.verdict))
    if state.candidate is not None:
        time.sleep(drain_s)
        traffic.put_away(state.champion, state.candidate)
    record.change(phase=Phase.STABLE, candidate=None)
