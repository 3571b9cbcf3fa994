"""Where bytes are kept: the class of volumes, and the buckets of the object store."""

import functools
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from components.foundation.buckets import names
from components.foundation.buckets.names import BUCKETS, Names
from components.foundation.storage import Settings
from components.governance.doctor import web
from components.governance.doctor.checks import settings as site_settings
from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    unknown,
    warning,
    well,
)

if TYPE_CHECKING:
    from components.foundation.buckets import aspects

CLASS = "falaj"
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"StorageClass {CLASS}", partial(_class, at))
    for bucket in BUCKETS:
        yield Question(f"bucket {bucket}", partial(_bucket, at, bucket))


def _class(at: Installation) -> Answer:
    found = at.api.find(f"/apis/storage.k8s.io/v1/storageclasses/{CLASS}")
    if found is None:
        return warning(
            "not there",
            expected="encrypted volumes that outlive their claim",
            do="add the feature aws, azure, oracle or on-prem where volumes are to hold data",
        )
    kept = str(found.get("reclaimPolicy", "Delete"))
    if kept != "Retain":
        do = "apply your overlay"
        return warning(f"reclaimPolicy {kept}", expected="Retain", do=do)
    return well(str(found["provisioner"]))


def _bucket(at: Installation, bucket: str) -> Answer:
    endpoint = at.site.object_store.endpoint
    if web.is_inside(endpoint):
        return unknown(f"{endpoint} is a name inside the cluster", do="look from a pod")
    if not all(at.environment.get(name) for name in _CREDENTIALS):
        do = f"set {' and '.join(_CREDENTIALS)} to look"
        return unknown("there are no credentials in the environment", do=do)
    settings = _settings(at)
    return _head(settings, settings.buckets.on_store(bucket))


def _settings(at: Installation) -> Settings:
    """Sign in with the environment's credentials, where and as the site says."""
    said = site_settings.said(at)
    start = at.environment.get(names.VARIABLE) or said.get(names.VARIABLE, "")
    return Settings(
        at.site.object_store.endpoint,
        at.environment[_CREDENTIALS[0]],
        at.environment[_CREDENTIALS[1]],
        at.site.object_store.region,
        buckets=Names.parse(start),
    )


def _head(settings: Settings, name: str) -> Answer:
    """Ask whether a bucket is there; the answer to HEAD has no reason in it but its status."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError as error:
        return unknown(f"{error.name} is not installed", do="pip install 'falaj[awskms]'")
    try:
        _client(settings).head_bucket(Bucket=name)
    except ClientError as error:
        return _refused(name, int(error.response["ResponseMetadata"]["HTTPStatusCode"]))
    except BotoCoreError as error:
        why = f"{settings.endpoint} did not answer ({type(error).__name__})"
        return missing(why, expected="the object store", do="check the site's endpoint")
    return well(name)


@functools.cache
def _client(settings: Settings) -> "aspects.Client":
    """Open the store once: that takes longer than all that is asked of it."""
    from components.foundation.buckets import keeper

    return keeper.client(settings)


def _refused(name: str, status: int) -> Answer:
    if status == 404:
        do = "see that the job falaj-buckets has run, or run `falaj buckets apply`"
        return missing(f"{name} is not there", expected="the bucket, as declared", do=do)
    do = "correct the credentials, or the bucket's policy"
    return missing(f"{name}: status {status}", expected="200 to HEAD", do=do)
