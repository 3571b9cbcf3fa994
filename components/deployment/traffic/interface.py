"""What a rollout asks of whatever splits a model's traffic; the rollout knows no more of it."""

import abc
import enum
from typing import Any, ClassVar

from components.deployment import waiting
from components.deployment.readiness import Look
from components.deployment.slots import Version
from components.foundation.errors import FalajError, Refused
from components.foundation.kubernetes.client import Cluster, Manifest

Shares = dict[str, int]  # slot -> percent

IN_FORCE_S = 15.0  # KServe was seen to write a route within two seconds


class Backend(enum.StrEnum):
    """What carries a model's versions and splits its traffic; it never changes for a model."""

    TWINS = "twins"  # two InferenceServices under an HTTPRoute of ours
    CANARY = "canary"  # spec.canary of one InferenceService, in Standard mode
    KNATIVE = "knative"  # canaryTrafficPercent of one InferenceService, in Knative mode


class NotCarried(Refused):
    """What routes requests has another split than was asked for."""


class Traffic(abc.ABC):
    """A model's versions and their shares.

    Every method can be done twice: whoever comes after a kill does all of it again. A version is
    known by its slot, `a` or `b`, in every backend.

    Attributes:
        whole: the most percent that a candidate has before it is promoted.
    """

    backend: ClassVar[Backend]
    whole: ClassVar[int] = 100

    cluster: Cluster
    model: str

    @abc.abstractmethod
    def owner(self, first: Version) -> Manifest:
        """Return the object that a model's record goes with; make it when there is none."""

    @abc.abstractmethod
    def bring(self, champion: Version | None, candidate: Version) -> Any:
        """Start a version without traffic; return a failure of an earlier one that still shows.

        Raises:
            Refused: this backend cannot carry such a version beside such a champion.
        """

    @abc.abstractmethod
    def stale(self, version: Version) -> Any:
        """Return a failure that shows now and says nothing of this version."""

    @abc.abstractmethod
    def look(self, version: Version, *, replicas: int, stale: Any = None) -> Look:
        """Look once whether a version really serves, with so many replicas at least."""

    def wait(self, version: Version, *, replicas: int, timeout_s: float, stale: Any = None) -> Look:
        """Look until it serves, never can, is kept from it, or time is up."""
        seen = waiting.last(
            lambda: self.look(version, replicas=replicas, stale=stale),
            enough=Look.settled,
            seconds=timeout_s,
        )
        if not seen.waiting:
            return seen
        return self.overdue(version, f"not ready after {timeout_s:g} s: {seen.waiting}")

    def overdue(self, version: Version, why: str) -> Look:
        """Say of a version that was not ready in time what else is known of it."""
        return Look(failed=why)

    @abc.abstractmethod
    def split(self, champion: Version, candidate: Version, share: int) -> None:
        """Give a candidate that serves a percent of the traffic, 0 to 100; the rest stays.

        Raises:
            NotCarried: what is in force then is not what was asked for.
        """

    @abc.abstractmethod
    def settle(self, champion: Version, loser: Version | None) -> None:
        """Give one version all traffic: the first, one just promoted, or one that stays."""

    @abc.abstractmethod
    def put_away(self, champion: Version | None, loser: Version) -> None:
        """Take the pods of a version that has no traffic."""

    @abc.abstractmethod
    def put_away_and_wait(
        self, champion: Version | None, loser: Version, *, timeout_s: float
    ) -> None:
        """Put a version away, and wait for its pods to go so that nothing of it is read as new."""

    @abc.abstractmethod
    def in_force(self) -> Shares:
        """Return the percent of each slot, as it is really routed; empty while nothing is."""

    def told(self, version: Version) -> dict[str, str]:
        """Return what callers need to know of a version once it is promoted, by name."""
        return {}

    @abc.abstractmethod
    def edits(self, champion: Version, candidate: Version) -> frozenset[str]:
        """Return what is not as deployed: fields that others own, and ours that are otherwise."""

    def withdraw(self, champion: Version, candidate: Version) -> None:
        """Leave a candidate that nobody judges no traffic; what fails here hides no error."""
        try:
            self.split(champion, candidate, 0)
        except FalajError as error:
            print(f"rollout of {self.model}: {error}")
