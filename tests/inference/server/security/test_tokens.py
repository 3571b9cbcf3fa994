"""Only tokens that the issuer signed for us are believed, and refusals tell nothing."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from inference.server.security.jwks import ALGORITHMS
from inference.server.security.scopes import Verb
from inference.server.security.tokens import Authorizer, Identity, Reason, Rules, Told
from inference.transport.messages import Rejected
from tests.inference.server.security.issuing import (
    AUDIENCE,
    ISSUER,
    key_set,
    make_key,
    public,
    sign,
)

KEY, OTHER = make_key("ES256"), make_key("ES256")


def authorizer(*jwks: Any, **more: Any) -> Authorizer:
    keys = key_set(*(jwks or [public(KEY, "ES256")]))
    return Authorizer(Rules(ISSUER, AUDIENCE), lambda: keys, **more)


def ignore(reason: Reason) -> None:
    """Be told and do nothing."""


def ask(
    gate: Authorizer, token: bytes | None, verb: Verb = Verb.INFER, told: Told = ignore
) -> Identity:
    async def asking() -> Identity:
        async with gate.running(told):
            return await gate.authorize(verb, token)

    return asyncio.run(asking())


def refused(token: bytes | None, reason: Reason, gate: Authorizer | None = None) -> Rejected:
    told = list[Reason]()
    with pytest.raises(Rejected) as caught:
        ask(gate or authorizer(), token, told=told.append)
    assert told == [reason]
    return caught.value


def raw(head: Any, body: bytes = b"{}", signature: bytes = b"x") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    parts = (text, body, signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_allowed_algorithm_is_believed(algorithm: str) -> None:
    key = make_key(algorithm)
    assert ask(authorizer(public(key, algorithm)), sign(key, algorithm)).subject == "me"


def test_a_forged_signature_is_refused_without_a_word_about_the_token() -> None:
    token = sign(OTHER, sub="secret-subject")
    refusal = refused(token, Reason.SIGNATURE)
    assert refusal.status == 401
    assert refusal.headers == ((b"www-authenticate", b'Bearer error="invalid_token"'),)
    assert str(refusal) == str(refused(raw({"alg": 1}), Reason.MALFORMED))


def test_no_token_is_asked_for_one() -> None:
    refusal = refused(None, Reason.MISSING)
    assert (refusal.status, refusal.headers) == (401, ((b"www-authenticate", b"Bearer"),))


@pytest.mark.parametrize("name", ["none", "None", "HS256"])
def test_an_algorithm_without_a_private_key_is_refused(name: str) -> None:
    refused(raw({"alg": name, "kid": "k"}), Reason.ALGORITHM)


def test_the_public_key_is_no_shared_secret() -> None:
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = raw({"alg": "HS256", "kid": "k"}).rpartition(b".")[0]
    mac = base64.urlsafe_b64encode(hmac.digest(pem, signed, hashlib.sha256)).rstrip(b"=")
    refused(signed + b"." + mac, Reason.ALGORITHM)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"iss": "https://other.example"}, Reason.ISSUER),
        ({"iss": ISSUER + "/"}, Reason.ISSUER),
        ({"aud": "other"}, Reason.AUDIENCE),
        ({"aud": ["other", "falaj2"]}, Reason.AUDIENCE),
        ({"exp": time.time() - 40}, Reason.EXPIRED),
        ({"nbf": time.time() + 600}, Reason.NOT_YET),
        ({"iat": time.time() + 600}, Reason.NOT_YET),
        ({"exp": float("inf")}, Reason.CLAIMS),
        ({"exp": "9999999999"}, Reason.CLAIMS),
        ({"sub": 7}, Reason.CLAIMS),
        ({"cnf": {"jkt": "x"}}, Reason.BOUND),
        *(({name: None}, Reason.CLAIMS) for name in ("exp", "iat", "iss", "sub")),
    ],
)
def test_a_claim_that_does_not_fit_is_refused(more: dict[str, Any], reason: Reason) -> None:
    assert refused(sign(KEY, **more), reason).status == 401


def test_clocks_may_differ_by_the_skew_and_audiences_be_several() -> None:
    token = sign(KEY, exp=int(time.time()) - 20, aud=["other", AUDIENCE])
    assert ask(authorizer(), token).subject == "me"


def test_a_missing_audience_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        ask(authorizer(), sign(KEY, aud=None))
    assert caught.value.status == 401


def test_a_large_token_is_not_even_read() -> None:
    refused(sign(KEY, padding="x" * 9000), Reason.TOO_LARGE)


@pytest.mark.parametrize("head", [b"[" * 5000, b"{", b"\xff", b"[]", {"alg": "ES256", "kid": 1}])
def test_a_header_that_is_none_is_refused(head: Any) -> None:
    refused(raw(head), Reason.MALFORMED)


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk"])
def test_keys_that_a_token_brings_are_ignored(name: str) -> None:
    own = {"jku": "https://evil.example", "x5u": "https://evil.example"}
    refused(sign(OTHER, head={name: own.get(name, public(OTHER, "ES256"))}), Reason.SIGNATURE)


def test_a_critical_extension_is_refused() -> None:
    refused(sign(KEY, head={"crit": ["exp"]}), Reason.MALFORMED)


def test_a_key_without_an_id_serves_only_where_it_is_the_only_one() -> None:
    nameless = sign(KEY, head={"kid": None})
    assert ask(authorizer(), nameless).subject == "me"
    both = authorizer(public(KEY, "ES256"), public(OTHER, "ES256", "other"))
    refused(nameless, Reason.KEY_UNKNOWN, both)


@pytest.mark.parametrize("held", [{"scp": ["x", "falaj:metrics"]}, {"scope": "x falaj:metrics"}])
def test_each_verb_needs_its_own_scope(held: dict[str, Any]) -> None:
    token, gate = sign(KEY, **({"scope": None} | held)), authorizer()
    assert ask(gate, token, Verb.METRICS).subject == "me"
    refusal = refused(token, Reason.SCOPE, gate)
    assert refusal.status == 403
    assert b'scope="falaj:infer"' in refusal.headers[0][1]


def test_a_remembered_token_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, token = authorizer(), sign(KEY)
    until = ask(gate, token).until
    monkeypatch.setattr(time, "time", lambda: until - 1)
    assert ask(gate, token).until == until
    assert gate._recall(hashlib.sha256(token).digest(), gate._cache.keys) is not None  # type: ignore[arg-type]
    monkeypatch.setattr(time, "time", lambda: until)
    assert gate._recall(hashlib.sha256(token).digest(), gate._cache.keys) is None  # type: ignore[arg-type]


def test_no_more_tokens_are_remembered_than_allowed() -> None:
    gate = authorizer(remembered=3)
    for number in range(10):
        ask(gate, sign(KEY, sub=str(number)))
    assert len(gate._known) == 3
