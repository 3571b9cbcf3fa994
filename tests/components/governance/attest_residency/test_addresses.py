"""An address is in a country if its host tells so or somebody declares it; else nobody knows."""

import pytest

from components.governance.attest_residency import observation
from components.governance.attest_residency.declared import Declared
from components.governance.attest_residency.observation import Observation, Standing
from components.governance.attest_residency.readers.addresses import Endpoint, resolve

SITE = {
    "FALAJ_RESIDENCY": "health",
    "FALAJ_COUNTRY": "AE",
    "FALAJ_NAMESPACE": "falaj",
}


def site(host: str, provider: str = "on-premises", **changes: str) -> Declared:
    named = {"AWS_ENDPOINT_URL": f"https://{host}", "FALAJ_PROVIDER": provider}
    return Declared.from_environment({**SITE, **named, **changes})


def seen(declared: Declared, *addresses: str) -> list[Observation]:
    return list(Endpoint(declared, "AE", lambda host: list(addresses))())


@pytest.mark.parametrize(
    ("host", "provider", "networks", "address", "standing", "says"),
    [
        ("s3.me-central-1.amazonaws.com", "aws", "", "16.12.3.4", Standing.HOME, "host's name"),
        ("s3.me-central-1.amazonaws.com", "aws", "", "10.0.0.4", Standing.HOME, "host's name"),
        ("s3.me-central-1.amazonaws.com", "aws", "", "127.0.0.1", Standing.UNKNOWN, "this machine"),
        ("s3.me-central-1.amazonaws.com", "aws", "", "::1", Standing.UNKNOWN, "this machine"),
        ("s3.me-south-1.amazonaws.com", "aws", "", "10.0.0.4", Standing.ABROAD, "(BH)"),
        ("s3.amazonaws.com", "aws", "", "52.1.1.1", Standing.UNKNOWN, "tells no region"),
        ("s3.bank.ae", "on-premises", "10.1.0.0/16", "10.1.2.3", Standing.DECLARED, "10.1.0.0/16"),
        ("s3.bank.ae", "on-premises", "10.1.0.0/16", "10.2.2.3", Standing.UNKNOWN, "private"),
        ("s3.bank.ae", "on-premises", "", "10.1.2.3", Standing.UNKNOWN, "private"),
        ("s3.bank.ae", "on-premises", "10.1.0.0/16", "8.8.8.8", Standing.UNKNOWN, "public"),
        ("s3.bank.ae", "on-premises", "10.1.0.0/16", "2001:4860::8", Standing.UNKNOWN, "public"),
        (
            "s3.bank.ae",
            "on-premises",
            "10.1.0.0/16",
            "::ffff:10.1.2.3",
            Standing.DECLARED,
            "10.1.0.0/16",
        ),
        ("s3.bank.ae", "aws", "10.1.0.0/16", "10.1.2.3", Standing.UNKNOWN, "tells no country"),
        ("w.kubeflow.svc", "on-premises", "", "10.96.0.9", Standing.FOLLOWS, "on its volumes"),
        ("w.kubeflow.svc.cluster.local", "on-premises", "", "8.8.8.8", Standing.UNKNOWN, "public"),
    ],
)
def test_an_address_is_known_by_its_host_or_declared(
    host: str, provider: str, networks: str, address: str, standing: Standing, says: str
) -> None:
    declared = site(host, provider, FALAJ_STORE_ADDRESSES=networks)

    [found] = seen(declared, address)

    assert (found.standing, says in found.because) == (standing, True), found


def test_every_address_is_told_and_one_that_nobody_knows_is_not_lost_among_others() -> None:
    declared = site("s3.bank.ae", FALAJ_STORE_ADDRESSES="10.1.0.0/16")

    found = seen(declared, "10.1.2.3", "203.0.113.9", "10.1.2.4")

    assert [one.standing for one in found] == [
        Standing.DECLARED,
        Standing.UNKNOWN,
        Standing.DECLARED,
    ]


@pytest.mark.parametrize(("country", "standing"), [("BH", Standing.ABROAD), ("", Standing.UNKNOWN)])
def test_hardware_that_is_declared_elsewhere_is_elsewhere(country: str, standing: Standing) -> None:
    declared = site("s3.bank.ae", FALAJ_STORE_ADDRESSES="10.1.0.0/16", FALAJ_COUNTRY=country)

    assert [one.standing for one in seen(declared, "10.1.2.3")] == [standing]


def test_a_host_that_does_not_resolve_cannot_be_attested_now() -> None:
    [found] = observation.look({"endpoint": Endpoint(site("falaj.invalid"), "AE")})

    assert (found.standing, found.passing) == (Standing.UNKNOWN, True)


def test_names_are_looked_up_for_both_protocols() -> None:
    assert set(resolve("localhost")) <= {"127.0.0.1", "::1"}
    assert resolve("127.0.0.1") == ["127.0.0.1"]
