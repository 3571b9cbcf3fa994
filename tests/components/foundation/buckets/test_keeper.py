"""Buckets on a real S3 server: every setting read back, nothing done twice, nothing assumed."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.foundation.buckets import keeper
from components.foundation.buckets.declaration import Declaration
from components.foundation.buckets.keeper import Finding, Keeper, State
from components.foundation.buckets.names import Names
from components.foundation.buckets.wanted import Place
from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.site import Profile
from components.foundation.storage import Settings

DECLARED = Declaration.load(
    pathlib.Path(__file__).parents[4] / "manifests/storage/configmap-falaj-buckets.yaml"
)
Keep = Callable[..., list[Finding]]


@pytest.fixture
def place(unique: str) -> Place:
    """What no other test has, on a store that has neither locations nor a block."""
    lacks = frozenset({"location", "public_access"})
    return Place(Names(unique), "us-east-1", Profile.CBUAE, lacks=lacks)


@pytest.fixture
def client(s3: Settings) -> Any:
    return keeper.client(s3)


@pytest.fixture
def keep(client: Any, place: Place) -> Keep:
    def kept(*, change: bool = True, **differs: Any) -> list[Finding]:
        return Keeper(client, DECLARED, dataclasses.replace(place, **differs), change).keep()

    return kept


def of(findings: list[Finding], bucket: str, aspect: str) -> Finding:
    [found] = [one for one in findings if (one.bucket, one.aspect) == (bucket, aspect)]
    return found


def states(findings: list[Finding]) -> set[State]:
    return {found.state for found in findings}


def test_a_second_run_finds_nothing_to_do(keep: Keep) -> None:
    first = keep()
    second = keep()

    assert State.CHANGED in states(first)
    assert states(second) == {State.SAME, State.LACKING}
    keeper.judged(second)


def test_a_check_says_what_is_missing_and_changes_nothing(keep: Keep, unique: str) -> None:
    before = keep(change=False)
    after = keep(change=False)

    assert [str(found) for found in before] == [str(found) for found in after]
    assert str(before[0]) == f"{unique}-raw bucket: differs: is not there"
    with pytest.raises(Refused, match=rf"7 of 7 settings .* first {unique}-raw bucket: differs"):
        keeper.judged(before)


def test_everything_is_encrypted_and_versioned(keep: Keep, client: Any, unique: str) -> None:
    keep()

    stored = client.put_object(Bucket=f"{unique}-curated", Key="x", Body=b"1")

    assert stored["ServerSideEncryption"] == "AES256"
    assert stored["VersionId"] not in {"", "null"}


def test_evidence_cannot_be_deleted_before_its_years_are_over(
    keep: Keep, client: Any, unique: str
) -> None:
    keep(profile=Profile.HEALTH)
    one = {"Bucket": f"{unique}-evidence", "Key": "audit/1"}

    version = client.put_object(**one, Body=b"1")["VersionId"]

    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(**one, VersionId=version)
    kept = client.get_object_retention(**one)["Retention"]
    stored = client.head_object(**one)["LastModified"]
    assert kept["Mode"] == "COMPLIANCE"
    assert kept["RetainUntilDate"].year - stored.year == 25


def test_runs_expire_and_evidence_does_not(keep: Keep, client: Any, unique: str) -> None:
    keep()

    def rules(role: str) -> dict[str, Any]:
        found = client.get_bucket_lifecycle_configuration(Bucket=f"{unique}-{role}")
        return {rule["ID"]: rule for rule in found["Rules"]}

    assert rules("runs")["falaj-expire"]["Expiration"] == {"Days": 90}
    assert set(rules("evidence")) == {"falaj-uploads"}


@pytest.mark.parametrize(
    ("aspect", "spoil"),
    [
        (
            "lifecycle",
            lambda s3, name: s3.delete_bucket_lifecycle(Bucket=name),
        ),
        (
            "versioning",
            lambda s3, name: s3.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Suspended"}
            ),
        ),
        (
            "encryption",
            lambda s3, name: s3.delete_bucket_encryption(Bucket=name),
        ),
    ],
    ids=["lifecycle", "versioning", "encryption"],
)
def test_a_setting_that_somebody_changed_is_said_and_comes_back(
    keep: Keep, client: Any, unique: str, aspect: str, spoil: Callable[[Any, str], None]
) -> None:
    keep()
    spoil(client, f"{unique}-raw")

    assert of(keep(change=False), f"{unique}-raw", aspect).state is State.DIFFERS
    assert of(keep(), f"{unique}-raw", aspect).state is State.CHANGED
    assert of(keep(change=False), f"{unique}-raw", aspect).state is State.SAME


def test_a_bucket_made_without_a_lock_is_refused_one(keep: Keep, client: Any, unique: str) -> None:
    client.create_bucket(Bucket=f"{unique}-evidence")

    found = of(keep(), f"{unique}-evidence", "lock")

    assert found.state is State.REFUSED
    assert "given at creation" in found.detail


def test_a_retention_is_lengthened_but_never_shortened(keep: Keep, unique: str) -> None:
    keep(profile=Profile.CBUAE)
    longer = of(keep(profile=Profile.HEALTH), f"{unique}-evidence", "lock")
    shorter = of(keep(profile=Profile.CBUAE), f"{unique}-evidence", "lock")
    still = of(keep(profile=Profile.HEALTH, change=False), f"{unique}-evidence", "lock")

    assert [longer.state, shorter.state] == [State.CHANGED, State.REFUSED]
    assert still.state is State.SAME


def test_a_lock_that_nobody_declared_is_said(keep: Keep, client: Any, unique: str) -> None:
    client.create_bucket(Bucket=f"{unique}-runs", ObjectLockEnabledForBucket=True)

    found = of(keep(), f"{unique}-runs", "lock")

    assert (found.state, "cannot be taken away" in found.detail) == (State.REFUSED, True)


def test_what_lets_everybody_in_is_said_and_left_to_a_person(
    keep: Keep, client: Any, unique: str
) -> None:
    keep()
    everybody = (
        '{"Version": "2012-10-17", "Statement": [{"Sid": "shared", "Effect": "Allow", '
        '"Principal": "*", "Action": "s3:GetObject", '
        f'"Resource": "arn:aws:s3:::{unique}-raw/*"}}]}}'
    )
    client.put_bucket_policy(Bucket=f"{unique}-raw", Policy=everybody)

    found = of(keep(), f"{unique}-raw", "public_grants")

    assert found.state is State.REFUSED
    assert "policy shared" in found.detail


def test_what_the_store_cannot_do_is_said_not_assumed(keep: Keep, unique: str) -> None:
    findings = keep(lacks=frozenset())

    blocked = of(findings, f"{unique}-raw", "public_access")
    assert blocked.state is State.UNSUPPORTED
    with pytest.raises(Refused, match="public_access: is not supported by the store"):
        keeper.judged(findings)


def test_a_bucket_that_does_not_lie_where_it_has_to_is_refused(keep: Keep, unique: str) -> None:
    findings = keep(lacks=frozenset({"public_access"}), region="me-central-1")

    found = of(findings, f"{unique}-raw", "location")
    assert found.state is State.REFUSED
    assert "lies in 'us-east-1', or the store keeps no location" in found.detail


def test_a_key_of_a_kms_is_asked_for(keep: Keep, client: Any, unique: str) -> None:
    keep(key="arn:aws:kms:me-central-1:1:key/k")

    [rule] = client.get_bucket_encryption(Bucket=f"{unique}-raw")[
        "ServerSideEncryptionConfiguration"
    ]["Rules"]

    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": "arn:aws:kms:me-central-1:1:key/k",
    }


def test_refused_credentials_are_the_users_to_mend(s3: Settings, place: Place) -> None:
    stranger = keeper.client(dataclasses.replace(s3, secret_key="guessed"))

    with pytest.raises(UserError, match="Secret falaj-buckets") as refused:
        Keeper(stranger, DECLARED, place, change=True).keep()

    assert "guessed" not in str(refused.value)


def test_a_store_that_does_not_answer_may_answer_later(s3: Settings, place: Place) -> None:
    gone = keeper.client(dataclasses.replace(s3, endpoint="http://127.0.0.1:1"))

    with pytest.raises(InfrastructureError, match="did not answer"):
        Keeper(gone, DECLARED, place, change=False).keep()
