"""What a training set is made of; the same request gives the same table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from components.features.offline_store.sql import listed, quoted
from components.features.registry_store.reference import RegistryRef
from components.foundation import digests
from components.foundation.errors import UserError, nearest
from components.foundation.tables import TableRef

_PROGRAM = 1  # raise it when the same request would give other rows


@dataclass(frozen=True, slots=True)
class Request:
    """Entity rows, the features to join, and where the result goes.

    Attributes:
        registry: the definitions.
        service: feature service that names the features.
        entities: table with one row a prediction, pinned.
        columns: columns of it to keep: entity keys, event_timestamp, request-time columns.
        label: its label column, "" for rows to be scored.
        where: SQL condition on it, "" for all rows.
        target: the table to write.
    """

    registry: RegistryRef
    service: str
    entities: TableRef
    columns: tuple[str, ...]
    label: str
    where: str
    target: TableRef

    @classmethod
    def parse(
        cls,
        registry: str,
        service: str,
        entities: TableRef,
        columns: Sequence[str],
        label: str,
        where: str,
        target: str,
    ) -> Self:
        """Read what a component is given; the target has no version yet."""
        return cls(
            registry=RegistryRef.parse(registry),
            service=service,
            entities=entities,
            columns=tuple(columns),
            label=label,
            where=where,
            target=TableRef.unversioned(target),
        )

    @property
    def kept(self) -> tuple[str, ...]:
        wanted = [*self.columns, *([self.label] if self.label else [])]
        return tuple(dict.fromkeys(wanted))

    def query(self, known: Sequence[str]) -> str:
        """Select the entity rows; raises UserError for a column the table does not have."""
        for name in self.kept:
            _check_column(name, known)
        query = f"SELECT {listed(self.kept)} FROM {quoted(str(self.entities))}"  # noqa: S608
        return f"{query} WHERE ({condition(self.where, known)})" if self.where else query

    def digest(self, sources: Sequence[TableRef]) -> digests.Digest:
        """Digest everything that the rows follow from."""
        content: dict[str, Any] = {
            "program": _PROGRAM,
            "definitions": str(self.registry.definitions),
            "service": self.service,
            "entities": str(self.entities),
            "columns": list(self.kept),
            "where": self.where,
            "sources": sorted(map(str, sources)),
        }
        return digests.of_json(content)


def condition(text: str, known: Sequence[str]) -> str:
    """Return a condition in DuckDB's words, having read it as one expression over known columns.

    Raises:
        UserError: it is no expression, holds a query, or names a column the table lacks.
    """
    import sqlglot
    from sqlglot import errors, expressions

    try:
        parsed = sqlglot.parse(text, dialect="duckdb")
    except errors.SqlglotError as error:
        raise UserError(
            f"where {text!r}: {str(error).splitlines()[0]}", code="condition-malformed"
        ) from error
    only = parsed[0] if len(parsed) == 1 else None
    if not isinstance(only, expressions.Condition) or only.find(
        expressions.Query, expressions.Star, expressions.Placeholder, expressions.Parameter
    ):
        raise UserError(
            f"where {text!r}: expected one condition on columns of the entity table, such as "
            "late IS NOT NULL; a query or a second statement has no place in it",
            code="condition-malformed",
        )
    for column in only.find_all(expressions.Column):
        _check_column(column.name if not column.table else column.sql(), known)
    return only.sql(dialect="duckdb", comments=False)


def _check_column(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UserError(
            f"entity rows: no column {name!r}; {nearest(name, list(known))}", code="column-unknown"
        )
