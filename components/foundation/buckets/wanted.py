"""What a declaration means for one bucket of one site, in the words of the S3 API."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from components.foundation.buckets.declaration import Bucket, Declaration
from components.foundation.buckets.names import VARIABLE as NAMES
from components.foundation.buckets.names import Names
from components.foundation.errors import UserError, nearest
from components.foundation.site import Profile

ASPECTS = (  # in the order in which they are set
    "location",
    "encryption",
    "versioning",
    "lock",
    "public_access",
    "public_grants",
    "lifecycle",
    "replication",
)
_LACKS, _RESIDENCY = "FALAJ_STORE_LACKS", "FALAJ_RESIDENCY"


@dataclass(frozen=True, slots=True)
class Place:
    """What the site says of its store.

    Attributes:
        names: what the buckets are called there.
        region: where they have to lie.
        profile: whose years a lock lasts.
        key: of a KMS, to encrypt with; empty: the store's own.
        lacks: aspects that the store does not have and the site does without.
    """

    names: Names
    region: str
    profile: Profile
    key: str = ""
    lacks: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what `falaj-site` says; raises UserError naming what is wrong."""
        lacks = filter(None, environment.get(_LACKS, "").replace(" ", "").split(","))
        return cls(
            Names.parse(environment.get(NAMES, "")),
            environment.get("AWS_REGION", "us-east-1"),
            _profile(environment.get(_RESIDENCY, "")),
            environment.get("FALAJ_STORE_KEY", ""),
            frozenset(map(_aspect, lacks)),
        )


def wanted(bucket: Bucket, declared: Declaration, place: Place) -> dict[str, Any]:
    """Return the value that each aspect of a bucket has to have."""
    years = declared.retention_years[place.profile]
    return {
        "location": place.region,
        "encryption": _encryption(place.key),
        "versioning": "Enabled",
        "lock": {"Mode": bucket.lock.upper(), "Years": years} if bucket.lock else None,
        "public_access": "blocked",
        "public_grants": [],
        "lifecycle": sorted(_rules(bucket, declared.uploads_days), key=lambda rule: rule["ID"]),
        "replication": None,
    }


def _encryption(key: str) -> dict[str, str]:
    if key:
        return {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    return {"SSEAlgorithm": "AES256"}


def _rules(bucket: Bucket, uploads_days: int) -> Iterator[dict[str, Any]]:
    yield _rule(
        "falaj-uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": uploads_days}
    )
    if bucket.expire_days:
        yield _rule("falaj-expire", Expiration={"Days": bucket.expire_days})
    if bucket.noncurrent_days:
        noncurrent = {"NoncurrentDays": bucket.noncurrent_days}
        yield _rule("falaj-noncurrent", NoncurrentVersionExpiration=noncurrent)
        yield _rule("falaj-markers", Expiration={"ExpiredObjectDeleteMarker": True})


def _rule(name: str, **action: dict[str, Any]) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": ""}, **action}


def _profile(text: str) -> Profile:
    try:
        return Profile(text)
    except ValueError:
        raise UserError(
            f"{_RESIDENCY} {text!r}: expected the profile by which evidence is locked; "
            f"{nearest(text, list(Profile))}",
            code="buckets-site",
        ) from None


def _aspect(text: str) -> str:
    if text not in ASPECTS:
        raise UserError(
            f"{_LACKS} {text!r}: no aspect of a bucket; {nearest(text, list(ASPECTS))}",
            code="buckets-site",
        )
    return text
