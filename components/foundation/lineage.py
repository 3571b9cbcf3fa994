"""OpenLineage run events, one object an event (https://openlineage.io/spec/2-0-2).

Emitting never fails a step for want of a collector: events go to the evidence bucket. The
events are plain dictionaries, because importing the client takes half a second at the start
of every step; a test holds them against the client's own classes.
"""

import contextlib
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.foundation import digests, verdict
from components.foundation.cost import Amount, Meter
from components.foundation.errors import FalajError
from components.foundation.storage import Address, ObjectStore

PRODUCER = "https://github.com/falaj/falaj"
_SPEC = "https://openlineage.io/spec"
_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSION_FACET = (
    f"{_SPEC}/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
)
_PARENT_FACET = f"{_SPEC}/facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet"
_ERROR_FACET = f"{_SPEC}/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
# Ours; described by residency/facet.json beside this file.
_RESIDENCY_FACET = f"{PRODUCER}/blob/main/components/foundation/residency/facet.json"
# Ours too; described by cost_facet.json.
_COST_FACET = f"{PRODUCER}/blob/main/components/foundation/cost_facet.json"
_INPUT_FACET = (
    f"{_SPEC}/facets/1-0-0/InputStatisticsInputDatasetFacet.json"
    "#/$defs/InputStatisticsInputDatasetFacet"
)
_OUTPUT_FACET = (
    f"{_SPEC}/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet"
)
_NAMESPACE = "falaj"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The events of one step of one run.

    Attributes:
        store: where events go; also what the residency facet describes.
        run_id: the run this step belongs to.
        job: the step's name.
        place: what the site declares of the store: provider, country, profile.
        id: OpenLineage's own id of this step's run, a UUID.
    """

    store: ObjectStore
    run_id: str
    job: str
    place: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def start(self) -> None:
        self._emit("START")

    def complete(
        self, *, inputs: Sequence[str], outputs: Sequence[str], meter: Meter | None = None
    ) -> None:
        self._emit("COMPLETE", inputs, outputs, meter=meter)

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Emit FAIL if the block raises, and let the error go on."""
        try:
            yield
        except BaseException as error:
            # The step's own error matters more than an event that could not be written.
            with contextlib.suppress(FalajError):
                self._emit("FAIL", error=error)
            raise

    def event(
        self,
        state: str,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        *,
        error: BaseException | None = None,
        meter: Meter | None = None,
    ) -> dict[str, Any]:
        """Build one event; `dataset` says how inputs and outputs are named."""
        read, written = (meter.read, meter.written) if meter else ({}, {})
        return {
            "eventType": state,
            "eventTime": verdict.now(),
            "run": {"runId": self.id, "facets": self._run_facets(error, meter)},
            "job": {"namespace": _NAMESPACE, "name": self.job},
            "inputs": [_measured(name, "input", _INPUT_FACET, read) for name in inputs],
            "outputs": [_measured(name, "output", _OUTPUT_FACET, written) for name in outputs],
            "producer": PRODUCER,
            "schemaURL": _SCHEMA,
        }

    def _emit(
        self,
        state: str,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        *,
        error: BaseException | None = None,
        meter: Meter | None = None,
    ) -> None:
        address = Address("falaj-evidence", f"lineage/{self.run_id}/{self.job}-{self.id}-{state}")
        event = self.event(state, inputs, outputs, error=error, meter=meter)
        self.store.put(address / "event.json", digests.canonical_json(event))

    def _run_facets(self, error: BaseException | None, meter: Meter | None) -> dict[str, Any]:
        facets = {"parent": self._parent(), "residency": self._residency()}
        if meter is not None:
            facets["cost"] = _facet(_COST_FACET, **meter.cost().to_dict())
        if error is not None:
            facets["errorMessage"] = _failure(error)
        return facets

    def _parent(self) -> dict[str, Any]:
        """Tie a step to its run; OpenLineage wants a UUID, ours is a function of the run's id."""
        run = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}/runs/{self.run_id}"))
        return _facet(
            _PARENT_FACET,
            run={"runId": run},
            job={"namespace": _NAMESPACE, "name": self.run_id},
        )

    def _residency(self) -> dict[str, Any]:
        settings = self.store.settings
        host = urllib.parse.urlsplit(settings.endpoint).hostname or ""
        named = {name: self.place.get(name, "undeclared") for name in _DECLARED}
        return _facet(_RESIDENCY_FACET, host=host, region=settings.region, **named)


_DECLARED = ("provider", "country", "profile")


def dataset(reference: str) -> dict[str, Any]:
    """Name a dataset as OpenLineage does: server or bucket as namespace, version as a facet.

    Args:
        reference: a table, object or release of ours (`s3://bucket/name@7`), or the URI of a
            source elsewhere: `postgres://host:port/shop.public.orders`, `https://host/rows`. A
            source without a server has its folder as namespace: `sqlite:///data/shop.db/orders`.
    """
    scheme, _, rest = reference.removeprefix("sealed+").partition("://")
    place, version = _versioned(rest) if scheme == "s3" else (rest, "")
    server, _, name = place.rpartition("/") if place.startswith("/") else place.partition("/")
    named = {"namespace": f"{scheme}://{server}", "name": name}
    if not version:
        return named
    return {**named, "facets": {"version": _facet(_VERSION_FACET, datasetVersion=version)}}


def _measured(
    reference: str, way: str, schema: str, amounts: Mapping[str, Amount]
) -> dict[str, Any]:
    """Name a dataset and say how much of it was read or written, if that is known."""
    amount = amounts.get(reference)
    if amount is None:
        return dataset(reference)
    facet = _facet(schema, rowCount=amount.rows, size=amount.bytes)
    return {**dataset(reference), f"{way}Facets": {f"{way}Statistics": facet}}


def _versioned(place: str) -> tuple[str, str]:
    path, _, version = place.partition("@")
    return path, version


def _failure(error: BaseException) -> dict[str, Any]:
    """Say what failed; a message not ours may quote a row, so only its type is kept."""
    ours = isinstance(error, FalajError)
    message = str(error) if ours else type(error).__name__
    return _facet(_ERROR_FACET, message=message, programmingLanguage="PYTHON")


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": schema, **fields}
