"""Clients that others wrote get right answers, and are told what is wrong, over every wire."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.inference.clients import claims
from tests.inference.clients.tensors import DATATYPES
from tests.inference.identities import write_identities
from tests.inference.processes import Process, served

_HERE = pathlib.Path(__file__).parent
_TRITON, _KSERVE = _HERE / "triton_calls.py", _HERE / "kserve_calls.py"

Serve = Callable[[Sequence[str]], Process]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return what serves tensors of some datatypes."""
    with contextlib.ExitStack() as stack:

        def start(datatypes: Sequence[str]) -> Process:
            folder = tmp_path_factory.mktemp("served") / "model"
            write_identities(folder, datatypes)
            return stack.enter_context(served(folder, name="echo"))

        yield start


@pytest.fixture(scope="module")
def triton(serve: Serve) -> dict[str, str]:
    """Run the client against all datatypes but one, twice: no ONNX model here has both."""
    said: dict[str, str] = {}
    for without in ("BF16", "BYTES"):
        datatypes = [name for name in DATATYPES if name != without]
        server = serve(datatypes)
        told = claims.run(_TRITON, "echo", str(server.http), str(server.grpc), *datatypes)
        said |= {name: said.get(name, "") + trouble for name, trouble in told.items()}
    return said


@pytest.fixture(scope="module")
def kserve(serve: Serve) -> dict[str, str]:
    """Run the client against what it can say at all, and what it can say without raw bytes."""
    known = serve([name for name in DATATYPES if name != "BF16"])
    typed = serve([name for name in DATATYPES if name not in ("BF16", "FP16")])
    return claims.run(_KSERVE, "echo", str(known.http), str(known.grpc), str(typed.grpc))


@pytest.mark.parametrize("name", claims.named(_TRITON))
def test_with_tritons_client(triton: dict[str, str], name: str) -> None:
    assert name in triton, "the program ended before it came to this"
    assert not triton[name], triton[name]


@pytest.mark.parametrize("name", claims.named(_KSERVE))
def test_with_kserves_client(kserve: dict[str, str], name: str) -> None:
    assert name in kserve, "the program ended before it came to this"
    assert not kserve[name], kserve[name]


def test_there_are_claims_to_check() -> None:
    assert len(claims.named(_TRITON)) > 15
    assert len(claims.named(_KSERVE)) > 10
