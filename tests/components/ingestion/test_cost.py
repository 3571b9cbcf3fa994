"""Whatever the source, a step says what it read there, and lineage says it of the source."""

import contextlib
import io
import json
import pathlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.foundation.storage import Address, ObjectStore
from components.ingestion.ingest_objects import landing
from components.ingestion.ingest_objects.component import ingest_objects
from components.ingestion.ingest_rest.component import ingest_rest
from components.ingestion.ingest_sql.component import ingest_sql

URL = "http://service.test/rows"
JSONL = b'{"id": 1}\n{"id": 2}\n[3]\n'
CSV = b"id,x\n1,a\n2,b\n3,torn,c\n"


@dataclass(frozen=True)
class Costs:
    """Where a step leaves what it cost."""

    log: pathlib.Path
    store: ObjectStore
    run_id: str

    def of(self, face: Any, **arguments: Any) -> dict[str, Any]:
        """Run a component; return its cost."""
        face.python_func(**arguments)
        said: dict[str, Any] = json.loads(self.log.read_text())
        return said

    def inputs(self) -> list[dict[str, Any]]:
        """Return the inputs that lineage has of the step that ended last."""
        listed = self.store.list(Address("falaj-evidence", f"lineage/{self.run_id}/"))
        events = [json.loads(self.store.get(item.address)) for item in listed]
        ended = [event for event in events if event["eventType"] == "COMPLETE"]
        found: list[dict[str, Any]] = max(ended, key=lambda event: event["eventTime"])["inputs"]
        return found


@pytest.fixture
def costs(
    environment: None,
    store: ObjectStore,
    unique: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Costs:
    monkeypatch.setenv("FALAJ_COST_LOG", str(tmp_path / "cost"))
    monkeypatch.setenv("FALAJ_RUN_ID", unique)
    return Costs(tmp_path / "cost", store, unique)


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2, 3]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("format", "content"),
    [("csv", lambda: CSV), ("jsonl", lambda: JSONL), ("parquet", parquet)],
    ids=["csv", "jsonl", "parquet"],
)
def test_objects_cost_their_lines_and_bytes_the_torn_ones_too(
    costs: Costs, store: ObjectStore, unique: str, format: str, content: Callable[[], bytes]
) -> None:
    data = content()
    for name in "ab":
        store.put(Address("falaj-raw", f"landing/{unique}/{name}.{format}"), data)
    source = f"s3://falaj-raw/landing/{unique}/*.{format}"

    costs.of(ingest_objects, source=source, target=f"s3://falaj-raw/{unique}", format=format)

    (read,) = costs.inputs()
    said = read["inputFacets"]["inputStatistics"]
    assert (said["rowCount"], said["size"]) == (6, 2 * len(data))


def test_objects_of_several_batches_cost_what_they_are_together(
    costs: Costs, store: ObjectStore, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_BATCH_BYTES", 1)  # a commit an object
    for name in "abc":
        store.put(Address("falaj-raw", f"landing/{unique}/{name}.csv"), b"id\n1\n2\n")
    where = {"source": f"s3://falaj-raw/landing/{unique}/*", "target": f"s3://falaj-raw/{unique}"}

    assert costs.of(ingest_objects, **where)["rows_read"] == 6
    assert costs.of(ingest_objects, **where)["rows_read"] == 0, "nothing was new"


def test_a_sql_table_costs_the_rows_that_were_new(
    costs: Costs, unique: str, tmp_path: pathlib.Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE orders (seq INTEGER PRIMARY KEY, price FLOAT)")
        shop.executemany("INSERT INTO orders VALUES (?, 0.5)", [(seq,) for seq in range(1, 6)])
    where = {"connection": f"sqlite:///{tmp_path}/shop.db", "table": "orders", "key": "seq"}
    where |= {"target": f"s3://falaj-raw/{unique}"}

    paid = costs.of(ingest_sql, **where, chunk_rows=2)

    assert (paid["rows_read"], paid["bytes_read"]) == (5, 5 * 2 * 8)
    (read,) = costs.inputs()
    assert (read["name"], read["inputFacets"]["inputStatistics"]["rowCount"]) == ("orders", 5)
    assert costs.of(ingest_sql, **where)["rows_read"] == 0


def test_a_service_costs_every_row_that_it_sent_and_its_bodies(
    costs: Costs, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [json.dumps({"items": [{"id": i} for i in ids]}) for ids in ((1, 2), (3,), ())]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=pages[int(request.url.params.get("page", 1)) - 1])

    opened = httpx.Client
    monkeypatch.setattr(
        httpx, "Client", lambda **k: opened(transport=httpx.MockTransport(answer), **k)
    )
    where = {"url": f"{URL}?key=hidden", "target": f"s3://falaj-raw/{unique}"}

    paid = costs.of(ingest_rest, **where)

    assert (paid["rows_read"], paid["bytes_read"]) == (3, sum(map(len, pages)))
    (read,) = costs.inputs()
    assert (read["name"], read["inputFacets"]["inputStatistics"]["rowCount"]) == ("rows", 3)
    assert costs.of(ingest_rest, **where)["rows_read"] == 3, (
        "it sent them again, though none is new"
    )
