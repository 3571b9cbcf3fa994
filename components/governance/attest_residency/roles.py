"""What the attestor may read: every kind that a rule covers but Secrets; it writes nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.governance.residency import rules
from components.governance.residency.definition import GROUP, PLURAL

NAME = "falaj-residency-attestor"
UNREAD = frozenset({"secrets"})  # were judged when they were written; nobody here opens them
# In no namespace, of all that rules cover. Group and plural, or a plural that tells by its name.
_WIDE = {
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumes"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("auditregistration.k8s.io", "auditsinks"),
    ("cilium.io", "ciliumcidrgroups"),
    ("cilium.io", "ciliumegressgatewaypolicies"),
    ("groupsnapshot.storage.k8s.io", "volumegroupsnapshotclasses"),
    ("groupsnapshot.storage.k8s.io", "volumegroupsnapshotcontents"),
    ("karpenter.sh", "nodepools"),
    ("kueue.x-k8s.io", "multikueueclusters"),
    ("logging.banzaicloud.io", "syslogngclusteroutputs"),
    ("objectstorage.k8s.io", "bucketaccessclasses"),
    ("objectstorage.k8s.io", "bucketclasses"),
    ("policy.networking.k8s.io", "adminnetworkpolicies"),
    ("policy.networking.k8s.io", "baselineadminnetworkpolicies"),
    ("s3.aws.upbound.io", "bucketreplicationconfigurations"),
    ("s3.aws.upbound.io", "buckets"),
    ("serving.kserve.io", "localmodelcaches"),
    ("snapshot.storage.k8s.io", "volumesnapshotclasses"),
    ("snapshot.storage.k8s.io", "volumesnapshotcontents"),
    ("storage.azure.upbound.io", "accounts"),
    ("storage.gcp.upbound.io", "buckets"),
    ("storage.k8s.io", "storageclasses"),
}
_NOT_WIDE = {
    ("postgresql.cnpg.io", "clusters"),
    ("observability.openshift.io", "clusterlogforwarders"),
}
_POLICIES = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")


def asked() -> list[tuple[str, str]]:
    """Return group and plural of every kind that a rule covers and that is read."""
    found = {
        (match.group, plural)
        for policy in rules.policies()
        for match in policy.matches
        for plural in match.resources
    }
    return sorted(one for one in found if "/" not in one[1] and one[1] not in UNREAD)


def wide(group: str, plural: str) -> bool:
    """Say whether a kind is in no namespace."""
    named = plural.startswith(("cluster", "ciliumclusterwide"))
    return (group, plural) in _WIDE or (named and (group, plural) not in _NOT_WIDE)


def role() -> list[dict[str, Any]]:
    """Return the rules of the Role."""
    return list(_rules(one for one in asked() if not wide(*one)))


def cluster_role() -> list[dict[str, Any]]:
    """Return the rules of the ClusterRole; policies and profiles are read to be compared."""
    policies = [("admissionregistration.k8s.io", one) for one in _POLICIES]
    everywhere = [one for one in asked() if wide(*one)]
    return list(_rules(sorted([*everywhere, *policies, (GROUP, PLURAL)])))


def _rules(kinds: Any) -> Iterator[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for group, plural in kinds:
        groups.setdefault(group, []).append(plural)
    for group, plurals in groups.items():
        yield {"apiGroups": [group], "resources": plurals, "verbs": ["get", "list"]}


def files() -> Mapping[str, str]:
    """Return the text of both files of manifests/attestor, by name."""
    heads = {
        "ClusterRole": ("What the attestor reads that is in no namespace, and no Secret.", {}),
        "Role": (
            "What the attestor reads of its namespace: every kind that a rule covers, no Secret.",
            {"namespace": "falaj"},
        ),
    }
    rules_of = {"ClusterRole": cluster_role(), "Role": role()}
    return {
        f"{kind.lower()}-{NAME}.yaml": _text(kind, why, where, rules_of[kind])
        for kind, (why, where) in heads.items()
    }


def _text(kind: str, why: str, where: Mapping[str, str], rules_: list[dict[str, Any]]) -> str:
    import yaml

    thing = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": NAME, **where},
        "rules": rules_,
    }
    written = yaml.safe_dump(thing, sort_keys=False, width=100, default_flow_style=None)
    head = (
        f"# {why}\n# Written of the rules: python -m components.governance.attest_residency.roles"
    )
    return f"{head}\n{written}"


def main() -> None:
    """Write both files into manifests/attestor."""
    import pathlib

    for name, text in files().items():
        (pathlib.Path("manifests/attestor") / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
