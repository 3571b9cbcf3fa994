"""What goes wrong on the way is one sentence, and nothing that may do harm is sent again."""

import socket
import time

import kfp_server_api
import pytest

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.site import Site
from pipelines.kubeflow import transport, uploading
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.identity import Identity
from tests import ports
from tests.pipelines.kubeflow.conftest import CLUSTER, COMPILED
from tests.pipelines.kubeflow.standin import Fault, Standin

LOGIN = ("<html><form action='/dex/auth'></form></html>", "text/html; charset=utf-8")
DENIED = ('{"error_message": "pipeline upload denied: permission to create"}', "application/json")

ANSWERS = {
    "401": (Fault("GET", "z", 401), Refused, "kfp-unauthenticated", "it answered 401"),
    "403": (Fault("GET", "z", 403), Refused, "kfp-forbidden", "ask for a Role on pipelines"),
    "login page": (
        Fault("GET", "z", 200, body=LOGIN),
        Refused,
        "kfp-unauthenticated",
        "a page for people, as a login does",
    ),
    "redirect": (
        Fault("GET", "z", 302, headers={"Location": "https://dex.example/auth?state=secret"}),
        Refused,
        "kfp-unauthenticated",
        "it sent us to https://dex.example/auth,",
    ),
    "another server": (
        Fault("GET", "z", 200, body=("ok", "text/plain")),
        UserError,
        "kfp-not-there",
        "check the site's pipelines.api",
    ),
    "400": (Fault("GET", "z", 400), UserError, "kfp-invalid", "no healthy upstream"),
    "400 of something denied": (
        Fault("GET", "z", 400, body=DENIED),
        UserError,
        "kfp-invalid",
        "permission to create",
    ),
    "404 of another server": (
        Fault("GET", "z", 404, body=("<h1>nginx</h1>", "text/html")),
        UserError,
        "kfp-not-there",
        "answered 404 and text/html where KFP answers JSON; check the site's pipelines.api",
    ),
    "too large": (
        Fault("GET", "z", 413, body=("<h1>too large</h1>", "text/html")),
        UserError,
        "kfp-invalid",
        "too large</h1> (413)",
    ),
    "unknown to it": (Fault("GET", "z", 501), UserError, "kfp-unsupported", "does not know how"),
    "cut JSON": (
        Fault("GET", "z", 200, body=('{"multi_user": fal', "application/json")),
        UserError,
        "kfp-not-there",
        "it ends too early",
    ),
    "a list": (
        Fault("GET", "z", 200, body=("[]", "application/json")),
        UserError,
        "kfp-not-there",
        "a list, not an object",
    ),
    "409": (Fault("GET", "z", 409), Refused, "kfp-conflict", "another has that name already"),
    "500": (Fault("GET", "z", 500), InfrastructureError, "kfp-failed", "KFP failed (500)"),
    "a page for 500": (
        Fault("GET", "z", 500, body=("<h1>oh\nno</h1>", "text/html")),
        InfrastructureError,
        "kfp-failed",
        "<h1>oh no</h1>",
    ),
}


@pytest.mark.parametrize(("fault", "kind", "code", "told"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_no_success_is_one_sentence(
    fault: Fault, kind: type[FalajError], code: str, told: str, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault(fault.method, fault.end, fault.status, body=fault.body)]
    kfp.faults[0].headers = fault.headers

    with pytest.raises(FalajError) as failed:
        client.schedules()

    assert isinstance(failed.value, kind)
    assert failed.value.code == code
    assert told in str(failed.value)
    assert "GET http://127.0.0.1" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_an_upload_that_is_denied_with_400_is_told_as_the_denial_it_is(
    kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("POST", "/upload_version", 400, body=DENIED)]

    with pytest.raises(Refused, match="upload_version: pipeline upload denied: perm") as refused:
        uploading.upload(client, COMPILED, project="flights")
    assert refused.value.code == "kfp-forbidden"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("no id", '{"status": "ok"}'),
        ("no date", '{"pipeline_id": "1", "name": "x", "created_at": "yesterday"}'),
        ("no tags", '{"pipeline_id": "1", "name": "x", "tags": 7}'),
    ],
)
def test_an_object_that_is_not_kfps_is_taken_for_none(
    kind: str, answer: str, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("GET", "/names/x", 200, body=(answer, "application/json"))]

    with pytest.raises(UserError, match="JSON that is not KFP's") as refused:
        client.pipeline("x")
    assert refused.value.code == "kfp-not-there"


def test_an_address_that_speaks_no_tls_is_told_and_not_as_a_certificate(
    kfp: Standin, address: str
) -> None:
    client = Client(address.replace("http://", "https://"), Identity(), namespace="falaj")

    with pytest.raises(InfrastructureError, match="TLS failed") as failed:
        client.schedules()
    assert failed.value.code == "kfp-unreachable"


def test_the_client_as_it_comes_takes_a_login_page_for_an_empty_pipeline(
    kfp: Standin, address: str
) -> None:
    """Why there is a transport of ours; once this fails, look whether it still has to be."""
    kfp.faults = [Fault("GET", "/names/x", 200, body=LOGIN)]
    theirs = kfp_server_api.PipelineServiceApi(
        kfp_server_api.ApiClient(kfp_server_api.Configuration(host=address))
    )

    taken = theirs.pipeline_service_get_pipeline_by_name("x")

    assert (taken.pipeline_id, taken.name) == (None, None)


def test_a_redirect_is_not_followed(kfp: Standin, client: Client, address: str) -> None:
    """The token would go along, or a login page be taken for an empty list."""
    elsewhere = {"Location": f"{address}/apis/v2beta1/experiments"}
    kfp.faults = [Fault("GET", "/healthz", 307, headers=elsewhere)]

    with pytest.raises(Refused, match="it sent us to"):
        client.schedules()
    assert not kfp.seen


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_a_question_is_asked_again_and_no_more_often_than_said(
    status: int, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("GET", "/healthz", status, times=len(transport.PAUSES))]
    client.schedules()

    kfp.faults = [Fault("GET", "/recurringruns", status, times=99)]
    with pytest.raises(InfrastructureError):
        client.schedules()
    assert 99 - kfp.faults[0].times == len(transport.PAUSES) + 1


def test_as_long_is_waited_as_kfp_asks(
    kfp: Standin, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    kfp.faults = [
        Fault("GET", "/healthz", 503, headers={"Retry-After": "7"}),
        Fault("GET", "/healthz", 429, headers={"Retry-After": "86400"}),
        Fault("GET", "/healthz", 503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    ]

    client.schedules()

    assert waited == [7, 30, 0], "a day is not waited, nor until a date"


@pytest.mark.parametrize("status", [0, 500, 502, 503, 504])
def test_what_makes_something_is_not_blindly_sent_again(
    status: int, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("POST", "/experiments", status, times=99)]

    with pytest.raises(InfrastructureError):
        client.create_experiment("falaj")
    assert kfp.faults[0].times == 98


def test_what_was_refused_for_haste_is_sent_again(kfp: Standin, client: Client) -> None:
    kfp.faults = [Fault("POST", "/experiments", 429, times=2)]

    assert client.create_experiment("falaj")
    assert len(kfp.things["experiments"]) == 1


def test_where_nothing_listens_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    client = Client(f"http://127.0.0.1:{ports.free()}", Identity(), namespace="falaj")

    with pytest.raises(InfrastructureError, match="nothing answers there") as failed:
        client.create_experiment("falaj")

    assert failed.value.code == "kfp-unreachable"
    assert len(waited) == len(transport.PAUSES)


def test_a_name_that_is_nobodys_is_said() -> None:
    client = Client("https://kubeflow.falaj.invalid", Identity(), namespace="falaj")

    with pytest.raises(InfrastructureError, match="nothing answers there"):
        client.schedules()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_TIMEOUT_S", (1, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        at = f"http://127.0.0.1:{mute.getsockname()[1]}"
        client = Client(at, Identity(), namespace="falaj")

        with pytest.raises(InfrastructureError, match="the answer was cut"):
            client.schedules()


def test_a_site_without_pipelines_says_what_to_add() -> None:
    head, _, tail = CLUSTER.partition("pipelines:\n")
    site = Site.parse(head + tail.partition("runner\n\n")[2])

    with pytest.raises(UserError, match="add `pipelines:` with `api:`"):
        Client.at(site, Identity(), {})
