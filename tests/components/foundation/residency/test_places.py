"""The registry knows regions only with their provider, and says how it knows."""

import pytest

from components.foundation.errors import UserError
from components.foundation.residency import places
from components.foundation.residency.places import Status
from components.foundation.site import Profile


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
