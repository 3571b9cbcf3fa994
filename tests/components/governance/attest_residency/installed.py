"""A whole installation in memory: policies in force, nodes and a volume at home, two objects."""

from typing import Any

from components.foundation.site import Profile
from components.governance.attest_residency.declared import Declared
from components.governance.attest_residency.readers.nodes import COUNTRY
from components.governance.residency import policies, profiles, rules
from tests.components.governance.attest_residency.recorded import Thing

SITE = {
    "AWS_ENDPOINT_URL": "http://s3.bank.ae:8333",
    "AWS_REGION": "us-east-1",
    "FALAJ_BUCKETS": "s3://falaj",
    "FALAJ_COUNTRY": "AE",
    "FALAJ_NAMESPACE": "falaj",
    "FALAJ_PROVIDER": "on-premises",
    "FALAJ_STORE_ADDRESSES": "10.1.0.0/16",
}
BASIS = {
    "id": "t-2026-014",
    "article": "PDPL 23(1)(a)",
    "places": ["aws/me-south-1", "s3.me-south-1.amazonaws.com"],
    "recordedBy": "data protection officer",
    "recordedOn": "2026-11-01",
}


def site(law: str, **changes: str) -> Declared:
    return Declared.from_environment({**SITE, "FALAJ_RESIDENCY": law, **changes})


def defaulted(policy: Thing) -> Thing:
    """Fill in what an API server fills in."""
    filled = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    spec = dict(policy["spec"])
    for name in ("matchConstraints", "matchResources"):
        if name in spec:
            asked = [{"scope": "*", **rule} for rule in spec[name].get("resourceRules", [])]
            rules_ = {"resourceRules": asked} if asked else {}
            spec[name] = {**filled, **spec[name], **rules_}
    return {**policy, "spec": spec}


def in_force(law: str, bases: tuple[Thing, ...] = ()) -> list[Thing]:
    """Return profiles, policies and bindings as a cluster has them under a law."""
    found = profiles.all_by_name()
    found[law]["spec"] |= {"bases": list(bases), "hosts": ["registry.falaj.example"]}
    things = [*found.values()]
    for policy in rules.policies():
        made = (
            policies.admission(policy),
            policies.binding(policy, law),
            policies.strictest(policy, law),
        )
        things += [defaulted(one) for one in made]
    return things


def node() -> Thing:
    metadata = {"name": "n1", "labels": {COUNTRY: "AE", "kubernetes.io/hostname": "n1"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}}


def pod(name: str = "p", basis: str = "", **env: str) -> Thing:
    container = {
        "name": "main",
        "image": "registry.falaj.example/falaj/data",
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "falaj",
        "managedFields": [{"manager": "kubectl", "time": "2026-11-29T12:00:00Z"}],
    }
    if basis:
        metadata["annotations"] = {"falaj.example/transfer-basis": basis}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container]},
    }


HARD = [str(one) for one in Profile if one.hard_local]
SOFT = [str(one) for one in Profile if not one.hard_local]


class Weed:
    """A store as SeaweedFS answers for buckets that are as they should be."""

    class exceptions:  # noqa: N801 - botocore's name
        ClientError = ArithmeticError

    def head_bucket(self, **asked: str) -> None: ...

    def get_bucket_replication(self, **asked: str) -> Thing:
        return {}

    def get_bucket_encryption(self, **asked: str) -> Thing:
        return {}

    def get_object_lock_configuration(self, **asked: str) -> Thing:
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 25}}
        return {"ObjectLockConfiguration": {"Rule": rule}}
