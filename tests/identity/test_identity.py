"""The server takes the tokens of a real identity provider, fetched as clients fetch them."""

import contextlib
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.identity import provider as identity
from tests.identity.provider import AUDIENCE, Provider, provided
from tests.inference.models import request, write_model
from tests.inference.server.test_process import INFER, free_port, wait_ready


@contextlib.contextmanager
def served(folder: pathlib.Path, issuer: str) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "inference.server", "--model_name", "delays"]
    command += ["--model_dir", str(folder), "--http_port", str(port), "--allow_plaintext"]
    command += ["--spool_dir", str(folder.parent / "spool")]
    command += ["--oidc_issuer", issuer, "--oidc_audience", AUDIENCE]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_ready(port)
        yield port
    finally:
        process.kill()
        process.wait()


def infer(port: int, token: str | None) -> int:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    body = request(delay=[1], carrier=[0])
    url = f"http://127.0.0.1:{port}{INFER}"
    return httpx.post(url, json=body, headers=headers, trust_env=False).status_code


@pytest.mark.slow
def test_tokens_of_a_real_provider_open_the_server(tmp_path: pathlib.Path) -> None:
    with provided() as provider, served(write_model(tmp_path / "model"), provider.url) as port:
        _check_scopes(port, provider)
        old = provider.token("falaj:infer")
        assert infer(port, old) == 200
        provider.rotate()
        new = provider.token("falaj:infer")
        assert infer(port, new) == 200
        assert infer(port, old) == 401
        unseen = provider.token("falaj:infer")
        provider.stop()
        assert [infer(port, token) for token in (new, unseen)] == [200, 200]


def _check_scopes(port: int, provider: Provider) -> None:
    assert infer(port, None) == 401
    assert infer(port, "forged") == 401
    assert infer(port, provider.token("falaj:metadata")) == 403


def test_a_machine_without_npm_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AssertionError, match=r"npm and node is missing, .* install"):
        identity._modules()
