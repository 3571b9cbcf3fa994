"""A rollout that is cut off at its writes to a real API server ends in the same place.

Time passes only where our code waits, and each wait is a turn of what stands in for KServe. The
Deployments' controllers, the scheduler and the kubelets (kwok) are as fast as they are; each
rollout begins where the last one ended. With twins every write is cut off, with KServe's own
backends those that tell most; `tests/components/deployment/test_kills.py` cuts all of theirs off
in memory.
"""

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from components.deployment.record import Phase
from components.deployment.slots import other
from components.deployment.traffic.interface import Backend
from components.foundation.kubernetes.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
)
from tests.cluster.claims import BETTER, FIRST, Stage, until
from tests.cluster.ground.clients import Access
from tests.cluster.standin import history, kills, stages
from tests.cluster.standin.controllers import POD
from tests.cluster.standin.history import History
from tests.cluster.standin.kills import REPLICAS, At, Cut, Cutting, Story, Write
from tests.cluster.standin.workloads import HPA

BAD = ("cccccccccc40", "eeeeeeeeee40")
SERVED = {"ConfigMap m-rollout": 1, "Deployment m-champion-predictor": 1}
SERVED |= {"HorizontalPodAutoscaler m-champion-predictor": 1}
SERVED |= {"HTTPRoute m": 1, "Pod isvc.m-champion-predictor": REPLICAS}
LEFT = {
    Backend.TWINS: {**SERVED, "InferenceService m-champion": 1, "InferenceService m-loser": 1},
    Backend.CANARY: {**SERVED, "InferenceService m": 1, "HTTPRoute m-predictor": 1},
    Backend.KNATIVE: {
        "ConfigMap m-rollout": 1,
        "InferenceService m": 1,
        "Deployment m-predictor-#-deployment": 1,
        "Pod m-predictor-#": REPLICAS,
    },
}
KINDS = (INFERENCE_SERVICE, CONFIG_MAP, HTTP_ROUTE, DEPLOYMENT, HPA)


@dataclass(frozen=True)
class Ending:
    """A rollout: which candidates come one after the other, and whether they stay."""

    story: Story
    candidates: tuple[str, str]
    stays: bool


ENDINGS = {
    "promoted": Ending(kills.promoted, (BETTER, FIRST), stays=True),
    "rolled back": Ending(kills.rolled_back, BAD, stays=False),
}


def moved(writes: Sequence[Write]) -> bool:
    """Say whether the write before the last one has moved weights, in the rollout's first step."""
    phases = [one.phase for one in writes]
    return "canary" in phases[:-2] and not phases[-2]


TELLING: dict[str, At] = {
    "the first": kills.at(0),
    "after the one that moves weights": moved,
    "the decision": lambda writes: writes[-1].phase == Phase.CLEARING,
    "the last": lambda writes: writes[-1].phase == Phase.STABLE,
}


@pytest.fixture(scope="module")
def namespace(ground: Access) -> Iterator[str]:
    with stages.namespace(ground, "kills") as name, stages.with_knative(ground):
        yield name


@dataclass
class Play:
    """One model that is rolled out again and again.

    Attributes:
        told: what has happened meanwhile.
    """

    stage: Stage
    model: str
    told: History
    champion: tuple[str, str] = (FIRST, "a")
    rounds: int = 0

    def whole(self, ending: Ending) -> list[Write]:
        """Play a rollout that nothing cuts off; return what it wrote."""
        cutting = Cutting(self.stage.cluster.api)
        self.told.during = "cut off nowhere"
        self._play(ending, cutting)
        return cutting.writes

    def cut_off(self, ending: Ending, cut: Cut, at: At, which: object) -> None:
        self.told.during = f"{cut} write {which}"
        self._play(ending, Cutting(self.stage.cluster.api, cut, at))

    def _play(self, ending: Ending, cutting: Cutting) -> None:
        """Play a rollout, take it up where it was cut off, and look at its end."""
        candidate = ending.candidates[self.rounds % 2]
        cluster = dataclasses.replace(self.stage.cluster, api=cutting)
        stage = dataclasses.replace(self.stage, cluster=cluster)
        if not kills.survived(ending.story, stage, self.model, candidate):
            ending.story(stage, self.model, candidate)
        assert cutting.at is None, f"{self.told.during}: it never came"
        self.rounds += 1
        if ending.stays:
            self.champion = (candidate, other(self.champion[1]))
        self._look()

    def _look(self) -> None:
        version, slot = self.champion
        assert self.stage.state(self.model) == (Phase.STABLE, version, ""), self.told.during
        assert self.stage.given(self.model) == {slot: 100}, self.told.during
        with contextlib.suppress(AssertionError):  # the next line says what is too much
            until(lambda: self.left() == LEFT[Backend(self.stage.backend)], seconds=10)
        assert self.left() == LEFT[Backend(self.stage.backend)], self.told.during

    def left(self) -> Counter[str]:
        """Count what there is of the model, named by whether it is its champion's, not by slot."""
        cluster, slot = self.stage.somebody, self.champion[1]
        names = [
            f"{kind.kind} {one['metadata']['name']}" for kind in KINDS for one in cluster.list(kind)
        ]
        names += [f"Pod {one['metadata']['labels']['app']}" for one in cluster.list(POD)]
        ours = (
            re.sub(r"\d{5}", "#", name.replace(self.model, "m"))
            for name in names
            if self.model in name
        )
        roles = {f"m-{slot}": "m-champion", f"m-{other(slot)}": "m-loser"}
        return Counter(re.sub("m-[ab]\\b", lambda found: roles[found[0]], name) for name in ours)


@contextlib.contextmanager
def played(ground: Access, namespace: str, model: str, backend: Backend) -> Iterator[Play]:
    """Give a model with a champion; at the end, see that whoever had traffic had all its pods."""
    with stages.staged(ground, namespace, backend) as stage:
        stage.launch(model, FIRST, replicas=REPLICAS)
        with history.followed(stage.somebody) as told:
            yield Play(stage, model, told)
    assert told.starved(REPLICAS) == []


@pytest.mark.parametrize("name", ENDINGS)
def test_killed_before_any_write_it_ends_in_the_same_place(
    ground: Access, namespace: str, unique: str, name: str
) -> None:
    with played(ground, namespace, unique, Backend.TWINS) as play:
        writes = play.whole(ENDINGS[name])
        assert len(writes) > 8
        for number in range(len(writes)):
            play.cut_off(ENDINGS[name], Cut.KILLED, kills.at(number), number)


@pytest.mark.parametrize(
    ("backend", "name", "cut"),
    [
        (Backend.TWINS, "promoted", Cut.UNANSWERED),
        (Backend.TWINS, "rolled back", Cut.UNANSWERED),
        (Backend.CANARY, "promoted", Cut.KILLED),
        (Backend.CANARY, "rolled back", Cut.UNANSWERED),
        (Backend.KNATIVE, "promoted", Cut.UNANSWERED),
        (Backend.KNATIVE, "rolled back", Cut.KILLED),
    ],
)
def test_cut_off_at_the_writes_that_tell_most_it_ends_in_the_same_place(
    ground: Access, namespace: str, unique: str, backend: Backend, name: str, cut: Cut
) -> None:
    with played(ground, namespace, unique, backend) as play:
        for which, at in TELLING.items():
            play.cut_off(ENDINGS[name], cut, at, which)
