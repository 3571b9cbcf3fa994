"""Keys come from the issuer, seldom, and are not trusted for ever."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from components.foundation.errors import InfrastructureError, UserError
from inference.server.security.discovery import Issuer
from inference.server.security.jwks import KeySet, Pace
from inference.server.security.scopes import Verb
from inference.server.security.tokens import Authorizer, Rules
from inference.transport.messages import Rejected
from tests.inference.server.security.issuing import (
    AUDIENCE,
    ISSUER,
    RSA,
    key_set,
    make_key,
    public,
    sign,
)

OLD, NEW = make_key("ES256"), make_key("ES256")


class Provider:
    """An issuer whose keys change, and which can fail; and the clock that it is asked by."""

    def __init__(self) -> None:
        self.keys: KeySet | Exception = key_set(public(OLD, "ES256", "old"))
        self.fetches, self.now = 0, 0.0
        rules = Rules(ISSUER, AUDIENCE)
        self.gate = Authorizer(rules, self.fetch, pace=Pace(), clock=lambda: self.now)

    def fetch(self) -> KeySet:
        self.fetches += 1
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    async def status(self, key: Any, kid: str) -> int:
        try:
            await self.gate.authorize(Verb.INFER, sign(key, head={"kid": kid}))
        except Rejected as refusal:
            return refusal.status
        return 200


def down() -> InfrastructureError:
    return InfrastructureError("down", code="issuer-unreachable")


def test_forged_key_ids_cause_one_fetch_a_while() -> None:
    provider = Provider()

    async def forge() -> list[int]:
        async with provider.gate.running(lambda reason: None):
            asked = (provider.status(NEW, f"forged-{number}") for number in range(100))
            together = await asyncio.gather(*asked)
            later = [await provider.status(NEW, f"late-{number}") for number in range(100)]
            return [*together, *later, await provider.status(OLD, "old")]

    assert asyncio.run(forge()) == [401] * 200 + [200]
    assert provider.fetches == 2


def test_a_new_key_is_fetched_when_it_is_seen_and_the_old_one_is_refused() -> None:
    provider = Provider()

    async def rotate() -> list[int]:
        before = await provider.status(OLD, "old")
        provider.keys, provider.now = key_set(public(NEW, "ES256", "new")), 20.0
        return [before, await provider.status(NEW, "new"), await provider.status(OLD, "old")]

    assert asyncio.run(rotate()) == [200, 200, 401]


@pytest.mark.parametrize("failure", [down(), RuntimeError("odd")])
def test_known_keys_last_a_bounded_time_without_the_issuer(failure: Exception) -> None:
    provider = Provider()

    async def outlast() -> list[int]:
        statuses = [await provider.status(OLD, "old")]
        provider.keys = failure
        for provider.now in (3599.0, 3601.0):
            statuses.append(await provider.status(OLD, "old"))
        return statuses

    assert asyncio.run(outlast()) == [200, 200, 503]


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    keys = key_set(public(OLD, "ES256", "same"), public(NEW, "ES256", "same"))
    alone = key_set(public(OLD, "ES256", "same"))
    found, first = keys.find("same", "ES256"), alone.find("same", "ES256")
    assert found is not None
    assert first is not None
    assert found.key.public_numbers() == first.key.public_numbers()


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        public(RSA, "RS256") | {"use": "enc"},
        public(RSA, "RS256") | {"n": "AQAB"},
        public(RSA, "RS256") | {"n": 5},
        public(RSA, "RS256") | {"d": "AQAB"},
        public(OLD, "ES256") | {"x": "AA"},
        public(OLD, "ES256") | {"alg": "RS256"},
        "text",
    ],
)
def test_a_key_that_must_not_sign_is_left_out(odd: Any) -> None:
    with pytest.raises(InfrastructureError, match="no key that may sign"):
        key_set(odd)
    assert len(key_set(odd, public(NEW, "ES256", "good")).keys) == 1


@pytest.mark.parametrize(
    "url",
    ["http://issuer.example", "http://10.0.0.1", "ftp://127.0.0.1", "https://u@h", "https://h?a=b"],
)
def test_an_issuer_over_an_open_network_is_refused(url: str) -> None:
    with pytest.raises(UserError):
        Issuer(url)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"issuer": ISSUER + "/", "jwks_uri": ISSUER}, "is for the issuer"),
        ({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/keys"}, "is not https"),
        ({"issuer": ISSUER}, "names no jwks_uri"),
    ],
)
def test_a_discovery_document_that_differs_is_refused(
    document: Mapping[str, Any], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Issuer, "_fetch", lambda self, address: document)
    with pytest.raises((UserError, InfrastructureError), match=error):
        Issuer(ISSUER).jwks()
