"""gRPC as pods serve it: several workers on one port, tokens, and TLS."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import ssl
import threading
from collections.abc import Iterator

import grpc
import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from inference.server.protocol import open_inference_pb2 as pb
from tests.inference.server.grpc_calls import Answered, Client, Running, message, running
from tests.inference.server.security.issuing import AUDIENCE, make_key, public, sign
from tests.inference.server.security.test_discovery import answering, say
from tests.inference.server.test_workers import answered, children, until
from tests.inference.transport.pki import CLIENT, Authority

Code = grpc.StatusCode
OPEN = ("--allow_plaintext", "--allow_anonymous")


def holders(server: Running) -> set[int]:
    """Return the workers that have a connection on the port of gRPC."""
    mine, established = f":{server.grpc:04X}", "01"
    tables = (pathlib.Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    open_ = {f"socket:[{r[9]}]" for r in rows if r[1].endswith(mine) and r[3] == established}
    return {pid for pid in children(server.process.pid) if open_ & _files(pid)}


def _files(pid: int) -> set[str]:
    found = set[str]()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry.path))
    return found


@contextlib.contextmanager
def spread(server: Running) -> Iterator[list[Client]]:
    """Connect until every worker has a client, each of which was answered."""
    with contextlib.ExitStack() as stack:
        clients = list[Client]()

        def reached_all() -> bool:
            clients.append(stack.enter_context(Client(server.grpc)))
            assert clients[-1].infer().code is Code.OK
            return len(holders(server)) == 2

        until(reached_all)
        yield clients


def ready(server: Running) -> None:
    with Client(server.grpc) as client:
        until(lambda: pb.ServerReadyResponse.FromString(client.call("ServerReady", b"").body).ready)


def test_workers_share_the_port_of_grpc_and_their_metrics(folder: pathlib.Path) -> None:
    with running(folder, *OPEN, "--workers", "2") as server:
        ready(server)
        with spread(server) as clients:
            for client in clients * 5:
                assert client.infer().probabilities == pytest.approx([0.731], abs=1e-3)
            counts = {answered(server.http) for _ in range(10)}
            assert counts == {6 * len(clients)}
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_a_worker_that_dies_is_replaced_and_grpc_goes_on_meanwhile(folder: pathlib.Path) -> None:
    with running(folder, *OPEN, "--workers", "2") as server:
        ready(server)
        with spread(server) as clients:
            dead, living = children(server.process.pid)
            stop, results = threading.Event(), [list[Answered]() for _ in clients]

            def ask(client: Client, into: list[Answered]) -> None:
                while not stop.is_set():
                    into.append(client.infer())

            asking = [
                threading.Thread(target=ask, args=pair)
                for pair in zip(clients, results, strict=True)
            ]
            for thread in asking:
                thread.start()
            os.kill(dead, signal.SIGKILL)
            until(lambda: len({*children(server.process.pid)} - {dead}) == 2)
            ready(server)
            stop.set()
            for thread in asking:
                thread.join()

        failed = [[done for done in own if done.code is not Code.OK] for own in results]
        assert {done.code for own in failed for done in own} <= {Code.UNAVAILABLE}
        assert all(own[-1].code is Code.OK for own in results)
        assert [] in failed  # the other worker's clients noticed nothing
        assert living in children(server.process.pid)
        with spread(server):
            assert holders(server) == set(children(server.process.pid))


KEY = make_key("ES256")


def test_a_token_opens_what_its_scope_names(folder: pathlib.Path) -> None:
    keys = json.dumps({"keys": [public(KEY, "ES256")]}).encode()
    with answering(say(keys)) as issuer:
        oidc = ("--allow_plaintext", "--oidc_issuer", issuer, "--oidc_audience", AUDIENCE)

        def bearer(scope: str) -> str:
            return f"Bearer {sign(KEY, iss=issuer, scope=scope).decode()}"

        with running(folder, *oidc) as server, Client(server.grpc) as client:
            right, wrong = bearer("falaj:infer"), bearer("falaj:metadata")
            forged = f"Bearer {sign(make_key('ES256'), iss=issuer).decode()}"
            ready = client.call("ServerReady", b"")
            missing = client.infer()
            answers = [client.infer(authorization=token) for token in (forged, wrong, right)]
            about = client.call("ServerMetadata", b"", authorization=wrong)
            refused = _refused(server.http, bearer("falaj:metrics"))

    assert ready.code is Code.OK
    assert missing.code is Code.UNAUTHENTICATED
    assert missing.trailing == {"www-authenticate": "Bearer"}
    assert [answer.code for answer in answers] == [
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
        Code.OK,
    ]
    assert 'scope="falaj:infer"' in answers[1].trailing["www-authenticate"]
    assert about.code is Code.OK
    assert refused == {"missing": 1, "signature": 1, "scope": 1}


def _refused(port: int, authorization: str) -> dict[str, float]:
    """Return how often callers were refused, by reason."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics", headers={"authorization": authorization})
    text = connection.getresponse().read().decode()
    connection.close()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["callers_refused"].samples
    return {sample.labels["reason"]: sample.value for sample in samples if sample.value}


def test_speaks_tls_with_the_certificate_of_http(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ours, other = Authority("ours"), Authority("other")
    pair = ours.issue("server")
    cert, key = pair.write(tmp_path)
    tls = ("--allow_anonymous", "--tls_cert", str(cert), "--tls_key", str(key))
    with running(folder, *tls) as server:
        with Client(server.grpc, grpc.ssl_channel_credentials(ours.cert)) as trusting:
            answer = trusting.infer(message([2.0], [0]))
        with Client(server.grpc, grpc.ssl_channel_credentials(other.cert)) as doubting:
            untrusted = doubting.infer(seconds=1)
        with Client(server.grpc) as plain:
            unencrypted = plain.infer(seconds=1)
        expires = _expiry(server.http, ours)

    assert answer.probabilities == pytest.approx([0.881], abs=1e-3)
    refusals = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
    assert {untrusted.code, unencrypted.code} <= refusals
    wanted = x509.load_pem_x509_certificate(pair.cert).not_valid_after_utc.timestamp()
    assert expires == wanted


def _expiry(port: int, authority: Authority) -> float:
    context = ssl.create_default_context(cadata=authority.cert.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    [sample] = families["tls_certificate_expiry_timestamp_seconds"].samples
    return sample.value


def test_asks_for_a_certificate_of_its_clients_authority(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ours, clients = Authority("ours"), Authority("clients")
    cert, key = ours.issue("server").write(tmp_path)
    (tmp_path / "clients.crt").write_bytes(clients.cert)
    tls = ("--allow_anonymous", "--tls_cert", str(cert), "--tls_key", str(key))

    def credentials(authority: Authority) -> grpc.ChannelCredentials:
        own = authority.issue("client", CLIENT)
        return grpc.ssl_channel_credentials(ours.cert, own.key, own.cert)

    with running(folder, *tls, "--tls_client_ca", str(tmp_path / "clients.crt")) as server:
        with Client(server.grpc, credentials(clients)) as known:
            assert known.infer().code is Code.OK
        for stranger in (credentials(ours), grpc.ssl_channel_credentials(ours.cert)):
            with Client(server.grpc, stranger) as unknown:
                refused = unknown.infer(seconds=1)
            assert refused.code in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
