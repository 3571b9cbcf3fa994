"""The registry knows regions only with their provider, and says how it knows.

A host tells its region by how it ends; what a tenant chose before that tells nothing.
"""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.foundation.errors import UserError
from components.foundation.residency import places
from components.foundation.residency.places import Status
from components.foundation.site import Profile

SUFFIXES = sorted(places.suffixes())
REGIONS = sorted({name for _, name in places.registry()})
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
TENANT = st.lists(LABEL | st.sampled_from(REGIONS), max_size=4).map(".".join)


def test_the_same_name_is_two_countries() -> None:
    aws = places.locate("aws", "me-central-1")
    alibaba = places.locate("alibaba", "me-central-1")

    assert aws is not None
    assert alibaba is not None
    assert (aws.country, alibaba.country) == ("AE", "SA")
    assert places.twins("aws", "me-central-1") == [alibaba]


def test_no_region_of_google_is_in_the_uae() -> None:
    assert all(r.country != "AE" for r in places.registry().values() if r.provider == "google")


@pytest.mark.parametrize("region", ["me-central1", "ME-CENTRAL-1", "me-central-1 ", ""])
def test_a_name_that_only_resembles_a_region_is_unknown(region: str) -> None:
    assert places.locate("aws", region) is None


def test_an_unknown_provider_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'azure'"):
        places.locate("azur", "uaenorth")


def test_every_entry_says_how_and_when_it_is_known() -> None:
    for entry in places.registry().values():
        assert entry.source, entry
        assert entry.checked.year >= 2026, entry
        assert len(entry.country) == 2, entry


def test_every_profile_has_a_law_with_a_status_and_a_source() -> None:
    assert set(places.regimes()) == set(Profile)
    for regime in places.regimes().values():
        assert isinstance(regime.status, Status)
        assert regime.source
        assert str(regime.status) in str(regime)


def test_the_profiles_that_keep_everything_here_are_those_of_sites() -> None:
    assert {profile for profile in Profile if profile.hard_local} == places.HARD_LOCAL


@settings(deadline=None)  # others use the same cores
@given(suffix=st.sampled_from(SUFFIXES), tenant=TENANT)
def test_every_suffix_leads_back_to_its_region_whatever_stands_before(
    suffix: str, tenant: str
) -> None:
    assert places.whereabouts(f"{tenant}{suffix}".strip(".")) == places.suffixes()[suffix]


def test_no_suffix_ends_another_of_another_region() -> None:
    for suffix in SUFFIXES:
        longer = [one for one in SUFFIXES if one != suffix and one.endswith(suffix)]
        assert {places.suffixes()[one] for one in longer} <= {places.suffixes()[suffix]}, suffix


def test_every_suffix_begins_with_a_dot_and_lies_under_a_domain_of_its_provider() -> None:
    for suffix, entry in places.suffixes().items():
        assert suffix.startswith(f".{suffix[1:].strip('.')}"), suffix
        assert places.owner(suffix[1:]) == entry.provider, suffix
        assert suffix == suffix.lower()


def test_every_provider_with_regions_has_hosts() -> None:
    told = {(entry.provider, entry.region) for entry in places.suffixes().values()}

    missing = {key: entry.realm for key, entry in places.registry().items() if key not in told}

    assert set(missing.values()) <= {"china"}, missing


@pytest.mark.parametrize(
    ("host", "provider", "region"),
    [
        ("s3.me-central-1.amazonaws.com", "aws", "me-central-1"),
        ("b.s3.dualstack.me-central-1.amazonaws.com", "aws", "me-central-1"),
        ("me-central-1.s3.us-east-1.amazonaws.com", "aws", "us-east-1"),
        ("1.dkr.ecr.me-central-1.amazonaws.com", "aws", "me-central-1"),
        ("s3-us-west-2.amazonaws.com", "aws", "us-west-2"),
        ("vpce-1.s3.me-central-1.vpce.amazonaws.com", "aws", "me-central-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "aws", "cn-north-1"),
        ("x.uaenorth.cloudapp.azure.com", "azure", "uaenorth"),
        ("c-1.hcp.uaenorth.azmk8s.io", "azure", "uaenorth"),
        ("r.westeurope.data.azurecr.io", "azure", "westeurope"),
        ("ns.compat.objectstorage.me-dubai-1.oraclecloud.com", "oracle", "me-dubai-1"),
        ("ns.compat.objectstorage.me-alain-1.oraclecloud26.com", "oracle", "me-alain-1"),
        ("nosql.me-dubai-3.oci.dutechcloud.ae", "oracle", "me-dubai-3"),
        ("oss-me-east-1.aliyuncs.com", "alibaba", "me-east-1"),
        ("me-east-1.oss-me-central-1-internal.aliyuncs.com", "alibaba", "me-central-1"),
        ("b.obs.ae-ad-1.myhuaweicloud.com", "huawei", "ae-ad-1"),
        ("storage.me-central1.rep.googleapis.com", "google", "me-central1"),
        ("me-central2-docker.pkg.dev", "google", "me-central2"),
    ],
)
def test_a_regional_host_tells_where_it_is(host: str, provider: str, region: str) -> None:
    assert places.whereabouts(host) == places.locate(provider, region)
    assert places.owner(host) == provider
    assert places.silence(host) is None


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("me-central-1.s3.amazonaws.com", "aws"),
        ("b.s3-accelerate.amazonaws.com", "aws"),
        ("b.s3-accelerate.dualstack.amazonaws.com", "aws"),
        ("a.accesspoint.s3-global.amazonaws.com", "aws"),
        ("b.op-1.s3-outposts.me-central-1.amazonaws.com", "aws"),
        ("me-central-1.cloudfront.net", "aws"),
        ("uaenorth.blob.core.windows.net", "azure"),
        ("uaenorth.azurecr.io", "azure"),
        ("uaenorth.azurefd.net", "azure"),
        ("me-east-1.oss.aliyuncs.com", "alibaba"),
        ("b.oss-accelerate.aliyuncs.com", "alibaba"),
        ("ae-ad-1.obs.myhuaweicloud.com", "huawei"),
        ("me-central1.storage.googleapis.com", "google"),
    ],
)
def test_a_host_without_a_region_says_why(host: str, provider: str) -> None:
    silence = places.silence(host)

    assert places.whereabouts(host) is None
    assert silence is not None
    assert silence.provider == places.owner(host) == provider
    assert silence.why


@pytest.mark.parametrize(
    "host",
    [
        "",
        "minio.falaj.svc",
        "amazonaws.com.evil.example",
        "s3.me-central-1.amazonaws.com.evil.example",
        "evilamazonaws.com",
        "s3.xme-central-1.amazonaws.com",
        "10.0.0.1",
    ],
)
def test_a_host_that_only_resembles_a_clouds_is_nowhere(host: str) -> None:
    assert places.whereabouts(host) is None
    assert places.silence(host) is None


def test_a_silence_is_longer_than_the_suffix_that_it_overrules() -> None:
    silent = [one for one in places.silences() for end in SUFFIXES if one.endswith(end)]

    assert ".s3-outposts.me-central-1.amazonaws.com" in silent
    assert not set(silent) & set(SUFFIXES)


@pytest.mark.parametrize("host", ["evilamazonaws.com", "amazonaws.com.evil.example", ""])
def test_a_host_that_only_resembles_a_clouds_is_nobodys(host: str) -> None:
    assert places.owner(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "S3.ME-CENTRAL-1.AMAZONAWS.COM",
        "s3.me-central-1.amazonaws.com.",
        "s3.me-central-1.amazonaws.com:443",
    ],
)
def test_case_dots_and_ports_are_the_callers_and_fail_closed(host: str) -> None:
    assert places.whereabouts(host) is None


def test_a_realm_has_its_own_domain() -> None:
    assert places.whereabouts("objectstorage.me-alain-1.oraclecloud.com") is None
    assert places.whereabouts("kms.me-central-1.amazonaws.com.cn") is None


def test_a_zone_goes_by_its_driver_and_says_how_it_is_known() -> None:
    zones = places.zones()

    assert all(entry.country == places.UAE for entry in zones.values())
    assert zones["diskplugin.csi.alibabacloud.com/me-east-1a"].provider == "alibaba"
    assert str(zones["ebs.csi.aws.com/me-central-1a"]).endswith("(AE, unverified)")
    assert zones["disk.csi.azure.com/uaenorth-1"].status is places.Status.SECONDARY
    assert all(key == f"{key.partition('/')[0]}/{entry.zone}" for key, entry in zones.items())


@pytest.mark.parametrize(
    ("arn", "provider", "region"),
    [
        ("arn:aws:kms:me-central-1:111122223333:key/1234abcd-12ab", "aws", "me-central-1"),
        ("arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab", "aws", "cn-north-1"),
        ("ocid1.key.oc1.me-dubai-1.fju67xz.ab5helj", "oracle", "me-dubai-1"),
        ("ocid1.key.oc26.me-alain-1.fju67xz.ab5helj", "oracle", "me-alain-1"),
        ("projects/p/locations/me-central1/keyRings/r/cryptoKeys/k", "google", "me-central1"),
    ],
)
def test_a_key_that_names_its_region_is_there(arn: str, provider: str, region: str) -> None:
    assert places.key_region(arn) == places.locate(provider, region)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:kms:me-central-1:111122223333:key/mrk-1234abcd",
        "arn:aws:kms:me-central-1:111122223333:alias/mine",
        "arn:aws-cn:kms:me-central-1:111122223333:key/1234abcd",
        "arn:aws:s3:me-central-1:111122223333:key/1234abcd",
        "arn:aws:kms:eu-west-9:111122223333:key/1234abcd",
        "arn:aws:kms:me-central-1:111122223333:key/1234abcd\n",
        "ocid1.key.oc1.iad.fju67xz.ab5helj",
        "ocid1.key.oc1.me-alain-1.fju67xz.ab5helj",
        "ocid1.vault.oc1.me-dubai-1.fju67xz.ab5helj",
        "projects/p/locations/global/keyRings/r/cryptoKeys/k",
        "https://v.vault.azure.net/keys/k",
        "1234abcd",
        "",
    ],
)
def test_a_key_that_does_not_tell_everything_is_nowhere(arn: str) -> None:
    assert places.key_region(arn) is None


def test_a_key_that_is_copied_to_other_regions_is_told_apart() -> None:
    assert places.multi_region("arn:aws:kms:me-central-1:111122223333:key/mrk-1234abcd")
    assert places.multi_region("mrk-1234abcd")
    assert not places.multi_region("arn:aws:kms:me-central-1:111122223333:key/1234abcd")


def test_no_row_of_the_registry_hides_another() -> None:
    text = pathlib.Path(places.__file__).with_name("regions.yaml").read_text()

    assert text.count("{country: ") == len(places.registry())
