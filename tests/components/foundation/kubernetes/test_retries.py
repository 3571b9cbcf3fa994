"""What is asked of an API server again, played by a small real one."""

import dataclasses
import pathlib
import ssl

import pytest
from kubernetes import client
from urllib3.exceptions import SSLError

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.retries import Retries, pause
from tests.components.foundation.kubernetes.playing import cut, playing, reaching, says
from tests.inference.transport.pki import Authority

MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {}}
SEEN = {**MAP, "metadata": {"name": "m", "resourceVersion": "7", "uid": "u"}}
WELL = says(200, SEEN)


def call(cluster: Cluster, verb: str) -> None:
    match verb:
        case "GET":
            cluster.get(resources.CONFIG_MAP, "m")
        case "PATCH":
            cluster.apply(MAP)
        case "DELETE":
            cluster.delete(resources.CONFIG_MAP, "m")
        case "POST":
            cluster.create(MAP)
        case "PUT":
            cluster.replace(SEEN)


@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE", "POST", "PUT"])
def test_what_a_busy_server_did_not_take_on_is_asked_again(verb: str) -> None:
    with playing(says(429), says(429), WELL) as (cluster, script):
        call(cluster, verb)

    assert script.verbs == [verb] * 3


@pytest.mark.parametrize("code", [502, 503, 504])
@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_what_may_be_done_twice_is_asked_again_of_a_server_that_passes(
    verb: str, code: int
) -> None:
    with playing(says(code), WELL) as (cluster, script):
        call(cluster, verb)

    assert script.verbs == [verb] * 2


@pytest.mark.parametrize("step", [says(503), says(504), cut], ids=["503", "504", "cut"])
@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_what_may_have_been_made_already_is_not_asked_again(verb: str, step: object) -> None:
    with playing(step, WELL) as (cluster, script), pytest.raises(InfrastructureError):  # type: ignore[arg-type]
        call(cluster, verb)

    assert script.verbs == [verb]


@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE"])
def test_an_answer_that_was_cut_off_is_asked_for_again(verb: str) -> None:
    with playing(cut, WELL) as (cluster, script):
        call(cluster, verb)

    assert script.verbs == [verb] * 2


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422, 500])
def test_an_answer_that_stays_the_same_is_not_asked_for_again(code: int) -> None:
    with playing(says(code)) as (cluster, script), pytest.raises(FalajError, match="the reason"):
        cluster.apply(MAP)

    assert len(script.asked) == 1


def test_a_failure_with_a_time_to_come_back_is_one_that_passes() -> None:
    with playing(says(500, retry_after="1"), WELL) as (cluster, script):
        cluster.apply(MAP)

    assert len(script.asked) == 2


def test_the_wait_is_what_the_server_asks_for_and_else_doubles() -> None:
    waits: list[float] = []
    patience = Retries(sleep=waits.append)
    steps = [says(429, retry_after="3"), says(503), says(503), says(503), WELL]

    with playing(*steps, patience=patience) as (cluster, _):
        cluster.get(resources.CONFIG_MAP, "m")

    assert waits[0] == 3
    assert all(low <= wait <= 2 * low for low, wait in zip((0.2, 0.4, 0.8), waits[1:], strict=True))


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    busy = says(429, retry_after="3600")
    with playing(busy, WELL) as (cluster, script), pytest.raises(InfrastructureError, match="429"):
        cluster.get(resources.CONFIG_MAP, "m")

    assert len(script.asked) == 1


def test_it_is_asked_five_times_and_no_more() -> None:
    said = r"failed \(503\): the reason"
    with playing(says(503)) as (cluster, script), pytest.raises(InfrastructureError, match=said):
        cluster.get(resources.CONFIG_MAP, "m")

    assert len(script.asked) == 5


@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE", "POST", "PUT"])
def test_where_nobody_listens_anything_is_tried_again(verb: str) -> None:
    waits: list[float] = []

    with pytest.raises(InfrastructureError, match="did not answer"):
        call(reaching(9, Retries(sleep=waits.append)), verb)

    assert len(waits) == 4


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("[SSL: UNEXPECTED_EOF_WHILE_READING]", True),
        ("[SSL: CERTIFICATE_VERIFY_FAILED]", False),
    ],
    ids=["cut off", "not trusted"],
)
def test_tls_that_was_cut_off_is_tried_again_and_one_that_is_not_trusted_is_not(
    reason: str, again: bool
) -> None:
    error = SSLError(reason)

    assert (pause("GET", error) is not None) is again
    assert pause("POST", error) is None


@pytest.mark.parametrize(
    ("authority", "host"),
    [("another", "localhost"), ("known", "elsewhere")],
    ids=["of another authority", "for another name"],
)
def test_a_certificate_that_is_not_believed_is_for_somebody_to_mend(
    tmp_path: pathlib.Path, authority: str, host: str
) -> None:
    authorities = {name: Authority(name) for name in ("known", "another")}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authorities[authority].issue("API", host=host).write(tmp_path))
    (tmp_path / "ca.crt").write_bytes(authorities["known"].cert)

    with playing(WELL, tls=context) as (cluster, script):
        settings = cluster.api.configuration
        settings.host = settings.host.replace("http://127.0.0.1", "https://localhost")
        settings.ssl_ca_cert = str(tmp_path / "ca.crt")
        trusting = dataclasses.replace(cluster, api=client.ApiClient(settings))
        with pytest.raises(UserError, match="certificate is not believed") as raised:
            call(trusting, "GET")

    assert (raised.value.code, script.asked) == ("kubernetes-untrusted", [])
