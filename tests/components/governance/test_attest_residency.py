"""A site abroad is refused in a sentence that names field, country, law and the way out."""

import pathlib
from typing import Any

import pytest
from kfp import dsl

from components.foundation.audit import AuditLog
from components.foundation.site import Site
from components.foundation.storage import ObjectStore
from components.foundation.verdict import Decision, Verdict
from components.governance.attest_residency import attestation
from components.governance.attest_residency.component import attest_residency

SITES = pathlib.Path(__file__).parents[3] / "pipelines" / "sites"
CLUSTER = (SITES / "cluster.yaml").read_text()
LAPTOP = (SITES / "laptop.yaml").read_text()
BASIS = """
  basis:
    id: T-2026-014
    article: PDPL 23(1)(a)
    recorded_by: data protection officer
    recorded_on: "2026-11-01"
"""


def site(
    provider: str = "aws",
    region: str = "me-central-1",
    endpoint: str = "https://s3.me-central-1.amazonaws.com",
    profile: str = "cbuae",
    extra: str = "",
) -> Site:
    text = CLUSTER.replace("profile: cbuae", f"profile: {profile}{extra}")
    text = text.replace("https://s3.me-central-1.amazonaws.com", endpoint)
    text = text.replace("provider: aws", f"provider: {provider}")
    return Site.parse(text.replace("  region: me-central-1", f"  region: {region}"))


@pytest.mark.parametrize(
    ("provider", "region", "endpoint"),
    [
        ("aws", "me-central-1", "https://s3.me-central-1.amazonaws.com"),
        ("aws", "me-central-1", "https://s3.dualstack.me-central-1.amazonaws.com"),
        ("aws", "me-central-1", "https://accelerate.s3.me-central-1.amazonaws.com"),
        ("alibaba", "me-east-1", "https://oss-me-east-1.aliyuncs.com"),
        ("oracle", "me-alain-1", "https://ns.compat.objectstorage.me-alain-1.oraclecloud26.com"),
        ("oracle", "me-dubai-1", "https://ns.compat.objectstorage.me-dubai-1.oraclecloud.com"),
        ("azure", "uaenorth", "https://account.blob.core.windows.net"),
    ],
)
def test_accepts_the_uae_under_a_hard_profile(provider: str, region: str, endpoint: str) -> None:
    verdict = attestation.attest(site(provider, region, endpoint))

    assert verdict.decision is Decision.ACCEPT, verdict
    assert verdict.evidence["looked_up"]


@pytest.mark.parametrize(
    ("provider", "region", "endpoint", "says"),
    [
        ("aws", "me-south-1", "https://s3.me-south-1.amazonaws.com", "Bahrain (BH)"),
        ("alibaba", "me-central-1", "https://oss-me-central-1.aliyuncs.com", "Riyadh (SA)"),
        ("google", "me-central1", "https://storage.me-central1.rep.googleapis.com", "Doha (QA)"),
        ("aws", "eu-west-9", "https://s3.eu-west-9.amazonaws.com", "does not know this place"),
        ("aws", "me-central-1", "https://s3.amazonaws.com", "global or another region"),
        ("aws", "me-central-1", "https://S3.AMAZONAWS.COM.", "global or another region"),
        ("aws", "me-central-1", "https://b.s3-accelerate.amazonaws.com", "global or another"),
        ("aws", "me-central-1", "https://s3.me-south-1.amazonaws.com", "Bahrain (BH)"),
        ("aws", "me-central-1", "https://me-central-1.s3.us-east-1.amazonaws.com", "Virginia (US)"),
        ("aws", "me-central-1", "https://me-central-1.s3.amazonaws.com", "bucket in any region"),
        ("aws", "me-central-1", "https://op-1.s3-outposts.me-central-1.amazonaws.com", "its owner"),
        (
            "oracle",
            "me-dubai-1",
            "https://ns.compat.objectstorage.me-dubai-1.oraclecloud26.com",
            "another",
        ),
        ("azure", "uaenorth", "https://x.westeurope.cloudapp.azure.com", "Netherlands (NL)"),
        ("azure", "uaenorth", "https://uaenorth.azurefd.net", "Front Door"),
        ("aws", "me-central-1", "https://oss-me-central-1.aliyuncs.com", "belongs to alibaba"),
        ("aws", "me-central-1", "https://amazonaws.com.evil.example", "not one of aws's"),
        ("on-premises", "rack-1", "https://minio.bank.ae", "the site does not say"),
        ("on-premises", "rack-1", "https://s3.us-east-1.amazonaws.com", "belongs to aws"),
    ],
)
@pytest.mark.parametrize("profile", ["health", "cbuae", "gov"])
def test_refuses_abroad_and_unknown_under_a_hard_profile(
    profile: str, provider: str, region: str, endpoint: str, says: str
) -> None:
    verdict = attestation.attest(site(provider, region, endpoint, profile, BASIS))

    assert verdict.decision is Decision.REFUSE
    assert says in str(verdict.evidence["findings"])


def test_a_refusal_names_field_value_country_law_status_and_the_way_out() -> None:
    verdict = attestation.attest(
        site("aws", "me-south-1", "https://s3.me-south-1.amazonaws.com", "health")
    )

    for part in (
        "object_store.region",
        "aws me-south-1",
        "(BH)",
        "me-central-1",
        "Profile health",
        "Federal Law 2/2019",
        "secondary",
    ):
        assert part in verdict.reason


def test_a_host_abroad_is_named_with_its_country() -> None:
    verdict = attestation.attest(site(endpoint="https://s3.me-south-1.amazonaws.com"))

    assert [one["country"] for one in verdict.evidence["findings"]] == ["BH"]


def test_a_twin_name_is_pointed_out() -> None:
    verdict = attestation.attest(
        site("alibaba", "me-central-1", "https://oss-me-central-1.aliyuncs.com")
    )

    assert "me-central-1 at aws is UAE" in verdict.reason


@pytest.mark.parametrize("profile", ["pdpl", "difc", "adgm"])
def test_a_transfer_profile_lets_data_abroad_only_with_a_recorded_basis(profile: str) -> None:
    place = ("aws", "me-south-1", "https://s3.me-south-1.amazonaws.com", profile)
    without, recorded = (attestation.attest(site(*place, extra)) for extra in ("", BASIS))

    assert without.decision is Decision.REFUSE
    assert "residency.basis" in without.reason
    assert recorded.decision is Decision.ACCEPT
    assert recorded.evidence["transfer_basis"]["id"] == "T-2026-014"
    assert "nobody here has checked" in recorded.reason


@pytest.mark.parametrize("profile", ["health", "pdpl"])
def test_a_laptop_is_declared_and_the_verdict_says_so(profile: str) -> None:
    home = attestation.attest(Site.parse(LAPTOP.replace("pdpl\n", f"{profile}\n")))
    abroad = attestation.attest(
        Site.parse(LAPTOP.replace("pdpl\n", f"{profile}\n").replace("country: AE", "country: DE"))
    )

    assert home.decision is Decision.ACCEPT
    assert "(declared)" in home.reason
    assert home.evidence["declared"] == ["laptop in AE"]
    assert abroad.decision is Decision.REFUSE
    assert "'DE'" in abroad.reason


def test_what_nobody_looked_at_is_named() -> None:
    verdict = attestation.attest(site())

    assert any("alerts.0" in text for text in verdict.evidence["not_attested"])


def test_the_verdict_holds_for_exactly_one_site() -> None:
    assert attestation.attest(site()).judged == str(site().digest())
    assert attestation.attest(site()).judged != attestation.attest(site(profile="gov")).judged


@pytest.mark.usefixtures("environment")
def test_the_face_leaves_a_verdict_a_page_and_an_audit_entry(
    store: ObjectStore, tmp_path: pathlib.Path, unique: str
) -> None:
    report: Any = dsl.HTML(uri=str(tmp_path / "report" / "residency"))
    text = LAPTOP.replace("name: laptop", f"name: {unique}")

    verdict, decision = attest_residency.python_func(site=text, report=report)

    assert decision == "accept"
    assert Verdict.from_dict(verdict).subject == f"residency {unique}"
    assert "laptop in AE" in pathlib.Path(report.path).read_text()
    assert report.metadata["digest"].startswith("sha256:")
    assert any(unique in entry.subject for entry in AuditLog(store).entries())


@pytest.mark.usefixtures("environment")
def test_the_face_ends_with_2_on_a_wrong_site_file(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report: Any = dsl.HTML(uri=str(tmp_path / "report"))

    with pytest.raises(SystemExit) as end:
        attest_residency.python_func(site="nmae: x", report=report)

    assert end.value.code == 2
    assert "did you mean 'name'" in capsys.readouterr().err
