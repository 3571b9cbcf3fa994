"""What was seen of where bytes lie, each thing by a reader of its own, and what follows from it.

Nothing is guessed: what a reader cannot know, or fails to ask, cannot be attested, and is said so.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from components.foundation.errors import FalajError, InfrastructureError
from components.foundation.residency.places import Region
from components.foundation.verdict import Decision, Verdict
from components.governance.attest_residency import bases


class Standing(enum.StrEnum):
    """How a thing stands to the country that the profile names."""

    HOME = "in the country"
    DECLARED = "declared"  # somebody's word, who answers for it
    FOLLOWS = "follows another"  # what another observation is about decides it
    ABROAD = "abroad"
    BROKEN = "not as it has to be"
    UNKNOWN = "cannot be attested"


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that was looked at; `Observation.from_dict(o.to_dict()) == o`.

    Attributes:
        what: the thing and its field, as `bucket falaj-raw location`.
        standing: how it stands.
        value: what it was found to be.
        because: how that is known, or why not.
        way_out: what to do; empty where nothing is to be done.
        place: provider and region, by which a basis of a transfer may name it.
        basis: the id of the basis that the thing itself claims.
        number: of how many things the same was seen.
        passing: it may be known when somebody looks again.
    """

    what: str
    standing: Standing
    value: str
    because: str
    way_out: str = ""
    place: str = ""
    basis: str = ""
    number: int = 1
    passing: bool = False

    def __str__(self) -> str:
        doubt = f"{self.standing}: " if self.standing is Standing.UNKNOWN else ""
        way_out = f"; {self.way_out}" if self.way_out else ""
        return f"{self.what} = {self.value or 'none'}: {doubt}{self.because}{way_out}"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "standing": str(self.standing)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read one; raises TypeError, KeyError or ValueError for anything else."""
        return cls(**{**value, "standing": Standing(value["standing"])})


Reader = Callable[[], Iterable[Observation]]


def look(readers: Mapping[str, Reader]) -> list[Observation]:
    """Have every reader look; one that fails leaves an observation that says so."""
    return [found for what, read in readers.items() for found in _read(what, read)]


def _read(what: str, read: Reader) -> Iterator[Observation]:
    """Yield what a reader sees, until it is done or fails; one that sees nothing says so."""
    silent = True
    try:
        for found in read():
            silent = False
            yield found
    # A witness does not fall silent: whatever happens to a reader is part of what it says.
    except Exception as error:
        yield failed(what, error)
        return
    if silent:
        yield unknown(what, "", "nothing was found to look at", "see that it is there")


def failed(what: str, error: Exception) -> Observation:
    """Say that a thing cannot be attested since asking failed, and whether that may pass."""
    said = str(error) if isinstance(error, FalajError) else f"{type(error).__name__}: {error}"
    passing = isinstance(error, InfrastructureError | OSError)
    way_out = "look again" if passing else "let the attestor read it"
    return replace(unknown(what, "not read", said, way_out), passing=passing)


def unknown(what: str, value: str, because: str, way_out: str) -> Observation:
    return Observation(what, Standing.UNKNOWN, value, because, way_out)


def located(what: str, value: str, entry: Region, how: str, *, country: str) -> Observation:
    """Say of a thing in a known region whether that is the country."""
    place = f"{entry.provider}/{entry.region}"
    if entry.country == country:
        return Observation(what, Standing.HOME, value, f"{entry}, by {how}", place=place)
    way_out = f"move it to {country}, or record a basis of the transfer where the law knows one"
    return Observation(what, Standing.ABROAD, value, f"{entry}, by {how}", way_out, place)


def gathered(
    what: str, observations: Iterable[Observation], *, names: int = 5
) -> list[Observation]:
    """Say once what was seen of many things alike: how many, and the first of their names."""
    alike: dict[tuple[str, ...], list[Observation]] = {}
    for one in observations:
        key = (one.standing, one.because, one.way_out, one.place, one.basis)
        alike.setdefault(key, []).append(one)
    return [_one_for(what, same, names) for same in alike.values()]


def _one_for(what: str, same: Sequence[Observation], names: int) -> Observation:
    shown = [one.value for one in same[:names]]
    more = [f"and {len(same) - names} more"] if len(same) > names else []
    passing = any(one.passing for one in same)
    value = ", ".join([*shown, *more])
    return replace(same[0], what=what, value=value, number=len(same), passing=passing)


def judge(
    subject: str, observations: Sequence[Observation], profile: Mapping[str, Any], *, on: str
) -> Verdict:
    """Say whether all that was seen is what the profile allows; a function of its arguments.

    Args:
        subject: what the verdict is of.
        observations: what was seen.
        profile: the ResidencyProfile.
        on: the day, as a basis may have ended.
    """
    spec = profile["spec"]
    wrong = [one for one in observations if not allowed(one, spec, on=on)]
    counts = {str(one): _number(observations, one) for one in Standing}
    evidence = {
        "profile": profile["metadata"]["name"],
        "law": spec["law"],
        "seen": {name: number for name, number in counts.items() if number},
        "refused": [str(one) for one in wrong],
        "cannot_be_attested": [
            str(one) for one in observations if one.standing is Standing.UNKNOWN
        ],
    }
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        reason = f"{wrong[0]}{more}. {spec['law']}"
        return Verdict(subject, Decision.REFUSE, reason, evidence)
    said = ", ".join(f"{number} {name}" for name, number in evidence["seen"].items())
    return Verdict(subject, Decision.ACCEPT, f"of what was looked at: {said}", evidence)


def allowed(one: Observation, spec: Mapping[str, Any], *, on: str) -> bool:
    """Say whether the law lets a thing be as it was seen; what nobody knows may be abroad."""
    match one.standing:
        case Standing.HOME | Standing.DECLARED | Standing.FOLLOWS:
            return True
        case Standing.BROKEN:
            return False
        case Standing.UNKNOWN:
            return not spec["hardLocal"]
        case Standing.ABROAD:
            return bases.of(one.basis, one.place, spec, on=on) is not None


def _number(observations: Iterable[Observation], standing: Standing) -> int:
    return sum(one.number for one in observations if one.standing is standing)
