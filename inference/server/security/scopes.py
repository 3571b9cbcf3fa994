"""What a token allows: one scope a verb."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_CLAIMS: Final = ("scope", "scp")  # RFC 9068's name, and the one that Entra ID and Okta use


class Verb(enum.Enum):
    """What a caller may be allowed to do; health needs nothing."""

    INFER = "infer"
    METADATA = "metadata"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Scopes:
    """Names of scopes: a prefix of the site's choice, then the verb."""

    prefix: str = "falaj:"

    def name(self, verb: Verb) -> str:
        """Return the scope that a verb needs."""
        return self.prefix + verb.value

    def granted(self, claims: Mapping[str, Any]) -> frozenset[Verb]:
        """Return the verbs that a token's claims allow; an unknown scope allows none."""
        held = {scope for claim in _CLAIMS for scope in _listed(claims.get(claim))}
        return frozenset(verb for verb in Verb if self.name(verb) in held)


def _listed(claim: object) -> Iterator[str]:
    match claim:
        case str():
            yield from claim.split(" ")
        case list():
            yield from (scope for scope in claim if isinstance(scope, str))
        case _:
            return
