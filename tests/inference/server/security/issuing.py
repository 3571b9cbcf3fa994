"""An issuer without a network: keys, their set, and the tokens that they sign."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from inference.server.security.jwks import ALGORITHMS, KeySet

ISSUER, AUDIENCE = "https://issuer.example", "falaj"
RSA = rsa.generate_private_key(65537, 2048)
_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def make_key(algorithm: str) -> Any:
    """Make a private key; the RSA one is shared, for it takes long."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    return RSA


def public(key: Any, algorithm: str, kid: str | None = "k") -> dict[str, Any]:
    """Return the JWK of a private key's public half."""
    maker: Any = get_default_algorithms()[algorithm]
    jwk: dict[str, Any] = json.loads(maker.to_jwk(key.public_key())) | {
        "alg": algorithm,
        "use": "sig",
    }
    jwk.pop("key_ops", None)
    return jwk if kid is None else jwk | {"kid": kid}


def key_set(*jwks: Mapping[str, Any]) -> KeySet:
    return KeySet.parse({"keys": list(jwks)}, algorithms=ALGORITHMS)


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "me", "iat": now, "exp": now + 60}
    merged = base | {"scope": "falaj:infer"} | more
    return {name: value for name, value in merged.items() if value is not None}


def sign(key: Any, algorithm: str = "ES256", *, head: Any = None, **more: Any) -> bytes:
    """Sign a token; a claim or header of None is left out."""
    headers = {"kid": "k"} | (head or {})
    headers = {name: value for name, value in headers.items() if value is not None}
    return jwt.encode(claims(**more), key, algorithm, headers=headers).encode()
