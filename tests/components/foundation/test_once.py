import contextlib
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from components.foundation import digests, once
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.tables import TableRef, Tables

ROWS = pa.table({"n": [1, 2]})
RECIPE, OTHER = digests.of_json("a recipe"), digests.of_json("another")


@contextlib.contextmanager
def rows() -> Iterator[pa.RecordBatchReader]:
    yield ROWS.to_reader()


@contextlib.contextmanager
def rows_after(other_run: Callable[[], None]) -> Iterator[pa.RecordBatchReader]:
    """Stream rows; while the table is being written, another run comes and goes."""

    def batches() -> Iterator[pa.RecordBatch]:
        thread = threading.Thread(target=other_run)
        thread.start()
        thread.join()
        yield from ROWS.to_batches()

    yield pa.RecordBatchReader.from_batches(ROWS.schema, batches())


@pytest.fixture
def target(unique: str) -> TableRef:
    return TableRef("falaj-curated", unique)


def test_the_same_recipe_is_not_even_opened_again(tables: Tables, target: TableRef) -> None:
    first = once.replace(tables, target, RECIPE, rows)

    assert once.replace(tables, target, RECIPE, pytest.fail) == first


def test_going_back_to_an_earlier_recipe_writes_it_again(tables: Tables, target: TableRef) -> None:
    """What is newest is what was asked for last."""
    made = [once.replace(tables, target, recipe, rows) for recipe in (RECIPE, OTHER, RECIPE)]

    assert [ref.version for ref in made] == [0, 1, 2]


@pytest.mark.parametrize("exists", [True, False], ids=["replaced", "created"])
def test_two_runs_of_the_same_step_at_once_write_once(
    tables: Tables, target: TableRef, exists: bool
) -> None:
    if exists:
        once.replace(tables, target, OTHER, rows)

    def other_run() -> None:
        once.replace(tables, target, RECIPE, rows)

    made = once.replace(tables, target, RECIPE, lambda: rows_after(other_run))

    assert tables.rows(made) == 2
    assert tables.resolve(target) == made


def test_losing_to_another_recipe_is_to_be_tried_again(tables: Tables, target: TableRef) -> None:
    once.replace(tables, target, RECIPE, rows)

    def other_run() -> None:
        tables.replace(target, ROWS, transactions={})

    with pytest.raises(InfrastructureError, match="run the step again"):
        once.replace(tables, target, OTHER, lambda: rows_after(other_run))


@pytest.mark.parametrize("text", ["s3://b/t", "s3://b/t@latest"])
def test_a_target_has_no_version(text: str) -> None:
    assert TableRef.unversioned(text) == TableRef("b", "t")


def test_refuses_to_write_to_a_version() -> None:
    with pytest.raises(UserError, match="a version cannot be written to"):
        TableRef.unversioned("s3://b/t@3")
