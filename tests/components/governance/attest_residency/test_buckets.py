"""Buckets of a real S3 server, and what other stores would answer."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from components.foundation.buckets import keeper
from components.foundation.buckets.declaration import Declaration
from components.foundation.buckets.keeper import Keeper
from components.foundation.buckets.names import Names
from components.foundation.buckets.wanted import Place
from components.foundation.site import Profile
from components.foundation.storage import Settings
from components.governance.attest_residency.declared import Declared
from components.governance.attest_residency.observation import Observation, Standing
from components.governance.attest_residency.readers.buckets import Buckets
from tests.manifests.conftest import ROOT

DECLARED = Declaration.load(ROOT / "manifests/storage/configmap-falaj-buckets.yaml")
KEY = "arn:aws:kms:{}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def site(provider: str = "on-premises", start: str = "falaj") -> Declared:
    return Declared(
        "falaj", Profile.HEALTH, provider, "me-central-1", "AE", "", buckets=Names(start)
    )


def seen(client: Any, declared: Declared) -> dict[str, Observation]:
    found = Buckets(client, declared, "AE")()
    return {one.what.removeprefix("bucket "): one for one in found}


@pytest.fixture(scope="module")
def kept(s3: Settings) -> tuple[Any, str]:
    """Buckets on SeaweedFS as they have to be, and the start of their names."""
    client, start = keeper.client(s3), f"t{uuid.uuid4().hex[:8]}"
    lacks = frozenset({"location", "public_access"})
    place = Place(Names(start), "us-east-1", Profile.CBUAE, lacks=lacks)
    Keeper(client, DECLARED, place, change=True).keep()
    return client, start


def test_a_store_of_ones_own_keeps_no_location_and_copies_nothing(kept: tuple[Any, str]) -> None:
    client, start = kept

    found = seen(client, site(start=start))

    assert len(found) == 7 * 3 + 1
    assert found[f"{start}-raw location"].standing is Standing.FOLLOWS
    assert found[f"{start}-raw replication"].standing is Standing.HOME
    assert found[f"{start}-raw encryption"].standing is Standing.FOLLOWS
    lock = found[f"{start}-evidence lock"]
    assert (lock.standing, lock.value) == (Standing.HOME, "COMPLIANCE 5 years")


def test_no_location_is_believed_of_it_if_the_site_calls_it_a_clouds(kept: tuple[Any, str]) -> None:
    """SeaweedFS answers as AWS does for Virginia."""
    client, start = kept

    found = seen(client, site("aws", start))

    assert found[f"{start}-raw location"].standing is Standing.ABROAD


def test_evidence_without_a_lock_is_refused(s3: Settings) -> None:
    client, start = keeper.client(s3), f"t{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=f"{start}-evidence")

    found = seen(client, site(start=start))

    assert found[f"{start}-evidence lock"].standing is Standing.BROKEN


def test_a_bucket_that_is_not_there_cannot_be_attested(s3: Settings) -> None:
    found = seen(keeper.client(s3), site(start="nosuch"))

    assert {one.standing for what, one in found.items() if "location" in what} == {Standing.UNKNOWN}
    assert "the store answered 404" in found["nosuch-raw location"].because


def test_a_store_that_is_away_is_asked_again_later() -> None:
    settings = Settings("http://127.0.0.1:9", "a", "b")

    found = seen(_Deaf(keeper.client(settings)), site())

    assert {(one.standing, one.passing) for one in found.values()} == {(Standing.UNKNOWN, True)}


class _Deaf:
    """A client whose every call ends as botocore's do when nobody listens."""

    def __init__(self, client: Any) -> None:
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: str) -> None:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

        return call


class Store:
    """A store that answers as a cloud's would; `denies` names calls that it denies us."""

    class exceptions:  # noqa: N801 - botocore's name
        ClientError = ClientError

    def __init__(
        self,
        locations: Mapping[str, str] | None = None,
        copies: tuple[str, ...] = (),
        key: str = "",
        denies: tuple[str, ...] = (),
    ) -> None:
        self.locations, self.copies, self.key, self.denies = locations or {}, copies, key, denies

    def get_bucket_location(self, Bucket: str) -> Any:  # noqa: N803 - botocore's name
        self._allowed("GetBucketLocation")
        return {"LocationConstraint": self.locations.get(Bucket, "me-central-1")}

    def get_bucket_replication(self, Bucket: str) -> Any:  # noqa: N803
        self._allowed("GetBucketReplication")
        if not self.copies:
            raise _error("ReplicationConfigurationNotFoundError", "GetBucketReplication")
        rules = [{"Destination": {"Bucket": f"arn:aws:s3:::{one}"}} for one in self.copies]
        return {"ReplicationConfiguration": {"Rules": rules}}

    def get_bucket_encryption(self, Bucket: str) -> Any:  # noqa: N803
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key} if self.key else {}
        rules = [{"ApplyServerSideEncryptionByDefault": rule}]
        return {"ServerSideEncryptionConfiguration": {"Rules": rules}}

    def get_object_lock_configuration(self, Bucket: str) -> Any:  # noqa: N803
        retention = {"Mode": "GOVERNANCE", "Years": 5}
        return {"ObjectLockConfiguration": {"Rule": {"DefaultRetention": retention}}}

    def _allowed(self, operation: str) -> None:
        if operation in self.denies:
            raise _error("AccessDenied", operation)


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, operation)


@pytest.mark.parametrize(
    ("store", "what", "standing", "says"),
    [
        (Store(), "falaj-raw location", Standing.HOME, "UAE"),
        (Store({"falaj-raw": "me-south-1"}), "falaj-raw location", Standing.ABROAD, "(BH)"),
        (Store({"falaj-raw": "mars-1"}), "falaj-raw location", Standing.UNKNOWN, "no mars-1"),
        (Store({"falaj-raw": ""}), "falaj-raw location", Standing.ABROAD, "(US)"),
        (Store(denies=("GetBucketLocation",)), "falaj-raw location", Standing.UNKNOWN, "Denied"),
        (Store(copies=("copy",)), "falaj-raw replication", Standing.HOME, "its copy copy"),
        (
            Store({"copy": "me-south-1"}, ("copy",)),
            "falaj-raw replication",
            Standing.ABROAD,
            "(BH)",
        ),
        (
            Store(denies=("GetBucketReplication",)),
            "falaj-raw replication",
            Standing.UNKNOWN,
            "Denied",
        ),
        (Store(key=KEY.format("me-central-1")), "falaj-raw encryption", Standing.HOME, "UAE"),
        (Store(key=KEY.format("me-south-1")), "falaj-raw encryption", Standing.ABROAD, "(BH)"),
        (
            Store(key="arn:aws:kms:me-central-1:123456789012:key/mrk-1234"),
            "falaj-raw encryption",
            Standing.BROKEN,
            "copies in other regions",
        ),
        (Store(key="alias/falaj"), "falaj-raw encryption", Standing.UNKNOWN, "does not tell"),
        (Store(), "falaj-evidence lock", Standing.BROKEN, "could be changed"),
    ],
)
def test_what_a_cloud_answers_is_held_against_the_registry(
    store: Store, what: str, standing: Standing, says: str
) -> None:
    found = seen(store, site("aws"))[what]

    assert (found.standing, says in found.because) == (standing, True), found


def test_what_is_denied_keeps_nothing_else_from_being_asked() -> None:
    found = seen(Store(denies=("GetBucketLocation", "GetBucketReplication")), site("aws"))

    assert len(found) == 7 * 3 + 1
    assert found["falaj-raw encryption"].standing is Standing.FOLLOWS


@pytest.mark.parametrize("region", ["me-south-1", "me-central-1"])
def test_a_copy_of_a_store_of_ones_own_is_nowhere(region: str) -> None:
    class Own(Store):
        def head_bucket(self, Bucket: str) -> None:  # noqa: N803
            return None

    found = seen(Own({"copy": region}, ("copy",)), site())["falaj-raw replication"]

    assert (found.standing, found.value) == (Standing.UNKNOWN, "copy")
