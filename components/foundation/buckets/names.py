"""What the buckets are called: here, the same at every site; on the store, as the site says.

References and evidence hold names from here, so they stay true where buckets are called
otherwise. Only who opens a connection to the store translates.
"""

import re
from dataclasses import dataclass
from typing import Self

from components.foundation.errors import UserError

VARIABLE = "FALAJ_BUCKETS"
ROLES = ("raw", "curated", "quarantine", "features", "models", "runs", "evidence")
_OURS = "falaj"
_START = re.compile(r"s3://([a-z0-9][-a-z0-9]{1,50}[a-z0-9])")  # 63 with the longest role
BUCKETS = tuple(f"{_OURS}-{role}" for role in ROLES)


@dataclass(frozen=True, slots=True)
class Names:
    """What every bucket's name on the store starts with; `Names.parse(str(n)) == n`."""

    start: str = _OURS

    def __str__(self) -> str:
        return f"s3://{self.start}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `s3://acme-ml`; nothing means that names are the same on the store."""
        if not text:
            return cls()
        found = _START.fullmatch(text)
        if found is None:
            raise UserError(
                f"{VARIABLE} {text!r}: expected what the address of every bucket starts with, "
                "such as s3://acme-ml: 3 to 52 lower-case letters, digits and hyphens",
                code="bucket-names",
            )
        return cls(found[1])

    def on_store(self, bucket: str) -> str:
        """Return what the store calls a bucket; one that is not ours keeps its name.

        Raises:
            UserError: it is one of ours by its name on the store; a thing has one name here.
        """
        if bucket in BUCKETS:
            return f"{self.start}{bucket.removeprefix(_OURS)}"
        if (here := self._here(bucket)) in BUCKETS:
            raise UserError(
                f"bucket {bucket!r}: is called {here!r} in references, and {bucket!r} by the "
                f"store alone; write {here!r}",
                code="bucket-names",
            )
        return bucket

    def _here(self, bucket: str) -> str:
        start, dash, role = bucket.rpartition("-")
        return f"{_OURS}{dash}{role}" if start == self.start else bucket
