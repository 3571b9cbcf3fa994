"""Keepers in one process leave each other, and everybody's connections, alone."""

import pathlib

import pytest

from components.foundation.sealing.keys import pkcs11
from tests.components.foundation.sealing.keys import softhsm
from tests.components.foundation.sealing.keys.openbao import TRANSIT, OpenBao


def test_a_token_leaves_no_error_to_a_connection_that_is_open(
    bao: OpenBao, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "conf"))
    hsm = softhsm.made(tmp_path)
    hsm.initialise("falaj")
    hsm.wrapping()
    token = pkcs11.recipient(hsm.uri("object=wrapping"), {})
    client = bao.admin
    client.sys.read_health_status(method="GET")

    token.wrap(bytes(32), context=b"c")

    made = client.secrets.transit.create_key("later", key_type="rsa-4096", mount_point=TRANSIT)
    assert made
