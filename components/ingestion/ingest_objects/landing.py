"""Follow the objects under a glob: each object's rows are in the table once, as it is now.

An object's position is its content (its ETag as a number), not its time: object stores date
objects to the second, and the same bytes put again are no news. An object that changed has
its rows replaced; one that is gone keeps its rows.
"""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.foundation import cost, digests
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.storage import Address, NotFound, ObjectInfo, ObjectStore
from components.foundation.tables import TableRef, Tables
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_objects import formats
from components.ingestion.ingest_objects.formats import Format

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE_COLUMN = "_object"  # names the object that a row came from
TORN = "torn line"  # the quarantine's rule
_BATCH_BYTES = 256 * 2**20  # of objects read into memory and committed together


@dataclass(frozen=True, slots=True)
class News:
    """An object whose content the table does not have yet."""

    info: ObjectInfo
    position: int

    @property
    def source(self) -> str:
        return str(self.info.address)


def find(store: ObjectStore, pattern: str) -> list[ObjectInfo]:
    """List the objects that match a glob such as `s3://falaj-raw/landing/planes/*.csv`.

    Raises:
        UserError: the bucket is part of the pattern, or nothing matches.
    """
    address = Address.parse(pattern.replace("?", "\0"))  # in an address, ? begins a query
    key = address.key.replace("\0", "?")
    prefix = key[: min((key.find(c) for c in "*?[" if c in key), default=len(key))]
    listed = store.list(Address(address.bucket, prefix))
    found = [info for info in listed if fnmatch.fnmatchcase(info.address.key, key)]
    if not found:
        raise UserError(
            f"source {pattern}: no object matches; put one there, or correct the pattern",
            code="source-matches-nothing",
        )
    return found


def news(landing: Landing, found: Sequence[ObjectInfo]) -> list[News]:
    """Leave out what the table already has."""
    known = landing.tables.transactions(landing.ref, [str(info.address) for info in found])
    objects = [News(info, _position(info)) for info in found]
    return [one for one in objects if known.get(one.source) != one.position]


@dataclass(frozen=True, slots=True)
class Objects:
    """What a run left: what landed, and how many torn lines of its objects lie in quarantine."""

    landed: Landed
    torn: int


def ingest(
    store: ObjectStore, tables: Tables, *, pattern: str, target: str, format: Format
) -> Objects:
    """Bring the table up to date with the objects, a commit a batch."""
    landing, found = Landing.open(tables, target), find(store, pattern)
    for batch in _batches(news(landing, found)):
        parsed = [(one, _read(store, one, format)) for one in batch]
        _note(pattern, parsed)
        _quarantine(tables, landing.ref, parsed)
        _land(landing, parsed)
    return Objects(landing.landed(pattern), _torn(tables, landing.ref, found))


def _read(store: ObjectStore, one: News, format: Format) -> formats.Parsed:
    try:
        data = store.get(one.info.address)
    except NotFound as error:
        raise InfrastructureError(
            f"{one.source}: was listed and is gone now; nothing of its batch was committed, run "
            "the step again",
            code="object-vanished",
        ) from error
    return formats.parse(data, format, name=one.source)


def _note(pattern: str, parsed: "Sequence[tuple[News, formats.Parsed]]") -> None:
    """Say what reading cost: under the pattern, which is what the step says it used."""
    lines = sum(one.rows.num_rows + len(one.torn) for _, one in parsed)
    cost.reads(pattern, rows=lines, bytes=sum(one.info.size for one, _ in parsed))


def _land(landing: Landing, parsed: "Sequence[tuple[News, formats.Parsed]]") -> None:
    """Replace all rows of these objects in one commit; a new object has none to replace."""
    import pyarrow as pa

    named = [_named(one.rows, object_.source) for object_, one in parsed]
    try:
        rows = pa.concat_tables(named, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(
            f"{parsed[0][0].source} and others: their columns differ in type "
            f"({_differing(named)}); ingest them into tables of their own",
            code="source-types-differ",
        ) from error
    positions = {one.source: one.position for one, _ in parsed}
    landing.replace(rows, predicate=_among(SOURCE_COLUMN, positions), positions=positions)


def _quarantine(
    tables: Tables, target: TableRef, parsed: "Sequence[tuple[News, formats.Parsed]]"
) -> None:
    """Put torn lines aside before their objects commit, so a killed run repeats, not doubles."""
    import pyarrow as pa

    torn = [(line, one.source, TORN) for one, p in parsed for line in p.torn]
    ref = _quarantine_of(target)
    sources = [one.source for one, _ in parsed]
    if torn or tables.exists(ref):
        names = ("line", "object", "rule")
        columns = {name: [row[i] for row in torn] for i, name in enumerate(names)}
        schema = pa.schema([(name, pa.string()) for name in names])
        tables.replace_where(
            ref, pa.table(columns, schema=schema), predicate=_among("object", sources)
        )


def _torn(tables: Tables, target: TableRef, found: Sequence[ObjectInfo]) -> int:
    """Count what quarantine holds of these objects: the same, whichever run put it there."""
    ref, known = _quarantine_of(target), {str(info.address) for info in found}
    if not tables.exists(ref):
        return 0
    return sum(name in known for name in tables.read(ref, ["object"])["object"].to_pylist())


def _quarantine_of(target: TableRef) -> TableRef:
    return TableRef("falaj-quarantine", f"torn/{target.name.rpartition('/')[2]}")


def _differing(tables: "Sequence[pa.Table]") -> str:
    """Name the columns that have more than one type, with the types."""
    kinds: dict[str, set[str]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(str(field.type))
    return "; ".join(f"{n!r}: {', '.join(sorted(k))}" for n, k in kinds.items() if len(k) > 1)


def _named(rows: "pa.Table", source: str) -> "pa.Table":
    import pyarrow as pa

    names = pa.repeat(pa.scalar(source, pa.string()), rows.num_rows)
    return rows.append_column(SOURCE_COLUMN, names)


def _among(column: str, values: "Sequence[str] | dict[str, int]") -> str:
    """Write an SQL set test; the values are object addresses, quoted here."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})"


def _position(info: ObjectInfo) -> int:
    digest = digests.of_json([info.etag, info.size])
    return int(digest.hex[:15], 16)  # Delta keeps a signed 64-bit number


def _batches(objects: Sequence[News]) -> Iterator[list[News]]:
    batch: list[News] = []
    for one in objects:
        if batch and sum(o.info.size for o in batch) + one.info.size > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
