"""Buckets as the store has them: location, copies, lock, and where the key is that encrypts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.buckets import aspects
from components.foundation.buckets.names import BUCKETS
from components.foundation.residency import places
from components.governance.attest_residency.declared import Declared
from components.governance.attest_residency.observation import (
    Observation,
    Standing,
    failed,
    located,
    unknown,
)

_EVIDENCE = "falaj-evidence"
_NO_SUCH_SETTING = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_LOOK = "see the bucket in the provider's console"


@dataclass(frozen=True)
class Buckets:
    """Asks a store, by a client of its own API, about every bucket."""

    s3: aspects.Client
    declared: Declared
    country: str

    def __call__(self) -> Iterator[Observation]:
        for bucket in BUCKETS:
            name = self.declared.buckets.on_store(bucket)
            yield from self._asked(f"bucket {name} location", name, self._location)
            yield from self._asked(f"bucket {name} replication", name, self._copies)
            yield from self._asked(f"bucket {name} encryption", name, self._key)
            if bucket == _EVIDENCE:
                yield from self._asked(f"bucket {name} lock", name, self._lock)

    def _asked(
        self, what: str, name: str, ask: Callable[[str, str], Iterator[Observation]]
    ) -> Iterator[Observation]:
        """Ask one thing; that it fails does not keep the others from being asked."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield from ask(what, name)
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            because = f"the store answered {code} at {error.operation_name}"
            yield unknown(what, "not told", because, "give the attestor's user the right to ask")
        except BotoCoreError as error:
            yield failed(what, OSError(str(error)))

    def _location(self, what: str, name: str) -> Iterator[Observation]:
        if self.declared.own:
            self.s3.head_bucket(Bucket=name)
            because = "the store keeps no location of buckets; they are where it is"
            yield Observation(what, Standing.FOLLOWS, "not kept", because)
        else:
            region = aspects.BY_NAME["location"].read(self.s3, name)
            yield self._in_region(what, region, "what the store says")

    def _in_region(self, what: str, region: str, how: str) -> Observation:
        entry = places.locate(self.declared.provider, region)
        if entry is None:
            because = f"the registry knows no {region} at {self.declared.provider}"
            return unknown(what, region, because, _LOOK)
        return located(what, region, entry, how, country=self.country)

    def _copies(self, what: str, name: str) -> Iterator[Observation]:
        try:
            found = aspects.BY_NAME["replication"].read(self.s3, name)
        except self.s3.exceptions.ClientError as error:
            if str(error.response["Error"]["Code"]) not in _NO_SUCH_SETTING:
                raise
            found = None
        if not found:
            yield Observation(what, Standing.HOME, "none", "the store is told to copy nothing")
        for rule in (found or {}).get("Rules", []):
            yield from self._asked(what, _target(rule), self._copy)

    def _copy(self, what: str, target: str) -> Iterator[Observation]:
        if self.declared.own:
            because = f"it is copied to {target}, and no store of one's own says where that is"
            yield unknown(what, target, because, "take the replication away")
        else:
            region = aspects.BY_NAME["location"].read(self.s3, target)
            yield self._in_region(what, region, f"the location of its copy {target}")

    def _lock(self, what: str, name: str) -> Iterator[Observation]:
        found = aspects.BY_NAME["lock"].read(self.s3, name)
        mode = (found or {}).get("Mode", "")
        value = " ".join([mode, *(f"{n} {unit}" for unit, n in _retention(found))])
        if mode == "COMPLIANCE":
            yield Observation(what, Standing.HOME, value, "nobody can change what is written there")
        else:
            because = "what was attested there could be changed or removed"
            way_out = "lock it, which can be done when a bucket is made: docs/storage.md"
            yield Observation(what, Standing.BROKEN, value.strip(), because, way_out)

    def _key(self, what: str, name: str) -> Iterator[Observation]:
        found = aspects.BY_NAME["encryption"].read(self.s3, name)
        key = found.get("KMSMasterKeyID", "")
        if not key:
            value = found.get("SSEAlgorithm", "none")
            because = "no key of a KMS is named, so none is elsewhere than the store"
            yield Observation(what, Standing.FOLLOWS, value, because)
        elif places.multi_region(key):
            because, way_out = "the key has copies in other regions", "take one of a single region"
            yield Observation(what, Standing.BROKEN, key, because, way_out)
        elif (entry := places.key_region(key)) is not None:
            yield located(what, key, entry, "the name of the key", country=self.country)
        else:
            because = "this does not tell the region of the key"
            yield unknown(what, key, because, "name the key in full, by its ARN or OCID")


def _target(rule: Mapping[str, Any]) -> str:
    return str(rule.get("Destination", {}).get("Bucket", "")).rpartition(":")[2]


def _retention(found: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    return [(unit.lower(), found[unit]) for unit in ("Years", "Days") if found and unit in found]
