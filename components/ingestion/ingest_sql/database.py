"""Reach a SQL database and describe a table in it, with errors that say what to do."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from components.foundation.errors import InfrastructureError, UserError, nearest

if TYPE_CHECKING:
    import sqlalchemy as sa

# What databases say when the user name or the password is wrong.
_REFUSALS = ("password", "access denied", "authentication", "login failed", "ora-01017")

_SCHEMES = {"postgresql": "postgres", "mariadb": "mysql"}  # where OpenLineage has another name
_EXPECTED = "expected an SQLAlchemy URL whose driver is installed, e.g. sqlite:////data/shop.db"
_PORTS = {"postgres": 5432, "mysql": 3306, "mssql": 1433, "oracle": 1521}


def connect(connection: str, *, password: str = "") -> "sa.Engine":
    """Make an engine from an SQLAlchemy URL; nothing is contacted yet.

    Raises:
        UserError: not a URL, a password in it, an unknown dialect or a missing driver, or a
            SQLite file that is not there (SQLite would quietly make an empty one).
    """
    import sqlalchemy as sa

    try:
        url = sa.make_url(connection)
        if url.password or any(_secret(name) for name in url.query):
            raise UserError(
                f"connection {shown(url)}: has a password in it; name the environment variable "
                "that holds it in password_env",
                code="secret-in-address",
            )
        engine = sa.create_engine(url.set(password=password) if password else url)
    except ValueError as error:  # its message may quote a part of a password
        raise UserError(
            f"connection: is no address; {_EXPECTED}", code="database-address"
        ) from error
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise UserError(f"connection: {error}; {_EXPECTED}", code="database-address") from error
    if url.get_backend_name() == "sqlite" and url.database and not _exists(url.database):
        raise UserError(
            f"connection {shown(url)}: no such file {url.database}; mount its folder",
            code="database-file-missing",
        )
    return engine


def shown(url: "sa.URL") -> str:
    """Return an address that may be shown: without a password, without a query string."""
    return url.set(query={}).render_as_string(hide_password=True)


def uri(engine: "sa.Engine", table: "sa.Table") -> str:
    """Name a table as OpenLineage does, without user, password or query string.

    `postgres://host:port/database.schema.table`, `sqlite:///folder/shop.db/table`.
    """
    url, kind = engine.url, engine.url.get_backend_name()
    scheme = _SCHEMES.get(kind, kind)
    if kind == "sqlite":
        file = (url.database or "").removeprefix("file:").partition("?")[0]
        return f"sqlite://{pathlib.Path(file).absolute()}/{table.name}"
    schema = table.schema or engine.dialect.default_schema_name
    levels = [schema, table.name] if scheme == "mysql" else [url.database, schema, table.name]
    server = f"{scheme}://{url.host or 'localhost'}:{url.port or _PORTS.get(scheme, 0)}"
    return f"{server}/{'.'.join(filter(None, levels))}"


def table(engine: "sa.Engine", name: str) -> "sa.Table":
    """Describe a table or view, `name` or `schema.name`; raises UserError if there is none."""
    import sqlalchemy as sa

    schema, _, bare = name.rpartition(".")
    with speaking_to(engine):
        try:
            return sa.Table(bare, sa.MetaData(), autoload_with=engine, schema=schema or None)
        except sa.exc.NoSuchTableError:
            inspector = sa.inspect(engine)
            known = inspector.get_table_names(schema or None)
            known += inspector.get_view_names(schema or None)
    hint = nearest(bare, known) if known else "it has no tables"
    raise UserError(f"{shown(engine.url)}: no table {name!r}; {hint}", code="source-table-missing")


def columns(table: "sa.Table", names: Sequence[str]) -> "list[sa.Column[object]]":
    """Pick columns by name, or all; raises UserError naming the first that is not there."""
    known = table.columns.keys()
    for name in names:
        if name not in known:
            raise UserError(
                f"table {table.name!r}: no column {name!r}; {nearest(name, known)}",
                code="column-unknown",
            )
    return [table.columns[name] for name in names or known]


@contextlib.contextmanager
def speaking_to(engine: "sa.Engine") -> Iterator[None]:
    """Turn what a database answers into our errors: refused credentials apart from silence."""
    import sqlalchemy as sa

    try:
        yield
    except sa.exc.DBAPIError as error:
        said = _said(error)
        if any(word in said.lower() for word in _REFUSALS):
            raise UserError(
                f"{shown(engine.url)}: refused our credentials ({said}); check the user in the "
                "connection and the secret that password_env names",
                code="database-denied",
            ) from error
        raise InfrastructureError(
            f"{shown(engine.url)}: the database did not answer as it should ({said}); run again",
            code="database-failed",
        ) from error


def _said(error: "sa.exc.DBAPIError") -> str:
    """Say what the database said, unless it is about a row: then its kind, and no value."""
    import sqlalchemy as sa

    if isinstance(error, sa.exc.DataError | sa.exc.IntegrityError):
        code = getattr(error.orig, "sqlstate", None)
        return f"{type(error.orig).__name__}, a value of a row" + (f", {code}" if code else "")
    return " ".join(str(error.orig).split())[:300]


def _secret(name: str) -> bool:
    return any(word in name.lower() for word in ("password", "passwd", "pwd", "secret", "token"))


def _exists(database: str) -> bool:
    return database == ":memory:" or database.startswith("file:") or pathlib.Path(database).exists()
