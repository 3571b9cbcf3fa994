"""An issuer's public keys: read strictly, refreshed behind the requests, bounded in age."""

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.foundation.errors import FalajError, InfrastructureError

if TYPE_CHECKING:
    from jwt import PyJWK

_LOG = logging.getLogger("tokens")
_MOST: Final = 64  # keys in a set
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_LEAST_RSA_BITS: Final = 2048
ALGORITHMS: Final = frozenset((*_RSA, *_CURVES.values(), "EdDSA"))


@dataclass(frozen=True, slots=True)
class KeySet:
    """Public keys for signatures, by key id and algorithm; a key serves only its own kind.

    Attributes:
        digest: of the document; two sets with the same one are the same.
    """

    keys: Mapping[tuple[str, str], "PyJWK"]
    digest: str

    @classmethod
    def parse(cls, document: Mapping[str, Any], *, algorithms: frozenset[str]) -> "KeySet":
        """Read a JWK set; a key that is secret, weak, for encryption or unknown is left out.

        Raises:
            InfrastructureError: the document is no key set, or no key in it can be used.
        """
        listed = document.get("keys")
        if not isinstance(listed, list) or len(listed) > _MOST:
            raise _unusable(f"has no list `keys` of at most {_MOST}")
        keys: dict[tuple[str, str], PyJWK] = {}
        for jwk in listed:
            for algorithm in _algorithms(jwk) & algorithms:
                key = _key(jwk, algorithm)
                if key is not None:
                    keys.setdefault((str(jwk.get("kid", "")), algorithm), key)
        if not keys:
            raise _unusable("has no key that may sign tokens here")
        return cls(keys, digest=hashlib.sha256(json.dumps(listed).encode()).hexdigest())

    def find(self, kid: str | None, algorithm: str) -> "PyJWK | None":
        """Find a key; without an id, the only one that serves the algorithm."""
        if kid is not None:
            return self.keys.get((kid, algorithm))
        fitting = [key for (_, serves), key in self.keys.items() if serves == algorithm]
        return fitting[0] if len(fitting) == 1 else None


def _algorithms(jwk: object) -> frozenset[str]:
    """Return what a key may be used for: by its type, and narrower where it says so."""
    if not isinstance(jwk, dict) or not _may_verify(jwk):
        return frozenset()
    match jwk:
        case {"kty": "RSA"}:
            fitting = frozenset(_RSA)
        case {"kty": "EC", "crv": str(curve)} if curve in _CURVES:
            fitting = frozenset((_CURVES[curve],))
        case {"kty": "OKP", "crv": "Ed25519"}:
            fitting = frozenset(("EdDSA",))
        case _:
            return frozenset()
    named = jwk.get("alg")
    return fitting if named is None else fitting & frozenset(_texts([named]))


def _may_verify(jwk: Mapping[str, Any]) -> bool:
    """Leave out secrets, which anybody who read the set can sign with, and other purposes."""
    if "d" in jwk or "k" in jwk:
        return False
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and "verify" in _texts(operations)


def _texts(values: object) -> list[str]:
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def _key(jwk: dict[str, Any], algorithm: str) -> "PyJWK | None":
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        key = PyJWK(jwk, algorithm=algorithm)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
        return None
    weak = jwk["kty"] == "RSA" and key.key.key_size < _LEAST_RSA_BITS
    return None if weak else key


def _unusable(why: str) -> InfrastructureError:
    return InfrastructureError(f"the issuer's key set {why}", code="issuer-keys")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often keys are fetched and how long they last, in seconds.

    Attributes:
        refresh: between fetches while the issuer answers.
        retry: between fetches while it does not.
        on_demand: at least between two fetches that unknown key ids cause.
        last: that keys are trusted after the last fetch that succeeded.
    """

    refresh: float = 300.0
    retry: float = 15.0
    on_demand: float = 10.0
    last: float = 3600.0


class KeyCache:
    """Keys of one issuer, for one event loop.

    While the issuer answers, they are fetched behind the requests; an unknown key id makes
    one request wait for a fetch, and forged ids cannot make it fetch more often than `on_demand`.
    """

    def __init__(
        self,
        fetch: Callable[[], KeySet],
        *,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._pace, self._clock = fetch, pace, clock
        self._keys: KeySet | None = None
        self._fetched = self._demanded = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._complaint = ""

    @property
    def keys(self) -> KeySet | None:
        """The keys, the same object until they change; None while there are none to trust."""
        if self._clock() - self._fetched > self._pace.last:
            return None
        return self._keys

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch once, then again and again until the block ends.

        Raises:
            UserError: the issuer's own document is for another issuer.
        """
        try:
            self._take(await asyncio.to_thread(self._fetch))
        except InfrastructureError as error:
            self._complain(error)
        refreshing = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            refreshing.cancel()

    async def on_demand(self) -> KeySet | None:
        """Fetch because a key was not there, unless that was done a moment ago."""
        now = self._clock()
        if self._fetching is None and now - self._demanded >= self._pace.on_demand:
            self._demanded = now
        elif self._fetching is None:
            return self.keys
        await asyncio.shield(self._start())
        return self.keys

    def _start(self) -> "asyncio.Task[None]":
        """Begin a fetch, or join the one that is under way."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
            self._fetching.add_done_callback(self._ended)
        return self._fetching

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._fetching = None

    async def _fetch_once(self) -> None:
        try:
            self._take(await asyncio.to_thread(self._fetch))
        except FalajError as error:
            self._complain(error)
        except Exception:  # else nothing would be fetched any more, and nobody told
            _LOG.exception("the issuer's keys could not be read")

    def _take(self, keys: KeySet) -> None:
        self._fetched = self._clock()
        if self._keys is None or self._keys.digest != keys.digest:
            self._keys = keys
        if self._complaint:
            _LOG.warning("the issuer's keys are here again")
        self._complaint = ""

    def _complain(self, error: FalajError) -> None:
        """Say once why keys cannot be fetched."""
        if self._complaint != str(error):
            _LOG.error("%s", error.shown)
        self._complaint = str(error)

    async def _refresh(self) -> None:
        while True:
            wait = self._pace.retry if self._complaint else self._pace.refresh
            # Workers and pods that started together should not ask together for ever.
            await asyncio.sleep(wait * random.uniform(0.8, 1.0))  # noqa: S311
            await asyncio.shield(self._start())  # requests may wait for it too
