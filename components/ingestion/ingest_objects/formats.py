"""Turn the bytes of one object into rows, and set aside the lines that cannot be rows."""

import csv
import enum
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from components.foundation.choice import chosen
from components.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pa_csv


class Format(enum.StrEnum):
    """How objects are written; `Format.parse(str(f)) == f`."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"

    @classmethod
    def parse(cls, text: str) -> "Format":
        return chosen(text, cls, setting="format")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of an object, and the text of its torn lines."""

    rows: "pa.Table"
    torn: tuple[str, ...] = ()


def parse(data: bytes, format: Format, *, name: str) -> Parsed:
    """Read an object's bytes; raises UserError when it is not what the format says."""
    import pyarrow as pa

    try:
        match format:
            case Format.CSV:
                return _csv(data)
            case Format.PARQUET:
                return _parquet(data)
            case Format.JSONL:
                return _jsonl(data)
        assert_never(format)
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{name}: cannot be read as {format} ({_reason(error)}); correct or remove the object",
            code="object-unreadable",
        ) from error


def _reason(error: Exception) -> str:
    """Say what the parser found wrong, without the text it found: that may be a row."""
    from_parser = re.match(
        r"(CSV parse error: (Row #\d+: )?[A-Z][a-z ]+|Parquet [a-z ]+)", str(error)
    )
    return from_parser[0].strip() if from_parser else type(error).__name__


def _csv(data: bytes) -> Parsed:
    """Read every field as text, an unquoted empty one as NULL: raw is raw, SQL casts later."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    header = next(csv.reader(io.StringIO(data.partition(b"\n")[0].decode("utf-8-sig"))), [])
    torn: list[str] = []
    rows = pa_csv.read_csv(
        io.BytesIO(data),
        read_options=pa_csv.ReadOptions(use_threads=False, column_names=header, skip_rows=1),
        parse_options=pa_csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=_setting_aside(torn)
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return Parsed(rows, tuple(torn))


def _setting_aside(torn: list[str]) -> "Callable[[pa_csv.InvalidRow], Literal['skip']]":
    def handle(row: "pa_csv.InvalidRow") -> Literal["skip"]:
        torn.append(row.text)
        return "skip"

    return handle


def _parquet(data: bytes) -> Parsed:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return Parsed(pq.read_table(pa.BufferReader(data)))


def _jsonl(data: bytes) -> Parsed:
    """Read one JSON object a line; a line that is none is torn."""
    import pyarrow as pa

    rows, torn = [], []
    for line in data.decode().splitlines():
        value = _json_object(line)
        if value is not None:
            rows.append(value)
        elif line.strip():
            torn.append(line)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Parsed(pa.table(columns), tuple(torn))


def _json_object(line: str) -> dict[str, object] | None:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
