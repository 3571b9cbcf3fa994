"""Objects that exist already, judged again: admission sees only what is created or changed."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.governance.attest_residency import roles
from components.governance.attest_residency.ledger import Transfer, claimed
from components.governance.attest_residency.listing import Listing, Served, Thing
from components.governance.attest_residency.observation import (
    Observation,
    Standing,
    failed,
    gathered,
)
from components.governance.residency import checking

_MOST = 50  # sentences told of one kind; the rest is counted


@dataclass(frozen=True)
class Objects:
    """Judges every object that a rule covers, of a namespace and of none.

    Attributes:
        profile: that holds there.
        transfers: collects what goes abroad on a recorded basis.
    """

    listing: Listing
    namespace: str
    profile: Thing
    transfers: list[Transfer]

    def __call__(self) -> Iterator[Observation]:
        number = 0
        for served in self._kinds():
            found, judged = self._judged(served)
            number += judged
            yield from _told(found)
        because = "every object that a rule covers was judged again, but no Secret was opened"
        yield Observation(
            f"objects of {self.namespace}", Standing.HOME, f"{number} judged", because
        )

    def _kinds(self) -> Iterator[Served]:
        """Yield each kind that a rule covers and the cluster has, once."""
        kinds = (self.listing.of(group, plural) for group, plural in roles.asked())
        yield from (served for served in kinds if served is not None)

    def _judged(self, served: Served) -> tuple[list[Observation], int]:
        found: list[Observation] = []
        number = 0
        try:
            for thing in self.listing.all(served, self.namespace):
                number += 1
                found += self._sentences(thing)
        # One kind that cannot be listed, or object that cannot be judged, hides no other kind.
        except Exception as error:
            found.append(failed(f"{served.kind} objects", error))
        return found, number

    def _sentences(self, thing: Thing) -> Iterator[Observation]:
        for one in checking.judge(thing, self.profile):
            where = _where(thing, one.subject)
            for sentence in one.findings:
                field, _, rest = sentence.partition(" = ")
                value, _, because = rest.partition(": ")
                because, _, way_out = because.partition("; ")
                yield Observation(f"{where} {field}", Standing.BROKEN, value, because, way_out)
            for transfer in claimed(thing, one, self.profile, source="scan"):
                self.transfers.append(transfer)
                because = "it goes abroad on a recorded basis"
                what, value = f"{where} {transfer.field}", transfer.value
                abroad = Observation(what, Standing.ABROAD, value, because)
                yield dataclasses.replace(
                    abroad, basis=transfer.basis, way_out="have the basis recorded again"
                )


def _where(thing: Thing, subject: str) -> str:
    namespace = thing["metadata"].get("namespace")
    return f"{subject} in {namespace}" if namespace else subject


def _told(found: Sequence[Observation]) -> Iterator[Observation]:
    """Tell the first; of those after them, how many there are for each reason."""
    yield from found[:_MOST]
    if rest := found[_MOST:]:
        yield from gathered("further objects", rest)
