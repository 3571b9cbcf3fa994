"""The committed messages are those of open_inference.proto, and those that clients speak."""

import base64
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from inference.server.protocol import open_inference_pb2 as pb

FOLDER = pathlib.Path(pb.__file__).parent
PROTO = FOLDER / "open_inference.proto"
HEADER = f"# Made of {PROTO.name} by its test, with --update-goldens; edit that.\n"
MODULE = '''"""Messages of the Open Inference Protocol, in a descriptor pool of their own.

Clients' libraries define the same names in the default pool, and one pool holds each only once.
"""

import base64

from google.protobuf import descriptor_pool, message_factory

DESCRIPTOR = descriptor_pool.DescriptorPool().AddSerializedFile(
    base64.b64decode(
        """
{encoded}
        """
    )
)

globals().update(
    (name, message_factory.GetMessageClass(message))
    for name, message in DESCRIPTOR.message_types_by_name.items()
)
'''


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What protoc makes of the file: a set of descriptors, and types."""
    out = tmp_path_factory.mktemp("protoc")
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{FOLDER}", PROTO.name]
    made = [f"--descriptor_set_out={out / 'set'}", f"--pyi_out={out}"]
    subprocess.run([*protoc, *made], check=True)
    return out


def descriptor(compiled: pathlib.Path) -> descriptor_pb2.FileDescriptorProto:
    files = descriptor_pb2.FileDescriptorSet.FromString((compiled / "set").read_bytes())
    return files.file[0]


def module(compiled: pathlib.Path) -> str:
    serialized = descriptor(compiled).SerializeToString(deterministic=True)
    encoded = textwrap.fill(base64.b64encode(serialized).decode(), 96)
    return HEADER + MODULE.format(encoded=encoded)


def types(compiled: pathlib.Path) -> str:
    made = (compiled / "open_inference_pb2.pyi").read_text()
    return HEADER + "# ruff: noqa\n# fmt: off\n# mypy: ignore-errors\n" + made


@pytest.mark.parametrize(("name", "make"), [("py", module), ("pyi", types)], ids=["py", "pyi"])
def test_what_is_committed_is_what_the_compiler_makes(
    name: str,
    make: Callable[[pathlib.Path], str],
    compiled: pathlib.Path,
    request: pytest.FixtureRequest,
) -> None:
    path = FOLDER / f"open_inference_pb2.{name}"
    text = make(compiled)
    if request.config.getoption("--update-goldens"):
        path.write_text(text)

    assert text == path.read_text(), f"{path} differs; if that is meant, --update-goldens"


def test_every_field_is_the_one_that_the_kserve_client_knows() -> None:
    """Theirs may lack what is Triton's, and has loading, which ours leaves out."""
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as theirs

    loading = {
        name for name in theirs.DESCRIPTOR.message_types_by_name if "RepositoryModel" in name
    }
    known = set(fields(theirs.DESCRIPTOR.message_types_by_name.values()))

    ours = set(fields(pb.DESCRIPTOR.message_types_by_name.values()))

    assert {field for field in known if field[0].split(".")[1] not in loading} <= ours


def fields(messages: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for message in messages:
        for field in message.fields:
            kind = field.message_type.full_name if field.message_type else field.type
            yield field.full_name, field.number, kind, field.is_repeated
        yield from fields(message.nested_types)
