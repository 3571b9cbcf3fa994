"""What SeaweedFS does not have, by the S3 API's own description of requests and answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from components.foundation.buckets import aspects, keeper
from components.foundation.buckets.keeper import Keeper, State
from components.foundation.buckets.names import Names
from components.foundation.buckets.wanted import Place
from components.foundation.errors import Refused
from components.foundation.site import Profile
from components.foundation.storage import Settings
from tests.components.foundation.buckets.test_keeper import DECLARED

ON_AWS = Place(Names("acme"), "me-central-1", Profile.HEALTH)
ALL = {"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"}
NOWHERE = Settings("http://127.0.0.1:1", "key", "secret")


@pytest.fixture
def s3() -> Any:
    return keeper.client(NOWHERE)


@pytest.fixture
def stub(s3: Any) -> Iterator[Stubber]:
    with Stubber(s3) as stub:
        yield stub
        stub.assert_no_pending_responses()


def block(*missing: str) -> dict[str, dict[str, bool]]:
    return {"PublicAccessBlockConfiguration": {name: name not in missing for name in ALL}}


@pytest.mark.parametrize(
    ("answer", "found"),
    [(block(), "blocked"), (block("BlockPublicPolicy"), "open: BlockPublicPolicy")],
    ids=["whole", "in part"],
)
def test_public_access_is_blocked_only_where_all_of_it_is(
    s3: Any, stub: Stubber, answer: dict[str, Any], found: str
) -> None:
    stub.add_response("get_public_access_block", answer, {"Bucket": "acme-raw"})

    assert aspects.BY_NAME["public_access"].read(s3, "acme-raw") == found


def test_a_bucket_that_nobody_blocked_is_open(s3: Any, stub: Stubber) -> None:
    stub.add_client_error("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")

    assert aspects.BY_NAME["public_access"].read(s3, "acme-raw").startswith("open: ")


def test_all_of_public_access_is_blocked(s3: Any, stub: Stubber) -> None:
    stub.add_response("put_public_access_block", {}, {"Bucket": "acme-raw", **block()})

    aspects.BY_NAME["public_access"].write(s3, "acme-raw", "blocked")


@pytest.mark.parametrize(
    ("answer", "found"),
    [("me-central-1", "me-central-1"), (None, "us-east-1")],
    ids=["said", "left out"],
)
def test_the_first_region_has_no_name_in_answers(
    s3: Any, stub: Stubber, answer: str | None, found: str
) -> None:
    said = {"LocationConstraint": answer} if answer else {}
    stub.add_response("get_bucket_location", said, {"Bucket": "acme-raw"})

    assert aspects.BY_NAME["location"].read(s3, "acme-raw") == found


def test_a_bucket_is_made_in_the_sites_region_and_with_its_lock(s3: Any, stub: Stubber) -> None:
    asked = {
        "Bucket": "acme-evidence",
        "CreateBucketConfiguration": {"LocationConstraint": "me-central-1"},
        "ObjectLockEnabledForBucket": True,
    }
    stub.add_response("create_bucket", {}, asked)

    Keeper(s3, DECLARED, ON_AWS, change=True)._make("acme-evidence", locked=True)


def test_a_name_that_somebody_else_has_is_told(s3: Any, stub: Stubber) -> None:
    stub.add_client_error("head_bucket", "404")
    stub.add_client_error("create_bucket", "BucketAlreadyExists")

    with pytest.raises(Refused, match="acme-raw: somebody else has a bucket of that name"):
        Keeper(s3, DECLARED, ON_AWS, change=True).keep()


def test_replication_is_told_and_left_to_a_person(s3: Any, stub: Stubber) -> None:
    rule = {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::elsewhere"}}
    copied = {"Role": "arn:aws:iam::1:role/copier", "Rules": [rule]}
    stub.add_response("get_bucket_replication", {"ReplicationConfiguration": copied})

    found = Keeper(s3, DECLARED, ON_AWS, change=True)._aspect("acme-raw", "replication", None)

    assert (found.state, "copied elsewhere" in found.detail) == (State.REFUSED, True)


def test_a_setting_that_the_store_takes_and_forgets_is_told(s3: Any, stub: Stubber) -> None:
    stub.add_response("get_bucket_versioning", {})
    stub.add_response("put_bucket_versioning", {})
    stub.add_response("get_bucket_versioning", {})

    keep = Keeper(s3, DECLARED, ON_AWS, change=True)
    found = keep._aspect("acme-raw", "versioning", "Enabled")

    assert found.state is State.REFUSED
    assert found.detail == "was set to 'Enabled', reads 'off'"


@pytest.mark.parametrize(
    ("who", "opens"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::1:root", "*"]}}, True),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::1:root"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::1:root"}}, False),
    ],
    ids=["everybody", "among others", "all but one", "one"],
)
def test_a_policy_is_read_for_everybody(who: dict[str, Any], opens: bool) -> None:
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", **who}

    assert aspects._open(allowed) is opens
    assert not aspects._open({**allowed, "Effect": "Deny"})
