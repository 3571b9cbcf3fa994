"""What processes of their own do at once, for `test_concurrency`."""

import os
import pathlib

import pyarrow as pa

from components.foundation.audit import AuditLog
from components.foundation.engine import Limits
from components.foundation.errors import InfrastructureError
from components.foundation.sealing import channel
from components.foundation.sealing import release as releases
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, Conflict, ObjectStore, Settings
from components.foundation.tables import TableRef, Tables
from components.ingestion.commit import Landing
from components.ingestion.ingest_objects import landing
from components.ingestion.ingest_objects.formats import Format
from components.ingestion.ingest_rest import collection
from components.ingestion.ingest_rest.client import Budget, Client
from components.ingestion.ingest_rest.pagination import Pagination
from components.ingestion.ingest_sql import database, keyset
from components.preparation.curate import curation

LOST = "somebody else was first"


def sql(settings: Settings, target: str, connection: str) -> str:
    engine = database.connect(connection)
    source = keyset.open_keyset(engine, "orders", key="id", columns=[], timezone="UTC")
    try:
        keyset.ingest(
            Landing.open(Tables(settings), target), source, table="orders", chunk_rows=700
        )
    except InfrastructureError as error:
        return _lost(error)
    return "done"


def objects(settings: Settings, target: str, pattern: str) -> str:
    store, tables = ObjectStore(settings), Tables(settings)
    try:
        landing.ingest(store, tables, pattern=pattern, target=target, format=Format.CSV)
    except InfrastructureError as error:
        return _lost(error)
    return "done"


def rest(settings: Settings, target: str, url: str) -> str:
    source = collection.Collection(url, Pagination.PAGE, "page", "id", "since")
    client = Client.open(token="", budget=Budget(20), items="items")
    try:
        collection.ingest(Landing.open(Tables(settings), target), source, client)
    except InfrastructureError as error:
        return _lost(error)
    return "done"


def curated(settings: Settings, pinned: str, cache: str) -> int:
    ref = TableRef.parse(pinned)
    order = curation.Order(
        inputs={"orders": ref},
        sql="SELECT * FROM orders",
        target=TableRef("falaj-curated", ref.name),
        contracts={},
        limits=Limits(512),
    )
    return curation.work(order, Tables(settings), pathlib.Path(cache)).rows_out


def appended(settings: Settings, target: str, times: int) -> None:
    for _ in range(times):
        ref = TableRef.unversioned(target)
        Tables(settings).append(ref, pa.table({"n": [1]}), transactions={})


def audited(settings: Settings, log: str, times: int) -> None:
    for number in range(times):
        subject = f"{number} of {os.getpid()}"
        AuditLog(ObjectStore(settings), Address.parse(log)).append("verdict", subject, {})


def key_ring(folder: pathlib.Path) -> None:
    KeyRing.create(folder / "keys")


def _keys(folder: str) -> KeyRing:
    return KeyRing.from_environment({"FALAJ_KEYS": f"{folder}/keys"})


def release(settings: Settings, model: str, folder: pathlib.Path, number: int) -> str:
    """Seal a release of one small file; return its address."""
    files = folder / f"release-{number}"
    files.mkdir()
    (files / "model.onnx").write_bytes(bytes([number]))
    keys, store = _keys(str(folder)), ObjectStore(settings)
    return releases.seal(files, model=model, facts={}, store=store, keys=keys).uri


def moved_first(settings: Settings, folder: str, model: str, to: list[str]) -> str:
    return _moved(settings, folder, model, to[0])


def moved_second(settings: Settings, folder: str, model: str, to: list[str]) -> str:
    return _moved(settings, folder, model, to[1])


def _moved(settings: Settings, folder: str, model: str, to: str) -> str:
    keys, store = _keys(folder), ObjectStore(settings)
    try:
        channel.move(model, to, store=store, keys=keys, reason="it is better")
    except Conflict:
        return LOST
    return "done"


def champions(settings: Settings, folder: str, model: str) -> list[str]:
    """Return where the channel has pointed, newest first."""
    found = channel.current(model, store=ObjectStore(settings), keys=_keys(folder))
    return [move.uri for move in found.history] if found else []


def _lost(error: InfrastructureError) -> str:
    return LOST if "another run committed first" in str(error) else str(error)
