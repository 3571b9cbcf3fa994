"""Contracts and SQL that are wrong, and limits that are reached."""

import pathlib
import resource

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.tables import TableRef, Tables
from components.preparation.curate.component import curate
from components.preparation.validate.component import validate
from tests.bad_input.said import Fails, check

CONTRACT = """
name: people
version: 1
columns:
  - {name: id, type: int64}
  - {name: name, type: string}
"""


@pytest.mark.parametrize(
    ("contract", "code", "hint"),
    [
        (CONTRACT + "  - {name: nmae, type: string}\n", "contract-column-missing", "'name'?"),
        (
            CONTRACT + "keys:\n  - columns: [idd]\n",
            "contract-column-undeclared",
            "did you mean 'id'?",
        ),
        (
            CONTRACT.replace("type: string", "type: string, rules: [{patern: x}]"),
            "contract-name-unknown",
            "patern",
        ),
        (CONTRACT.replace("type: string", "typ: string"), "contract-name-unknown", "'type'?"),
        ("[", "contract-malformed", "no YAML"),
    ],
    ids=["column", "key", "rule", "field", "yaml"],
)
def test_a_contract_that_is_wrong(
    fails: Fails, people: str, tmp_path: pathlib.Path, contract: str, code: str, hint: str
) -> None:
    report = dsl.HTML(uri=str(tmp_path / "report.html"))

    said = fails(validate, table=people, contract=contract, report=report)

    check(said, code, hint)


@pytest.mark.parametrize(
    ("sql", "code", "hint"),
    [
        ("SELECT * FROM read_csv('/etc/hosts')", "sql-undeclared-table", "it may read only"),
        ("SELECT * FROM falaj_other", "sql-undeclared-table", "declare every table"),
        ("DROP TABLE people", "sql-not-one-select", "expected one SELECT"),
        ("SELECT FROM WHERE", "sql-syntax", "does not parse"),
        ("SELECT now() AS at FROM people", "sql-not-repeatable", "the run's as_of"),
        ("SELECT * FROM people ORDER BY random()", "sql-not-repeatable", "hash(key)"),
        ("SELECT nme FROM people", "sql-failed", '"name"'),
        ("SELECT CAST(name AS INTEGER) AS n FROM people", "sql-failed", "TRY_CAST"),
        ("SELECT CAST(id AS TINYINT) AS n FROM people", "sql-failed", "on the rows"),
        ("SELECT error(name) AS n FROM people", "sql-failed", "on the rows"),
        ("SELECT CAST(name AS DATE) AS n FROM people", "sql-failed", "on the rows"),
    ],
    ids=[
        "file", "table", "statement", "syntax", "clock", "random", "column", "cast", "range",
        "error", "date",
    ],
)  # fmt: skip
def test_sql_that_is_wrong(
    fails: Fails, people: str, target: str, sql: str, code: str, hint: str
) -> None:
    said = fails(curate, tables={"people": people}, sql=sql, target=target)

    check(said, code, hint)


def test_a_memory_limit_that_is_reached(fails: Fails, people: str, target: str) -> None:
    sql = "SELECT string_agg(repeat('x', 1000), '') AS t FROM people, generate_series(400000)"

    said = fails(curate, tables={"people": people}, sql=sql, target=target, memory_limit_mb=512)

    check(said, "memory-limit-reached", "raise memory_limit_mb")


def test_a_memory_limit_too_small_to_begin(fails: Fails, people: str, target: str) -> None:
    sql = "SELECT * FROM people"

    said = fails(curate, tables={"people": people}, sql=sql, target=target, memory_limit_mb=1)

    check(said, "memory-limit-too-small", "expected at least")


def test_a_disk_that_is_full(fails: Fails, tables: Tables, unique: str, target: str) -> None:
    """The table's file does not fit into the cache: a file may grow to 64 KiB only."""
    numbers = np.random.default_rng(1).integers(0, 1 << 60, 50_000).tolist()
    large = str(tables.replace(TableRef("falaj-raw", unique), pa.table({"id": numbers})))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        said = fails(curate, tables={"t": large}, sql="SELECT * FROM t", target=target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    check(said, "disk-full", "larger volume")
