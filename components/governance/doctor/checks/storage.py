"""Where bytes are kept: the class of volumes, and the buckets of the object store."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from components.foundation.buckets import names
from components.foundation.buckets.names import BUCKETS, Names
from components.foundation.errors import InfrastructureError
from components.foundation.storage import Settings
from components.governance.doctor.checks import settings as site_settings
from components.governance.doctor.interface import Answer, Installation, Question
from components.governance.doctor.patience import within

if TYPE_CHECKING:
    from components.foundation.buckets import aspects

CLASS = "falaj"
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_LONGEST_S = 15.0  # its client tries again for much longer
_WORDS = {404: "is not there", 403: "is refused"}
_MAKE = "see that the job falaj-buckets has run, or run `falaj buckets apply`"
_ALLOW = "correct the credentials, or the policy of the bucket"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"StorageClass {CLASS}", _class)
    yield Question("buckets", _buckets)


def _class(at: Installation) -> Answer:
    found = at.api.find(f"/apis/storage.k8s.io/v1/storageclasses/{CLASS}")
    if found is None:
        return Answer.warning(
            "not there",
            expected="encrypted volumes that outlive their claim",
            do="add the feature aws, azure, oracle or on-prem where volumes are to hold data",
        )
    kept = str(found.get("reclaimPolicy", "Delete"))
    if kept != "Retain":
        do = "delete the class, which cannot be changed, and apply your overlay"
        return Answer.warning(f"reclaimPolicy {kept}", expected="Retain", do=do)
    return Answer.well(str(found["provisioner"]))


def _buckets(at: Installation) -> Answer:
    endpoint = at.site.object_store.endpoint
    if (away := at.out_of_reach(endpoint)) is not None:
        return away
    if not all(at.environment.get(name) for name in _CREDENTIALS):
        do = f"set {' and '.join(_CREDENTIALS)} to look"
        return Answer.unknown("there are no credentials in the environment", do=do)
    try:
        found = within(_LONGEST_S, partial(_heads, _settings(at)))
    except ModuleNotFoundError as error:
        return Answer.unknown(f"{error.name} is not installed", do="pip install 'falaj[awskms]'")
    except InfrastructureError as error:
        do = "check object_store.endpoint in the site file, or look from where it can be reached"
        return Answer.missing(f"{endpoint}: {error}", expected="the object store", do=do)
    return _judged(found)


def _judged(found: Mapping[str, int]) -> Answer:
    """Judge the status of each bucket; the answer to HEAD has no reason in it but its status."""
    wrong = {name: status for name, status in found.items() if status != 200}
    if not wrong:
        return Answer.well(", ".join(found))
    return Answer.missing(
        ", ".join(f"{name} {_WORDS.get(s, f'has status {s}')}" for name, s in wrong.items()),
        expected=f"all {len(found)}, open to these credentials",
        do="; ".join(dict.fromkeys(_MAKE if s == 404 else _ALLOW for s in wrong.values())),
    )


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


def _heads(settings: Settings) -> Mapping[str, int]:
    """Ask for each bucket by HEAD; return the status of each, by the store's name for it."""
    from botocore.exceptions import BotoCoreError

    from components.foundation.buckets import keeper

    store = keeper.client(settings)
    try:
        return {name: _head(store, name) for name in map(settings.buckets.on_store, BUCKETS)}
    except BotoCoreError as error:
        raise InfrastructureError(
            f"did not answer ({type(error).__name__})", code="object-store-unreachable"
        ) from error


def _head(store: "aspects.Client", name: str) -> int:
    from botocore.exceptions import ClientError

    try:
        store.head_bucket(Bucket=name)
    except ClientError as error:
        status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        if status >= 500:
            raise InfrastructureError(f"failed ({status})", code="object-store-failed") from error
        return status
    return 200
