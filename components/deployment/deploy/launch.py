"""Bring a release into the free slot: ready and dark, or refused with the reason."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from components.deployment import readiness, releases, slots
from components.deployment.clearing import Tell, clear
from components.deployment.record import Phase, Record, State
from components.deployment.route import Route
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.transformer import Transformer
from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.sealing.release import Release
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.verdict import Decision, Verdict

_STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a release is deployed."""

    route: Route
    capacity: Capacity
    observations: str = ""
    timeout_s: float = 300.0
    runtime: Runtime = Runtime.ONNX
    transformer: Transformer | None = None

    def of(self, signed: Release, before: Transformer | None) -> Self:
        """Return the launch of a release: what was sealed says what serves it.

        Raises:
            UserError: it holds no program, or several.
        """
        return dataclasses.replace(self, runtime=releases.runtime(signed), transformer=before)


def launch(
    cluster: Cluster, release: ReleaseUri, how: Launch, *, tell: Tell
) -> tuple[Version, Verdict]:
    """Bring a release into a slot; the champion keeps serving whatever happens.

    The first release of a model gets all traffic, a later one none. A release that is there
    already changes nothing.

    Args:
        cluster: where.
        release: what to deploy.
        how: route, capacity, patience.
        tell: is given the verdict of a rollout that was decided and then killed.

    Raises:
        Refused: a rollout of another release is in progress.
        InfrastructureError: its pods could not fetch it; its slot then stays, without traffic.
    """
    record = _record(cluster, how.route)
    clear(record, how.route, tell=tell)
    state = record.state
    if state.champion and state.champion.release == release:
        if not _promoted(state):  # whatever is told there is of a candidate that is not this one
            record.change(verdict={}, trial={})
        return state.champion, _again(cluster, state.champion, how)
    if state.phase in (Phase.CANARY, Phase.BAKING):
        return _under_way(record, release)
    slot = slots.other(state.champion.slot) if state.champion else "a"
    version = Version(slot, release, how.runtime, how.transformer)
    _replace_candidate(record, version, how)
    stale = _start(record, version, how)
    verdict = _judge(cluster, version, how, "is ready", stale=stale)
    _conclude(record, version, verdict, how)
    return version, verdict


def _record(cluster: Cluster, route: Route) -> Record:
    """Open a model's record; make route and record when there are none yet."""
    return Record.find(cluster, route.model) or Record.create(
        cluster, route.model, owner=route.split(cluster, {})
    )


def _promoted(state: State) -> bool:
    """Say whether the last verdict made this champion: a run that was killed then goes on."""
    candidate = state.verdict.get("evidence", {}).get("candidate")
    promoted = state.verdict.get("decision") == Decision.PROMOTE
    return promoted and state.champion is not None and candidate == state.champion.to_dict()


def _under_way(record: Record, release: ReleaseUri) -> tuple[Version, Verdict]:
    candidate = record.state.candidate
    if candidate is None or candidate.release != release:
        raise Refused(
            f"deploy {release}: a rollout of {candidate} is in progress ({record.state.phase}); "
            "let roll_out finish it, then run again",
            code="rollout-in-progress",
        )
    reason = f"release {candidate} is being rolled out already"
    return candidate, Verdict(f"deploy {release}", Decision.ACCEPT, reason)


def _replace_candidate(record: Record, version: Version, how: Launch) -> None:
    """Put another waiting candidate away first: its old pods would pass for new ones."""
    waiting = record.state.candidate
    if waiting is None or waiting == version:
        return
    if record.state.champion:
        how.route.split(record.cluster, {record.state.champion: 100})
    slots.stop_and_wait(record.cluster, waiting, timeout_s=_STOP_S)


def _start(record: Record, version: Version, how: Launch) -> Any:
    """Start the slot's pods; return a failure that an earlier release left in its status."""
    state = record.state
    if state.candidate != version or state.phase not in (Phase.STARTING, Phase.DARK):
        record.change(phase=Phase.STARTING, candidate=version, trial={})
    before = record.cluster.find(resources.INFERENCE_SERVICE, version.service)
    slots.start(record.cluster, version, how.capacity, observations=how.observations)
    return _stale(before, version)


def _again(cluster: Cluster, champion: Version, how: Launch) -> Verdict:
    """Wait for a champion that is deployed already."""
    found = cluster.find(resources.INFERENCE_SERVICE, champion.service)
    stale = _stale(found, champion)
    return _judge(cluster, champion, how, "serves as champion already", stale=stale)


def _stale(before: Manifest | None, version: Version) -> Any:
    """Return a failure that says nothing of what comes now: of another release, or passing."""
    failure = readiness.last_failure(before)
    known = slots.runs(before, version) and not readiness.passing(failure)
    return None if known else failure


def _judge(
    cluster: Cluster, version: Version, how: Launch, words: str, *, stale: Any = None
) -> Verdict:
    """Wait for readiness and say how it went; what is not the release's fault is no verdict."""
    seen = readiness.wait(
        cluster,
        version,
        replicas=how.capacity.minimum,
        timeout_s=how.timeout_s,
        stale=stale,
    )
    if seen.unable:
        raise InfrastructureError(
            f"release {version}: could not be fetched and gets no traffic; its pod says: "
            f"{seen.unable}; mend that, then run again",
            code="release-not-fetched",
        )
    evidence = {
        "model": version.model,
        "release": str(version.release),
        "slot": version.slot,
        "replicas": how.capacity.minimum,
    }
    subject = f"deploy {version.release}"
    if seen.ready:
        return Verdict(subject, Decision.ACCEPT, f"release {version} {words}", evidence)
    reason = f"release {version} never became ready: {seen.failed}"
    return Verdict(subject, Decision.REFUSE, reason, evidence)


def _conclude(record: Record, version: Version, verdict: Verdict, how: Launch) -> None:
    """Put the slot into the route, dark beside a champion; or away if it was refused."""
    state = record.state
    if not verdict.passes:
        slots.stop(record.cluster, version)
        record.change(phase=Phase.STABLE, candidate=None, verdict=verdict.to_dict())
    elif state.champion is None:
        how.route.split(record.cluster, {version: 100})
        crowned = dataclasses.replace(state.crowned(version), candidate=None)
        record.move(dataclasses.replace(crowned, phase=Phase.STABLE))
    else:
        how.route.split(record.cluster, {state.champion: 100, version: 0})
        record.change(phase=Phase.DARK)
