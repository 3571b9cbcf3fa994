"""How Vault is reached, and what is said when it is not: a real OpenBao, and stand-in failures."""

import base64
import logging
import os
import pathlib
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.sealing.keys import hashivault, vault
from components.foundation.sealing.keys.vault import Vault
from tests import ports
from tests.components.foundation.sealing.keys.openbao import TRANSIT, OpenBao
from tests.components.foundation.sealing.keys.standins import (
    Reviews,
    cut,
    hang,
    serving,
    status,
    token_of,
    told,
)

KEY = bytes(range(32))
TOKEN = "hvs.a-token-that-nobody-may-see"


def wrap(environment: dict[str, str], key: str = "k") -> bytes:
    return hashivault.recipient(f"hashivault://{key}", environment).wrap(KEY, context=b"c")


def secret(path: pathlib.Path, text: str) -> str:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)
    return str(path)


# Who we are.


def test_the_token_lies_where_the_command_line_of_vault_keeps_it(bao: OpenBao) -> None:
    assert "VAULT_TOKEN_FILE" not in bao.environment

    assert wrap(bao.environment, bao.key("aes256-gcm96"))


def test_a_token_that_is_renewed_in_its_file_is_taken_at_the_next_call(
    bao: OpenBao, tmp_path: pathlib.Path
) -> None:
    file = secret(tmp_path / "token", "gone")
    key = bao.key("aes256-gcm96")
    one = hashivault.recipient(f"hashivault://{key}", {**bao.environment, "VAULT_TOKEN_FILE": file})
    with pytest.raises(UserError, match="permission denied"):
        one.wrap(KEY, context=b"c")

    pathlib.Path(file).write_text(bao.root)

    assert one.wrap(KEY, context=b"c")


def test_a_token_in_the_environment_is_not_read(bao: OpenBao, tmp_path: pathlib.Path) -> None:
    environment = {**bao.environment, "HOME": str(tmp_path), "VAULT_TOKEN": bao.root}

    with pytest.raises(UserError, match="VAULT_TOKEN is not read"):
        wrap(environment)


def test_a_token_in_the_environment_of_the_process_is_not_read_either(
    failing: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would look for one there, and show it when a pod logs in."""
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    account = secret(tmp_path / "jwt", token_of("oasis", "pod"))
    failing.answer = status(403, {"errors": ["permission denied"]})

    with pytest.raises(UserError, match="log in as role opener"):
        wrap({**failing.environment, "VAULT_ROLE": "opener", "VAULT_JWT_FILE": account})

    assert (failing.asked, failing.tokens) == (["POST /v1/auth/kubernetes/login"], [None])


def test_a_token_that_everybody_may_read_is_refused(bao: OpenBao, tmp_path: pathlib.Path) -> None:
    file = secret(tmp_path / "token", bao.root)
    pathlib.Path(file).chmod(0o644)

    with pytest.raises(UserError, match="everybody"):
        wrap({**bao.environment, "VAULT_TOKEN_FILE": file})


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "caf\u00e9"])
def test_refuses_a_file_that_holds_no_token(
    bao: OpenBao, tmp_path: pathlib.Path, text: str
) -> None:
    file = secret(tmp_path / "token", text)

    with pytest.raises(UserError, match="holds no token"):
        wrap({**bao.environment, "VAULT_TOKEN_FILE": file})


@pytest.fixture(scope="module")
def pods(bao: OpenBao) -> Iterator[str]:
    """A key that pods of one service account may wrap with; a stand-in reviews their tokens."""
    key = bao.key("aes256-gcm96")
    policy = f'path "{TRANSIT}/encrypt/{key}" {{ capabilities = ["update"] }}'
    bao.admin.sys.create_or_update_policy("pod", policy)
    bao.admin.sys.enable_auth_method("kubernetes", path="pods")
    with serving(Reviews) as port:
        config = {
            "kubernetes_host": f"http://127.0.0.1:{port}",
            "disable_local_ca_jwt": True,
            "kubernetes_ca_cert": bao.authority.read_text(),
            "token_reviewer_jwt": token_of("vault", "reviewer"),
        }
        bao.admin.write_data("auth/pods/config", data=config)
        bao.admin.auth.kubernetes.create_role(
            "opener", ["pod"], ["oasis"], policies=["pod"], mount_point="pods"
        )
        yield key


@pytest.fixture
def pod(bao: OpenBao, pods: str, tmp_path: pathlib.Path) -> dict[str, str]:
    """What a pod has: a role, and the token of its service account."""
    return {
        **bao.environment,
        "HOME": str(tmp_path),
        "VAULT_ROLE": "opener",
        "VAULT_PATH": "pods",
        "VAULT_JWT_FILE": secret(tmp_path / "jwt", token_of("oasis", "pod")),
    }


def test_a_pod_logs_in_by_its_service_account(pod: dict[str, str], pods: str) -> None:
    assert wrap(pod, pods)


def test_a_pod_of_another_role_is_told_which(pod: dict[str, str], pods: str) -> None:
    with pytest.raises(UserError, match="log in as role gardener at auth/pods") as raised:
        wrap({**pod, "VAULT_ROLE": "gardener"}, pods)

    assert raised.value.code == "vault-denied"


@pytest.mark.parametrize(
    "token",
    [token_of("desert", "pod"), token_of("oasis", "pod", "forged"), "none"],
    ids=["of-another-namespace", "forged", "none"],
)
def test_nobody_else_gets_in(
    pod: dict[str, str], pods: str, tmp_path: pathlib.Path, token: str
) -> None:
    other = secret(tmp_path / "other", token)

    with pytest.raises(UserError, match="VAULT_ROLE") as raised:
        wrap({**pod, "VAULT_JWT_FILE": other}, pods)

    assert raised.value.code == "vault-denied"
    assert token not in str(raised.value) or token == "none"


# Where it is.


def test_a_certificate_of_an_unknown_authority_is_refused(bao: OpenBao) -> None:
    environment = {**bao.environment, "VAULT_CACERT": ""}

    with pytest.raises(UserError, match="VAULT_CACERT") as raised:
        wrap(environment)

    assert raised.value.code == "vault-untrusted"


@pytest.mark.parametrize(
    "address",
    ["", "vault:8200", "ftp://vault", "https://", "https://root:token@vault", "https://vault?x=1"],
)
def test_refuses_an_address_that_is_none(address: str) -> None:
    with pytest.raises(UserError, match="expected https://HOST:PORT") as raised:
        Vault.parse({"VAULT_ADDR": address})

    assert "token" not in str(raised.value)


def test_refuses_an_authority_that_is_no_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="where no file lies"):
        Vault.parse({"VAULT_ADDR": "https://vault", "VAULT_CACERT": str(tmp_path / "ca.pem")})


@pytest.mark.parametrize("here", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"])
def test_needs_no_tls_on_this_machine(here: str) -> None:
    assert Vault.parse({"VAULT_ADDR": f"http://{here}:8200/"}).address == f"http://{here}:8200"


@pytest.mark.parametrize("away", ["vault", "10.0.0.7", "localhost.example", "[fe80::1]"])
def test_refuses_the_clear_across_a_network(away: str) -> None:
    with pytest.raises(UserError, match="in the clear"):
        Vault.parse({"VAULT_ADDR": f"http://{away}:8200"})


def test_whoever_wants_the_clear_says_so_and_it_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        Vault.parse({"VAULT_ADDR": "http://vault:8200", vault.HATCH: "1"})

    assert "in the clear" in caplog.text


# What goes wrong there.


@pytest.fixture
def failing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that answers as it is told, and what reaches it in `environment`."""
    monkeypatch.setattr(vault, "_TIMEOUT_S", (0.3, 0.3))
    here = told(status(200, {}))
    with serving(here) as port:
        here.environment = {
            "VAULT_ADDR": f"http://127.0.0.1:{port}",
            "VAULT_TOKEN_FILE": secret(tmp_path / "token", TOKEN),
        }
        yield here


BROKEN = {
    "sealed": status(503, {"errors": ["Vault is sealed"]}),
    "standby": status(429, {"errors": []}),
    "to-another-node": status(307, "", location="http://127.0.0.1:1/v1/transit/encrypt/k"),
    "error": status(500, {"errors": ["internal error"]}),
    "bad-gateway": status(502, "<html>bad gateway</html>"),
    "uninitialised": status(501, {"errors": ["not initialized"]}),
    "a-page": status(200, "<html>please log in</html>"),
    "another-api": status(200, {"items": []}),
    "no-ciphertext": status(200, {"data": {"ciphertext": "hello"}}),
    "a-list": status(200, []),
    "a-list-of-errors": status(500, ["x"]),
    "nothing": status(204, ""),
    "hangs": hang,
    "cuts": cut,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_server_that_is_not_well_may_be_asked_again_later(failing: Any, how: str) -> None:
    failing.answer = BROKEN[how]
    began = time.monotonic()

    with pytest.raises(InfrastructureError) as raised:
        wrap(failing.environment)

    assert raised.value.code == "vault-failed"
    assert failing.environment["VAULT_ADDR"] in str(raised.value)
    assert "run again" in str(raised.value) or "check that" in str(raised.value)
    assert time.monotonic() - began < 2.5


def test_one_that_is_sealed_says_so(bao: OpenBao) -> None:
    key = bao.key("aes256-gcm96")

    with bao.sealed(), pytest.raises(InfrastructureError, match="sealed"):
        wrap(bao.environment, key)

    assert wrap(bao.environment, key)


def test_one_that_is_away_is_said_to_be(tmp_path: pathlib.Path) -> None:
    file = secret(tmp_path / "token", TOKEN)
    address = f"http://127.0.0.1:{ports.free()}"

    with pytest.raises(InfrastructureError, match="did not answer"):
        wrap({"VAULT_ADDR": address, "VAULT_TOKEN_FILE": file})


def test_a_token_follows_no_redirect(failing: Any) -> None:
    thief = told(status(200, {}))
    with serving(thief) as port:
        there = f"http://127.0.0.1:{port}/v1/transit/encrypt/k"
        failing.answer = status(307, "", location=there)
        with pytest.raises(InfrastructureError):
            wrap(failing.environment)

    assert failing.tokens == [TOKEN]
    assert thief.tokens == []


def test_asks_nothing_through_a_proxy(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing.answer = status(200, {"data": {"ciphertext": "vault:v1:AAAA"}})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert wrap(failing.environment) == b"vault:v1:AAAA"


@pytest.mark.parametrize("how", BROKEN)
def test_no_failure_shows_the_token_or_the_key(
    failing: Any, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing.answer = BROKEN[how]
    with caplog.at_level(logging.DEBUG), pytest.raises(FalajError) as raised:
        wrap(failing.environment)

    shown = "".join(traceback.format_exception(raised.value)) + _chain(raised.value) + caplog.text
    for hidden in (TOKEN, KEY.hex(), base64.b64encode(KEY).decode(), repr(KEY)):
        assert hidden not in shown


def test_what_goes_well_logs_no_token_and_no_key(
    bao: OpenBao, caplog: pytest.LogCaptureFixture
) -> None:
    one = hashivault.recipient(f"hashivault://{bao.key('aes256-gcm96')}", bao.environment)

    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="urllib3"):
        opened = one.unwrap(one.wrap(KEY, context=b"c"), context=b"c", where="here")

    assert opened == KEY
    assert "/v1/shares/decrypt/" in caplog.text
    for hidden in (bao.root, KEY.hex(), base64.b64encode(KEY).decode(), repr(KEY)):
        assert hidden not in caplog.text


def test_what_holds_a_key_shows_no_token(bao: OpenBao) -> None:
    one = hashivault.recipient("hashivault://k", {**bao.environment, "VAULT_TOKEN": bao.root})

    assert bao.root not in repr(one)


def _chain(error: BaseException | None) -> str:
    """Show an error and all that lies behind it, whether a traceback would or not."""
    return f"{error!r} {error} {_chain(error.__context__)}" if error else ""
