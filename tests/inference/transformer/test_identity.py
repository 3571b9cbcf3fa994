"""Transformer and predictor as processes, both of which take a real provider's tokens only."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from components.features.repository import Repository
from components.foundation import trained_with
from components.foundation.storage import Settings
from tests.components.features.conftest import Small, no_network, small
from tests.identity.provider import AUDIENCE, Provider, provided
from tests.identity.test_identity import served
from tests.inference.processes import free_ports
from tests.inference.server.runtimes.releases import release_json
from tests.inference.transformer.conftest import MODEL, Asked
from tests.inference.transformer.test_feast_source import remember
from tests.inference.transformer.test_process import ready

__all__ = ["no_network", "small"]

pytestmark = pytest.mark.slow  # imports Feast, twice, and starts an identity provider

INFER = f"/v2/models/{MODEL}/infer"
EWR = {"inputs": [{"name": "origin", "datatype": "BYTES", "shape": [1], "data": ["EWR"]}]}


def write_echo(folder: pathlib.Path, features: dict[str, str]) -> pathlib.Path:
    """Write a release whose model answers the temperature that it is given."""
    sides = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows"])
        for name in ("temp", "told")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["temp"], ["told"])], "echo", sides[:1], sides[1:]
    )
    folder.mkdir()
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    signature = {
        side: [{"name": name, "datatype": "FP64", "shape": [-1]}]
        for side, name in (("inputs", "temp"), ("outputs", "told"))
    }
    (folder / "signature.json").write_text(json.dumps(signature))
    release_json(folder, version="7", facts=features)
    return folder


@dataclass(frozen=True)
class Slot:
    """A transformer before its predictor, and who gives tokens for both."""

    ask: Asked
    predictor: Asked
    provider: Provider

    def status(self, scope: str | None, path: str = INFER, *, of: Asked | None = None) -> int:
        return self.told(scope, path, of=of)[0]

    def told(
        self, scope: str | None, path: str = INFER, *, of: Asked | None = None
    ) -> tuple[int, Any]:
        shown = {} if scope is None else {"authorization": f"Bearer {self.provider.token(scope)}"}
        status, told, _ = (of or self.ask)(path, EWR if path == INFER else None, **shown)
        return status, told


@pytest.fixture
def slot(small: Small, s3: Settings, tmp_path: pathlib.Path) -> Iterator[Slot]:
    from components.features.apply_features.apply import apply

    online = {"FALAJ_ONLINE_STORE": str(tmp_path / "online.db")}
    environment = {**os.environ, **s3.environment(), **online, "PYTHONPATH": f"{tmp_path}:."}
    small.observe(("EWR", 0, 0, 1.0))
    repository = Repository.load(small.package, environment, cache=tmp_path / "c")
    registry = str(apply(repository).registry)
    remember(repository, ("EWR", 12.5, 3, 1))
    features = trained_with.said("lateness", registry)
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(provided())
        predictor = stack.enter_context(
            served(write_echo(tmp_path / "model", features), provider.url)
        )
        token = tmp_path / "token"
        token.write_text(provider.token("falaj:metadata"))
        [port] = free_ports(1)
        command = [sys.executable, "-m", "inference.transformer", "--model_name", MODEL]
        command += ["--predictor_host", f"127.0.0.1:{predictor}", "--allow_plaintext"]
        command += ["--predictor_token_file", str(token), "--expected_version", "7"]
        command += ["--oidc_issuer", provider.url, "--oidc_audience", AUDIENCE]
        command += ["--feature_repository", small.package, "--feature_service", "lateness"]
        command += ["--feature_registry", registry, "--feature_cache", str(tmp_path / "cache")]
        command += ["--http_port", str(port)]
        process = stack.enter_context(subprocess.Popen(command, env=environment))
        stack.callback(process.kill)
        assert ready(Asked(port), process)
        yield Slot(Asked(port), Asked(predictor), provider)


def test_a_token_of_a_real_provider_opens_both_and_nothing_beyond_its_scope(slot: Slot) -> None:
    assert slot.status(None) == 401
    assert slot.status(None, of=slot.predictor) == 401
    assert slot.ask(INFER, EWR, authorization="Bearer forged")[0] == 401
    assert slot.status("falaj:metadata") == 403
    assert slot.status("falaj:infer", "/metrics") == 403

    status, told = slot.told("falaj:infer")

    assert (status, told["model_version"], told["outputs"][0]["data"]) == (200, "7", [12.5])
    counted = slot.told("falaj:metrics", "/metrics")[1].decode()
    assert 'falaj_transformer_callers_refused_total{model="delays",reason="scope"} 2.0' in counted
    asked = slot.told("falaj:metrics", "/metrics", of=slot.predictor)[1].decode()
    assert re.findall(r'inference_requests_total\{code="(\d+)",.*\} (\S+)', asked) == [
        ("200", "1.0")
    ]

    before = f"Bearer {slot.provider.token('falaj:infer')}"
    slot.provider.rotate()
    assert slot.status("falaj:infer") == 200
    assert slot.ask(INFER, EWR, authorization=before)[0] == 401
