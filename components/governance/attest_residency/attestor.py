"""Look at everything there is, judge it, and leave a signed statement of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation import digests, verdict
from components.foundation.audit import AuditLog
from components.foundation.errors import FalajError, InfrastructureError, Refused
from components.foundation.kubernetes.client import Cluster
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from components.governance.attest_residency import bases, ledger, observation, statement
from components.governance.attest_residency.declared import Declared
from components.governance.attest_residency.ledger import Transfer
from components.governance.attest_residency.listing import Listing
from components.governance.attest_residency.observation import Observation, Reader, Standing
from components.governance.attest_residency.readers import policies
from components.governance.attest_residency.readers.addresses import Endpoint
from components.governance.attest_residency.readers.buckets import Buckets
from components.governance.attest_residency.readers.nodes import Nodes
from components.governance.attest_residency.readers.objects import Objects
from components.governance.attest_residency.readers.policies import Policies
from components.governance.attest_residency.readers.store import Store
from components.governance.attest_residency.readers.volumes import Volumes
from components.governance.attest_residency.statement import Statement
from components.governance.residency import policies as rendered
from components.governance.residency import profiles, rules

if TYPE_CHECKING:
    from components.foundation.buckets.aspects import Client

_SIGNED = ("law", "hardLocal", "country", "hosts", "networks", "bases")


@dataclass(frozen=True)
class Attestor:
    """Looks at one installation.

    Attributes:
        declared: what it says of itself.
        cluster: where it runs.
        s3: a client of the store's own API.
    """

    declared: Declared
    cluster: Cluster
    s3: "Client"

    def look(self) -> Statement:
        """Have every reader look and judge what they saw; nothing is written."""
        time, transfers = verdict.now(), list[Transfer]()
        listing = Listing(self.cluster)
        profile, unread = self._profile(listing)
        readers = self._readers(listing, profile, transfers)
        seen = [*unread, *observation.look(readers)]
        name, facts = self.declared.namespace, self.declared.facts()
        transfers += _placed(name, seen, profile, on=time[:10])
        law = _law(profile)
        found = statement.judged(name, facts, seen, law, time=time)
        return Statement(name, facts, law, rules_digest(), tuple(seen), tuple(transfers), found)

    def _profile(self, listing: Listing) -> tuple[Mapping[str, Any], list[observation.Observation]]:
        """Return the law as the cluster has it; the one that ships, where that cannot be read."""
        law = self.declared.profile
        try:
            return policies.standing_law(listing, law), []
        except (FalajError, KeyError, TypeError, AttributeError) as error:
            return profiles.profile(law), [observation.failed(f"ResidencyProfile {law}", error)]

    def _readers(
        self, listing: Listing, profile: Mapping[str, Any], transfers: list[Transfer]
    ) -> Mapping[str, Reader]:
        declared, country = self.declared, str(profile["spec"]["country"])
        readers: dict[str, Reader] = {
            "buckets": Buckets(self.s3, declared, country),
            "endpoint": Endpoint(declared, country),
            "nodes": Nodes(listing, country),
            "volumes": Volumes(listing, declared.namespace, country),
            "policies": Policies(listing, declared.profile),
            "objects": Objects(listing, declared.namespace, profile, transfers),
        }
        if declared.service is not None:
            readers["object store"] = Store(listing, *declared.service, country)
        return readers


def _placed(
    name: str, seen: Sequence[Observation], profile: Mapping[str, Any], *, on: str
) -> Iterator[Transfer]:
    """Yield as transfers what lies abroad itself, where a basis names its place."""
    for one in seen:
        if one.standing is not Standing.ABROAD or one.basis:
            continue
        basis = bases.of("", one.place, profile["spec"], on=on)
        if basis is not None:
            law = str(profile["metadata"]["name"])
            id, article = str(basis["id"]), str(basis["article"])
            recorded = str(basis["recordedBy"]), str(basis["recordedOn"])
            what = ("scan", "whoever set it up", f"installation {name}", one.what, one.place)
            yield Transfer(*what, id, article, *recorded, law)


def attest(attestor: Attestor, *, store: ObjectStore, keys: KeyRing) -> Iterator[str]:
    """Look, sign, write; yield what to tell of it, the verdict last.

    Raises:
        Refused: what was seen is not what the law allows; the statement is written all the same.
        InfrastructureError: something could not be asked and may be later; likewise.
    """
    found = attestor.look()
    address, entry = statement.publish(found, store=store, keys=keys)
    ledger.note(AuditLog(store), found.transfers)
    yield from (f"  {one}" for one in found.observations)
    yield from (f"  transfer: {one.subject}: {one.field} = {one.value}" for one in found.transfers)
    yield f"{address}, entry {entry.number} of the audit log"
    yield str(found.verdict)
    _ended(found)


def _ended(found: Statement) -> None:
    """Raise what the exit code says: a refusal first, as no second look mends that."""
    passing = [one for one in found.observations if one.passing]
    spec, day = found.profile["spec"], found.verdict.time[:10]
    lasting = [
        one
        for one in found.observations
        if not one.passing and not observation.allowed(one, spec, on=day)
    ]
    if lasting:
        raise Refused(found.verdict.reason, code="residency-refused")
    if passing:
        raise InfrastructureError(
            f"{passing[0]}; {len(passing)} things could not be asked now, which the statement "
            "says; run again",
            code="attestation-incomplete",
        )


def _law(profile: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what of a profile a verdict follows from; the registry's places are not repeated."""
    said = {name: profile["spec"][name] for name in _SIGNED}
    return {"metadata": {"name": profile["metadata"]["name"]}, "spec": said}


def rules_digest() -> str:
    """Digest the policies as the rules render them."""
    return str(digests.of_json([rendered.admission(one) for one in rules.policies()]))
