"""What is declared of buckets is read strictly, and means one thing."""

import pathlib
from typing import Any

import pytest
import yaml

from components.foundation.buckets.declaration import Declaration
from components.foundation.buckets.names import ROLES
from components.foundation.buckets.wanted import Place, wanted
from components.foundation.errors import UserError

CONFIG_MAP = pathlib.Path(__file__).parents[4] / "manifests/storage/configmap-falaj-buckets.yaml"
SITE = {"AWS_REGION": "me-central-1", "FALAJ_RESIDENCY": "health", "FALAJ_BUCKETS": "s3://acme"}


def declared(**differs: Any) -> str:
    whole = yaml.safe_load(CONFIG_MAP.read_text())["data"]["buckets.yaml"]
    return yaml.safe_dump({**yaml.safe_load(whole), **differs})


def buckets(**differs: Any) -> str:
    return declared(buckets={**{role: {} for role in ROLES}, **differs})


def test_what_the_manifests_declare_is_read_with_and_without_its_config_map() -> None:
    assert Declaration.parse(declared()) == Declaration.load(CONFIG_MAP)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (declared(format=2), "format: got 2"),
        (declared(uploads_days=0), "uploads_days: got 0"),
        (declared(retention_years={"health": 25}), "retention_years: say them for adgm, cbuae"),
        (declared(colour="blue"), "colour: got 'blue'; Extra inputs"),
        (buckets(runs={"expire_days": "soon"}), "buckets.runs.expire_days: got 'soon'"),
        (buckets(runs={"lock": "loose"}), "buckets.runs.lock: got 'loose'"),
        (buckets(evidence={"lock": "compliance", "expire_days": 9}), "expires nothing"),
        (buckets(extra={}), "expected raw, curated, .*; look at extra"),
        (declared(buckets={"raw": {}}), "look at curated, evidence, features"),
        ("- a list", "valid dictionary"),
        ("{", "no declaration of buckets"),
        ("{kind: ConfigMap}", "no declaration of buckets"),
    ],
    ids=[
        "format",
        "days",
        "years",
        "field",
        "type",
        "lock",
        "expiry",
        "more",
        "less",
        "list",
        "yaml",
        "empty",
    ],
)
def test_refuses_what_means_nothing_and_names_the_field(text: str, said: str) -> None:
    with pytest.raises(UserError, match=rf"(?s)\Aour file: .*{said}"):
        Declaration.parse(text, source="our file")


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: No such file"):
        Declaration.load(tmp_path / "nowhere.yaml")


def test_evidence_is_locked_for_the_years_of_the_sites_profile() -> None:
    whole = Declaration.load(CONFIG_MAP)

    want = wanted(whole.buckets["evidence"], whole, Place.from_environment(SITE))

    assert want["lock"] == {"Mode": "COMPLIANCE", "Years": 25}
    assert want["location"] == "me-central-1"


def test_the_site_says_what_its_store_lacks_and_which_key_encrypts() -> None:
    said = {"FALAJ_STORE_LACKS": "location, public_access", "FALAJ_STORE_KEY": "k"}

    place = Place.from_environment({**SITE, **said})

    assert place.lacks == {"location", "public_access"}
    assert (place.key, place.names.start) == ("k", "acme")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FALAJ_STORE_LACKS", "encrypton", "did you mean 'encryption'"),
        ("FALAJ_RESIDENCY", "", "known: adgm, cbuae"),
    ],
)
def test_a_site_that_says_nothing_we_know_is_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{name} '{value}'.*{said}"):
        Place.from_environment({**SITE, name: value})
