"""Delta Lake tables on S3, named by references.

A reference is `s3://bucket/name@7` (pinned) or `s3://bucket/name@latest`. Data and the
position in its source commit together, as a Delta application transaction, so a step
may be killed anywhere and run again.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from components.foundation import cost, delta
from components.foundation.delta import Rows
from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.storage import Address, ObjectStore, Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table, at a version or at its latest; `TableRef.parse(str(r)) == r`."""

    bucket: str
    name: str
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.uri}@{'latest' if self.version is None else self.version}"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        path, at, version = text.partition("@")
        address = Address.parse(path)
        if not at or not address.key or not (version == "latest" or version.isdigit()):
            raise UserError(
                f"table {text!r}: expected s3://bucket/name@VERSION or s3://bucket/name@latest",
                code="table-reference",
            )
        return cls(address.bucket, address.key, None if version == "latest" else int(version))

    @classmethod
    def unversioned(cls, text: str) -> Self:
        """Read a table to write: `s3://bucket/name`, with or without `@latest`.

        Raises:
            UserError: it names a version; versions are made by writing.
        """
        ref = cls.parse(text if "@" in text else f"{text}@latest")
        if ref.version is not None:
            raise UserError(
                f"target {text!r}: expected s3://bucket/name; a version cannot be written to, "
                f"leave @{ref.version}",
                code="table-reference",
            )
        return ref

    def at(self, version: int | None) -> "TableRef":
        return dataclasses.replace(self, version=version)


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The data files of one pinned version, cached locally by their immutable names."""

    ref: TableRef
    paths: tuple[pathlib.Path, ...]
    partitions: Mapping[str, str]  # column -> DuckDB type; their values are in the paths
    schema: "pa.Schema"
    ordered: bool = False  # read one after the other, rows come in the order of their content

    def duckdb_source(self) -> str:
        """Return the table expression that reads these files in DuckDB."""
        if not self.paths:
            columns = ", ".join(f'NULL::{_duckdb_type(f.type)} AS "{f.name}"' for f in self.schema)
            return f"(SELECT {columns} WHERE false)"
        listed = ", ".join(f"'{path}'" for path in self.paths)
        types = ", ".join(f"'{name}': {kind}" for name, kind in self.partitions.items())
        hive = f", hive_partitioning = true, hive_types = {{{types}}}" if types else ""
        return f"read_parquet([{listed}], union_by_name = true{hive})"


@dataclass(frozen=True)
class Tables:
    """Every Delta operation of the suite."""

    settings: Settings
    _pinned: "dict[TableRef, DeltaTable]" = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # a version never changes, and to open one costs several requests

    def resolve(self, ref: TableRef) -> TableRef:
        """Pin `latest` to a version; raises UserError when there is no such table."""
        if ref.version is not None:
            return ref
        return ref.at(self._open(ref).version())

    def newest(self, ref: TableRef) -> TableRef | None:
        """Pin a table to its newest version; None when there is no such table."""
        return self.resolve(ref.at(None)) if self.exists(ref) else None

    def exists(self, ref: TableRef) -> bool:
        """Say whether there is a table; deltalake's own question would hold Python's lock."""
        log = Address(ref.bucket, f"{ref.name}/_delta_log/")
        return any(True for _ in ObjectStore(self.settings).list(log))

    def rows(self, ref: TableRef) -> int:
        return self._open(ref).count()

    def schema(self, ref: TableRef) -> "pa.Schema":
        import pyarrow as pa

        # deltalake's own schema speaks the Arrow C interface; the stubs do not know that.
        return pa.schema(self._open(ref).schema().to_arrow())  # type: ignore[arg-type]

    def read(self, ref: TableRef, columns: Sequence[str] | None = None) -> "pa.Table":
        """Read a whole table into memory; for large ones use `files` and DuckDB.

        Rows come in the order of their content: a Delta table is a set, and the order in
        which its writer leaves rows and files differs from run to run.
        """
        table = self._open(ref)

        def rows_of() -> "pa.Table":
            with delta.translated(ref):
                return table.to_pyarrow_table(columns=list(columns) if columns else None)

        rows = self.settings.patience.again(rows_of)
        _note_read(ref, table)
        return _in_order(rows)

    def transaction(self, ref: TableRef, app_id: str) -> int | None:
        """Return how far a source has been committed to this table, if at all."""
        return self.transactions(ref, [app_id]).get(app_id)

    def transactions(self, ref: TableRef, app_ids: Iterable[str]) -> dict[str, int]:
        """Return how far each of these sources has been committed; leave out the unknown.

        Of a pinned reference, as of that version.
        """
        if ref.version is None and not self.exists(ref):
            return {}
        table = self._open(ref)
        found = {app: table.transaction_version(app) for app in app_ids}
        return {app: version for app, version in found.items() if version is not None}

    def append(
        self,
        ref: TableRef,
        rows: Rows,
        *,
        transactions: Mapping[str, int],
        by: Sequence[str] = (),
    ) -> TableRef:
        """Append rows and record the sources' positions in one commit; return the new version.

        Given a pinned reference, the commit loses (InfrastructureError) if another run has
        moved one of these sources since that version; with `latest` nothing is compared.
        """
        write = delta.Write(ref, rows, "append", transactions, by=by)
        return self._write(write)

    def create(
        self,
        ref: TableRef,
        rows: Rows,
        *,
        transactions: Mapping[str, int],
        by: Sequence[str] = (),
        ordered: bool = False,
    ) -> TableRef:
        """Make a table; the commit loses (InfrastructureError) if somebody has made it meanwhile.

        Who found no table must not append to one that is there when he comes to write: it has
        his rows already.
        """
        write = delta.Write(ref.at(None), rows, "error", transactions, by=by, ordered=ordered)
        return self._write(write)

    def replace(
        self,
        ref: TableRef,
        rows: Rows,
        *,
        transactions: Mapping[str, int] | None = None,
        ordered: bool = False,
    ) -> TableRef:
        """Replace the whole content in one commit; readers see the old version or the new.

        Args:
            ref: the table.
            rows: its new content.
            transactions: sources' positions, to commit with it.
            ordered: the rows come in the order of their content; readers need not sort them.
        """
        write = delta.Write(ref, rows, "overwrite", transactions or {}, ordered=ordered)
        return self._write(write)

    def replace_where(
        self,
        ref: TableRef,
        rows: Rows,
        *,
        predicate: str,
        transactions: Mapping[str, int] | None = None,
    ) -> TableRef:
        """Replace only the rows that match a predicate, in one commit; new columns are added."""
        if not self.exists(ref):
            return self.replace(ref, rows, transactions=transactions)
        write = delta.Write(ref, rows, "overwrite", transactions or {}, predicate=predicate)
        return self._write(write)

    def files(self, ref: TableRef, cache: pathlib.Path) -> DataFiles:
        """Fetch the data files of a pinned version that the cache lacks.

        DuckDB then reads plain files, so its memory limit holds for the whole process.

        Raises:
            UserError: the table uses deletion vectors, which plain Parquet readers ignore.
        """
        table = self._open(ref)
        if "deletionVectors" in (table.protocol().reader_features or []):
            raise UserError(
                f"{ref}: uses deletion vectors; rewrite it with REORG ... PURGE first",
                code="table-deletion-vectors",
            )
        names = [uri.removeprefix(f"{self._on_store(ref)}/") for uri in table.file_uris()]
        _note_read(ref, table)
        folder = cache / ref.bucket / ref.name
        store = ObjectStore(self.settings)
        for name in names:
            if not (folder / name).exists():
                store.get_file(Address(ref.bucket, f"{ref.name}/{name}"), folder / name)
        schema = self.schema(ref)
        by = table.metadata().partition_columns
        kinds = {name: _duckdb_type(schema.field(name).type) for name in by}
        paths = tuple(folder / name for name in names)
        return DataFiles(ref, paths, kinds, schema, len(paths) == 1 and delta.in_order(table))

    def _open(self, ref: TableRef) -> "DeltaTable":
        """Open a version to read, once."""
        if ref not in self._pinned:
            table = self._opened(ref)
            ref = ref.at(table.version())
            self._pinned[ref] = table
        return self._pinned[ref]

    def _on_store(self, ref: TableRef) -> str:
        """Return the address under which the store has a table; the log in it names none."""
        return f"s3://{self.settings.buckets.on_store(ref.bucket)}/{ref.name}"

    def _opened(self, ref: TableRef) -> "DeltaTable":
        """Open a version anew: writing moves what it writes to."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        options = self.settings.delta_options()

        def opened() -> DeltaTable:
            with delta.translated(ref):
                uri = self._on_store(ref)
                return DeltaTable(uri, version=ref.version, storage_options=options)

        try:
            return self.settings.patience.again(opened)
        except TableNotFoundError as error:
            raise UserError(
                f"table {ref}: not found; is the step that writes it upstream of this one?",
                code="table-missing",
            ) from error

    def _write(self, write: delta.Write) -> TableRef:
        for pause in self.settings.patience.pauses():
            try:
                return self._noted(write, self._commit(write))
            except InfrastructureError as error:
                last = error
                if (found := self._committed(write, error)) is not None:
                    return self._noted(write, self._open(write.ref.at(found)))
                if not self._may_go_again(write, error):
                    raise
            time.sleep(pause)
        raise last

    def _noted(self, write: delta.Write, table: "DeltaTable") -> TableRef:
        written = write.ref.at(table.version())
        self._pinned[written] = table
        rows, size = delta.amount(table, since=write.began)
        cost.writes(written, rows=rows, bytes=size)
        return written

    def _commit(self, write: delta.Write) -> "DeltaTable":
        ref = write.ref
        # A write moves the table it is given to the version made.
        table = (self._pinned.pop(ref, None) or self._opened(ref)) if write.compared else None
        write.commit(table or self._on_store(ref), self.settings.delta_options())
        return table or self._opened(ref.at(None))

    def _committed(self, write: delta.Write, error: InfrastructureError) -> int | None:
        """Return the version that a write made although it failed: its answer was lost."""
        try:
            if not self.exists(write.ref):
                return None
            return write.made(self._open(write.ref.at(None)))
        except FalajError:
            raise error from None  # the store is still away

    def _may_go_again(self, write: delta.Write, error: InfrastructureError) -> bool:
        """Say whether a write that is not there may be sent again."""
        if not write.repeatable:
            return False
        if error.code != delta.RACED:
            return True
        return not write.whole and not self._moved(write)

    def _moved(self, write: delta.Write) -> bool:
        """Say whether another run has read these sources since the version compared with."""
        if not write.transactions:
            return False
        if not write.compared:
            return True  # two who create a table, or nothing to tell by
        before = self._positions(write.ref, write.transactions)
        return before != self._positions(write.ref.at(None), write.transactions)

    def _positions(self, ref: TableRef, app_ids: Iterable[str]) -> dict[str, int | None]:
        table = self._open(ref)
        return {app: table.transaction_version(app) for app in app_ids}


def _note_read(ref: TableRef, table: "DeltaTable") -> None:
    rows, size = delta.amount(table)
    cost.reads(ref, rows=rows, bytes=size)


def _in_order(rows: "pa.Table") -> "pa.Table":
    """Sort rows by their columns, the first column first; lists and structs do not count."""
    import pyarrow.types as is_

    flat = [f.name for f in rows.schema if not (is_.is_nested(f.type) or is_.is_null(f.type))]
    return rows.sort_by([(name, "ascending") for name in flat]) if flat else rows


def _duckdb_type(kind: "pa.DataType") -> str:
    import pyarrow.types as is_

    if is_.is_boolean(kind):
        return "BOOLEAN"
    if is_.is_integer(kind):
        return "BIGINT"
    if is_.is_floating(kind):
        return "DOUBLE"
    if is_.is_date(kind):
        return "DATE"
    if is_.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    return "VARCHAR"
