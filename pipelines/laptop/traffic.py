"""Clients that ask an endpoint, one request a row of a table, so that a rollout can be judged."""

import collections
import contextlib
import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from components.foundation.sealing import channel
from components.foundation.sealing.release import read_file
from components.foundation.signature import Signature
from components.foundation.tables import TableRef
from pipelines.laptop.session import Session, host
from pipelines.project import Project

if TYPE_CHECKING:
    import pyarrow as pa

_CLIENTS = 4
_ROWS = 6000  # of a table are asked about, over and over


@contextlib.contextmanager
def sent(table: str, project: Project, laptop: Session) -> "Iterator[Traffic | None]":
    """Ask a project's model about the rows of a table until the block ends.

    Yields:
        The traffic; None when no table is given, or there is no champion to ask yet.
    """
    name = project.model.name
    signature = champion_signature(name, laptop) if table else None
    if signature is None:
        yield None
        return
    named = table if "@" in table else f"{table}@latest"
    rows = laptop.tables.read(TableRef.parse(named)).slice(0, _ROWS)
    bodies = requests(rows, signature, id_column=project.model.id)
    with Traffic(laptop.gateway, name, host(name), bodies) as traffic:
        yield traffic


def champion_signature(model: str, laptop: Session) -> Signature | None:
    """Read what the champion takes and gives; None when there is none yet."""
    pointer = channel.current(model, store=laptop.store, keys=laptop.keys)
    if pointer is None:
        return None
    text = read_file(pointer.uri, "signature.json", store=laptop.store, keys=laptop.keys)
    return Signature.from_dict(json.loads(text))


def requests(rows: "pa.Table", signature: Signature, *, id_column: str) -> list[bytes]:
    """Write one Open Inference Protocol request a row; a missing value is null."""
    inputs = signature.feed(rows)
    return [
        signature.request({name: v[row : row + 1] for name, v in inputs.items()}, id=str(id))
        for row, id in enumerate(rows.column(id_column).to_pylist())
    ]


@dataclass
class Traffic:
    """Clients that ask, one request after the other, until the block ends.

    Use as a context manager; afterwards `answers` holds (time, status) of every request, and
    `seconds` how long each that was answered 200 took.
    """

    gateway: str
    model: str
    host: str
    bodies: Sequence[bytes]
    answers: list[tuple[float, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._next = iter(self._forever())
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client) for _ in range(_CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __str__(self) -> str:
        return ", ".join(f"{count:,} x {code}" for code, count in self.statuses().items())

    def statuses(self, *, since: float = 0.0) -> dict[str, int]:
        """Count answers by HTTP status, 0 for none, that came after a time.time()."""
        counted = collections.Counter(code for moment, code in self.answers if moment >= since)
        return {str(code): n for code, n in sorted(counted.items())}

    def latency_ms(self) -> dict[str, float]:
        """Return the median and the 99th percentile of good answers, where there were some."""
        if not self.seconds:
            return {}
        ordered = sorted(self.seconds)
        at = {"median": len(ordered) // 2, "p99": len(ordered) * 99 // 100}
        return {name: 1000 * ordered[index] for name, index in at.items()}

    def last_error(self) -> float:
        """Return when the last answer that was not 200 came, 0.0 if none did."""
        return max((moment for moment, code in self.answers if code != 200), default=0.0)

    def _forever(self) -> Iterator[bytes]:
        while True:
            yield from self.bodies

    def _client(self) -> None:
        parts = urllib.parse.urlsplit(self.gateway)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        while not self._stop.is_set():
            with self._lock:
                body = next(self._next)
            started = time.perf_counter()
            status = self._ask(connection, body)
            self.answers.append((time.time(), status))
            if status == 200:
                self.seconds.append(time.perf_counter() - started)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, body: bytes) -> int:
        try:
            path = f"/v2/models/{self.model}/infer"
            connection.request("POST", path, body, {"Host": self.host})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        return response.status
