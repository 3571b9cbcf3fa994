"""Hold buckets against their declaration, and make them so where that is asked.

Whatever is set is read back: a store that takes a setting and forgets it is told from one that
keeps it. A second run finds nothing to do.
"""

import contextlib
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components.foundation.buckets import aspects
from components.foundation.buckets.declaration import Declaration
from components.foundation.buckets.names import BUCKETS
from components.foundation.buckets.wanted import ASPECTS, Place, wanted
from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.storage import Settings

_UNKNOWN = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "401", "403"}


class State(enum.StrEnum):
    """How an aspect of a bucket was found."""

    SAME = "is as declared"
    CHANGED = "changed"
    DIFFERS = "differs"
    REFUSED = "differs and may not be changed"
    LACKING = "is done without"
    UNSUPPORTED = "is not supported by the store"


BAD = {State.DIFFERS, State.REFUSED, State.UNSUPPORTED}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one aspect of one bucket."""

    bucket: str
    aspect: str
    state: State
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.bucket} {self.aspect}: {self.state}{self.detail and f': {self.detail}'}"


@dataclass(frozen=True)
class Keeper:
    """Checks buckets, and with `change` makes and sets them."""

    s3: aspects.Client
    declared: Declaration
    place: Place
    change: bool

    def keep(self) -> list[Finding]:
        """Go through all buckets; what cannot be set in one does not keep the others from it.

        Raises:
            FalajError: the store is away, or denies us.
        """
        return [found for bucket in BUCKETS for found in self._bucket(bucket)]

    def _bucket(self, bucket: str) -> Iterator[Finding]:
        name = self.place.names.on_store(bucket)
        want = wanted(self.declared.buckets[bucket.partition("-")[2]], self.declared, self.place)
        with _translated(name):
            there = self._there(name)
            if not there and not self.change:
                yield Finding(name, "bucket", State.DIFFERS, "is not there")
                return
            if not there:
                self._make(name, locked=want["lock"] is not None)
                yield Finding(name, "bucket", State.CHANGED, "made")
            for aspect in ASPECTS:
                yield self._aspect(name, aspect, want[aspect])

    def _there(self, name: str) -> bool:
        try:
            self.s3.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            return False
        return True

    def _make(self, name: str, *, locked: bool) -> None:
        """Make a bucket; object lock can be given now and not later."""
        where = {"CreateBucketConfiguration": {"LocationConstraint": self.place.region}}
        elsewhere = self.place.region != "us-east-1" and "location" not in self.place.lacks
        lock = {"ObjectLockEnabledForBucket": True} if locked else {}
        with contextlib.suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):  # another run
            self.s3.create_bucket(Bucket=name, **(where if elsewhere else {}), **lock)

    def _aspect(self, name: str, aspect: str, want: Any) -> Finding:
        if aspect in self.place.lacks:
            return Finding(name, aspect, State.LACKING)
        try:
            return self._kept(name, aspect, want)
        except ClientError as error:
            if _code(error) not in _UNKNOWN:
                raise
            return Finding(name, aspect, State.UNSUPPORTED)

    def _kept(self, name: str, aspect: str, want: Any) -> Finding:
        way = aspects.BY_NAME[aspect]
        found = way.read(self.s3, name)
        if found == want:
            return Finding(name, aspect, State.SAME)
        said = f"got {found!r}, want {want!r}"
        if why := way.obstacle(found, want):
            return Finding(name, aspect, State.REFUSED, f"{said}; {why}")
        if not self.change:
            return Finding(name, aspect, State.DIFFERS, said)
        way.write(self.s3, name, want)
        if (after := way.read(self.s3, name)) != want:
            return Finding(name, aspect, State.REFUSED, f"was set to {want!r}, reads {after!r}")
        return Finding(name, aspect, State.CHANGED, said)


def judged(findings: Sequence[Finding]) -> None:
    """Raise Refused if a bucket is not as declared."""
    if bad := [found for found in findings if found.state in BAD]:
        raise Refused(
            f"buckets: {len(bad)} of {len(findings)} settings are not as declared, first "
            f"{bad[0]}; see docs/storage.md",
            code="buckets-differ",
        )


def client(settings: Settings) -> aspects.Client:
    """Open the store's own API; obstore, which does all else, cannot set up buckets."""
    import botocore.session
    from botocore.config import Config

    patient = Config(
        s3={"addressing_style": "path"},
        connect_timeout=5,
        read_timeout=20,
        retries={"total_max_attempts": 3, "mode": "standard"},
    )
    session = botocore.session.Session()
    return session.create_client(
        "s3",
        endpoint_url=settings.endpoint,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        region_name=settings.region,
        config=patient,
    )


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn what botocore raises into our errors, with what to do."""
    try:
        yield
    except ClientError as error:
        raise _ours(name, error) from error
    except BotoCoreError as error:
        raise InfrastructureError(
            f"bucket {name}: the object store did not answer ({error}); check its endpoint, "
            "then run again",
            code="object-store-unreachable",
        ) from error


def _ours(name: str, error: ClientError) -> FalajError:
    code, asked = _code(error), error.operation_name
    if code == "BucketAlreadyExists":
        return Refused(
            f"bucket {name}: somebody else has a bucket of that name; choose another start in "
            "FALAJ_BUCKETS",
            code="bucket-taken",
        )
    if code in _DENIED:
        return UserError(
            f"bucket {name}: the object store refused our credentials ({code} at {asked}); give "
            "the Secret falaj-buckets a user that may set up buckets",
            code="object-store-denied",
        )
    return InfrastructureError(
        f"bucket {name}: the object store failed ({code} at {asked}); check its health, then run "
        "again",
        code="object-store-failed",
    )


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
