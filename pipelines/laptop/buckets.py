"""Buckets of the laptop's own store; on a cluster the platform makes them, with their policies.

minio makes them, because obstore, which does all else, cannot.
"""

import urllib.parse
from collections.abc import Sequence

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Settings

_LOCKED = {"falaj-evidence"}  # no object of these can be changed


def ensure(settings: Settings, buckets: Sequence[str]) -> None:
    """Make the buckets that are not there; raises InfrastructureError while the store cannot."""
    import minio
    import minio.error
    import urllib3.exceptions

    parts = urllib.parse.urlsplit(settings.endpoint)
    client = minio.Minio(
        parts.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        region=settings.region,
        secure=parts.scheme == "https",
    )
    try:
        for bucket in buckets:
            if not client.bucket_exists(bucket):
                client.make_bucket(bucket, object_lock=bucket in _LOCKED)
    except (minio.error.MinioException, urllib3.exceptions.HTTPError) as error:
        raise InfrastructureError(
            f"buckets: the laptop's store did not make them ({error}); run again",
            code="object-store-failed",
        ) from error
