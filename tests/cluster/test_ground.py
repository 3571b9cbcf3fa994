"""The ground itself: what it claims to have on, it has."""

import json
import os
import time

import pytest

from tests.cluster.ground import build
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Person, Robot

_POD = {"containers": [{"name": "c", "image": "registry.falaj.example/falaj/serving"}]}


def _deployment(replicas: int) -> str:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": _POD}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    thing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    return json.dumps({**thing, "spec": spec})


@pytest.mark.skipif("KUBEBUILDER_ASSETS" in os.environ, reason="somebody else's programs")
def test_the_api_server_is_the_release_that_go_mod_names(ground: Access) -> None:
    said = json.loads(ground.kubectl("version", "-o", "json").stdout)

    assert said["serverVersion"]["gitVersion"] == build.release()


def test_a_stranger_may_do_nothing(ground: Access, namespace: str) -> None:
    asked = ground.kubectl("-n", namespace, "get", "pods", who=Person("nobody"), check=False)

    assert 'User "nobody" cannot list resource "pods"' in asked.stderr


def test_a_group_is_known_from_the_certificate(ground: Access, namespace: str) -> None:
    ground.kubectl("-n", namespace, "create", "rolebinding", "readers", "--clusterrole=view",
                   "--group=falaj:readers")  # fmt: skip

    seen = ground.get("pods", "-n", namespace, who=Person("amal", ("falaj:readers",)))

    assert seen["items"] == []


def test_a_service_account_is_known_by_its_token(ground: Access, namespace: str) -> None:
    ground.kubectl("-n", namespace, "create", "serviceaccount", "robot")

    who = ground.kubectl("auth", "whoami", "-o", "json", who=Robot(namespace, "robot")).stdout

    user = json.loads(who)["status"]["userInfo"]["username"]
    assert user == f"system:serviceaccount:{namespace}:robot"


def test_pods_of_a_deployment_run_and_are_collected_with_it(ground: Access, namespace: str) -> None:
    ground.kubectl("-n", namespace, "apply", "-f", "-", input=_deployment(3))
    ground.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")

    ground.kubectl("-n", namespace, "delete", "deployment", "web")

    ground.kubectl("-n", namespace, "wait", "--for=delete", "pod", "-l", "app=web", "--timeout=60s")


def test_pod_security_refuses_what_is_not_restricted(ground: Access, namespace: str) -> None:
    ground.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": _POD}

    refused = ground.kubectl(
        "-n", namespace, "apply", "-f", "-", input=json.dumps(pod), check=False
    )

    assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def test_an_admission_policy_is_obeyed(ground: Access, namespace: str) -> None:
    name = f"no-configmaps-in-{namespace}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [_rule("configmaps")]},
            "validations": [{"expression": "false", "message": "not here"}],
        },
    }
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": where},
        },
    }
    for thing in (policy, binding):
        ground.kubectl("apply", "-f", "-", input=json.dumps(thing))

    assert "not here" in _until_refused(ground, namespace)

    ground.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


def test_a_misspelt_field_of_a_custom_resource_is_refused(ground: Access, namespace: str) -> None:
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "m"},
        "spec": {"predictor": {"modle": {"modelFormat": {"name": "falaj-onnx"}}}},
    }
    arguments = ("-n", namespace, "apply", "--server-side", "--validate=strict", "-f", "-")

    refused = ground.kubectl(*arguments, input=json.dumps(service), check=False)

    assert "modle: field not declared in schema" in refused.stderr


def test_what_is_done_is_in_the_audit_log(ground: Access, namespace: str) -> None:
    ground.kubectl("-n", namespace, "create", "serviceaccount", "traced")

    events = [json.loads(line) for line in ground.audit.read_text().splitlines()]
    made = [e for e in events if e.get("objectRef", {}).get("name") == "traced"]
    assert {(e["verb"], e["user"]["username"]) for e in made} >= {("create", "admin")}


def _rule(resource: str) -> dict[str, list[str]]:
    return {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": [resource],
    }


def _until_refused(ground: Access, namespace: str) -> str:
    """A new policy holds after a moment; try until it does."""
    for number in range(60):
        made = ground.kubectl("-n", namespace, "create", "configmap", f"c{number}", check=False)
        if made.returncode:
            return made.stderr
        time.sleep(0.5)
    pytest.fail("the policy never held")
