"""Objects on any S3 server: one settings object, one client, conditional writes.

How long the store may keep us waiting is said once, by `Patience`, for this client and for
deltalake's. A request that fails in passing (refused, 5xx, silence, a cut body) is sent again
within it; then the error is an InfrastructureError, and a write is there whole or not at all.
A conditional write is sent again by us, not by the client: when its answer was lost, the
store says "somebody wrote first", and only a look tells whether that was us.
"""

import contextlib
import functools
import pathlib
import re
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self

from components.foundation import digests
from components.foundation.buckets import names
from components.foundation.buckets.names import Names
from components.foundation.digests import Digest
from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.patience import Patience
from components.foundation.pieces import PIECE, Counted, Digested, Pieces, Reader

if TYPE_CHECKING:
    import obstore.store
    from obstore import ObjectMeta, PutMode

_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "401", "403"}
_PART = 8 * 2**20  # bytes of a multipart upload's part; smaller objects are put whole


def bounded(source: Reader, *, limit: int, where: "Address") -> bytes:
    """Read all of what others may have written; raises Refused if it is more than the limit."""
    data = bytearray()
    while piece := source.read(limit + 1 - len(data)):
        data += piece
    if len(data) > limit:
        raise Refused(
            f"{where}: more than {limit} bytes; this is not the object it claims",
            code="object-too-large",
        )
    return bytes(data)


class NotFound(UserError):
    """No object at that address."""


class Conflict(Refused):
    """A conditional write lost: somebody else wrote first."""


@dataclass(frozen=True, slots=True)
class Address:
    """`s3://bucket/key`; `Address.parse(str(a)) == a`. Other schemes are named, not parsed."""

    bucket: str
    key: str
    scheme: str = "s3"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        parts = urllib.parse.urlsplit(text)
        if parts.scheme != "s3" or not parts.netloc or parts.query:
            raise UserError(
                f"address {text!r}: expected s3://bucket/key without a query string",
                code="address-malformed",
            )
        return cls(parts.netloc, parts.path.lstrip("/"))

    def __truediv__(self, name: str) -> "Address":
        key = f"{self.key.rstrip('/')}/{name}".lstrip("/")
        return Address(self.bucket, key, self.scheme)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    address: Address
    size: int
    etag: str
    modified_us: int  # microseconds since 1970, UTC


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the object store is, who we are there, and how long it may keep us waiting.

    Addresses name buckets as references do; `buckets` says what the store calls them.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    seconds: float = Patience().total
    buckets: Names = field(default_factory=Names)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the AWS_* names, FALAJ_BUCKETS, and FALAJ_STORE_SECONDS, a request's patience.

        Raises:
            UserError: naming the first that is missing or wrong.
        """
        try:
            return cls(
                endpoint=environment["AWS_ENDPOINT_URL"],
                access_key=environment["AWS_ACCESS_KEY_ID"],
                secret_key=environment["AWS_SECRET_ACCESS_KEY"],
                region=environment.get("AWS_REGION", "us-east-1"),
                seconds=_seconds(environment.get("FALAJ_STORE_SECONDS", "")),
                buckets=Names.parse(environment.get(names.VARIABLE, "")),
            )
        except KeyError as missing:
            raise UserError(
                f"object store: {missing} is not set; a site file or a Secret has to give it",
                code="object-store-unset",
            ) from None

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "FALAJ_STORE_SECONDS": f"{self.seconds:g}",
            names.VARIABLE: str(self.buckets),
        }

    @property
    def patience(self) -> Patience:
        return Patience(self.seconds)

    def delta_options(self) -> dict[str, str]:
        """Return the storage options that deltalake wants for the same store."""
        plain = {"AWS_ALLOW_HTTP": "true"} if self.endpoint.startswith("http://") else {}
        named = {name: value for name, value in self.environment().items() if "AWS" in name}
        waits = self.patience.delta_options()
        return {**named, **plain, **waits, "aws_conditional_put": "etag"}


def _seconds(text: str) -> float:
    try:
        seconds = float(text or Patience().total)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 3600:
        raise UserError(
            f"FALAJ_STORE_SECONDS {text!r}: expected a number of seconds from 0 to 3600; "
            "correct it, or leave it out",
            code="object-store-patience",
        )
    return seconds


@dataclass(frozen=True)
class ObjectStore:
    """Read, write and list objects; every failure is one of our errors."""

    settings: Settings

    def get(self, address: Address) -> bytes:
        return self.get_with_etag(address)[0]

    def get_with_etag(self, address: Address) -> tuple[bytes, str]:
        def get() -> tuple[bytes, str]:
            with _translated(address):
                result = self._bucket(address).get(address.key)
                return bytes(result.bytes()), str(result.meta["e_tag"] or "")

        return self.settings.patience.again(get)

    def get_file(self, address: Address, path: pathlib.Path) -> None:
        """Download to a path; the file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("wb") as file, _translated(address):
                for piece in self._bucket(address).get(address.key).stream(min_chunk_size=PIECE):
                    file.write(piece)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)

    def get_bounded(self, address: Address, *, limit: int) -> bytes:
        """Read an object that others may have written; raises Refused if it is larger."""
        with self.reading(address) as source:
            return bounded(source, limit=limit, where=address)

    @contextlib.contextmanager
    def reading(self, address: Address) -> Iterator[Pieces]:
        """Open an object to read it piece by piece, in bounded memory."""
        with _translated(address):
            result = self._bucket(address).get(address.key)
            yield Pieces(iter(result.stream(min_chunk_size=PIECE)))

    def get_range(self, address: Address, start: int, size: int) -> bytes:
        """Read a part of an object; less than asked where it ends."""

        def get() -> bytes:
            with _translated(address):
                return bytes(self._bucket(address).get_range(address.key, start=start, length=size))

        return self.settings.patience.again(get)

    def put(self, address: Address, data: bytes) -> None:
        with _translated(address):
            self._bucket(address).put(address.key, data, use_multipart=False)

    def put_stream(self, address: Address, source: Digested, *, size: int) -> None:
        """Upload exactly `size` bytes in bounded memory; the object appears whole or not at all.

        What the source says of their digest is asked only where the last answer was lost.
        """
        read = Counted(source, size, name=str(address))
        if size <= _PART:
            self.put(address, b"".join(read.pieces()))
            return
        for pause in self.settings.patience.pauses():
            try:
                with _translated(address):
                    self._bucket(address).put(
                        address.key, read.pieces(), chunk_size=_PART, max_concurrency=2
                    )
                return
            except (NotFound, InfrastructureError) as error:
                last = error
                # The upload's last answer may have been lost: sent again, the upload is gone.
                if read.whole and self._holds(address, source.digest()):
                    return
                if read.begun:
                    raise
            time.sleep(pause)
        raise last

    def exists(self, address: Address) -> bool:
        try:
            with _translated(address):
                self._bucket(address).head(address.key)
        except NotFound:
            return False
        return True

    def list(self, prefix: Address) -> Iterator[ObjectInfo]:
        """List every object whose key begins with a prefix, in key order."""
        patience, last = self.settings.patience, ""
        while page := patience.again(partial(self._page, prefix, last)):
            last = page[-1].address.key
            yield from (info for info in page if info.address.key.startswith(prefix.key))

    def _page(self, prefix: Address, after: str) -> Sequence[ObjectInfo]:
        """List the next objects of a prefix's folder; obstore lists whole folders only."""
        import obstore

        folder = prefix.key.rpartition("/")[0]
        with _translated(prefix):
            pages = obstore.list(self._bucket(prefix), prefix=folder or None, offset=after or None)
            return [_info(prefix.bucket, item) for item in next(iter(pages), [])]

    def delete(self, address: Address) -> None:
        """Delete an object if it is there."""

        def delete() -> None:
            with _translated(address):
                self._bucket(address, retries=False).delete(address.key)

        self.settings.patience.again(delete)

    def create(self, address: Address, data: bytes) -> str:
        """Write an object that must not exist yet; return its ETag, else raise Conflict."""
        return self._conditional_put(address, data, "create")

    def swap(self, address: Address, data: bytes, *, etag: str) -> str:
        """Replace an object only if it still has this ETag; return the new one."""
        return self._conditional_put(address, data, {"e_tag": etag})

    def _conditional_put(self, address: Address, data: bytes, mode: "PutMode") -> str:
        """Try until the store says yes or no; a no after a lost answer may be a yes."""
        store, lost = self._bucket(address, retries=False), False
        for pause in self.settings.patience.pauses():
            try:
                with _translated(address):
                    return str(store.put(address.key, data, mode=mode)["e_tag"] or "")
            except Conflict:
                found, etag = self.get_with_etag(address) if lost else (b"", "")
                if not lost or found != data:
                    raise
                return etag
            except InfrastructureError as error:
                last, lost = error, True
            time.sleep(pause)
        raise last

    def _holds(self, address: Address, digest: Digest) -> bool:
        """Say whether an object has this content, by reading it."""
        found = digests.hash_of(digest.algorithm)
        try:
            with self.reading(address) as source:
                while piece := source.read(PIECE):
                    found.update(piece)
        except NotFound:
            return False
        return found.hexdigest() == digest.hex

    def _bucket(self, address: Address, *, retries: bool = True) -> "obstore.store.S3Store":
        if address.scheme != "s3":
            raise UserError(
                f"{address}: does not lie on the object store; name it as s3://bucket/key",
                code="address-malformed",
            )
        return _client(self.settings, self.settings.buckets.on_store(address.bucket), retries)


@functools.cache
def _client(settings: Settings, bucket: str, retries: bool) -> "obstore.store.S3Store":
    """Open a bucket's client, once a process: to make one takes longer than most requests."""
    import obstore.store

    patience = settings.patience
    return obstore.store.S3Store(
        bucket,
        endpoint=settings.endpoint,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key,
        region=settings.region,
        virtual_hosted_style_request=False,
        conditional_put="etag",
        checksum_algorithm="SHA256",  # else a body cut short may be stored as it came
        client_options={"allow_http": True, **patience.client()},
        retry_config=patience.retries() if retries else {"max_retries": 0},
    )


def _info(bucket: str, item: "ObjectMeta") -> ObjectInfo:
    return ObjectInfo(
        Address(bucket, item["path"]),
        item["size"],
        (item["e_tag"] or "").strip('"'),
        int(item["last_modified"].timestamp() * 1e6),
    )


@contextlib.contextmanager
def _translated(address: Address) -> Iterator[None]:
    """Turn what obstore raises into our errors, with what to do."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise Conflict(
            f"{address}: somebody else wrote it first; read it again", code="object-raced"
        ) from error
    except FileNotFoundError as error:
        raise NotFound(f"{address}: no such object", code="object-missing") from error
    except exceptions.BaseError as error:
        raise _from_words(address, str(error)) from error


def _from_words(address: Address, text: str) -> FalajError:
    """Make an error from obstore's, whose class alone does not tell a refusal in a listing."""
    status = re.search(r"status code: (\d+)", text)
    code = re.search(r"<Code>(\w+)</Code>", text)
    said = [found[1] for found in (status, code) if found]
    if _DENIED.intersection(said):
        return _refused(address, " ".join(said))
    if said:
        return _failed(address, " ".join(said))
    return _silent(address, "timed out" if "timed out" in text else "connection failed")


def _refused(address: Address, said: str) -> UserError:
    return UserError(
        f"{address}: the object store refused our credentials ({said}); "
        "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        code="object-store-denied",
    )


def _failed(address: Address, said: str) -> InfrastructureError:
    return InfrastructureError(
        f"{address}: the object store failed ({said}); check its health, then run again",
        code="object-store-failed",
    )


def _silent(address: Address, how: str) -> InfrastructureError:
    return InfrastructureError(
        f"{address}: the object store did not answer ({how}); check its endpoint, then run again",
        code="object-store-unreachable",
    )
