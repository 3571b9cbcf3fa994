"""In which order a rollout ends: nothing is stopped that still has traffic."""

from typing import Any

from components.deployment import clearing
from components.deployment.record import Phase, State
from components.deployment.slots import Version
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.verdict import Decision, Verdict

WINNER = Version("a", ReleaseUri("falaj-models", "m", "aaaaaaaaaa00"))
LOSER = Version("b", ReleaseUri("falaj-models", "m", "cccccccccc40"))
VERDICT = Verdict("rollout of m", Decision.ROLL_BACK, "errs more often")


class Noted:
    """A record and its traffic, which note what is done."""

    def __init__(self, state: State) -> None:
        self.state, self.done = state, list[tuple[Any, ...]]()

    def settle(self, champion: Version, loser: Version | None) -> None:
        self.done.append(("settle", champion))

    def put_away(self, champion: Version | None, loser: Version) -> None:
        self.done.append(("put away", loser))

    def change(self, **changes: Any) -> None:
        self.done.append(("change", changes["phase"]))

    def tell(self, verdict: Verdict) -> None:
        self.done.append(("tell", verdict.decision))

    def clear(self) -> list[tuple[Any, ...]]:
        both: Any = self
        clearing.clear(both, both, tell=self.tell, drain_s=0)
        return self.done


def test_the_route_is_turned_then_it_is_told_and_only_then_the_loser_is_stopped() -> None:
    state = State(Phase.CLEARING, WINNER, LOSER, verdict=VERDICT.to_dict())

    assert Noted(state).clear() == [
        ("settle", WINNER),
        ("tell", Decision.ROLL_BACK),
        ("put away", LOSER),
        ("change", Phase.STABLE),
    ]


def test_what_was_not_decided_is_left_as_it_is() -> None:
    assert Noted(State(Phase.CANARY, WINNER, LOSER)).clear() == []
