"""Good rows and bad ones: a table divided by the error rules of its contract.

A row is bad when it breaks a rule by itself, or when a row with the same key comes first
among those that break none. Which one is first follows from the rows' content alone, so the
same version of a table is always divided the same way.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.foundation import sql
from components.foundation.errors import UserError
from components.foundation.tables import DataFiles
from components.preparation.validate import contract as c
from components.preparation.validate import rules as r

if TYPE_CHECKING:
    import duckdb

RULE, SOURCE = "rule", "source"
_ROW = ("file_index", "file_row_number")  # where a row lies; DuckDB knows it of every file
_PLACE = ", ".join(_ROW)
_RESERVED = (*_ROW, RULE, SOURCE)


@dataclass(frozen=True, slots=True)
class Sieve:
    """The two parts of one table: its good rows, and the bad ones."""

    alias: str
    files: DataFiles
    rules: r.Rules

    @classmethod
    def of(cls, alias: str, files: DataFiles, contract: c.Contract) -> "Sieve":
        """Compile a contract; raises UserError when a column has a name that we need."""
        for name in files.schema.names:
            if name.lower() in _RESERVED:
                raise UserError(
                    f"table {files.ref}: column {name!r} cannot be quarantined, the name is ours; "
                    f"rename it upstream (reserved: {', '.join(_RESERVED)})",
                    code="column-reserved",
                )
        return cls(alias, files, r.of(contract, files.schema))

    def attached(self, connection: "duckdb.DuckDBPyConnection") -> str:
        """Judge every row once, keep the places of the bad ones; return the SELECT of the good."""
        connection.execute(f"CREATE TEMP TABLE {self._flaws} AS {self._judge()}")
        for key in _strict(self.rules.keys):
            connection.execute(f"INSERT INTO {self._flaws} {self._duplicates(key)}")
        return self._unflawed(self._columns())

    @property
    def bad(self) -> str:
        """Select the bad rows with the rule that each broke first, and where it came from."""
        return (
            f"SELECT {self._columns('t')}, f.{RULE}, "  # noqa: S608
            f"{sql.literal(str(self.files.ref))} AS {SOURCE} "
            f"FROM {located(self.files)} t JOIN {self._flaws} f USING ({_PLACE})"
        )

    @property
    def _flaws(self) -> str:
        return sql.name(f"{self.alias}: flaws")

    def _columns(self, of: str = "") -> str:
        return sql.names(self.files.schema.names, of=of)

    def _judge(self) -> str:
        """Select the places of bad rows, each with the name of the first rule it breaks."""
        cases = "".join(
            f" WHEN {rule.broken} THEN {sql.literal(rule.name)}"
            for rule in self.rules.rows
            if rule.terms.severity is c.Severity.ERROR
        )
        first = f"CASE{cases} END" if cases else "CAST(NULL AS VARCHAR)"
        return (
            f"SELECT CAST(file_index AS UBIGINT) AS file_index, file_row_number, {first} AS {RULE} "  # noqa: S608
            f"FROM {located(self.files)} WHERE {RULE} IS NOT NULL"
        )

    def _duplicates(self, key: r.KeyRule) -> str:
        """Select the rows beyond the first of each key, among those that are good so far."""
        columns = sql.names(key.columns)
        known = " AND ".join(f"{sql.name(column)} IS NOT NULL" for column in key.columns)
        so_far = f"({self._unflawed(self._columns(), _PLACE)} WHERE {known})"
        twice = f"(SELECT {columns} FROM {so_far} GROUP BY {columns} HAVING count(*) > 1)"  # noqa: S608
        return (
            f"SELECT {_PLACE}, {sql.literal(key.name)} "  # noqa: S608
            f"FROM {so_far} SEMI JOIN {twice} USING ({columns}) QUALIFY row_number() "
            f"OVER (PARTITION BY {columns} ORDER BY {self._columns()}, {_PLACE}) > 1"
        )

    def _unflawed(self, *columns: str) -> str:
        rows = f"SELECT {', '.join(columns)} FROM {located(self.files)}"  # noqa: S608
        return f"{rows} ANTI JOIN {self._flaws} USING ({_PLACE})"


def located(files: DataFiles) -> str:
    """Return the table expression of files, with the place of each row also when there is none."""
    source = files.duckdb_source()
    if files.paths:
        return source
    return f"(SELECT *, 0 AS file_index, 0 AS file_row_number FROM {source})"  # noqa: S608


def _strict(keys: tuple[r.KeyRule, ...]) -> list[r.KeyRule]:
    return [key for key in keys if key.terms.severity is c.Severity.ERROR]
