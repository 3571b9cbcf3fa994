"""Hold a few objects of one file of tests to policies, and nothing else of the cluster.

Policies are those that ship, under names of their own; a binding asks only of objects that carry
a label of this court. So other tests on the same API server go on as before.
"""

import contextlib
import copy
import pathlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from components.governance.residency import definition, policies, profiles, rules
from components.governance.residency.rules import Policy
from tests.cluster.ground import crds, derived, loading
from tests.cluster.ground.clients import Access
from tests.cluster.residency.asking import Answer, Server
from tests.components.governance.residency import corpus

Thing = dict[str, Any]
TRY = "falaj.example/try"
_KINDS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
ROOT = f"/apis/{policies.ADMISSION}"
PROFILES = f"/apis/{profiles.API_VERSION}/{definition.PLURAL}"
APPLY = "application/apply-patch+yaml"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SECONDS = 60.0
_KINDS_OF_CORPUS = pathlib.Path(corpus.__file__).with_name("kinds.yaml")


@dataclass
class Court:
    """Where one file of tests has its objects judged."""

    ground: Access
    server: Server
    namespace: str
    label: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    made: list[str] = field(default_factory=list)

    def named(self, law: str) -> Thing:
        """Return the label of objects that are held to a law."""
        return {TRY: f"{self.label}-{law}"}

    def held(self, thing: Thing, law: str) -> Thing:
        """Return an object that is held to a law here."""
        other = copy.deepcopy(thing)
        metadata = other.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), **self.named(law)}
        if self.server.serves(thing["apiVersion"], thing["kind"]).namespaced:  # type: ignore[union-attr]
            metadata["namespace"] = self.namespace
        return other

    def judge(self, thing: Thing, law: str) -> Answer:
        """Ask by a dry run."""
        return self.server.create(self.held(thing, law), self.namespace)

    def bind(self, policy: Policy, law: str) -> Thing:
        """Return a binding of a policy that asks only of what this court is to judge."""
        found = self.own(policies.binding(policy, law), f"-{law}")
        found["spec"]["policyName"] += f"-{self.label}"
        found["spec"]["matchResources"] = {"objectSelector": {"matchLabels": self.named(law)}}
        return found

    def own(self, thing: Thing, suffix: str = "") -> Thing:
        """Return an object under a name of this court's."""
        other = copy.deepcopy(thing)
        other["metadata"]["name"] += f"-{self.label}{suffix}"
        return other

    def make(self, thing: Thing) -> None:
        """Create a policy or a binding; it goes with the court."""
        where = f"{ROOT}/{_KINDS[thing['kind']]}"
        answer = self.server.send("POST", where, thing)
        assert answer.taken, answer.said
        self.made.append(f"{where}/{thing['metadata']['name']}")

    def drop(self, thing: Thing) -> None:
        """Delete one before the court ends."""
        path = f"{ROOT}/{_KINDS[thing['kind']]}/{thing['metadata']['name']}"
        self.server.send("DELETE", path)
        self.made.remove(path)


@contextlib.contextmanager
def sitting(ground: Access, namespace: str) -> Iterator[Court]:
    """Set up an empty court: the kinds are known, the profiles are there."""
    with ground.client() as api:
        court = Court(ground, Server(api), namespace)
        _know(court)
        _profiles(court)
        try:
            yield court
        finally:
            for path in reversed(court.made):
                court.server.send("DELETE", path)


@contextlib.contextmanager
def in_session(
    ground: Access, namespace: str, laws: Sequence[str], chosen: Sequence[Policy] = ()
) -> Iterator[Court]:
    """Put policies into force for some laws, all of them if none is named."""
    with sitting(ground, namespace) as court:
        for policy in chosen or rules.policies():
            court.make(court.own(policies.admission(policy)))
            for law in laws:
                court.make(court.bind(policy, law))
        yield court


def until(ask: Any, what: str) -> Any:
    deadline = time.monotonic() + _SECONDS
    while (answer := ask()) in (None, False):
        assert time.monotonic() < deadline, f"not in {_SECONDS:g} s: {what}"
        time.sleep(0.1)
    return answer


def _know(court: Court) -> None:
    """Have the API server know every kind of the corpus, by a few lines where nothing better is."""
    own = crds.own()
    where = f"{_CRDS}/{own['metadata']['name']}?fieldManager=tests&force=true"
    answer = court.server.send("PATCH", where, own, kind=APPLY)  # a kept one may have an older
    assert answer.taken, answer.said
    until(lambda: court.server.serves(profiles.API_VERSION, profiles.KIND), "profiles are served")
    asked = {(one.thing["apiVersion"], one.thing["kind"]) for one in corpus.cases()}
    unknown = [one for one in sorted(asked) if court.server.serves(*one) is None]
    known = yaml.safe_load(_KINDS_OF_CORPUS.read_text(encoding="utf-8"))
    rows = {(f"{row['group']}/{row['version']}", row["kind"]): row for row in known}
    loading.load(court.ground, [_definition(rows[one]) for one in unknown])


def _definition(row: Thing) -> Thing:
    named = {key: row[key] for key in ("plural", "version", "scope")}
    return derived.definition(row["group"], row["kind"], schema=_ANYTHING, **named)


def _profiles(court: Court) -> None:
    for name, profile in profiles.all_by_name().items():
        path = f"{PROFILES}/{name}?fieldManager=tests&force=true"
        answer = court.server.send("PATCH", path, profile, kind=APPLY)
        assert answer.taken, answer.said
