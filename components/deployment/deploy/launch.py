"""Bring a release into the free slot: ready and dark, or refused with the reason."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from components.deployment import releases, slots
from components.deployment.clearing import Tell, clear
from components.deployment.readiness import Look
from components.deployment.record import Phase, Record, State
from components.deployment.route import Route
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.traffic import choosing
from components.deployment.traffic.choosing import Chosen
from components.deployment.traffic.interface import Traffic
from components.deployment.transformer import Transformer
from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.kubernetes.client import Cluster
from components.foundation.sealing.release import Release
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.verdict import Decision, Verdict

_STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a release is deployed; raises UserError for replicas that cannot be."""

    route: Route
    capacity: Capacity
    observations: str = ""
    timeout_s: float = 300.0
    backend: str = choosing.AUTO
    runtime: Runtime = Runtime.ONNX
    transformer: Transformer | None = None

    def __post_init__(self) -> None:
        least, most = self.capacity.minimum, self.capacity.maximum
        if not 0 <= least <= most or most < 1:
            raise UserError(
                f"replicas {least} to {most}: expected at least one at most, and no fewer at most "
                "than at least",
                code="setting-out-of-range",
            )

    def version(self, slot: str, release: ReleaseUri) -> Version:
        """Return a release in a slot, as it is deployed."""
        how = (self.runtime, self.transformer, self.capacity, self.observations)
        return Version(slot, release, *how)

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
    found = Record.find(cluster, how.route.model)
    chosen = choosing.chosen(cluster, how.route, found, asked=how.backend)
    traffic = chosen.traffic
    record = found or _record(cluster, chosen, how.version("a", release))
    clear(record, traffic, tell=tell)
    state = record.state
    if state.champion and state.champion.release == release:
        return state.champion, _again(record, traffic, state.champion, how)
    version = how.version(slots.other(state.champion.slot) if state.champion else "a", release)
    if state.phase in (Phase.CANARY, Phase.BAKING):
        return _under_way(record, version)
    _replace_candidate(record, traffic, version)
    stale = _start(record, traffic, version)
    verdict = _judged(record, version, _waited(traffic, version, how, stale=stale), "is ready")
    _conclude(record, traffic, version, verdict)
    return version, verdict


def _record(cluster: Cluster, chosen: Chosen, first: Version) -> Record:
    """Make a model's record, and what it goes with."""
    traffic, backend = chosen.traffic, str(chosen.traffic.backend)
    state = State(backend=backend, because=chosen.because)
    record = Record.create(cluster, traffic.model, owner=traffic.owner(first), state=state)
    if record.state.backend != backend:
        raise Refused(
            f"deploy {first.release}: another run has just deployed {traffic.model} with "
            f"{record.state.backend}, this one would with {backend}; run again",
            code="rollout-moved",
        )
    return record


def _promoted(state: State) -> bool:
    """Say whether the last verdict made this champion: a run that was killed then goes on."""
    candidate = state.verdict.get("evidence", {}).get("candidate")
    promoted = state.verdict.get("decision") == Decision.PROMOTE
    return promoted and state.champion is not None and candidate == state.champion.to_dict()


def _under_way(record: Record, version: Version) -> tuple[Version, Verdict]:
    """Say that a release is being rolled out already; in the middle of that nothing changes."""
    candidate = record.state.candidate
    if candidate is None or candidate.release != version.release:
        raise Refused(
            f"deploy {version.release}: a rollout of {candidate} is in progress "
            f"({record.state.phase}); let roll_out finish it, then run again",
            code="rollout-in-progress",
        )
    if others := _otherwise(candidate, version):
        raise Refused(
            f"deploy {version.release}: it is being rolled out with another "
            f"{' and '.join(others)} ({record.state.phase}); what is judged does not change half "
            "way, let roll_out finish it, then run again",
            code="rollout-in-progress",
        )
    reason = f"release {candidate} is being rolled out already"
    evidence = _evidence(record, candidate)
    return candidate, Verdict(f"deploy {version.release}", Decision.ACCEPT, reason, evidence)


def _otherwise(candidate: Version, version: Version) -> list[str]:
    """Name the settings in which two versions of one release differ."""
    before, now = candidate.to_dict(), version.to_dict()
    names = ("runtime", "transformer", "capacity", "observations")
    known = [one for one in names if one != "capacity" or one in before]
    return [one for one in known if before.get(one) != now.get(one)]


def _replace_candidate(record: Record, traffic: Traffic, version: Version) -> None:
    """Put another waiting candidate away first: its old pods would pass for new ones."""
    waiting, champion = record.state.candidate, record.state.champion
    if waiting is None or waiting == version:
        return
    if champion:
        traffic.settle(champion, waiting)
    traffic.put_away_and_wait(champion, waiting, timeout_s=_STOP_S)


def _start(record: Record, traffic: Traffic, version: Version) -> Any:
    """Start the version's pods; return a failure that an earlier release left in its status."""
    state = record.state
    same = state.candidate is not None and state.candidate.to_dict() == version.to_dict()
    if not same or state.phase not in (Phase.STARTING, Phase.DARK):
        record.change(phase=Phase.STARTING, candidate=version, trial={})
    return traffic.bring(state.champion, version)


def _again(record: Record, traffic: Traffic, champion: Version, how: Launch) -> Verdict:
    """Wait for a champion that is deployed already, as it was: nothing of it changes.

    A rollout or a deployment that is under way is not disturbed.
    """
    state = record.state
    if state.phase is Phase.STABLE and not _promoted(state):
        record.change(verdict={}, trial={})  # they are of a candidate that is not this one
    others = " and ".join(_otherwise(champion, how.version(champion.slot, champion.release)))
    kept = f", and keeps its {others}: a champion is not changed" if others else ""
    seen = _waited(traffic, champion, how, stale=traffic.stale(champion))
    return _judged(record, champion, seen, f"serves as champion already{kept}")


def _waited(traffic: Traffic, version: Version, how: Launch, *, stale: Any) -> Look:
    """Wait for readiness; what is not the release's fault is no verdict."""
    replicas = _replicas(version)
    seen = traffic.wait(version, replicas=replicas, timeout_s=how.timeout_s, stale=stale)
    if seen.unable:
        raise InfrastructureError(
            f"release {version}: could not be fetched and gets no traffic; its pod says: "
            f"{seen.unable}; mend that, then run again",
            code="release-not-fetched",
        )
    return seen


def _judged(record: Record, version: Version, seen: Look, words: str) -> Verdict:
    """Say how it went."""
    subject, evidence = f"deploy {version.release}", _evidence(record, version)
    if seen.ready:
        return Verdict(subject, Decision.ACCEPT, f"release {version} {words}", evidence)
    reason = f"release {version} never became ready: {seen.failed}"
    return Verdict(subject, Decision.REFUSE, reason, evidence)


def _replicas(version: Version) -> int:
    """Return how many pods a version has at least; a record of before does not say."""
    return (version.capacity or Capacity()).minimum


def _evidence(record: Record, version: Version) -> dict[str, Any]:
    return {
        "model": version.model,
        "release": str(version.release),
        "slot": version.slot,
        "replicas": _replicas(version),
        **record.state.carried,
    }


def _conclude(record: Record, traffic: Traffic, version: Version, verdict: Verdict) -> None:
    """Let a version in, dark beside a champion; or put it away if it was refused."""
    state = record.state
    if not verdict.passes:
        traffic.put_away(state.champion, version)
        record.change(phase=Phase.STABLE, candidate=None, verdict=verdict.to_dict())
    elif state.champion is None:
        traffic.settle(version, None)
        crowned = dataclasses.replace(state.crowned(version), candidate=None)
        record.move(dataclasses.replace(crowned, phase=Phase.STABLE))
    else:
        record.change(phase=Phase.DARK)  # first: of a rollback meanwhile nothing is undone
        traffic.split(state.champion, version, 0)
