"""What can be set on a bucket: how it is read, how it is set, and what may not be changed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

Client = Any  # botocore makes its classes when it runs
_PUBLIC = ("AllUsers", "AuthenticatedUsers")  # groups of an ACL
_BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_BY_HAND = "a person has to look at it"


def _may(found: Any, wanted: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Aspect:
    """One of them.

    Attributes:
        read: what the store says, in the words of `wanted`.
        write: sets it.
        obstacle: why a value may not be changed into another; empty: it may.
    """

    read: Callable[[Client, str], Any]
    write: Callable[[Client, str, Any], None]
    obstacle: Callable[[Any, Any], str] = _may


def _unless(code: str, ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Ask; an error of this code is the store's way to say that there is nothing."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return {}


def _by_hand(s3: Client, bucket: str, wanted: Any) -> None:
    raise AssertionError(f"{bucket}: an obstacle comes first")


def _location(s3: Client, bucket: str) -> str:
    return s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or "us-east-1"


def _stays(found: Any, wanted: Any) -> str:
    return f"lies in {found!r}, or the store keeps no location; a bucket cannot be moved"


def _encryption(s3: Client, bucket: str) -> dict[str, str]:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    answer = _unless(missing, lambda: s3.get_bucket_encryption(Bucket=bucket))
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [{}])
    return dict(rules[0].get("ApplyServerSideEncryptionByDefault", {}))


def _encrypt(s3: Client, bucket: str, wanted: dict[str, str]) -> None:
    kms = "KMSMasterKeyID" in wanted  # one request to the KMS serves many objects
    rule = {"ApplyServerSideEncryptionByDefault": wanted, "BucketKeyEnabled": kms}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _versioning(s3: Client, bucket: str) -> str:
    return str(s3.get_bucket_versioning(Bucket=bucket).get("Status", "off"))


def _version(s3: Client, bucket: str, wanted: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": wanted})


def _lock(s3: Client, bucket: str) -> dict[str, Any] | None:
    missing = "ObjectLockConfigurationNotFoundError"
    answer = _unless(missing, lambda: s3.get_object_lock_configuration(Bucket=bucket))
    if not (configuration := answer.get("ObjectLockConfiguration")):
        return None
    return dict(configuration.get("Rule", {}).get("DefaultRetention", {}))


def _retain(s3: Client, bucket: str, wanted: dict[str, Any]) -> None:
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": wanted}}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)


def _stronger_only(found: dict[str, Any] | None, wanted: dict[str, Any] | None) -> str:
    if found is None:
        return (
            "was made without object lock, which is given at creation; make it under another name"
        )
    if wanted is None:
        return "a lock cannot be taken away"
    if _days(found) > _days(wanted) or (found.get("Mode"), wanted["Mode"]) == _WEAKER:
        return f"what is kept would be kept less well; {_BY_HAND}"
    return ""


_WEAKER = ("COMPLIANCE", "GOVERNANCE")


def _days(retention: Mapping[str, Any]) -> int:
    return int(retention.get("Days", 0)) + 365 * int(retention.get("Years", 0))


def _public_access(s3: Client, bucket: str) -> str:
    missing = "NoSuchPublicAccessBlockConfiguration"
    answer = _unless(missing, lambda: s3.get_public_access_block(Bucket=bucket))
    block = answer.get("PublicAccessBlockConfiguration", {})
    open_ = [name for name in _BLOCK if not block.get(name)]
    return f"open: {', '.join(open_)}" if open_ else "blocked"


def _block(s3: Client, bucket: str, wanted: str) -> None:
    block = dict.fromkeys(_BLOCK, True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)


def _public_grants(s3: Client, bucket: str) -> list[str]:
    """Find what lets everybody in, by policy or ACL: not every store can block all of it."""
    answer = _unless("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=bucket))
    policy = json.loads(answer.get("Policy", "{}"))
    grants = s3.get_bucket_acl(Bucket=bucket).get("Grants", [])
    named = [str(grant["Grantee"].get("URI", "")).rpartition("/")[2] for grant in grants]
    by_acl = [f"ACL {name}" for name in named if name in _PUBLIC]
    return [*by_acl, *(_named(one) for one in _listed(policy.get("Statement")) if _open(one))]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _named(statement: Mapping[str, Any]) -> str:
    return f"policy {statement.get('Sid') or _listed(statement.get('Action'))}"


def _open(statement: Mapping[str, Any]) -> bool:
    who = statement.get("Principal")
    named = (
        [name for names in who.values() for name in _listed(names)]
        if isinstance(who, dict)
        else [who]
    )
    return statement.get("Effect") == "Allow" and ("*" in named or "NotPrincipal" in statement)


def _granted(found: Any, wanted: Any) -> str:
    return f"somebody let everybody in; {_BY_HAND}"


def _lifecycle(s3: Client, bucket: str) -> list[dict[str, Any]]:
    missing = "NoSuchLifecycleConfiguration"
    answer = _unless(missing, lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket))
    rules = [_plain(rule) for rule in answer.get("Rules", [])]
    return sorted(rules, key=lambda rule: str(rule.get("ID")))


def _plain(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Write a rule as we do: no filter, an empty one and the old `Prefix` mean the same."""
    plain = {name: value for name, value in rule.items() if name != "Prefix"}
    return {**plain, "Filter": rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}}


def _expire(s3: Client, bucket: str, wanted: list[dict[str, Any]]) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": wanted})


def _replication(s3: Client, bucket: str) -> dict[str, Any] | None:
    missing = "ReplicationConfigurationNotFoundError"
    answer = _unless(missing, lambda: s3.get_bucket_replication(Bucket=bucket))
    return answer.get("ReplicationConfiguration")


def _copied(found: Any, wanted: Any) -> str:
    return f"somebody has it copied elsewhere; {_BY_HAND}"


BY_NAME = {
    "location": Aspect(_location, _by_hand, _stays),
    "encryption": Aspect(_encryption, _encrypt),
    "versioning": Aspect(_versioning, _version),
    "lock": Aspect(_lock, _retain, _stronger_only),
    "public_access": Aspect(_public_access, _block),
    "public_grants": Aspect(_public_grants, _by_hand, _granted),
    "lifecycle": Aspect(_lifecycle, _expire),
    "replication": Aspect(_replication, _by_hand, _copied),
}
