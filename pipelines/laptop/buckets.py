"""Buckets of the laptop's own store; on a cluster the platform makes them, with their policies.

minio makes them, because obstore, which does all else, cannot.
"""

import urllib.parse
from typing import TYPE_CHECKING

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Settings

if TYPE_CHECKING:
    import minio


def ensure(settings: Settings, bucket: str, *, object_lock: bool = False) -> None:
    """Make a bucket if it is not there; raises InfrastructureError while the store cannot."""
    import minio
    import minio.error
    import urllib3.exceptions

    try:
        client = _client(settings)
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket, object_lock=object_lock)
    except (minio.error.MinioException, urllib3.exceptions.HTTPError) as error:
        raise InfrastructureError(
            f"bucket {bucket}: the laptop's store did not make it ({error}); run again",
            code="object-store-failed",
        ) from error


def _client(settings: Settings) -> "minio.Minio":
    import minio

    parts = urllib.parse.urlsplit(settings.endpoint)
    return minio.Minio(
        parts.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        region=settings.region,
        secure=parts.scheme == "https",
    )
