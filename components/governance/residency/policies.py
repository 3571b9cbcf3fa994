"""Render rules as ValidatingAdmissionPolicies, with parameters or without."""

from typing import Any

from components.governance.residency.profiles import API_VERSION, KIND
from components.governance.residency.rules import Match, Policy

_SAID = "variables.subject + ': ' + variables.findings.join('. ') + '. ' + variables.profile.law"
_MOVED = "variables.transfers.join('; ')"  # an empty one is not written


def admission(policy: Policy) -> dict[str, Any]:
    """Return the policy that takes its profile as a parameter."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"falaj-residency-{policy.name}"},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": API_VERSION, "kind": KIND},
            "matchConstraints": {"resourceRules": [_rule(one) for one in policy.matches]},
            "matchConditions": _conditions(policy),
            "variables": [{"name": name, "expression": text} for name, text in policy.variables],
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


def _conditions(policy: Policy) -> list[dict[str, str]]:
    said = f"!(request.userInfo.username in {list(policy.unless)})"
    return [{"name": "not-by-kubernetes-itself", "expression": said}] if policy.unless else []


def _rule(match: Match) -> dict[str, Any]:
    return {
        "apiGroups": [match.group],
        "apiVersions": ["*"],  # an object is judged in the version it is asked for in
        "operations": ["CREATE", "UPDATE"],
        "resources": list(match.resources),
    }
