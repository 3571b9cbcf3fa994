"""OpenLineage run events, one object an event (https://openlineage.io/spec/2-0-2).

Emitting never fails a step for want of a collector: events go to the evidence bucket.
"""

import contextlib
import datetime
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.foundation import digests
from components.foundation.storage import Address, ObjectStore

_PRODUCER = "https://github.com/falaj/falaj"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_NAMESPACE = "falaj"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The events of one step of one run."""

    store: ObjectStore
    run_id: str
    job: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def start(self) -> None:
        self._emit("START")

    def complete(self, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._emit("COMPLETE", inputs, outputs)

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Emit FAIL if the block raises, and let the error go on."""
        try:
            yield
        except BaseException:
            self._emit("FAIL")
            raise

    def _emit(self, state: str, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        address = Address("falaj-evidence", f"lineage/{self.run_id}/{self.job}-{self.id}-{state}")
        event = self.event(state, inputs, outputs)
        self.store.put(address / "event.json", digests.canonical_json(event))

    def event(self, state: str, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
        return {
            "eventType": state,
            "eventTime": datetime.datetime.now(datetime.UTC).isoformat(),
            "run": {"runId": self.id, "facets": {}},
            "job": {"namespace": _NAMESPACE, "name": self.job},
            "inputs": [_dataset(name) for name in inputs],
            "outputs": [_dataset(name) for name in outputs],
            "producer": _PRODUCER,
            "schemaURL": _SCHEMA,
        }


def _dataset(name: str) -> dict[str, Any]:
    bucket, _, path = name.removeprefix("sealed+").removeprefix("s3://").partition("/")
    return {"namespace": f"s3://{bucket}", "name": path}
