"""Bearer tokens of an OpenID provider: who asks, and what they may do."""

import collections
import contextlib
import enum
import hashlib
import logging
import pathlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from components.foundation.errors import UserError
from inference.server.security.discovery import Issuer
from inference.server.security.jwks import ALGORITHMS, KeyCache, KeySet, Pace
from inference.server.security.scopes import Scopes, Verb
from inference.transport.messages import Rejected

if TYPE_CHECKING:
    from jwt import PyJWK

_LOG = logging.getLogger("tokens")
_TYPES: Final = frozenset(("jwt", "at+jwt", "application/jwt", "application/at+jwt"))
_REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")
_TIMES: Final = ("exp", "iat", "nbf")
_CHALLENGE: Final = b"www-authenticate"


class Reason(enum.Enum):
    """Why a token was refused: for operators, never for the client."""

    MISSING = "missing"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    CLAIMS = "claims"
    BOUND = "bound"
    SCOPE = "scope"
    NO_KEYS = "no_keys"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: the token's subject, and until when (seconds since 1970) to believe it."""

    subject: str
    verbs: frozenset[Verb]
    until: float


Told = Callable[[Reason], None]


class Gate(Protocol):
    """Decides who may do what."""

    def running(self, told: Told) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep what decisions need up to date until the block ends; tell why who is refused."""

    async def authorize(self, verb: Verb, token: bytes | None) -> Identity:
        """Say who asks; raises Rejected 401, 403 or 503."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token must be.

    Attributes:
        issuer: its `iss`, exactly.
        audience: one of its `aud`.
        scopes: names of what it allows.
        algorithms: that may have signed it; only asymmetric ones can be named.
        skew: seconds that clocks may differ.
        largest: bytes of a token.
    """

    issuer: str
    audience: str
    scopes: Scopes = field(default_factory=Scopes)
    algorithms: frozenset[str] = ALGORITHMS
    skew: float = 30.0
    largest: int = 8 << 10

    def __post_init__(self) -> None:
        odd = sorted(self.algorithms - ALGORITHMS)
        if odd or not self.algorithms:
            raise UserError(
                f"signature algorithms {odd}: only {sorted(ALGORITHMS)} are possible; "
                "take some of them",
                code="token-algorithms",
            )

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        """Return whom verified claims speak of."""
        until = claims["exp"] + self.skew
        return Identity(claims["sub"], self.scopes.granted(claims), until)


class _Invalid(Exception):
    """A token that is none of ours."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Authorizer:
    """Believes tokens that the issuer signed for us; for one event loop."""

    def __init__(
        self,
        rules: Rules,
        fetch: Callable[[], KeySet],
        *,
        pace: Pace | None = None,
        remembered: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules, self._remembered = rules, remembered
        self._cache = KeyCache(fetch, pace=pace or Pace(), clock=clock)
        self._known: collections.OrderedDict[bytes, Identity] = collections.OrderedDict()
        self._known_by: KeySet | None = None
        self._told: Told | None = None

    def running(self, told: Told) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep the issuer's keys up to date until the block ends; tell why who is refused."""
        self._told = told
        return self._cache.running()

    async def authorize(self, verb: Verb, token: bytes | None) -> Identity:
        """Say who asks; waits for the issuer only where a key was never seen.

        Raises:
            Rejected: 401 without a token to believe, 403 where it does not allow the verb,
                503 while there are no keys to check it with.
        """
        try:
            identity = await self._identify(token)
        except _Invalid as invalid:
            self._tell(invalid.reason)
            raise self._refusal(invalid.reason) from None
        if verb not in identity.verbs:
            self._tell(Reason.SCOPE)
            raise _lacks(self._rules.scopes.name(verb))
        return identity

    async def _identify(self, token: bytes | None) -> Identity:
        if not token:
            raise _Invalid(Reason.MISSING)
        if len(token) > self._rules.largest:
            raise _Invalid(Reason.TOO_LARGE)
        keys = self._cache.keys or await self._cache.on_demand()
        if keys is None:
            raise _Invalid(Reason.NO_KEYS)
        digest = hashlib.sha256(token).digest()
        return self._recall(digest, keys) or await self._verify(token, digest, keys)

    def _recall(self, digest: bytes, keys: KeySet) -> Identity | None:
        """Return whose token this was when it was verified with these same keys."""
        if keys is not self._known_by:
            self._known.clear()
            self._known_by = keys
        identity = self._known.get(digest)
        if identity is None or identity.until <= time.time():
            return None
        self._known.move_to_end(digest)
        return identity

    async def _verify(self, token: bytes, digest: bytes, keys: KeySet) -> Identity:
        header = _header(token)
        kid, algorithm = header.get("kid"), header["alg"]
        if algorithm not in self._rules.algorithms:
            raise _Invalid(Reason.ALGORITHM)
        key = keys.find(kid, algorithm)
        if key is None:
            keys = await self._cache.on_demand() or keys
            key = keys.find(kid, algorithm)
        if key is None:
            raise _Invalid(Reason.KEY_UNKNOWN)
        identity = self._rules.identity(_claims(token, key, self._rules))
        self._remember(digest, identity, keys)
        return identity

    def _remember(self, digest: bytes, identity: Identity, keys: KeySet) -> None:
        if keys is not self._known_by:
            return  # they changed meanwhile; the next request verifies again
        self._known[digest] = identity
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    def _tell(self, reason: Reason) -> None:
        if self._told is not None:
            self._told(reason)

    def _refusal(self, reason: Reason) -> Rejected:
        if reason is Reason.NO_KEYS:
            return _no_keys()
        return _unknown() if reason is Reason.MISSING else _invalid()


class AllowAnonymous:
    """Lets everybody do everything: the hatch that `--allow_anonymous` opens."""

    @contextlib.asynccontextmanager
    async def running(self, told: Told) -> AsyncIterator[None]:
        """Warn at the start; there is nothing to keep."""
        _LOG.warning("anybody may ask: --allow_anonymous is set")
        yield

    async def authorize(self, verb: Verb, token: bytes | None) -> Identity:
        """Say that nobody knows who asks."""
        return _ANYBODY


_ANYBODY: Final = Identity("anonymous", frozenset(Verb), float("inf"))


def gate(
    issuer: str | None,
    *,
    audience: str | None,
    ca: pathlib.Path | None = None,
    scope_prefix: str = "falaj:",
    allow_anonymous: bool = False,
) -> Gate:
    """Choose who may ask, from the command line's flags.

    Raises:
        UserError: neither an issuer with an audience nor the hatch is named, or both are.
    """
    if allow_anonymous and (issuer or audience or ca):
        raise UserError(
            "--allow_anonymous and --oidc_* contradict each other; leave one out",
            code="gate-contradicts",
        )
    if allow_anonymous:
        return AllowAnonymous()
    if not issuer or not audience:
        raise UserError(
            "nobody could ask: name --oidc_issuer and --oidc_audience, "
            "or let everybody ask with --allow_anonymous",
            code="gate-unset",
        )
    provider = Issuer(issuer, ca)
    rules = Rules(issuer, audience, Scopes(scope_prefix))
    return Authorizer(rules, lambda: KeySet.parse(provider.jwks(), algorithms=rules.algorithms))


def bearer(authorization: bytes | None) -> bytes | None:
    """Return the token of an Authorization header; None where it carries none."""
    scheme, _, token = (authorization or b"").strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _header(token: bytes) -> Mapping[str, Any]:
    """Read a token's header; what it says of keys other than `kid` counts for nothing."""
    from jwt import get_unverified_header
    from jwt.exceptions import PyJWTError

    try:
        header = get_unverified_header(token)
    except PyJWTError:
        raise _Invalid(Reason.MALFORMED) from None
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _Invalid(Reason.MALFORMED)
    if "crit" in header or "b64" in header or not isinstance(header.get("alg"), str):
        raise _Invalid(Reason.MALFORMED)
    return header


def _claims(token: bytes, key: "PyJWK", rules: Rules) -> Mapping[str, Any]:
    """Verify a token's signature and what it claims."""
    from jwt import decode, exceptions

    try:
        claims = decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=rules.audience,
            issuer=rules.issuer,
            leeway=rules.skew,
            options={"require": list(_REQUIRED)},
        )
    except exceptions.PyJWTError as error:
        raise _Invalid(_reason(error)) from None
    if any(type(claims[name]) not in (int, float) for name in _TIMES if name in claims):
        raise _Invalid(Reason.CLAIMS)
    if "cnf" in claims:  # bound to a key of its holder, which a bearer does not show
        raise _Invalid(Reason.BOUND)
    return claims


def _reason(error: Exception) -> Reason:
    from jwt import exceptions

    match error:
        case exceptions.InvalidSignatureError():
            return Reason.SIGNATURE
        case exceptions.ExpiredSignatureError():
            return Reason.EXPIRED
        case exceptions.ImmatureSignatureError():
            return Reason.NOT_YET
        case exceptions.InvalidIssuerError():
            return Reason.ISSUER
        case exceptions.InvalidAudienceError():
            return Reason.AUDIENCE
        case exceptions.InvalidAlgorithmError():
            return Reason.ALGORITHM
        case exceptions.InvalidTokenError():
            return Reason.CLAIMS
        case _:
            return Reason.MALFORMED


def _unknown() -> Rejected:
    message = "a bearer token is needed; get one from the identity provider"
    return Rejected(401, message, headers=((_CHALLENGE, b"Bearer"),))


def _invalid() -> Rejected:
    message = "the bearer token is not valid here; get a new one from the identity provider"
    return Rejected(401, message, headers=((_CHALLENGE, b'Bearer error="invalid_token"'),))


def _lacks(scope: str) -> Rejected:
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'.encode()
    message = f"the token lacks the scope {scope}; ask for it when you get a token"
    return Rejected(403, message, headers=((_CHALLENGE, challenge),))


def _no_keys() -> Rejected:
    message = "tokens cannot be checked now: the identity provider does not answer; try again"
    return Rejected(503, message, headers=((b"retry-after", b"10"),))
