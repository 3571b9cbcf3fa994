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


def connect(connection: str, *, password: str = "") -> "sa.Engine":
    """Make an engine from an SQLAlchemy URL; nothing is contacted yet.

    Raises:
        UserError: not a URL, a password inside it, an unknown dialect or a missing driver,
            or a SQLite file that is not there (SQLite would quietly make an empty one).
    """
    import sqlalchemy as sa

    try:
        url = sa.make_url(connection)
        if url.password:
            raise UserError(
                f"connection {url!r}: has a password in it; name the environment variable that "
                "holds it in password_env"
            )
        engine = sa.create_engine(url.set(password=password) if password else url)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise UserError(
            f"connection {connection!r}: {error}; expected an SQLAlchemy URL whose driver is "
            "installed, e.g. sqlite:////data/shop.db"
        ) from error
    if url.get_backend_name() == "sqlite" and url.database and not _exists(url.database):
        raise UserError(f"connection {connection!r}: no such file {url.database}")
    return engine


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
    raise UserError(f"{engine.url!r}: no table {name!r}; {hint}")


def columns(table: "sa.Table", names: Sequence[str]) -> "list[sa.Column[object]]":
    """Pick columns by name, or all; raises UserError naming the first that is not there."""
    known = table.columns.keys()
    for name in names:
        if name not in known:
            raise UserError(f"table {table.name!r}: no column {name!r}; {nearest(name, known)}")
    return [table.columns[name] for name in names or known]


@contextlib.contextmanager
def speaking_to(engine: "sa.Engine") -> Iterator[None]:
    """Turn what a database answers into our errors: refused credentials apart from silence."""
    import sqlalchemy as sa

    try:
        yield
    except sa.exc.DBAPIError as error:
        said = " ".join(str(error.orig).split())[:300]
        if any(word in said.lower() for word in _REFUSALS):
            raise UserError(
                f"{engine.url!r}: refused our credentials ({said}); check the user in the "
                "connection and the secret that password_env names"
            ) from error
        raise InfrastructureError(
            f"{engine.url!r}: the database did not answer as it should ({said}); run again"
        ) from error


def _exists(database: str) -> bool:
    return database == ":memory:" or database.startswith("file:") or pathlib.Path(database).exists()
