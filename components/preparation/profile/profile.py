"""The profile of a table: a description of each column, of fixed shape.

Made once from the reference, which fixes bins and levels; `blank` keeps those and counts
something else. Profiles of one shape add up: hours into days, files into tables.
Plain numpy and pyarrow, so serving-side observers use the same code.
"""

import json
import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation import digests
from components.foundation.errors import UserError, nearest
from components.preparation.profile import columns as c

if TYPE_CHECKING:
    import pyarrow as pa

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Columns by name; `Profile.from_dict(p.to_dict()) == p`."""

    columns: Mapping[str, c.Column]

    @classmethod
    def shaped(cls, sample: "pa.Table", names: Iterable[str]) -> "Profile":
        """Choose bins and levels from a sample of the reference; nothing is counted yet.

        Raises:
            UserError: a column is not there, or of a type without a profile.
        """
        made: dict[str, c.Column] = {}
        for name in names:
            try:
                made[name] = c.fit(_column(sample, name))
            except UserError as error:
                raise UserError(
                    f"profile: column {name!r}: {error}", code="type-without-profile"
                ) from error
        return cls(made)

    @property
    def rows(self) -> int:
        return max((column.rows for column in self.columns.values()), default=0)

    def blank(self) -> "Profile":
        """Return the same shape with nothing counted."""
        return Profile({name: column.blank() for name, column in self.columns.items()})

    def update(self, rows: "pa.Table | pa.RecordBatch") -> "Profile":
        """Return the profile with these rows counted too."""
        return Profile(
            {name: col.update(_column(rows, name)) for name, col in self.columns.items()}
        )

    def __add__(self, other: "Profile") -> "Profile":
        if list(self.columns) != list(other.columns):
            raise UserError(
                f"profiles of columns {sorted(self.columns)} and {sorted(other.columns)} cannot "
                "be added; use one reference for both",
                code="not-additive",
            )
        return Profile({name: col + other.columns[name] for name, col in self.columns.items()})

    def to_dict(self) -> dict[str, Any]:
        described = {name: column.to_dict() for name, column in self.columns.items()}
        return {"version": _VERSION, "rows": self.rows, "columns": described}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Profile":
        """Read a profile; raises UserError when it is none, or of another version."""
        if value.get("version") != _VERSION:
            raise UserError(
                f"profile: version {value.get('version')!r}; expected {_VERSION}",
                code="profile-malformed",
            )
        try:
            return cls({name: _parsed(one) for name, one in value["columns"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"profile: {error} is missing or wrong; make it again", code="profile-malformed"
            ) from error

    def digest(self) -> digests.Digest:
        return digests.of_json(self.to_dict())

    def write(self, path: pathlib.Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digests.canonical_json(self.to_dict()))

    @classmethod
    def read(cls, path: pathlib.Path) -> "Profile":
        try:
            value = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(
                f"profile {path.name}: cannot be read ({error}); make it again",
                code="profile-malformed",
            ) from error
        return cls.from_dict(value)


def _column(rows: "pa.Table | pa.RecordBatch", name: str) -> c.Values:
    if name not in rows.schema.names:
        raise UserError(
            f"no such column {name!r}; {nearest(name, rows.schema.names)}", code="column-unknown"
        )
    return rows.column(name)


def _parsed(value: Mapping[str, Any]) -> c.Column:
    match value["kind"]:
        case "numeric":
            return c.Numeric.from_dict(value)
        case "categorical":
            return c.Categorical.from_dict(value)
        case kind:
            raise UserError(
                f"profile: unknown kind {kind!r}; expected numeric or categorical",
                code="profile-malformed",
            )
