"""A rollout that is cut off at one of its writes, and taken up again.

Played in memory with every backend, and on a real API server. A kill after a write leaves what a
kill before the next one does; so there is none. What a step sees that lives on is another matter:
its connection is gone, and whether the write was done it cannot know.
"""

import enum
import json
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import urllib3.exceptions

from components.deployment.record import Record
from components.foundation.errors import InfrastructureError
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.verdict import Decision, Verdict
from tests.cluster.claims import Stage

REPLICAS = 3
BAKE_S = 0.3  # one interval and a half: two looks, whatever a sum of floats is
Story = Callable[[Stage, str, str], None]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


class Cut(enum.StrEnum):
    """What happens at a write."""

    KILLED = "killed before"
    UNANSWERED = "without an answer to"


@dataclass(frozen=True)
class Write:
    """What a run asked an API server to change."""

    verb: str
    path: str
    body: dict[str, Any]

    @property
    def phase(self) -> str:
        """The phase that it moves a record to; empty where it is another object's."""
        state = self.body.get("data", {}).get("state", "{}")
        return str(json.loads(state).get("phase", ""))


At = Callable[[Sequence[Write]], bool]


def at(number: int) -> At:
    """Say of a write whether it is the one of this number, from 0."""
    return lambda writes: len(writes) == number + 1


@dataclass
class Cutting:
    """A client of an API server whose run is cut off at a write, once.

    Attributes:
        client: what it stands before.
        at: says of what was written so far whether the last is the one; None: no write is cut off.
        writes: what was written, the one that was cut off too.
    """

    client: Any
    cut: Cut = Cut.KILLED
    at: At | None = None
    writes: list[Write] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    @property
    def rest_client(self) -> "Cutting":
        return self

    @property
    def pool_manager(self) -> "Cutting":
        return self

    def request(self, verb: str, url: str, **how: Any) -> Any:
        pool = self.client.rest_client.pool_manager
        if verb == "GET" or not self._cuts(verb, url, how["body"]):
            return pool.request(verb, url, **how)
        if self.cut is Cut.KILLED:
            raise Killed
        pool.request(verb, url, **how)
        raise urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError())

    def _cuts(self, verb: str, url: str, body: bytes | None) -> bool:
        """Note a write; say whether it is the one."""
        self.writes.append(Write(verb, urllib.parse.urlsplit(url).path, json.loads(body or "{}")))
        if self.at is None or not self.at(self.writes):
            return False
        self.at = None
        return True


def survived(story: Story, stage: Stage, model: str, candidate: str) -> bool:
    """Play a rollout; say whether it came to its end, or was cut off."""
    try:
        story(stage, model, candidate)
    except Killed:
        return False
    except InfrastructureError as error:
        if error.code != "kubernetes-unreachable":
            raise
        return False
    return True


def promoted(stage: Stage, model: str, candidate: str) -> None:
    """Deploy a better release and roll it out; whoever does that again goes on with it."""
    stage.launch(model, candidate, replicas=REPLICAS)
    verdict = stage.rolled_out(model, bake_s=BAKE_S)
    assert verdict.decision is Decision.PROMOTE, verdict.reason


def rolled_back(stage: Stage, model: str, candidate: str) -> None:
    if not _was_rolled_back(stage, model, candidate):
        stage.launch(model, candidate, replicas=REPLICAS)
    verdict = stage.rolled_out(model, min_requests=400)
    assert verdict.decision is Decision.ROLL_BACK, verdict.reason


def _was_rolled_back(stage: Stage, model: str, candidate: str) -> bool:
    told = Record.open(stage.somebody, model).state.verdict
    if not told or (verdict := Verdict.from_dict(told)).decision is not Decision.ROLL_BACK:
        return False
    release = ReleaseUri.parse(verdict.evidence["candidate"]["release"])
    return release.version == candidate
