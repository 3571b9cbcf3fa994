"""The SQL that users write, checked before it runs; and the SQL that we write, quoted."""

import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from components.foundation.errors import UserError, nearest

if TYPE_CHECKING:
    from sqlglot import exp

_DIALECT = "duckdb"
_UNREPEATABLE = frozenset(
    {"CURRENT_DATABASE", "CURRENT_DATE", "CURRENT_DATETIME", "CURRENT_LOCALTIME",
     "CURRENT_LOCALTIMESTAMP", "CURRENT_SCHEMA", "CURRENT_SETTING", "CURRENT_TIME",
     "CURRENT_TIMESTAMP", "CURRENT_USER", "CURRENT_VERSION", "CURRVAL", "GEN_RANDOM_UUID",
     "GETENV", "GET_CURRENT_TIME", "GET_CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP",
     "NEXTVAL", "NOW", "RAND", "RANDOM", "SESSION_USER", "SETSEED", "TABLESAMPLE", "TODAY",
     "TRANSACTION_TIMESTAMP", "TXID_CURRENT", "UUID", "UUIDV4", "UUIDV7", "VERSION"}
)  # fmt: skip
_GENERATORS = frozenset({"GenerateSeries", "Unnest"})  # table functions that read nothing


def name(text: str) -> str:
    """Quote an identifier."""
    return '"' + text.replace('"', '""') + '"'


def names(texts: Collection[str], *, of: str = "") -> str:
    prefix = f"{name(of)}." if of else ""
    return ", ".join(f"{prefix}{name(text)}" for text in texts)


def literal(value: str | int | float | bool) -> str:
    """Quote a value. Views take no bound parameters, so rules carry their values like this."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return f"CAST('{value!r}' AS DOUBLE)"
        case _:
            return "'" + value.replace("'", "''") + "'"


def condition(text: str, columns: Mapping[str, str], *, where: str) -> str:
    """Check that a text is one expression over the columns of a row; return it rendered.

    Args:
        text: what the user wrote, e.g. `arrival > departure`.
        columns: column -> the SQL that stands for it (itself, or a cast of it).
        where: how an error names the place, e.g. "check 'arrives later'".

    Raises:
        UserError: it does not parse, names another column, or reads a table.
    """
    from sqlglot import exp

    tree = _condition(text, where)
    if tree.find(exp.Query, exp.Table, exp.AggFunc, exp.Window):
        raise UserError(
            f"{where}: {text!r} reads more than its own row; "
            "write an expression over columns, without SELECT, aggregates or windows",
            code="condition-malformed",
        )
    _check_repeatable(tree, where)
    for column in list(tree.find_all(exp.Column)):
        if column.name not in columns or column.table:
            known = nearest(column.name, list(columns))
            raise UserError(
                f"{where}: {text!r} names {column.sql()!r}, no such column; {known}",
                code="column-unknown",
            )
    return tree.transform(_substitute, columns).sql(dialect=_DIALECT)


def select(text: str, *, reads: Collection[str]) -> str:
    """Check that a text is exactly one SELECT that reads only these tables; return it bare.

    Raises:
        UserError: it is something else, or reads something else; the message names it.
    """
    from sqlglot import exp

    tree = _statement(text)
    if not isinstance(tree, exp.Query):
        raise UserError(
            f"the SQL is {tree.key.upper()}; expected one SELECT statement",
            code="sql-not-one-select",
        )
    _check_repeatable(tree, "the SQL")
    local = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if type(table.this).__name__ in _GENERATORS or _plain(table) in local:
            continue
        if _plain(table) not in reads:
            raise UserError(
                f"the SQL reads {_source(table)!r}; it may read only {', '.join(sorted(reads))}: "
                "declare every table in `tables`",
                code="sql-undeclared-table",
            )
    return text.strip().rstrip(";")


def heeds_order(text: str) -> bool:
    """Say whether a SELECT may give other rows when it reads the same rows in another order.

    False is certain: it joins on conditions, computes by row, and counts, or takes a minimum or
    a maximum. A sum of floats, a rank among ties, a LIMIT or a function unknown to us heeds it.
    """
    from sqlglot import exp

    tree = _statement(text)
    ordered = (exp.Limit, exp.Offset, exp.Fetch, exp.Pivot, exp.Qualify)
    return (
        any(tree.find_all(*ordered))
        or any(one.args.get("on") for one in tree.find_all(exp.Distinct))
        or any(join.method for join in tree.find_all(exp.Join))
        or any(window.args.get("order") for window in tree.find_all(exp.Window))
        or any(map(_heeds_order, tree.find_all(exp.Func)))
    )


def _heeds_order(call: "exp.Expr") -> bool:
    from sqlglot import exp

    if isinstance(call, exp.Count | exp.Min | exp.Max):
        return False
    return isinstance(call, exp.AggFunc) or _called(call).lower() in _not_by_row()


@functools.cache
def _not_by_row() -> frozenset[str]:
    """Return the functions of DuckDB that are more than a value for a row."""
    import duckdb

    found = duckdb.execute(
        "SELECT function_name FROM duckdb_functions() WHERE function_type <> 'scalar'"
    ).fetchall()
    return frozenset({name for (name,) in found} - {"unnest"})


def _condition(text: str, where: str) -> "exp.Expr":
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(text, into=exp.Condition, dialect=_DIALECT)
    except SqlglotError as error:
        raise UserError(
            f"{where}: {text!r} is no expression that is true or false ({_first_line(error)})",
            code="condition-malformed",
        ) from error


def _statement(text: str) -> "exp.Expr":
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=_DIALECT) if tree is not None]
    except SqlglotError as error:
        raise UserError(
            f"the SQL does not parse: {_first_line(error)}", code="sql-syntax"
        ) from error
    if len(trees) != 1:
        raise UserError(
            f"the SQL has {len(trees)} statements; expected exactly one SELECT",
            code="sql-not-one-select",
        )
    return trees[0]


def _check_repeatable(tree: "exp.Expr", where: str) -> None:
    """Refuse what gives other values another time: a table is a function of its inputs."""
    from sqlglot import exp

    for call in tree.find_all(exp.Func, exp.TableSample):
        name = _called(call)
        since_today = name == "AGE" and len(call.expressions) < 2
        if name in _UNREPEATABLE or since_today:
            raise UserError(
                f"{where} calls {name}, which gives other values another time; pass the value as "
                "a literal or a column, such as the run's as_of, and draw by hash(key)",
                code="sql-not-repeatable",
            )


def _called(call: "exp.Expr") -> str:
    from sqlglot import exp

    if isinstance(call, exp.Func) and not isinstance(call, exp.Anonymous):
        return call.sql_name().upper()
    return (call.name if isinstance(call, exp.Anonymous) else call.key).upper()


def _substitute(node: "exp.Expr", columns: Mapping[str, str]) -> "exp.Expr":
    import sqlglot
    from sqlglot import exp

    if isinstance(node, exp.Column):
        return sqlglot.parse_one(columns[node.name], dialect=_DIALECT)
    return node


def _plain(table: "exp.Table") -> str | None:
    """Return the name of a table without schema, path or function; else None."""
    from sqlglot import exp

    plain = isinstance(table.this, exp.Identifier) and not table.db
    return table.name if plain else None


def _source(table: "exp.Table") -> str:
    bare = table.copy()
    bare.set("alias", None)
    return bare.sql(dialect=_DIALECT)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
