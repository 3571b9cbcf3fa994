"""One write to a Delta table, and how deltalake's failures read.

A write carries a mark of its own into the table's log: when its answer is lost, the log tells
whether it was done.
"""

import contextlib
import dataclasses
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from components.foundation.errors import FalajError, InfrastructureError, UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from components.foundation.tables import TableRef

RACED = "table-raced"
UNANSWERED = "table-failed"  # the store failed; whether the write is there was looked up
_OF_THE_STORE = re.compile("object store|S3 error", re.IGNORECASE)
_DENIED = re.compile(r"InvalidAccessKeyId|SignatureDoesNot|status code\W+40[13]")
_LOOK_BACK = 100  # versions among which a write whose answer was lost is sought
_MARK = "falaj.commit"  # names a write in the table's log
_ORDERED = "falaj.ordered"  # says in the log that a version's rows were written in order

Mode: TypeAlias = Literal["append", "overwrite", "error"]
Rows: TypeAlias = "pa.Table | pa.RecordBatchReader"


@dataclass(frozen=True)
class Write:
    """One write, however often it is tried; its mark in the log tells whether it is there."""

    ref: "TableRef"
    rows: Rows
    mode: Mode
    transactions: Mapping[str, int]
    by: Sequence[str] = ()  # columns to partition by
    predicate: str | None = None
    ordered: bool = False
    began: float = dataclasses.field(default_factory=time.time)
    mark: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def compared(self) -> bool:
        """Say whether the commit loses when a source has moved since the pinned version."""
        return bool(self.transactions) and self.ref.version is not None

    @property
    def repeatable(self) -> bool:
        """Say whether the rows can be sent again: a stream is read once."""
        import pyarrow as pa

        return isinstance(self.rows, pa.Table)

    @property
    def whole(self) -> bool:
        """Say whether it decides about the whole table, so that another's commit is in its way."""
        return self.mode == "error" or (self.mode == "overwrite" and not self.predicate)

    def commit(self, table: "DeltaTable | str", options: Mapping[str, str]) -> None:
        """Write and try to commit once; whoever retries must first look who won."""
        from deltalake import CommitProperties, Transaction, write_deltalake

        commit = CommitProperties(
            custom_metadata={_MARK: self.mark} | ({_ORDERED: "true"} if self.ordered else {}),
            app_transactions=[Transaction(app, v) for app, v in self.transactions.items()],
            max_commit_retries=0,
        )
        with translated(self.ref):
            # The stubs have one overload a mode, so no one call suits them all.
            write_deltalake(  # type: ignore[misc]
                table,
                self.rows,
                mode=self.mode,  # type: ignore[arg-type]
                partition_by=list(self.by) or None,
                predicate=self.predicate,
                schema_mode=self._schema_mode,
                storage_options=dict(options),
                commit_properties=commit,
            )

    def made(self, table: "DeltaTable") -> int | None:
        """Return the version that this write made, if it is among the newest of a table."""
        newest = table.history(_LOOK_BACK)
        return next((one["version"] for one in newest if one.get(_MARK) == self.mark), None)

    @property
    def _schema_mode(self) -> Literal["merge", "overwrite"] | None:
        if self.mode == "error":
            return None
        return "merge" if self.mode == "append" or self.predicate else "overwrite"


def in_order(table: "DeltaTable") -> bool:
    """Say whether the commit that made a version wrote its rows in order."""
    return table.history(1)[0].get(_ORDERED) == "true"


def amount(table: "DeltaTable", *, since: float = 0.0) -> tuple[int, int]:
    """Return rows and bytes of a version's data files, of those made since a time."""
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    new = [file for file in actions if file["modification_time"] >= int(since * 1000)]
    return sum(file["num_records"] or 0 for file in new), sum(file["size_bytes"] for file in new)


@contextlib.contextmanager
def translated(ref: "TableRef") -> Iterator[None]:
    """Turn what deltalake raises into our errors."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (OSError, DeltaError) as error:
        ours = _ours(ref, error)
        if ours is None:
            raise
        raise ours from error


def _ours(ref: "TableRef", error: Exception) -> FalajError | None:
    """Return the error that says it in our words; None when it is not about race or store."""
    from deltalake.exceptions import CommitFailedError

    of_the_store = isinstance(error, OSError)
    made = not of_the_store and "already exists" in str(error)
    if made or isinstance(error, CommitFailedError):
        return InfrastructureError(
            f"table {ref}: another run committed first; run the step again", code=RACED
        )
    if not of_the_store and not _OF_THE_STORE.search(str(error)):
        return None
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    if _DENIED.search(text):
        return UserError(
            f"table {ref}: the object store refused our credentials; "
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            code="object-store-denied",
        )
    return InfrastructureError(f"table {ref}: {text[:300]}; run the step again", code=UNANSWERED)
