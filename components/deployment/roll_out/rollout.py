"""Move a candidate through its steps, one look an interval, until it is decided.

A state machine over the record: each turn reads the phase, makes the route what the phase
says, looks, judges, and writes the next phase before acting on it. So a killed rollout goes
on where it was when it is started again.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from components.deployment.clearing import Tell, clear
from components.deployment.record import Moved, Phase, Record
from components.deployment.roll_out import counters
from components.deployment.roll_out.counters import Counter, Metrics, Sample
from components.deployment.roll_out.trial import Action, Point, Rules, Trial, judge, judge_bake
from components.deployment.slots import Version
from components.deployment.traffic import choosing, edits
from components.deployment.traffic.interface import Traffic
from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.kubernetes.client import Cluster
from components.foundation.statistics.eprocess import Arm
from components.foundation.verdict import Decision, Verdict

_DECISIONS = {
    Action.FINISH: Decision.PROMOTE,
    Action.ROLL_BACK: Decision.ROLL_BACK,
    Action.GIVE_UP: Decision.INCONCLUSIVE,
}


@dataclass
class Rollout:
    """One candidate against one champion.

    Attributes:
        tell: is given every verdict that moves the rollout on, before it does: a killed run
            may tell one twice, never not at all.
    """

    record: Record
    traffic: Traffic
    metrics: Metrics
    rules: Rules
    tell: Tell
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def connect(
        cls, environment: Mapping[str, str], model: str, rules: Rules, *, namespace: str, tell: Tell
    ) -> "Rollout":
        """Take up a model's rollout, on the cluster and by the metrics that the environment names.

        Raises:
            UserError: the environment names none of either, or the model was never deployed.
        """
        cluster = Cluster.connect(environment, namespace=namespace)
        metrics = Metrics.from_environment(environment, namespace=cluster.namespace)
        record = Record.open(cluster, model)
        return cls(record, choosing.taken(record), metrics, rules, tell)

    def run(self) -> Verdict:
        """Take turns until it is decided; return the verdict.

        Raises:
            Moved: another run goes on with it.
            FalajError: what it decides could not be told, the Kubernetes API failed, or what routes
                requests has another split. The champion then has all traffic until it is run
                again, and goes on.
        """
        try:
            return self._turns()
        except Moved:
            raise
        except (FalajError, KeyboardInterrupt):
            self._withdraw()
            raise

    def _turns(self) -> Verdict:
        while True:
            match self.record.state.phase:
                case Phase.DARK:
                    self._begin()
                case Phase.CANARY | Phase.BAKING:
                    self._turn()
                case Phase.CLEARING:
                    clear(self.record, self.traffic, tell=self.tell)
                case _:
                    return self._outcome()

    @property
    def history(self) -> Sequence[Point]:
        """What each look showed, also those of runs that were killed."""
        return self._trial.points

    @property
    def _trial(self) -> Trial:
        return Trial.from_dict(self.record.state.trial)

    @property
    def _versions(self) -> tuple[Version, Version]:
        state = self.record.state
        if state.champion is None or state.candidate is None:
            raise UserError(
                f"rollout of {self.record.model}: its record says {state.phase} without two "
                "versions; somebody has edited it, deploy the release again",
                code="rollout-edited",
            )
        return state.champion, state.candidate

    def _withdraw(self) -> None:
        """Leave no traffic on a candidate that nobody judges."""
        if self.record.state.phase not in (Phase.CANARY, Phase.BAKING):
            return
        self.traffic.withdraw(*self._versions)

    def _begin(self) -> None:
        champion, candidate = self._versions
        ready = self.traffic.look(candidate, replicas=1).ready  # it may have waited for days
        known = tuple(sorted(self.traffic.edits(champion, candidate)))
        trial = Trial(counters=self._sample() or {}, unready=0 if ready else 1, known=known)
        self.record.change(phase=Phase.CANARY, trial=trial.to_dict(), verdict={})

    def _turn(self) -> None:
        """Split as the phase says, wait an interval, look, judge, move on."""
        started = time.monotonic()
        if not self._edited(self._trial):  # else it ends here: another split would hide it
            self.traffic.split(*self._versions, self._share)
            started = time.monotonic()
            self.sleep(self.rules.interval_s)
        trial = self._looked(self._trial, seconds=time.monotonic() - started)
        baking = self.record.state.phase is Phase.BAKING
        action, reason = (judge_bake if baking else judge)(trial, self.rules)
        self._act(action, reason, trial.noted(self._point(trial)))

    @property
    def _share(self) -> int:
        """The candidate's percent, as the phase and the step say; none while it is not ready."""
        if self._trial.unready:
            return 0
        if self.record.state.phase is Phase.BAKING:
            return self.traffic.whole
        return self.rules.percent(self._trial.step)

    def _looked(self, trial: Trial, *, seconds: float) -> Trial:
        """Add what one interval showed; an interval without metrics adds only time."""
        champion, candidate = self._versions
        seen = self.traffic.look(candidate, replicas=1)
        trial = dataclasses.replace(
            trial,
            seconds=trial.seconds + seconds,
            unready=0 if seen.ready else trial.unready + 1,
            edited=self._edited(trial),
        )
        now = self._sample()
        if now is None:
            return trial
        arms = [_gained(trial.counters, now, version) for version in (champion, candidate)]
        trial = dataclasses.replace(trial, counters=counters.merged(trial.counters, now))
        return self._counted(trial, *arms, seconds=seconds)

    def _edited(self, trial: Trial) -> str:
        """Say what others have changed of the two versions since they are judged."""
        since = self.traffic.edits(*self._versions) - frozenset(trial.known)
        return edits.sentence(since) if since else ""

    def _counted(self, trial: Trial, champion: Arm, candidate: Arm, *, seconds: float) -> Trial:
        if self.record.state.phase is not Phase.BAKING:
            return trial.after(champion, candidate)
        baked_s = trial.baked_s + (seconds if self._share else 0)
        return dataclasses.replace(trial, baking=trial.baking + candidate, baked_s=baked_s)

    def _sample(self) -> Sample | None:
        """Read the counters, or None: missing data hold a rollout, they never pass it."""
        try:
            return self.metrics.sample(self.record.model)
        except InfrastructureError as error:
            print(f"roll_out: {error}; holding")
            return None

    def _act(self, action: Action, reason: str, trial: Trial) -> None:
        match action:
            case Action.HOLD:
                self.record.change(trial=trial.to_dict())
            case Action.RAISE:
                self.tell(self._verdict(Decision.CONTINUE, reason, trial))
                self.record.change(trial=trial.raised().to_dict())
            case Action.PROMOTE:
                self.tell(self._verdict(Decision.CONTINUE, f"all traffic, {reason}", trial))
                self.record.change(phase=Phase.BAKING, trial=trial.to_dict())
            case Action.FINISH:  # told first: nothing is promoted that cannot be shown
                self.tell(self._verdict(Decision.CONTINUE, f"baked, {reason}", trial))
                self._decide(self._verdict(_DECISIONS[action], reason, trial), trial)
            case Action.ROLL_BACK | Action.GIVE_UP:
                self._decide(self._verdict(_DECISIONS[action], reason, trial), trial)

    def _decide(self, verdict: Verdict, trial: Trial) -> None:
        """Write the decision first; clearing then tells it and makes it so."""
        champion, candidate = self._versions
        state = dataclasses.replace(
            self.record.state,
            phase=Phase.CLEARING,
            verdict=verdict.to_dict(),
            trial=trial.to_dict(),
        )
        if verdict.decision is Decision.PROMOTE:
            state = dataclasses.replace(state.crowned(candidate), candidate=champion)
        self.record.move(state)
        clear(self.record, self.traffic, tell=self.tell)

    def _outcome(self) -> Verdict:
        """Return the verdict of the rollout that ended last, else say that there was none."""
        state = self.record.state
        if state.verdict and state.phase is Phase.STABLE:
            return Verdict.from_dict(state.verdict)
        verdict = self._nothing_to_judge()
        self.tell(verdict)
        return verdict

    def _nothing_to_judge(self) -> Verdict:
        state = self.record.state
        subject = f"rollout of {self.record.model}"
        if state.champion is None or state.phase is not Phase.STABLE:
            reason = f"nothing is ready to be rolled out ({state.phase}); deploy a release first"
            return Verdict(subject, Decision.REFUSE, reason)
        reason = f"no candidate waits; {state.champion} serves everything"
        return Verdict(subject, Decision.STABLE, reason)

    def _verdict(self, decision: Decision, reason: str, trial: Trial) -> Verdict:
        champion, candidate = self._versions
        seen = trial.comparison
        low, high = seen.difference(alpha=self.rules.alpha)
        return Verdict(
            subject=f"rollout {champion.release} -> {candidate.release}",
            decision=decision,
            reason=reason,
            evidence={
                "champion": champion.to_dict(),
                "candidate": candidate.to_dict(),
                "champion_requests": seen.champion.requests,
                "champion_errors": seen.champion.errors,
                "candidate_requests": seen.candidate.requests,
                "candidate_errors": seen.candidate.errors,
                "bake_requests": trial.baking.requests,
                "bake_errors": trial.baking.errors,
                "e_value": seen.e_value,
                "alpha": self.rules.alpha,
                "difference_low": low,
                "difference_high": high,
                "margin": self.rules.margin,
                "steps": list(self.rules.steps),
                "step": trial.step,
                "seconds": round(trial.seconds, 3),
                **self.record.state.carried,
                **self.traffic.told(candidate),
            },
        )

    def _point(self, trial: Trial) -> Point:
        seen = trial.comparison
        return {
            "seconds": round(trial.seconds, 3),
            "requests": seen.champion.requests + seen.candidate.requests + trial.baking.requests,
            "weight": self._share,
            "champion_requests": seen.champion.requests,
            "champion_errors": seen.champion.errors,
            "candidate_requests": seen.candidate.requests + trial.baking.requests,
            "candidate_errors": seen.candidate.errors + trial.baking.errors,
            "e_value": seen.e_value,
        }


def _gained(before: Sample, now: Sample, version: Version) -> Arm:
    named, counter = version.release.version, Counter.of(version)
    return counters.gained(before, now, version=named, counter=counter)
