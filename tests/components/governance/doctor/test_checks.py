"""An installation that lacks nothing is well; with one thing broken, one sentence says which."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from components.foundation.errors import FalajError, Refused, UserError
from components.foundation.site import Pipelines, Site
from components.foundation.storage import NotFound
from components.governance.doctor.interface import Status
from components.governance.doctor.web import Page
from tests.components.governance.doctor import fit
from tests.components.governance.doctor.fit import Case

Break = Callable[[Case], object]

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
BINDINGS = f"{ADMISSION}/validatingadmissionpolicybindings"
POLICIES = f"{ADMISSION}/validatingadmissionpolicies"
KSERVE = "/apis/serving.kserve.io/v1alpha1"
SETTINGS = f"/api/v1/namespaces/kserve/configmaps/{fit.CONFIG}"
NAMESPACE = f"/api/v1/namespaces/{fit.HOME}"
ISVC = "/openapi/v3/apis/serving.kserve.io/v1beta1"
SEALED = f"{KSERVE}/clusterstoragecontainers/falaj-sealed"
ONNX = f"{KSERVE}/clusterservingruntimes/falaj-onnx"
CLASS = "/apis/storage.k8s.io/v1/storageclasses/falaj"
PROMETHEUS = f"{fit.METRICS}/api/v1/query?"
DENIED = Refused("GET Secret: forbidden; the identity needs get", code="kubernetes-forbidden")


def gone(path: str) -> Break:
    """Return what takes an object away."""
    return lambda case: case.api.at.pop(path)


def changed(path: str, *keys: str, to: Any) -> Break:
    """Return what changes one field of an object; None takes it away."""

    def change(case: Case) -> None:
        node = case.api.at[path]
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = to
        if to is None:
            del node[keys[-1]]

    return change


def core(plural: str, name: str) -> str:
    return f"{NAMESPACE}/{plural}/{name}"


def kserve(entry: str, **settings: Any) -> Break:
    return changed(SETTINGS, "data", entry, to=json.dumps(settings))


def condition(kind: str, **more: str) -> Break:
    def change(case: Case) -> None:
        given = case.api.at[fit.GATEWAY]["status"]["conditions"]
        next(one for one in given if one["type"] == kind).update(status="False", **more)

    return change


def filtered(collection: str, but: str) -> Break:
    """Return what takes away the items whose name holds some words."""

    def change(case: Case) -> None:
        items = case.api.at[collection]["items"]
        case.api.at[collection]["items"] = [i for i in items if but not in i["metadata"]["name"]]

    return change


def denied(account: str, right: str) -> Break:
    return lambda case: case.api.denied.add((account, right))


def found(**facts: Any) -> Break:
    return lambda case: setattr(case.api, "found", dataclasses.replace(case.api.found, **facts))


def of_pipelines(says: bool | FalajError) -> Break:
    def ask() -> bool:
        if isinstance(says, FalajError):
            raise says
        return says

    return lambda case: setattr(case, "several_users", ask)


def account(name: str) -> Break:
    def change(case: Case) -> None:
        assert case.site.pipelines is not None
        pipelines = case.site.pipelines.model_copy(update={"service_account": name})
        case.site = case.site.model_copy(update={"pipelines": pipelines})

    return change


def page(start: str, status: int, text: str = "") -> Break:
    return lambda case: case.web.pages.update({start: Page(status, text)})


def audited(case: Case) -> None:
    """Have one policy only noted, not refuse."""
    for one in case.api.at[BINDINGS]["items"]:
        if one["metadata"]["name"] == "falaj-residency-pods":
            one["spec"]["validationActions"] = ["Audit"]


def relawed(case: Case) -> None:
    """Have the namespaces of this law held to another one's profile."""
    for one in case.api.at[BINDINGS]["items"]:
        if one["spec"].get("paramRef", {}).get("name") == "health":
            one["spec"]["paramRef"]["name"] = "pdpl"


def older(case: Case) -> None:
    case.api.at["/apis/serving.kserve.io/v1beta1"]["resources"] = []
    case.api.at["/apis/serving.kserve.io"] = {"versions": [{"version": "v1alpha2"}]}


MISSING, WARNING, UNKNOWN = Status.MISSING, Status.WARNING, Status.UNKNOWN
BROKEN: dict[str, tuple[Break, str, Status, str]] = {
    "an old Kubernetes": (changed("/version", "gitVersion", to="v1.29.9"), "API server", MISSING,
        "v1.29.9; expected 1.30 or newer; upgrade Kubernetes"),
    "an API server that cannot say who asks": (
        lambda case: setattr(case.api, "who", NotFound("POST: gone", code="kubernetes-missing")),
        "identity", UNKNOWN, "POST: gone; upgrade Kubernetes"),
    "an odd release": (changed("/version", "gitVersion", to="dev"), "API server", UNKNOWN,
        "it calls itself 'dev'"),
    "no KServe": (gone("/apis/serving.kserve.io/v1beta1"),
        "InferenceService serving.kserve.io/v1beta1", MISSING, "install KServe 0.21 or newer"),
    "a KServe of long ago": (older, "InferenceService serving.kserve.io/v1beta1", MISSING,
        "not in serving.kserve.io v1alpha2; expected InferenceService serving.kserve.io/v1beta1"),
    "a KServe without canary": (
        changed(ISVC, "components", "schemas", "InferenceService", "properties", "spec",
            "properties", "canary", to=None),
        "InferenceService spec.canary", WARNING, "has no field spec.canary"),
    "a field that is not there": (
        changed(ISVC, "components", "schemas", "InferenceService", "properties", "spec",
            "properties", "predictor", to={"properties": {}}),
        "InferenceService serving.kserve.io/v1beta1", MISSING,
        "has no field spec.predictor.model.storageUri, spec.predictor.model.runtime"),
    "fields that are not told": (gone(ISVC), "InferenceService serving.kserve.io/v1beta1", UNKNOWN,
        "served, but its fields are not told"),
    "no Gateway API": (gone("/apis/gateway.networking.k8s.io/v1"),
        "HTTPRoute gateway.networking.k8s.io/v1", MISSING, "install the Gateway API's standard"),
    "no Trainer": (gone("/apis/trainer.kubeflow.org/v1alpha1"),
        "TrainJob trainer.kubeflow.org/v1alpha1", WARNING, "for training on several nodes"),
    "our kind of yesterday": (
        changed("/openapi/v3/apis/falaj.example/v1", "components", "schemas", "ResidencyProfile",
            "properties", "spec", "properties", "networks", to=None),
        "ResidencyProfile falaj.example/v1", MISSING, "-k manifests/definitions"),
    "no namespace": (gone(NAMESPACE), "namespace falaj", MISSING, "apply your overlay"),
    "pods as they like": (
        changed(NAMESPACE, "metadata", "labels", "pod-security.kubernetes.io/enforce",
            to="baseline"),
        "Pod Security of falaj", WARNING, "baseline; expected restricted"),
    "no site": (gone(core("configmaps", "falaj-site")), "ConfigMap falaj-site", MISSING,
        "not there; expected what steps and serving pods learn the site from"),
    "another region": (changed(core("configmaps", "falaj-site"), "data", "AWS_REGION", to="x"),
        "ConfigMap falaj-site", MISSING, "AWS_REGION is x; expected as in the site file: AWS_RE"),
    "a root with a query": (
        changed(core("configmaps", "kfp-launcher"), "data", "defaultPipelineRoot", to="s3://a?b=c"),
        "ConfigMap kfp-launcher", MISSING, "without a query string"),
    "no launcher": (gone(core("configmaps", "kfp-launcher")), "ConfigMap kfp-launcher", MISSING,
        "expected what tells the launcher where to keep artifacts"),
    "no law": (changed(NAMESPACE, "metadata", "labels", "falaj.example/residency", to=None),
        "law of namespace falaj", MISSING, "the strictest holds; expected health"),
    "another law": (changed(NAMESPACE, "metadata", "labels", "falaj.example/residency", to="pdpl"),
        "law of namespace falaj", MISSING, "falaj.example/residency is pdpl; expected health"),
    "no profile": (gone("/apis/falaj.example/v1/residencyprofiles/health"),
        "ResidencyProfile health", MISSING, "add the feature residency"),
    "no guard": (gone(f"{BINDINGS}/falaj-law"), "policy falaj-law", MISSING, "not bound"),
    "a guard that is bound and gone": (gone(f"{POLICIES}/falaj-law"), "policy falaj-law", MISSING,
        "not there; expected a policy that lets nobody change a namespace's law"),
    "a policy unbound": (filtered(BINDINGS, "falaj-residency-models"), "policies on residency",
        MISSING, "hold for health; not falaj-residency-models; expected all"),
    "a policy gone": (filtered(POLICIES, "falaj-residency-pods"), "policies on residency",
        MISSING, "not falaj-residency-pods; expected all"),
    "policies under another law": (relawed, "policies on residency", MISSING,
        " hold for health; not falaj-residency-alertmanagerconfigs"),
    "a policy that only notes": (audited, "policies on residency", WARNING,
        "falaj-residency-pods refuses nothing; expected validationActions with Deny"),
    "no runner": (gone(core("serviceaccounts", "falaj-runner")), "ServiceAccount falaj-runner",
        MISSING, "apply your overlay, which has manifests/rbac"),
    "a runner without routes": (
        denied("falaj-runner", "patch httproutes.gateway.networking.k8s.io"),
        "falaj-runner may roll_out", MISSING,
        "may not patch httproutes.gateway.networking.k8s.io; expected all 7 rights"),
    "somebody without rights": (denied("", "create runs.pipelines.kubeflow.org"),
        "this identity may run", WARNING, "may not create runs.pipelines.kubeflow.org"),
    "no Secret": (gone(core("secrets", "falaj-keys")), "Secret falaj-keys", MISSING,
        "as docs/cluster.md section 4 says"),
    "no Secret that few need": (gone(core("secrets", "falaj-online-store")),
        "Secret falaj-online-store", WARNING, "transformers find Feast's online store"),
    "a Secret out of sight": (
        lambda case: case.api.at.update({core("secrets", "falaj-keys"): DENIED}),
        "Secret falaj-keys", UNKNOWN, "forbidden; the identity needs get; have that granted"),
    "no policy of releases": (gone(core("configmaps", "falaj-policy")), "ConfigMap falaj-policy",
        MISSING, "without it they open none"),
    "an empty policy": (changed(core("configmaps", "falaj-policy"), "data", to={}),
        "ConfigMap falaj-policy", MISSING, "has no entry policy.yaml"),
    "no class of volumes": (gone(CLASS), "StorageClass falaj", WARNING, "add the feature aws"),
    "volumes that go": (changed(CLASS, "reclaimPolicy", to="Delete"), "StorageClass falaj", WARNING,
        "reclaimPolicy Delete; expected Retain"),
    "no KServe settings": (gone(SETTINGS), "KServe settings", MISSING,
        "no ConfigMap inferenceservice-config in kserve or kubeflow"),
    "settings out of sight": (lambda case: case.api.at.update({SETTINGS: DENIED}),
        "KServe settings", UNKNOWN, "have that granted, or let an administrator look"),
    "settings that are no JSON": (changed(SETTINGS, "data", "deploy", to="{"), "KServe mode",
        MISSING, "the entry deploy is no JSON object; expected settings that KServe can"),
    "KServe in another mode": (kserve("deploy", defaultDeploymentMode="Serverless"), "KServe mode",
        WARNING, "for services that name no mode; those of `deploy` name theirs; expected"),
    "KServe without Gateway API": (kserve("ingress", enableGatewayApi=False), "KServe Gateway API",
        WARNING, "splits nothing without it, and does not say so"),
    "a gateway of KServe's that is not": (
        kserve("ingress", enableGatewayApi=True, kserveIngressGateway="kserve/none"),
        "KServe ingress gateway", WARNING, "kserve/none is not there; expected a Gateway"),
    "no runtime": (gone(ONNX), "ClusterServingRuntime falaj-onnx", MISSING,
        "expected the runtime that `deploy` names"),
    "a runtime that is off": (changed(ONNX, "spec", "disabled", to=True),
        "ClusterServingRuntime falaj-onnx", MISSING, "disabled"),
    "an image never pushed": (
        lambda case: case.api.at[ONNX]["spec"]["containers"][0].update(
            image=f"r.example/falaj/serving@sha256:{64 * '0'}"),
        "ClusterServingRuntime falaj-onnx", WARNING, "run `python -m images.build`"),
    "an image by a tag": (
        lambda case: case.api.at[SEALED]["spec"]["container"].update(image="r.example/opener:1"),
        "ClusterStorageContainer falaj-sealed", WARNING, "expected an image by its digest"),
    "no opener": (gone(SEALED), "ClusterStorageContainer falaj-sealed", MISSING,
        "expected one that opens sealed+s3://"),
    "an opener of something else": (
        changed(SEALED, "spec", "supportedUriFormats", to=[{"prefix": "oci://"}]),
        "ClusterStorageContainer falaj-sealed", MISSING, "opens oci://; expected one that opens"),
    "no account of pods": (gone(core("serviceaccounts", "falaj-serving")),
        "ServiceAccount falaj-serving", MISSING, "which has manifests/serving"),
    "no Gateway": (gone(fit.GATEWAY), "Gateway falaj", MISSING, "add the feature gateway-api"),
    "a Gateway nobody heeds": (changed(fit.GATEWAY, "status", to={}), "Gateway falaj", MISSING,
        "not Accepted: its controller says nothing"),
    "a Gateway that is not set up": (condition("Programmed", message="no address pool"),
        "Gateway falaj", MISSING, "not Programmed: no address pool"),
    "no class of gateways": (gone("/apis/gateway.networking.k8s.io/v1/gatewayclasses/istio"),
        "Gateway falaj class", MISSING, "no GatewayClass istio"),
    "no address": (changed(fit.GATEWAY, "status", "addresses", to=[]), "Gateway falaj address",
        WARNING, "Services of type LoadBalancer"),
    "nothing that splits": (found(routes=False, knative=False), "split of traffic", MISSING,
        "cannot split traffic with any backend: Gateway API is not installed"),
    "a Gateway that does not accept": (found(gateway="Gateway falaj is not accepted: no class"),
        "split of traffic", MISSING, "Gateway falaj is not accepted: no class"),
    "kinds out of sight": (lambda case: setattr(case.api, "unseen", DENIED), "split of traffic",
        UNKNOWN, "forbidden; the identity needs get; have that granted"),
    "no Prometheus": (page(PROMETHEUS, 404), "Prometheus", MISSING, "status 404; expected"),
    "a Prometheus without us": (page(PROMETHEUS, 200, '{"data": {"result": []}}'), "Prometheus",
        WARNING, "answers, and has no counter of ours"),
    "something that is not Prometheus": (page(PROMETHEUS, 200, "<html>"), "Prometheus", MISSING,
        "expected Prometheus' answer"),
    "a silent Prometheus": (lambda case: case.web.pages.pop(PROMETHEUS), "Prometheus", UNKNOWN,
        "did not answer (a test); look again"),
    "runs as whom Kubeflow likes": (account(""), "account of runs", WARNING,
        "none named: Kubeflow's own is taken, which may read every Secret; expected falaj-runner"),
    "runs as somebody else": (account("default-editor"), "account of runs", WARNING,
        "default-editor; expected falaj-runner, whose rights are what steps need"),
    "Pipelines for one user": (of_pipelines(False), "Kubeflow Pipelines", MISSING,
        "it is for one user: steps run in kubeflow, not in falaj"),
    "Pipelines that ask who we are": (of_pipelines(DENIED), "Kubeflow Pipelines", UNKNOWN,
        "forbidden; the identity needs get"),
    "Pipelines whose certificate nobody knows": (
        of_pipelines(UserError("not believed; name it with --ca-file", code="kfp-distrusted")),
        "Kubeflow Pipelines", MISSING, "name it with --ca-file"),
    "Pipelines at another address": (
        of_pipelines(NotFound("GET healthz: nothing there", code="kfp-missing")),
        "Kubeflow Pipelines", MISSING, "nothing there; expected its API below that address"),
}  # fmt: skip

# What goes with the thing that was taken away.
TOGETHER = {
    "no Gateway API": {"Gateway gateway.networking.k8s.io/v1"},
    "a runner without routes": {"falaj-runner may deploy"},
}


def test_an_installation_that_lacks_nothing_is_well() -> None:
    found = Case().findings()

    silent = [one for one in found.values() if one.status is not Status.WELL]
    assert [one.what for one in silent] == ["buckets"]
    assert len(found) >= 50


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_said_in_one_sentence(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, what, status, words = BROKEN[broken]
    case = Case()
    change(case)

    findings = case.findings()

    one = findings[what]
    assert (one.status, str(one).startswith(f"{what}: ")) == (status, True), one
    assert words in str(one)
    assert one.do
    assert "\n" not in str(one)
    assert capsys.readouterr().out == ""
    missing = {one.what for one in findings.values() if one.status is MISSING}
    assert missing - {what} <= TOGETHER.get(broken, set()), "something else is said to be missing"
    assert (what in missing) is (status is MISSING)


def test_a_right_that_somebody_must_have_is_missing() -> None:
    case = Case(must=frozenset({"run"}))
    denied("", "create runs.pipelines.kubeflow.org")(case)

    assert case.findings()["this identity may run"].status is Status.MISSING


def test_a_site_in_knative_mode_wants_knative_and_no_gateway() -> None:
    case = Case()
    case.site = case.site.model_copy(update={"serving": "knative"})
    kserve("deploy", defaultDeploymentMode="Knative")(case)
    case.api.at.pop(fit.GATEWAY)
    case.api.at.pop("/apis/serving.knative.dev/v1")

    missing = [one.what for one in case.findings().values() if one.status is Status.MISSING]

    assert missing == ["Service serving.knative.dev/v1"]


@pytest.mark.parametrize("what", ["Prometheus", "Kubeflow Pipelines", "buckets"])
def test_addresses_inside_the_cluster_are_asked_from_a_pod_and_not_from_outside(what: str) -> None:
    case = Case(site=inside(), several_users=lambda: True)

    outside = case.findings()[what]
    case.environment["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    case.web.pages[f"{case.site.metrics}/api"] = Page(200, '{"data": {"result": []}}')
    pod = case.findings()[what]

    assert (outside.status, outside.got.endswith("is a name inside the cluster")) == (UNKNOWN, True)
    assert "inside the cluster" not in pod.got


def inside() -> Site:
    said = fit.quiet(fit.site())
    store = said.object_store.model_copy(update={"endpoint": "http://seaweedfs.kubeflow.svc:9000"})
    pipelines = Pipelines(api="http://ml-pipeline.kubeflow.svc:8888")
    return said.model_copy(update={"object_store": store, "pipelines": pipelines})


def test_pipelines_for_one_user_are_well_in_their_own_namespace() -> None:
    case = Case()
    of_pipelines(False)(case)
    changed(core("configmaps", "falaj-site"), "data", "FALAJ_PIPELINES_NAMESPACE", to=fit.HOME)(
        case
    )

    assert case.findings()["Kubeflow Pipelines"].got == "answers, for one user"


def test_a_site_without_pipelines_is_told_how_to_name_them() -> None:
    case = Case()
    case.site = fit.quiet(case.site)

    found = case.findings()["Kubeflow Pipelines"]

    assert (found.status, "pipelines.api" in found.do) == (Status.UNKNOWN, True)


def test_other_backends_are_told_with_what_they_lack() -> None:
    case = Case()
    found(knative=False, gateway_api=None)(case)

    others = case.findings()["other backends"]

    assert others.status is Status.WELL
    assert others.got.startswith(
        "canary may be told, but whether KServe makes routes for it cannot"
    )
    assert others.got.endswith(
        "; knative cannot be told: Knative Serving is not installed: no Service of "
        "serving.knative.dev/v1"
    )


def test_a_canary_that_would_get_no_request_cannot_be_told() -> None:
    case = Case()
    found(gateway_api=False)(case)

    assert "canary cannot be told: KServe's ConfigMap says enableGatewayApi false" in str(
        case.findings()["other backends"]
    )
