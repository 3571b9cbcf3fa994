"""What a user sees of a step that fails, and what it left in the store."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from components.foundation.audit import AuditLog
from components.foundation.storage import Address, ObjectStore
from components.foundation.tables import TableRef, Tables
from tests import prerequisites
from tests.bad_input import postgres
from tests.bad_input.said import NUMBER, PLANTED, Fails, Said

BUCKETS = ("falaj-raw", "falaj-curated", "falaj-quarantine", "falaj-features", "falaj-models")


@pytest.fixture(scope="session")
def database() -> Iterator[postgres.Postgres]:
    assert prerequisites.DATABASE.there, prerequisites.DATABASE.missing
    with postgres.running() as server:
        yield server


@pytest.fixture
def fails(
    store: ObjectStore,
    environment: None,
    unique: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Fails:
    """Run a face that must fail: one sentence everywhere, tables and channels as they were."""
    log = tmp_path / "termination"
    monkeypatch.setenv("FALAJ_TERMINATION_LOG", str(log))
    monkeypatch.setenv("FALAJ_RUN_ID", unique)

    def run(face: Any, *, leaves: bool = False, **arguments: Any) -> Said:
        before = held(store)
        with pytest.raises(SystemExit) as ended:
            face.python_func(**arguments)
        printed = capsys.readouterr()
        said = json.loads(log.read_text())
        last = printed.err.splitlines()[-1]
        assert last == f"{said['step']}: {said['message']} [{said['code']}]"
        assert ended.value.code == said["exit_code"]
        assert "\n" not in said["message"]
        if not leaves:
            assert held(store) == before
        everywhere = [printed.out, printed.err, log.read_text(), *evidence(store, unique)]
        return Said(said["exit_code"], said["code"], said["message"], "\n".join(everywhere))

    return run


@pytest.fixture
def people(tables: Tables, unique: str) -> str:
    """A raw table with a person in it."""
    rows = pa.table({"id": [1, NUMBER], "name": ["x", PLANTED]})
    return str(tables.replace(TableRef("falaj-raw", unique), rows))


@pytest.fixture
def target(unique: str) -> str:
    return f"s3://falaj-curated/{unique}"


def held(store: ObjectStore) -> dict[str, str]:
    """Return every object that tables and channels are made of, with its ETag."""
    listed = (item for bucket in BUCKETS for item in store.list(Address(bucket, "")))
    return {str(item.address): item.etag for item in listed}


def evidence(store: ObjectStore, run_id: str) -> list[str]:
    """Return the lineage of a run, and the whole audit log."""
    listed = store.list(Address("falaj-evidence", f"lineage/{run_id}/"))
    entries = [json.dumps(dict(entry.body)) for entry in AuditLog(store).entries()]
    return [*(store.get(item.address).decode() for item in listed), *entries]
