"""What the API server writes down with our audit policy, read from its log after the deed."""

import base64
import functools
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import ADMIN, Person

Thing = Mapping[str, Any]
AMAL = Person("amal", ("falaj:ml-engineer",))
STRANGER = Person("stranger")
VALUE = "dates-and-figs-4711"
CODED = base64.b64encode(VALUE.encode()).decode()
KINDS = "secrets,configmaps,pods,events,inferenceservices.serving.kserve.io,workflows.argoproj.io"


class Log:
    """The audit log from where it ended when it was first looked at."""

    def __init__(self, ground: Access, namespace: str) -> None:
        self._path, self._namespace = ground.audit, namespace
        self._begin = self._path.stat().st_size

    @functools.cached_property
    def text(self) -> str:
        """Everything since, whoever did it."""
        with self._path.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode()

    def events(self, verb: str, resource: str, *, who: Person) -> list[Thing]:
        """Return what is written of somebody's deeds of a kind in the test's namespace."""
        kind, _, part = resource.partition("/")
        return [
            event
            for line in self.text.splitlines()
            if self._namespace in line
            and (event := json.loads(line))["verb"] == verb
            and event.get("objectRef", {}).get("resource") == kind
            and event["objectRef"].get("subresource", "") == part
            and event["user"]["username"] == who.name
        ]


@pytest.fixture(scope="module")
def namespace(ground: Access) -> Iterator[str]:
    """One namespace for all that is done here."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    ground.kubectl("create", "namespace", name)
    yield name
    ground.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def opened(ground: Access, namespace: str) -> Log:
    """The log before anything is done."""
    return Log(ground, namespace)


@pytest.fixture(scope="module")
def token(ground: Access, namespace: str, opened: Log) -> str:
    """A token of a service account, made after the log was opened."""
    return ground.kubectl("-n", namespace, "create", "token", "default").stdout.strip()


@pytest.fixture(scope="module")
def log(ground: Access, namespace: str, token: str, opened: Log) -> Log:
    """The log after everything was done that the tests are about."""
    verbs = "get,list,watch,create,update,patch,delete"

    def do(*deed: str, who: Person = ADMIN, said: str = "", check: bool = True) -> str:
        return ground.kubectl("-n", namespace, *deed, who=who, input=said, check=check).stdout

    do("create", "role", "r", f"--verb={verbs}", f"--resource={KINDS}")
    do("create", "rolebinding", "r", "--role=r", f"--user={AMAL.name}")
    do("create", "-f", "-", said=_list(_SECRET, _CONFIG, service(1), _RUN), who=AMAL)
    do("get", "secret/it", "configmap/it", "inferenceservice/it", who=AMAL)
    do("annotate", "secret/it", "configmap/it", f"note={VALUE}", who=AMAL)
    do("label", "workflow", "it", "phase=Running", who=AMAL)
    do("apply", "--server-side", "--force-conflicts", "-f", "-", said=_text(service(3)), who=AMAL)
    status = '--patch={"status":{"servingRuntimeName":"x"}}'
    do("patch", "inferenceservice", "it", "--subresource=status", "--type=merge", status)
    do("get", "events", who=AMAL)
    do("get", "pods", who=AMAL)
    do("create", "-f", "-", said=_text(service(1)), who=STRANGER, check=False)
    review = _thing("TokenReview", "authentication.k8s.io/v1", spec={"token": token})
    ground.kubectl("create", "-f", "-", "-o", "name", input=_text(review))
    rule = {**_RULE, "metadata": {"name": f"it-{namespace}"}}
    do("create", "--dry-run=server", "-f", "-", said=_list(_FLOW, _WAY, _CALLERS, rule))
    do("label", "namespace", namespace, "note=it")
    do("delete", "rolebinding", "r")
    return opened


def _thing(kind: str, version: str, **more: Any) -> Thing:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "it"}, **more}


def service(replicas: int) -> Thing:
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "sealed+s3://falaj-models/delays/7"}
    predictor = {"model": model, "minReplicas": replicas}
    return _thing("InferenceService", "serving.kserve.io/v1beta1", spec={"predictor": predictor})


_SECRET = _thing("Secret", "v1", data={"password": CODED})
_CONFIG = _thing("ConfigMap", "v1", data={"password": VALUE})
_STEPS = [{"name": "main", "container": {"image": "registry.falaj.example/falaj/data"}}]
_FLOW = _thing("NetworkPolicy", "networking.k8s.io/v1", spec={"podSelector": {}})
_WAY = _thing("HTTPRoute", "gateway.networking.k8s.io/v1", spec={})
_CALLERS = _thing("AuthorizationPolicy", "security.istio.io/v1", spec={})
_ASKED = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}
_RULE = _thing(
    "ValidatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1",
    spec={
        "matchConstraints": {"resourceRules": [_ASKED]},
        "validations": [{"expression": "true"}],
    },
)
_RUN = _thing("Workflow", "argoproj.io/v1alpha1", spec={"entrypoint": "main", "templates": _STEPS})


def _list(*things: Thing) -> str:
    return _text({"apiVersion": "v1", "kind": "List", "items": things})


def _text(thing: Thing) -> str:
    return json.dumps(thing)


@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
@pytest.mark.parametrize("verb", ["create", "get", "patch"])
def test_of_values_it_is_said_who_touched_them_only(verb: str, resource: str, log: Log) -> None:
    [event] = log.events(verb, resource, who=AMAL)[-1:]

    assert event["level"] == "Metadata"
    assert not event.keys() & {"requestObject", "responseObject"}


def test_values_never_appear(log: Log) -> None:
    assert VALUE not in log.text
    assert CODED not in log.text


def test_tokens_that_are_made_or_shown_never_appear(token: str, log: Log) -> None:
    _, claims, signature = token.split(".")

    assert log.events("create", "serviceaccounts/token", who=ADMIN)
    assert '"resource":"tokenreviews"' in log.text
    assert claims not in log.text
    assert signature not in log.text


def test_a_changed_service_says_who_wanted_what(log: Log) -> None:
    [created] = log.events("create", "inferenceservices", who=AMAL)
    [changed] = log.events("patch", "inferenceservices", who=AMAL)

    for event, replicas in ((created, 1), (changed, 3)):
        assert "falaj:ml-engineer" in event["user"]["groups"]
        assert event["requestObject"]["spec"]["predictor"]["minReplicas"] == replicas
        assert event["responseObject"]["spec"]["predictor"]["minReplicas"] == replicas
        assert "managedFields" not in event["responseObject"]["metadata"]


@pytest.mark.parametrize(
    ("verb", "resource", "who"),
    [
        pytest.param("get", "inferenceservices", AMAL, id="a service that is read"),
        pytest.param("patch", "inferenceservices/status", ADMIN, id="a controller's status"),
        pytest.param("patch", "workflows", AMAL, id="the states of a run"),
        pytest.param("list", "pods", AMAL, id="pods that are read"),
    ],
)
def test_what_decides_nothing_leaves_no_body(
    verb: str, resource: str, who: Person, log: Log
) -> None:
    [event] = log.events(verb, resource, who=who)

    assert event["level"] == "Metadata"


def test_what_is_refused_is_written_down(log: Log) -> None:
    [event] = log.events("create", "inferenceservices", who=STRANGER)

    assert event["responseStatus"]["code"] == 403
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"


def test_reading_events_is_not_written_down(log: Log) -> None:
    assert log.events("list", "events", who=AMAL) == []


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "rolebindings"),
        ("delete", "rolebindings"),
        ("create", "networkpolicies"),
        ("create", "httproutes"),
        ("create", "authorizationpolicies"),
        ("create", "validatingadmissionpolicies"),
        ("patch", "namespaces"),
    ],
)
def test_what_decides_shows_whole(verb: str, resource: str, log: Log) -> None:
    [event] = log.events(verb, resource, who=ADMIN)

    assert event["level"] == "RequestResponse"


def test_rights_that_are_given_say_to_whom(log: Log) -> None:
    [event] = log.events("create", "rolebindings", who=ADMIN)

    assert event["requestObject"]["subjects"][0]["name"] == "amal"


def test_a_run_shows_what_it_was_told(log: Log) -> None:
    [event] = log.events("create", "workflows", who=AMAL)

    assert event["requestObject"]["spec"]["entrypoint"] == "main"
