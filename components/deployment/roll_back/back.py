"""Roll a model back by hand: from its candidate, or to a version that was champion before.

In a rollout the champion still stands by, full size: the decision is written, and it has all
traffic a moment later. After a promotion the version before is brought into the free slot, waited
for, and only then given all traffic; who it replaces is put away last. Run again after a kill, it
goes on.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.deployment.clearing import Tell, clear
from components.deployment.deploy.launch import Launch, launch
from components.deployment.record import Moved, Phase, Record, State
from components.deployment.route import Route
from components.deployment.slots import Capacity, Version
from components.deployment.traffic import choosing
from components.deployment.traffic.interface import Backend, Traffic
from components.foundation.errors import Refused, UserError
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.verdict import Decision, Verdict

Whole = Callable[[Version], Version]

_TRIES = 20  # a roll_out that is still running moves the record once an interval
_SETTLED_S = 1.0  # for a split that such a roll_out had already begun


@dataclass(frozen=True)
class Back:
    """How to roll a model back.

    Attributes:
        tell: is given the verdict once traffic has moved.
        whole: completes a good version of which a record of before has only the release.
        to: the release to bring back; None: the candidate goes, or the last champion but one
            comes back.
        why: what people are told, in a few words.
    """

    tell: Tell
    whole: Whole
    to: ReleaseUri | None = None
    why: str = "by hand"
    timeout_s: float = 300.0


def roll_back(record: Record, how: Back) -> Verdict:
    """Roll back whatever there is to roll back; return what was decided.

    Raises:
        UserError: nothing was promoted yet, or the release was never champion.
        Refused: a rollout is in progress and another release than its champion is asked for.
        InfrastructureError: what was decided could not be told, or a good version not fetched;
            run again, it goes on.
    """
    state, traffic = record.state, choosing.taken(record)
    decided = Verdict.from_dict(state.verdict) if state.verdict else None
    if state.phase is Phase.CLEARING:
        clear(record, traffic, tell=how.tell)
        if decided is not None and decided.decision is not Decision.PROMOTE:
            return decided
        state = record.state
    if state.champion is None:
        raise UserError(
            f"model {record.model}: nothing was promoted yet ({state.phase}); deploy a release",
            code="nothing-to-roll-back-to",
        )
    if state.candidate is not None and not state.comes_back:
        return _from_candidate(record, traffic, how)
    if decided is not None and _over(state, decided, how):
        return decided
    return _to_good(record, traffic, how)


def _over(state: State, decided: Verdict, how: Back) -> bool:
    """Say whether the last thing that happened is a rollback: a second run is not a second one."""
    return how.to is None and not state.returning and decided.decision is Decision.ROLL_BACK


def _from_candidate(record: Record, traffic: Traffic, how: Back) -> Verdict:
    """Take all traffic from the candidate at once; its slot is put away after."""
    champion, candidate = _both(record)
    if how.to not in (None, champion.release):
        raise Refused(
            f"roll back to {how.to}: a rollout of {candidate} is in progress "
            f"({record.state.phase}); roll that back first, without --to",
            code="rollout-in-progress",
        )
    reason = f"rolled back {how.why} from phase {record.state.phase}"
    verdict = _verdict(champion, candidate, reason)
    _decide(record, verdict)
    traffic.settle(champion, candidate)
    time.sleep(_SETTLED_S)
    clear(record, traffic, tell=how.tell)
    if traffic.in_force().get(candidate.slot):
        traffic.settle(champion, candidate)
    return verdict


def _decide(record: Record, verdict: Verdict) -> None:
    """Write the decision, also over a roll_out that moves the same record meanwhile."""
    mine = record.state.candidate
    for _ in range(_TRIES):
        change = {"phase": Phase.CLEARING, "verdict": verdict.to_dict(), "returning": ""}
        try:
            record.change(**change)
            return
        except Moved:
            record.read()
            if record.state.candidate != mine:
                break
    raise Refused(
        f"roll back {record.model}: another run has moved it on to {record.state.phase}; look with "
        "falaj status, then run again",
        code="rollout-moved",
    )


def _to_good(record: Record, traffic: Traffic, how: Back) -> Verdict:
    """Bring a good version back, dark; give it all traffic once it serves."""
    if record.state.phase is not Phase.BAKING:
        brought = _brought(record, traffic, how)
        if not brought.passes:
            record.read()
            record.change(returning="")
            return brought
        record.read()
        record.change(phase=Phase.BAKING, trial={})
    champion, candidate = _both(record)
    traffic.split(champion, candidate, traffic.whole)
    subject = f"rollback {champion.release} -> {candidate.release}"
    reason = f"rolled back {how.why} after a promotion"
    verdict = dataclasses.replace(_verdict(candidate, champion, reason), subject=subject)
    state = record.state.crowned(candidate)
    record.move(
        dataclasses.replace(
            state,
            phase=Phase.CLEARING,
            candidate=champion,
            verdict=verdict.to_dict(),
            returning="",
        )
    )
    clear(record, traffic, tell=how.tell)
    return verdict


def _brought(record: Record, traffic: Traffic, how: Back) -> Verdict:
    """Deploy the version that comes back as any other; it must be written down first."""
    target = _target(record, how)
    if record.state.returning != str(target.release):
        record.change(returning=str(target.release))
    wanted = Launch(
        _route(traffic),
        target.capacity or Capacity(),
        target.observations,
        how.timeout_s,
        runtime=target.runtime,
        transformer=target.transformer,
    )
    _, verdict = launch(record.cluster, target.release, wanted, tell=how.tell)
    if not verdict.passes:  # else traffic moves first: it does not wait for the store
        how.tell(verdict)
    return verdict


def _target(record: Record, how: Back) -> Version:
    """Return which good version comes back, whole."""
    state = record.state
    wanted = str(how.to) if how.to else state.returning
    for one in state.good:
        before = state.champion is not None and one.release != state.champion.release
        if before and wanted in ("", str(one.release)):
            return one if one.capacity else how.whole(one)
    known = ", ".join(str(one.release) for one in state.good) or "none"
    raise UserError(
        f"roll back {record.model}{f' to {wanted}' if wanted else ''}: expected a release that was "
        f"champion before {state.champion}; kept: {known}; deploy any other release",
        code="nothing-to-roll-back-to",
    )


def _route(traffic: Traffic) -> Route:
    """Return where a model is reached; only twins have a route of ours."""
    if traffic.backend is Backend.TWINS:
        from components.deployment import route

        return route.of(traffic.cluster, traffic.model)
    return Route(traffic.model, "", "")


def _both(record: Record) -> tuple[Version, Version]:
    state = record.state
    if state.champion is None or state.candidate is None:
        raise Refused(
            f"roll back {record.model}: its record says {state.phase} without two versions; "
            "another run has moved it, run again",
            code="rollout-moved",
        )
    return state.champion, state.candidate


def _verdict(stays: Version, goes: Version, reason: str) -> Verdict:
    return Verdict(
        subject=f"rollout {stays.release} -> {goes.release}",
        decision=Decision.ROLL_BACK,
        reason=f"{reason}; {stays} has all traffic",
        evidence={"champion": stays.to_dict(), "candidate": goes.to_dict(), "by_hand": True},
    )
