"""Render rules as ValidatingAdmissionPolicies, with parameters or without, and bind them."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.governance.residency.nesting import Variables, nested
from components.governance.residency.profiles import API_VERSION, KIND, STRICTEST
from components.governance.residency.reading import LABEL
from components.governance.residency.rules import Match, Policy

ADMISSION = "admissionregistration.k8s.io/v1"
STATIC = ".static.k8s.io"
# Namespaces without which a cluster neither runs nor heals, and what refusing would break there.
EXEMPT: Mapping[str, str] = {
    "kube-system": "the cluster's own pods could not come back after a failure",
    "kube-public": "nodes could not learn the address of the cluster that they join",
}
_SAID = "variables.subject + ': ' + variables.findings.join('. ') + '. ' + variables.profile.law"
_MOVED = "variables.transfers.join('; ')"  # an empty one is not written
_FOUND = "size(variables.abroad) > 0 || size(variables.refused) > 0"
_HERE = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [*EXEMPT]}


def admission(policy: Policy) -> dict[str, Any]:
    """Return the policy that takes its profile as a parameter."""
    found = _policy(name(policy), policy, policy.variables)
    found["spec"]["paramKind"] = {"apiVersion": API_VERSION, "kind": KIND}
    return found


def static(policy: Policy, profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy as a file for the API server: no parameter, the profile is in it.

    Its sentences do not tell the country that a place abroad is in: every policy would hold, and
    the API server compile, the table of all regions.
    """
    told = literal({**profile["spec"], "elsewhere": ""})
    variables = [
        (variable, told if variable == "profile" else expression)
        for variable, expression in policy.variables
    ]
    return _policy(name(policy) + STATIC, policy, variables)


def binding(policy: Policy, law: str) -> dict[str, Any]:
    """Bind a policy for the law of a site: to namespaces that name it, and what is in none.

    A selector of namespaces leaves nothing out that lies in no namespace.
    """
    return _bound(name(policy), policy, law, {"matchLabels": {LABEL: law}})


def strictest(policy: Policy, law: str) -> dict[str, Any]:
    """Bind a policy for every other namespace: without a label, or with that of another law."""
    others = {"key": LABEL, "operator": "NotIn", "values": [law]}
    selector = {"matchExpressions": [others, dict(_HERE)]}
    found = _bound(f"{name(policy)}-{STRICTEST}", policy, STRICTEST, selector)
    found["spec"]["matchResources"]["resourceRules"] = [_anything_in_a_namespace()]
    return found


def static_binding(policy: Policy) -> dict[str, Any]:
    """Bind a policy that is a file for the API server, everywhere but where a cluster is itself."""
    full = name(policy) + STATIC
    matching = {"namespaceSelector": {"matchExpressions": [dict(_HERE)]}}
    return _binding(full, {"policyName": full, "matchResources": matching})


def name(policy: Policy) -> str:
    return f"falaj-residency-{policy.name}"


def literal(value: Any) -> str:
    """Write a value as CEL; `dyn` lets a map hold values of several types."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case Mapping():
            pairs = (f"{literal(key)}: dyn({literal(one)})" for key, one in value.items())
            return "{" + ", ".join(pairs) + "}"
        case Sequence():
            return "[" + ", ".join(map(literal, value)) + "]"
    raise TypeError(f"{value!r}: no profile holds a {type(value).__name__}")


def _policy(full: str, policy: Policy, variables: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": full},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [_rule(one) for one in policy.matches]},
            **_conditions(policy, variables),
            "variables": [{"name": one, "expression": text} for one, text in variables],
            "validations": [
                {
                    "expression": "size(variables.findings) == 0",
                    "messageExpression": _SAID,
                    "reason": "Forbidden",
                }
            ],
            "auditAnnotations": [{"key": "transfer", "valueExpression": _MOVED}],
        },
    }


def _conditions(policy: Policy, variables: Variables) -> dict[str, Any]:
    """Spare whom a policy leaves alone, and what is written often and says nothing of abroad.

    The second costs the API server a second when it reads the policy, so few have it.
    """
    unless = f"!(request.userInfo.username in {literal(policy.unless)})"
    found = [
        *([{"name": "not-by-kubernetes-itself", "expression": unless}] if policy.unless else []),
        *(
            [{"name": "finds-something", "expression": nested(_FOUND, variables)}]
            if policy.often
            else []
        ),
    ]
    return {"matchConditions": found} if found else {}


def _bound(full: str, policy: Policy, profile: str, selector: Mapping[str, Any]) -> dict[str, Any]:
    spec = {
        "policyName": name(policy),
        "paramRef": {"name": profile, "parameterNotFoundAction": "Deny"},
        "matchResources": {"namespaceSelector": selector},
    }
    return _binding(full, spec)


def _binding(full: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": full},
        "spec": {**spec, "validationActions": ["Deny", "Audit"]},
    }


def _rule(match: Match) -> dict[str, Any]:
    return {
        "apiGroups": [match.group],
        "apiVersions": ["*"],  # an object is judged in the version it is asked for in
        "operations": ["CREATE", "UPDATE"],
        "resources": list(match.resources),
    }


def _anything_in_a_namespace() -> dict[str, Any]:
    return {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["*"],
        "resources": ["*/*"],
        "scope": "Namespaced",
    }
