"""Clients that others wrote get right answers, and are told what is wrong, over every wire."""

import contextlib
import pathlib
from collections.abc import Sequence

import pytest

from tests.inference.clients import claims
from tests.inference.clients.tensors import DATATYPES
from tests.inference.identities import write_identities
from tests.inference.processes import Process, served

_HERE = pathlib.Path(__file__).parent
_TRITON, _KSERVE = _HERE / "triton_calls.py", _HERE / "kserve_calls.py"
_ALL = [(program, name) for program in (_TRITON, _KSERVE) for name in claims.named(program)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[pathlib.Path, dict[str, str]]:
    """Run each client once, against servers of what it can say."""
    without_bf16 = tuple(name for name in DATATYPES if name != "BF16")
    with contextlib.ExitStack() as stack:

        def serve(datatypes: Sequence[str]) -> Process:
            folder = tmp_path_factory.mktemp("served") / "model"
            write_identities(folder, datatypes)
            return stack.enter_context(served(folder, name="echo"))

        every, known = serve(DATATYPES), serve(without_bf16)
        typed = serve([name for name in without_bf16 if name != "FP16"])
        ports = (str(known.http), str(known.grpc), str(typed.grpc))
        return {
            _TRITON: claims.run(_TRITON, "echo", str(every.http), str(every.grpc)),
            _KSERVE: claims.run(_KSERVE, "echo", *ports),
        }


@pytest.mark.parametrize(("program", "name"), _ALL, ids=[f"{p.stem}-{n}" for p, n in _ALL])
def test_holds(said: dict[pathlib.Path, dict[str, str]], program: pathlib.Path, name: str) -> None:
    assert name in said[program], "the program ended before it came to this"
    assert not said[program][name], said[program][name]


def test_there_are_claims_to_check() -> None:
    assert len(_ALL) > 20
