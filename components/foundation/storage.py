"""Objects on any S3 server: one settings object, one client, conditional writes.

The minio client does the plain work; obstore does what must be conditional, because minio
cannot send If-Match or If-None-Match in its public API.
"""

import contextlib
import io
import pathlib
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError

if TYPE_CHECKING:
    import minio
    import obstore.store

_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_MISSING = {"NoSuchKey", "NoSuchBucket", "NoSuchObject"}


class Reader(Protocol):
    """What can be read a piece at a time."""

    def read(self, size: int, /) -> bytes: ...


class NotFound(UserError):
    """No object at that address."""


class Conflict(Refused):
    """A conditional write lost: somebody else wrote first."""


@dataclass(frozen=True, slots=True)
class Address:
    """`s3://bucket/key`; `Address.parse(str(a)) == a`."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

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
        return Address(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    address: Address
    size: int
    etag: str
    modified_us: int  # microseconds since 1970, UTC


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the object store is and who we are there."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the AWS_* names; raises UserError naming the first that is missing."""
        try:
            return cls(
                endpoint=environment["AWS_ENDPOINT_URL"],
                access_key=environment["AWS_ACCESS_KEY_ID"],
                secret_key=environment["AWS_SECRET_ACCESS_KEY"],
                region=environment.get("AWS_REGION", "us-east-1"),
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
        }

    def delta_options(self) -> dict[str, str]:
        """Return the storage options that deltalake wants for the same store."""
        plain = {"AWS_ALLOW_HTTP": "true"} if self.endpoint.startswith("http://") else {}
        return {**self.environment(), **plain, "aws_conditional_put": "etag"}


@dataclass(frozen=True)
class ObjectStore:
    """Read, write and list objects; every failure is one of our errors."""

    settings: Settings
    _by_bucket: dict[str, "obstore.store.S3Store"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def get(self, address: Address) -> bytes:
        with _translated(address):
            response = self._minio.get_object(address.bucket, address.key)
            try:
                return response.read()
            finally:
                response.close()
                response.release_conn()

    def get_file(self, address: Address, path: pathlib.Path) -> None:
        """Download to a path; the file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        with _translated(address):
            self._minio.fget_object(
                address.bucket, address.key, str(path), tmp_file_path=str(partial)
            )

    def put(self, address: Address, data: bytes) -> None:
        with _translated(address):
            self._minio.put_object(address.bucket, address.key, io.BytesIO(data), len(data))

    def get_bounded(self, address: Address, *, limit: int) -> bytes:
        """Read an object that others may have written; raises Refused if it is larger."""
        with self.reading(address) as source:
            data = bytearray()
            while piece := source.read(limit + 1 - len(data)):
                data += piece
        if len(data) > limit:
            raise Refused(
                f"{address}: more than {limit} bytes; this is not the object it claims",
                code="object-too-large",
            )
        return bytes(data)

    @contextlib.contextmanager
    def reading(self, address: Address) -> Iterator[Reader]:
        """Open an object to read it piece by piece, in bounded memory."""
        with _translated(address):
            response = self._minio.get_object(address.bucket, address.key)
            try:
                yield response
            finally:
                response.close()
                response.release_conn()

    def put_stream(self, address: Address, source: Reader, *, size: int) -> None:
        """Upload exactly `size` bytes in bounded memory; the object appears whole or not at all."""
        with _translated(address):
            # minio asks for a BinaryIO and calls nothing but its read().
            stream = cast("BinaryIO", source)
            self._minio.put_object(address.bucket, address.key, stream, size)

    def exists(self, address: Address) -> bool:
        try:
            with _translated(address):
                self._minio.stat_object(address.bucket, address.key)
        except NotFound:
            return False
        return True

    def list(self, prefix: Address) -> Iterator[ObjectInfo]:
        """List every object below a prefix, in key order."""
        with _translated(prefix):
            found = self._minio.list_objects(prefix.bucket, prefix.key, recursive=True)
            for item in found:
                yield ObjectInfo(
                    Address(prefix.bucket, item.object_name or ""),
                    item.size or 0,
                    (item.etag or "").strip('"'),
                    int(item.last_modified.timestamp() * 1e6) if item.last_modified else 0,
                )

    def delete(self, address: Address) -> None:
        with _translated(address):
            self._minio.remove_object(address.bucket, address.key)

    def ensure_bucket(self, bucket: str, *, object_lock: bool = False) -> None:
        with _translated(Address(bucket, "")):
            if not self._minio.bucket_exists(bucket):
                self._minio.make_bucket(bucket, object_lock=object_lock)

    def create(self, address: Address, data: bytes) -> str:
        """Write an object that must not exist yet; return its ETag, else raise Conflict."""
        return self._conditional_put(address, data, None)

    def swap(self, address: Address, data: bytes, *, etag: str) -> str:
        """Replace an object only if it still has this ETag; return the new one."""
        return self._conditional_put(address, data, etag)

    def get_with_etag(self, address: Address) -> tuple[bytes, str]:
        with _translated(address):
            result = self._obstore(address.bucket).get(address.key)
            return bytes(result.bytes()), str(result.meta["e_tag"] or "")

    def _conditional_put(self, address: Address, data: bytes, etag: str | None) -> str:
        import obstore
        from obstore import exceptions

        store = self._obstore(address.bucket)
        try:
            with _translated(address):
                if etag is None:
                    result = obstore.put(store, address.key, data, mode="create")
                else:
                    result = obstore.put(store, address.key, data, mode={"e_tag": etag})
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise Conflict(
                f"{address}: somebody else wrote it first; read it again", code="object-raced"
            ) from error
        return str(result["e_tag"] or "")

    @cached_property
    def _minio(self) -> "minio.Minio":
        import minio
        import urllib3

        parts = urllib.parse.urlsplit(self.settings.endpoint)
        retry = urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504])
        return minio.Minio(
            parts.netloc,
            access_key=self.settings.access_key,
            secret_key=self.settings.secret_key,
            region=self.settings.region,
            secure=parts.scheme == "https",
            http_client=urllib3.PoolManager(timeout=urllib3.Timeout(5, read=60), retries=retry),
        )

    def _obstore(self, bucket: str) -> "obstore.store.S3Store":
        """Return the bucket's client; one is kept a bucket, for its connections."""
        if bucket not in self._by_bucket:
            self._by_bucket[bucket] = self._open_obstore(bucket)
        return self._by_bucket[bucket]

    def _open_obstore(self, bucket: str) -> "obstore.store.S3Store":
        import obstore.store

        return obstore.store.S3Store(
            bucket,
            endpoint=self.settings.endpoint,
            access_key_id=self.settings.access_key,
            secret_access_key=self.settings.secret_key,
            region=self.settings.region,
            virtual_hosted_style_request=False,
            conditional_put="etag",
            client_options={"allow_http": True},
        )


@contextlib.contextmanager
def _translated(address: Address) -> Iterator[None]:
    """Turn what the clients raise into our errors, with what to do."""
    import minio.error
    import urllib3.exceptions
    from obstore import exceptions

    try:
        yield
    except minio.error.S3Error as error:
        raise _from_code(address, error.code or "", str(error.message)) from error
    except FileNotFoundError as error:
        raise NotFound(f"{address}: no such object", code="object-missing") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise _from_code(address, "AccessDenied", str(error)) from error
    except (
        urllib3.exceptions.HTTPError,
        minio.error.ServerError,
        exceptions.GenericError,
    ) as error:
        raise InfrastructureError(
            f"{address}: the object store did not answer ({type(error).__name__}); "
            "check its endpoint, then run again",
            code="object-store-unreachable",
        ) from error


def _from_code(address: Address, code: str, message: str) -> FalajError:
    if code in _DENIED:
        return UserError(
            f"{address}: the object store refused our credentials ({code}: {message}); "
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            code="object-store-denied",
        )
    if code in _MISSING:
        return NotFound(f"{address}: no such object ({code})", code="object-missing")
    return InfrastructureError(
        f"{address}: the object store failed ({code}: {message})", code="object-store-failed"
    )
