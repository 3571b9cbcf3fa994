"""Certificates: taken whole, changed under open connections, refused clients kept out."""

import asyncio
import contextlib
import http.client
import logging
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import grpc
import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from components.foundation.errors import UserError
from inference.transport.limits import Limits
from inference.transport.messages import Reply, Request
from inference.transport.server import Server
from inference.transport.tls import Certificates, certificates
from tests.inference.transport.pki import CLIENT, SERVER, Authority, Pair, pem_key

LOOK = 0.02
Run = Callable[[Coroutine[Any, Any, None]], None]
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


class House:
    """A server's files, its own authority's clients, and those of another authority."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.ours, self.theirs = Authority("ours"), Authority("theirs")
        self.cert, self.key = self.ours.issue("server").write(folder)
        self.client_ca = folder / "client-ca.crt"
        self.trust_clients_of(self.ours, self.theirs)

    def trust_clients_of(self, *authorities: Authority) -> None:
        self.client_ca.write_bytes(b"".join(authority.cert for authority in authorities))

    def renew(self, pair: Pair | None = None) -> None:
        (pair or self.ours.issue("server")).write(self.folder)

    def mutual(self) -> Certificates:
        return Certificates(self.cert, self.key, client_ca=self.client_ca)

    def client(self, authority: Authority | None = None, name: str = "client") -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ours.cert.decode())
        if authority is not None:
            context.load_cert_chain(*authority.issue(name, CLIENT).write(self.folder, name))
        return context


@pytest.fixture
def house(tmp_path: pathlib.Path) -> House:
    return House(tmp_path)


async def hello(request: Request) -> Reply:
    return Reply(200, b"{}")


@contextlib.asynccontextmanager
async def served(material: Certificates) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Serve, and watch the files; the event is set at every change that was taken."""
    taken = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(hello, Limits())

        async def changed() -> None:
            await server.listen(listener, tls=material.context())
            taken.set()

        async with server.running(listener, tls=material.context(), drain_seconds=1):
            watching = asyncio.create_task(material.watch(changed, seconds=LOOK))
            try:
                yield listener.getsockname()[1], taken
            finally:
                watching.cancel()


class Client:
    """A connection that stays open."""

    def __init__(
        self, port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.sock = context.wrap_socket(plain, server_hostname="localhost", session=session)
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = self.sock

    def ask(self) -> int:
        self._connection.request("GET", "/")
        response = self._connection.getresponse()
        response.read()
        return response.status

    def served_by(self) -> bytes | None:
        return self.sock.getpeercert(binary_form=True)

    def close(self) -> None:
        self.sock.close()


def ask(port: int, context: ssl.SSLContext) -> int:
    with contextlib.closing(Client(port, context)) as client:
        return client.ask()


async def is_refused(port: int, context: ssl.SSLContext) -> bool:
    """Say whether a client is shut out; TLS 1.3 tells it only when it reads."""
    try:
        await asyncio.to_thread(ask, port, context)
    except (ssl.SSLError, ConnectionError):
        return True
    return False


async def within(seconds: float, awaitable: Awaitable[Any]) -> None:
    await asyncio.wait_for(awaitable, seconds)


@both_loops
def test_new_connections_get_the_new_certificate_and_open_ones_stay(run: Run, house: House) -> None:
    async def scenario() -> None:
        async with served(Certificates(house.cert, house.key)) as (port, taken):
            before = await asyncio.to_thread(Client, port, house.client())
            assert await asyncio.to_thread(before.ask) == 200

            house.renew()
            await within(5, taken.wait())

            after = await asyncio.to_thread(Client, port, house.client())
            assert await asyncio.to_thread(before.ask) == 200
            assert await asyncio.to_thread(after.ask) == 200
            assert before.served_by() != after.served_by()
            before.close()
            after.close()

    run(scenario())


@both_loops
def test_only_clients_of_trusted_authorities_connect(run: Run, house: House) -> None:
    async def scenario() -> None:
        house.trust_clients_of(house.ours)
        async with served(house.mutual()) as (port, _):
            assert await asyncio.to_thread(ask, port, house.client(house.ours)) == 200
            assert await is_refused(port, house.client())
            assert await is_refused(port, house.client(house.theirs))

    run(scenario())


def test_a_certificate_for_servers_does_not_let_a_client_in(house: House) -> None:
    async def scenario() -> None:
        context = house.client()
        context.load_cert_chain(*house.ours.issue("odd", SERVER).write(house.folder, "odd"))
        async with served(house.mutual()) as (port, _):
            assert await is_refused(port, context)

    asyncio.run(scenario())


@both_loops
def test_clients_of_a_removed_authority_are_shut_out_even_when_they_resume(
    run: Run, house: House
) -> None:
    async def scenario() -> None:
        theirs, ours = house.client(house.theirs, "a"), house.client(house.ours, "b")
        async with served(house.mutual()) as (port, taken):
            session = await asyncio.to_thread(_session, port, theirs)
            assert await asyncio.to_thread(_resumes, port, theirs, session)

            house.trust_clients_of(house.ours)
            await within(5, taken.wait())

            assert await is_refused(port, theirs)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(_resumes, port, theirs, session)
            assert await asyncio.to_thread(ask, port, ours) == 200

    run(scenario())


def _session(port: int, context: ssl.SSLContext) -> ssl.SSLSession:
    with contextlib.closing(Client(port, context)) as client:
        client.ask()
        session = client.sock.session
    assert session is not None
    return session


def _resumes(port: int, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    with contextlib.closing(Client(port, context, session)) as client:
        client.ask()
        return bool(client.sock.session_reused)


def test_follows_the_links_that_a_kubelet_swaps(house: House, tmp_path: pathlib.Path) -> None:
    """A Secret's files are links through `..data`, which is renamed into place."""

    def mount(version: str) -> None:
        folder = tmp_path / version
        folder.mkdir()
        house.ours.issue("server").write(folder)
        (tmp_path / "..new").symlink_to(version)
        (tmp_path / "..new").rename(tmp_path / "..data")

    async def scenario() -> None:
        cert, key = tmp_path / "mounted.crt", tmp_path / "mounted.key"
        cert.symlink_to("..data/tls.crt")
        key.symlink_to("..data/tls.key")
        mount("..2026_01")
        async with served(Certificates(cert, key)) as (port, taken):
            before = await asyncio.to_thread(Client, port, house.client())
            mount("..2026_02")
            await within(5, taken.wait())
            after = await asyncio.to_thread(Client, port, house.client())
            assert before.served_by() != after.served_by()
            before.close()
            after.close()

    asyncio.run(scenario())


def test_a_broken_file_keeps_the_old_certificates_says_so_once_and_is_tried_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with served(Certificates(house.cert, house.key)) as (port, taken):
            house.key.write_bytes(house.theirs.issue("other").key)
            await asyncio.sleep(10 * LOOK)
            assert not taken.is_set()
            assert await asyncio.to_thread(ask, port, house.client()) == 200

            house.renew()
            await within(5, taken.wait())
            assert await asyncio.to_thread(ask, port, house.client()) == 200

    asyncio.run(scenario())

    said = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert f"{house.key}: is not the key of {house.cert}" in said[0]
    assert "stay in use" in said[0]


@pytest.mark.parametrize("text", [b"", b"# nobody yet\n"], ids=["empty", "a comment"])
def test_a_file_without_client_authorities_keeps_the_old_ones(
    house: House, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    async def scenario() -> None:
        async with served(house.mutual()) as (port, taken):
            house.client_ca.write_bytes(text)
            await asyncio.sleep(10 * LOOK)
            assert not taken.is_set()
            known = house.client(house.theirs, "known")
            assert await asyncio.to_thread(ask, port, known) == 200
            assert await is_refused(port, house.client())

    asyncio.run(scenario())

    assert f"{house.client_ca}: is no PEM file of certificates" in caplog.text


def test_a_file_put_back_as_it_was_ends_the_complaint(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        kept = house.key.rename(house.folder / "kept")
        assert await settle(lambda: "No such file" in caplog.text)
        kept.rename(house.key)
        # A rename changes ctime: the same bytes are taken again, under a context of their own.
        assert await settle(lambda: "in use" in caplog.records[-1].message)

    async def settle(true: Callable[[], bool]) -> bool:
        for _ in range(100):
            if true():
                return True
            await asyncio.sleep(LOOK)
        return False

    async def watched() -> None:
        async with served(Certificates(house.cert, house.key)):
            await scenario()

    caplog.set_level(logging.INFO)
    asyncio.run(watched())


def test_a_listener_that_cannot_take_them_is_told_again(house: House) -> None:
    calls = []

    async def scenario() -> None:
        material, done = Certificates(house.cert, house.key), asyncio.Event()

        async def changed() -> None:
            calls.append(material.context())
            if len(calls) == 1:
                raise OSError(24, "Too many open files")
            done.set()

        watching = asyncio.create_task(material.watch(changed, seconds=LOOK))
        house.renew()
        await within(5, done.wait())
        watching.cancel()

    asyncio.run(scenario())

    assert len(calls) == 2


def _speaking(house: House, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = house.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_speaks_tls_1_2_and_1_3(house: House, version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        async with served(Certificates(house.cert, house.key)) as (port, _):
            assert await asyncio.to_thread(ask, port, _speaking(house, version)) == 200

    asyncio.run(scenario())


def test_speaks_no_tls_older_than_1_2(house: House) -> None:
    context = Certificates(house.cert, house.key).context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_context_is_the_same_until_the_files_change(house: House) -> None:
    material = Certificates(house.cert, house.key)

    assert material.context() is material.context()


def test_gives_the_seconds_to_its_end(house: House) -> None:
    house.renew(house.ours.issue("server", days=0.5))

    assert Certificates(house.cert, house.key).certificate_expiry == pytest.approx(43_200, abs=60)


def test_an_expired_certificate_is_served_and_complained_of(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.renew(house.ours.issue("server", days=-1))

    assert Certificates(house.cert, house.key).certificate_expiry < 0
    assert "expired" in caplog.text


def _without(house: House) -> None:
    house.key.unlink()


def _a_folder(house: House) -> None:
    house.cert.unlink()
    house.cert.mkdir()


def _other_key(house: House) -> None:
    house.key.write_bytes(house.theirs.issue("other").key)


def _no_pem(house: House) -> None:
    house.cert.write_text("certificate")


def _locked_key(house: House) -> None:
    house.key.write_bytes(pem_key(ec.generate_private_key(ec.SECP256R1()), b"secret"))


def _no_authority(house: House) -> None:
    house.client_ca.write_text("")


def _cut_authority(house: House) -> None:
    house.client_ca.write_bytes(house.ours.cert + house.theirs.cert[:-40])


@pytest.mark.parametrize(
    ("broken", "code", "said"),
    [
        (_without, "tls-file", "tls.key: No such file or directory"),
        (_a_folder, "tls-file", "tls.crt: Is a directory"),
        (_other_key, "tls-key-mismatch", "is not the key of"),
        (_no_pem, "tls-malformed", "no PEM certificate"),
        (_locked_key, "tls-malformed", "unencrypted"),
        (_no_authority, "tls-malformed", "client-ca.crt: is no PEM file"),
        (_cut_authority, "tls-malformed", "client-ca.crt: is no PEM file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_refuses_to_start_on_files_that_cannot_serve(
    house: House, broken: Callable[[House], None], code: str, said: str
) -> None:
    broken(house)

    with pytest.raises(UserError, match=said) as caught:
        house.mutual()

    assert (caught.value.code, caught.value.exit_code) == (code, 2)


def test_no_certificate_and_no_hatch_is_an_error(house: House) -> None:
    with pytest.raises(UserError, match="--allow_plaintext"):
        certificates(None, key=None)
    with pytest.raises(UserError, match="--tls_cert and --tls_key"):
        certificates(house.cert, key=None)
    with pytest.raises(UserError, match="contradict"):
        certificates(house.cert, key=house.key, allow_plaintext=True)
    with pytest.raises(UserError, match="contradict"):
        certificates(None, key=None, client_ca=house.client_ca, allow_plaintext=True)


def test_the_hatch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert certificates(None, key=None, allow_plaintext=True) is None
    assert "--allow_plaintext" in caplog.text


class _Echo(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def echo(request: bytes, context: Any) -> bytes:
            return request

        return grpc.unary_unary_rpc_method_handler(echo)


def _call(port: int, house: House, authority: Authority, name: str) -> bytes:
    pair = authority.issue(name, CLIENT)
    credentials = grpc.ssl_channel_credentials(house.ours.cert, pair.key, pair.cert)
    # A channel of its own: gRPC shares connections between channels that look the same.
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"localhost:{port}", credentials, options) as channel:
        answer: bytes = channel.unary_unary("/x/Echo")(b"ping", timeout=5)
        return answer


def test_grpc_follows_the_same_files(house: House) -> None:
    async def scenario() -> None:
        material, taken = house.mutual(), asyncio.Event()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Echo(),))
        port = server.add_secure_port("localhost:0", material.grpc_credentials())
        await server.start()

        async def changed() -> None:
            taken.set()

        watching = asyncio.create_task(material.watch(changed, seconds=LOOK))
        assert await asyncio.to_thread(_call, port, house, house.theirs, "a") == b"ping"

        house.trust_clients_of(house.ours)
        house.renew()
        await within(5, taken.wait())

        with pytest.raises(grpc.RpcError):
            await asyncio.to_thread(_call, port, house, house.theirs, "b")
        assert await asyncio.to_thread(_call, port, house, house.ours, "c") == b"ping"
        watching.cancel()
        await server.stop(None)

    asyncio.run(scenario())
