import duckdb
import pytest

from components.foundation import sql
from components.foundation.errors import UserError


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM a",
        "SELECT * FROM a AS x JOIN b USING (k);",
        "WITH c AS (SELECT * FROM a) SELECT * FROM c",
        "SELECT * FROM a ASOF JOIN b ON a.k = b.k AND a.t >= b.t",
        "SELECT * FROM a, unnest([1, 2]) AS u(n), range(3)",
        "SELECT * FROM a UNION ALL SELECT * FROM b",
        "FROM a",
    ],
)
def test_takes_one_select_over_the_declared_tables(text: str) -> None:
    assert sql.select(text, reads=["a", "b"]) == text.rstrip(";")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT * FROM c", "reads 'c'; it may read only a, b"),
        ("SELECT (SELECT max(x) FROM c) FROM a", "reads 'c'"),
        ("SELECT * FROM main.a", "reads 'main.a'"),
        ("SELECT * FROM read_parquet('x.parquet')", "READ_PARQUET"),
        ("SELECT * FROM 'x.parquet'", "x.parquet"),
        ("SELECT * FROM duckdb_settings()", "(?i)duckdb_settings"),
        ("DROP TABLE a", "the SQL is DROP"),
        ("COPY a TO 'x.csv'", "the SQL is COPY"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("SELEC * FROM a", "SQL"),
        ("SELECT FROM WHERE (", "does not parse"),
    ],
)
def test_refuses_other_statements_and_tables_by_name(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        sql.select(text, reads=["a", "b"])


def test_a_condition_speaks_of_values_not_of_stored_text() -> None:
    stored = {"n": 'TRY_CAST("n" AS BIGINT)', "m": '"m"'}

    assert sql.condition("n > m", stored, where="check") == 'TRY_CAST("n" AS BIGINT) > "m"'


def test_a_name_cannot_leave_its_quotes() -> None:
    assert sql.name('a"b') == '"a""b"'


@pytest.mark.parametrize("value", ["O'Hare", "a\\'; --", 7, -2.5, 1e-30, float("inf"), True])
def test_a_value_means_itself_to_the_engine(value: str | float) -> None:
    assert duckdb.execute(f"SELECT {sql.literal(value)}").fetchall() == [(value,)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a + 1, upper(b), isodow(t), list_position(['x'], b) FROM r WHERE a > 0",
        "SELECT b, count(*), min(x), max(t) FROM r GROUP BY b",
        "SELECT *, count(*) OVER (PARTITION BY b) FROM r LEFT JOIN s USING (k)",
        "WITH c AS (SELECT DISTINCT b FROM r) SELECT * FROM c ORDER BY b",
    ],
)
def test_counts_joins_and_values_by_row_heed_no_order(text: str) -> None:
    assert not sql.heeds_order(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT sum(x) FROM r",
        "SELECT avg(x) FROM r",
        "SELECT any_value(x) FROM r",
        "SELECT list(x), string_agg(b, ',') FROM r",
        "SELECT product(x), mad(x), fsum(x) FROM r",
        "SELECT arg_max(b, x) FROM r",
        "SELECT json_group_array(x) FROM r",
        "SELECT row_number() OVER (ORDER BY b) FROM r",
        "SELECT row_number() OVER () FROM r",
        "SELECT lag(x) OVER (PARTITION BY b ORDER BY t) FROM r",
        "SELECT count(*) OVER (ORDER BY t ROWS 2 PRECEDING) FROM r",
        "SELECT * FROM r LIMIT 3",
        "SELECT * FROM r ORDER BY b OFFSET 3",
        "SELECT DISTINCT ON (b) * FROM r",
        "SELECT * FROM r ASOF JOIN s ON r.k = s.k AND r.t >= s.t",
        "SELECT * FROM r POSITIONAL JOIN s",
        "SELECT * FROM (SELECT sum(x) AS y FROM r)",
        "SELECT * FROM r WHERE x > (SELECT avg(x) FROM r)",
        "SELECT * FROM r QUALIFY row_number() OVER (PARTITION BY b) = 1",
        "PIVOT r ON b USING first(x)",
    ],
)
def test_what_may_heed_order_is_told(text: str) -> None:
    assert sql.heeds_order(text)
