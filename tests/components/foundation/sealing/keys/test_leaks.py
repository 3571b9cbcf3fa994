"""Nothing secret in arguments, environments, logs, errors, copies or core dumps."""

import base64
import copy
import dataclasses
import logging
import os
import pathlib
import pickle
import resource
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.foundation.errors import FalajError
from components.foundation.sealing import wrapped
from components.foundation.sealing.keys import KeyRing, custody, files
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.keys.files import Folder
from components.foundation.sealing.keys.secret import Secret
from components.foundation.sealing.keys.verifier import Verifier
from components.foundation.storage import Address

ROOT = pathlib.Path(__file__).parents[5]
PHRASE = b"three dates and a falcon"


@pytest.fixture
def ring(tmp_path: pathlib.Path) -> pathlib.Path:
    """A ring under a passphrase, whose signing key two custodians could not open."""
    KeyRing.create(tmp_path / "ring", passphrase=Secret(PHRASE))
    (tmp_path / "phrase").write_bytes(PHRASE)
    (tmp_path / "phrase").chmod(0o600)
    return tmp_path / "ring"


@pytest.fixture
def environment_of(ring: pathlib.Path, tmp_path: pathlib.Path) -> dict[str, str]:
    return {"FALAJ_KEYS": str(ring), custody.VARIABLE: str(tmp_path / "phrase")}


@pytest.fixture
def forms(ring: pathlib.Path) -> list[bytes]:
    """Every way in which the ring's secrets could be written down."""
    private = files.private_key(Folder(ring), "signing.pem", Secret(PHRASE))
    wrapping = bytes.fromhex((ring / "wrapping.key").read_text())
    scalar = private.private_numbers().private_value.to_bytes(32, "big")
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return [form for secret in (PHRASE, wrapping, scalar, der) for form in written(secret)]


def written(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield base64.b64encode(secret).rstrip(b"=")
    yield base64.urlsafe_b64encode(secret).rstrip(b"=")
    yield repr(secret)[2:-1].encode()
    yield str(int.from_bytes(secret, "big")).encode()


def assert_none_in(text: str | bytes, forms: list[bytes]) -> None:
    data = text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
    assert not [form for form in forms if form in data]


def test_the_forms_are_found_where_they_are(forms: list[bytes], ring: pathlib.Path) -> None:
    with pytest.raises(AssertionError):
        assert_none_in(b"x" + (ring / "wrapping.key").read_bytes(), forms)
    assert len(forms) == 28


# copies


def shapes(ring: object) -> Iterator[str]:
    """Yield how an object shows, and all that can be made of it without asking for a secret."""
    for shape in (ring, copy.copy(ring), copy.deepcopy(ring)):
        yield f"{shape!r} {shape!s} {shape}"
        yield repr(getattr(shape, "__dict__", ""))
    if dataclasses.is_dataclass(ring) and not isinstance(ring, type):
        yield repr(dataclasses.asdict(ring))
        yield repr(dataclasses.astuple(ring))


def test_no_copy_or_text_of_a_ring_shows_a_secret(
    environment_of: dict[str, str], forms: list[bytes]
) -> None:
    ring = KeyRing.from_environment(environment_of)
    kept = Kept.from_environment(environment_of)

    for one in (ring, ring.signer, *ring.recipients, kept, kept.places, kept.parts()[0]):
        for shape in shapes(one):
            assert_none_in(shape, forms)


@pytest.mark.parametrize("what", ["ring", "signer", "recipient", "places", "secret"])
def test_a_ring_is_not_pickled(environment_of: dict[str, str], what: str) -> None:
    ring = KeyRing.from_environment(environment_of)
    one = {
        "ring": ring,
        "signer": ring.signer,
        "recipient": ring.recipients[0],
        "places": dataclasses.replace(Kept.from_environment(environment_of).places, environment={}),
        "secret": Secret(b"s"),
    }[what]

    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(one)


# errors and logs


def _wrong_passphrase(ring: pathlib.Path) -> None:
    KeyRing.load(ring, passphrase=Secret(PHRASE + b"!"))


def _no_passphrase(ring: pathlib.Path) -> None:
    KeyRing.load(ring)


def _cut_wrapping_key(ring: pathlib.Path) -> None:
    (ring / "wrapping.key").write_text((ring / "wrapping.key").read_text()[:-1] + "g")
    KeyRing.load(ring, passphrase=Secret(PHRASE))


def _binary_wrapping_key(ring: pathlib.Path) -> None:
    key = bytes.fromhex((ring / "wrapping.key").read_text())
    (ring / "wrapping.key").write_bytes(key + b"\xff")
    KeyRing.load(ring, passphrase=Secret(PHRASE))


def _cut_signing_key(ring: pathlib.Path) -> None:
    private = files.private_key(Folder(ring), "signing.pem", Secret(PHRASE))
    (ring / "signing.pem").write_bytes(files.private_pem(private, None)[:-40])
    KeyRing.load(ring)


def _key_in_the_clear(ring: pathlib.Path) -> None:
    private = files.private_key(Folder(ring), "signing.pem", Secret(PHRASE))
    (ring / "signing.pem").write_bytes(files.private_pem(private, None))
    KeyRing.load(ring, passphrase=Secret(PHRASE))


def _exposed(ring: pathlib.Path) -> None:
    (ring / "wrapping.key").chmod(0o644)
    KeyRing.load(ring, passphrase=Secret(PHRASE))


def _other_half(ring: pathlib.Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (ring / "verify.pem").write_bytes(Verifier(public).pem)
    KeyRing.load(ring, passphrase=Secret(PHRASE))


def _wrapped_for_another_use(ring: pathlib.Path) -> None:
    keys = KeyRing.load(ring, passphrase=Secret(PHRASE))
    keys.unwrap(keys.wrap(b"k" * 32, context=b"a"), context=b"b", where="here")


def _wrapped_for_others(ring: pathlib.Path) -> None:
    keys = KeyRing.load(ring, passphrase=Secret(PHRASE))
    keys.unwrap([], context=b"b", where="here")


def _malformed_wrapped_keys(ring: pathlib.Path) -> None:
    wrapped._decode(b"{", Address("b", "k"))


def _one_custodian(ring: pathlib.Path) -> None:
    (ring / "a").write_text(PHRASE.hex())
    (ring / "a").chmod(0o600)
    custody.of_files([ring / "a", ring / "a"])


def _ring_twice(ring: pathlib.Path) -> None:
    KeyRing.create(ring, passphrase=Secret(PHRASE))


FAILURES: list[Callable[[pathlib.Path], None]] = [
    _wrong_passphrase,
    _no_passphrase,
    _cut_wrapping_key,
    _binary_wrapping_key,
    _cut_signing_key,
    _key_in_the_clear,
    _exposed,
    _other_half,
    _wrapped_for_another_use,
    _wrapped_for_others,
    _malformed_wrapped_keys,
    _one_custodian,
    _ring_twice,
]


def chain(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error says, and what it came of, shown or not."""
    while error is not None:
        yield f"{error} {error!r} {vars(error)!r} {error.args!r}"
        yield "".join(traceback.format_exception(error))
        if error.__cause__ is None and error.__context__ is not None:
            error.__suppress_context__ = False
            yield "".join(traceback.format_exception(error))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__.strip("_"))
def test_no_error_or_log_shows_a_secret(
    ring: pathlib.Path,
    forms: list[bytes],
    caplog: pytest.LogCaptureFixture,
    fail: Callable[[pathlib.Path], None],
) -> None:
    caplog.set_level(logging.DEBUG)
    forms = [*forms, (ring / "wrapping.key").read_bytes()[:-1]]

    with pytest.raises(FalajError) as failed:
        fail(ring)

    for text in (*chain(failed.value), caplog.text):
        assert_none_in(text, forms)


# processes

_URI = "sealed+s3://falaj-models/delays/0123456789ab"
_STEP = """
import os, sys
from components.step import Step
Step("open", os.environ).keys
Step("open", os.environ).store.exists
import urllib.request
urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"])
"""
PROCESSES = {
    "initializer": ["-m", "inference.initializer", _URI, "opened"],
    "step": ["-c", _STEP],
    "falaj": ["-m", "pipelines", "unseal", _URI, "opened"],
    "core": [
        "-c",
        _STEP.replace("Step(", "keys_of(", 1).replace(
            "from components.step import Step",
            "from components.step import Step\n"
            "from components.foundation.sealing.keys import KeyRing, custody\n"
            "class keys_of:\n"
            "    def __init__(self, name, e):\n"
            "        self.keys = KeyRing.load(__import__('pathlib').Path(e['FALAJ_KEYS']),\n"
            "            passphrase=custody.passphrase(e))\n",
        ),
    ],
}


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A store that takes a connection and never answers: who asks it holds keys by then."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def started(
    name: str, folder: pathlib.Path, environment_of: dict[str, str], silent: socket.socket
) -> "subprocess.Popen[bytes]":
    """Start a process that may leave a core; return once it holds keys and asks the store."""
    here = {
        **{key: value for key, value in os.environ.items() if not key.startswith("FALAJ_")},
        **environment_of,
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    process = subprocess.Popen(
        [sys.executable, *PROCESSES[name]],
        cwd=folder,
        env=here,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (most, most)),
    )
    silent.accept()
    return process


def aborted(process: "subprocess.Popen[bytes]") -> bool:
    """Kill a process as a fault in it would; tell whether it left a core."""
    process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = status
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.mark.parametrize("name", ["initializer", "step", "falaj"])
def test_a_process_that_holds_keys_shows_and_leaves_none(
    name: str,
    environment_of: dict[str, str],
    forms: list[bytes],
    silent: socket.socket,
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "at").mkdir()

    process = started(name, tmp_path / "at", environment_of, silent)

    shown = [pathlib.Path(f"/proc/{process.pid}/{file}") for file in ("cmdline", "environ")]
    for text in [file.read_bytes() for file in shown]:
        assert text
        assert_none_in(text, forms)
    assert not aborted(process)
    assert not list((tmp_path / "at").glob("core*"))


def test_a_core_would_have_held_the_keys(
    environment_of: dict[str, str],
    forms: list[bytes],
    silent: socket.socket,
    tmp_path: pathlib.Path,
) -> None:
    """The control: the same without our guard leaves a core with the wrapping key in it."""
    (tmp_path / "at").mkdir()

    left = aborted(started("core", tmp_path / "at", environment_of, silent))

    cores = list((tmp_path / "at").glob("core*"))
    if not left or not cores:
        pytest.skip("this machine lets no program leave a core beside it")
    with pytest.raises(AssertionError):
        assert_none_in(cores[0].read_bytes(), forms)
