"""Archives that make PyTorch run what they say; `ran` tells whether it did."""

import io
import json
import logging
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.foundation.errors import UserError
from components.foundation.runtimes import pt2_archive

pytestmark = pytest.mark.slow  # PyTorch takes seconds to import, its exporter more

Change = Callable[[str, bytes], bytes | None]
PROGRAM = "models/model.json"


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def forward(self, x: Any) -> Any:
            masked = torch.where(x > 0, x, -torch.inf)
            return torch.cat([masked, x]).reshape(2 * x.shape[0], -1) * self.weight

    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    exported = torch.export.export(Module(), (torch.ones(3, 2),), dynamic_shapes=shapes)
    torch.export.save(exported.run_decompositions(), path)
    return path


@pytest.fixture
def ran(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where a program leaves a trace; PyTorch's own warnings, one of them broken, are off."""
    logging.disable(logging.CRITICAL)
    yield tmp_path / "ran"
    logging.disable(logging.NOTSET)


def rewrite(source: pathlib.Path, target: pathlib.Path, change: Change, **added: bytes) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            content = change(member.partition("/")[2], old.read(member))
            if content is not None:
                new.writestr(member, content)
        for name, content in added.items():
            new.writestr(f"model/{name}", content)


def as_it_is(name: str, content: bytes) -> bytes:
    return content


def replacing(old: str, new: str) -> Change:
    """Change the program's JSON; raises where there is nothing to change."""

    def change(name: str, content: bytes) -> bytes:
        if name != PROGRAM:
            return content
        changed, times = re.subn(old, lambda _: json.dumps(new)[1:-1], content.decode())
        assert times, old
        return changed.encode()

    return change


def refused(source: pathlib.Path, target: pathlib.Path, change: Change, **added: bytes) -> str:
    rewrite(source, target, change, **added)
    with pytest.raises(UserError) as refusal:
        pt2_archive.check(target)
    assert refusal.value.code == "program-unsafe"
    return str(refusal.value)


def test_lets_an_exported_program_through(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    rewrite(archive, tmp_path / "same.pt2", as_it_is)

    pt2_archive.check(archive)
    pt2_archive.check(tmp_path / "same.pt2")


@pytest.mark.parametrize(
    "name",
    [
        "data/aotinductor/model/model.so",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/weights/model.pt",
        "models/other.json",
        "extra/notes",
    ],
)
def test_refuses_members_that_are_no_tensors(
    archive: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    assert f"member '{name}'" in refused(archive, tmp_path / "x.pt2", as_it_is, **{name: b"x"})


def test_refuses_sample_inputs_that_run_when_unpickled(
    archive: pathlib.Path, tmp_path: pathlib.Path, ran: pathlib.Path
) -> None:
    import torch

    pickled = io.BytesIO()
    torch.save(Runs(f"touch {ran}"), pickled)

    def change(name: str, content: bytes) -> bytes:
        return pickled.getvalue() if name.startswith("data/sample_inputs/") else content

    assert "sample inputs" in refused(archive, tmp_path / "x.pt2", change)
    assert not ran.exists()
    with pytest.raises(AssertionError):
        torch.export.load(tmp_path / "x.pt2")
    assert ran.exists()  # PyTorch alone would have run it


def test_refuses_weights_that_are_pickled(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')

    assert "pickled tensor 'weight'" in refused(archive, tmp_path / "x.pt2", change)


def test_refuses_sizes_that_are_programs(
    archive: pathlib.Path, tmp_path: pathlib.Path, ran: pathlib.Path
) -> None:
    import torch

    command = f"__import__('os').system('touch {ran}')"
    change = replacing(r"Symbol\('[^\"]*", command)

    assert "expr_str" in refused(archive, tmp_path / "x.pt2", change)
    assert not ran.exists()
    with pytest.raises(AttributeError):
        torch.export.load(tmp_path / "x.pt2")
    assert ran.exists()  # PyTorch alone would have run it


@pytest.mark.parametrize(
    "text",
    ["x.__class__", "[1][0]", "(lambda: 1)()", "open('x1')", "Symbol('s1').name", "f'{s1}'", "1;2"],
)
def test_refuses_sizes_that_are_more_than_arithmetic(
    archive: pathlib.Path, tmp_path: pathlib.Path, text: str
) -> None:
    change = replacing(r"Symbol\('[^\"]*", text)

    assert "expr_str" in refused(archive, tmp_path / "x.pt2", change)


@pytest.mark.parametrize(
    "operator",
    [
        "torch.hub.os.system",
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.load_library",
        "torch.ops.mine.anything.default",
        "_operator.methodcaller",
        "math.__loader__.load_module",
    ],
)
def test_refuses_operators_that_are_not_tensor_algebra(
    archive: pathlib.Path, tmp_path: pathlib.Path, operator: str
) -> None:
    change = replacing(r"torch\.ops\.aten\.cat\.default", operator)

    assert f"target '{operator}'" in refused(archive, tmp_path / "x.pt2", change)


@pytest.mark.parametrize("name", ["x=print()", "x):\n import os\ndef f(x", "metadata', open('x"])
def test_refuses_names_that_would_be_source_text(
    archive: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    assert refused(archive, tmp_path / "x.pt2", replacing(r'(?<=")x(?=")', name))


def test_a_tensor_named_as_a_free_text_is_checked_all_the_same(
    archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name != PROGRAM:
            return content
        program = json.loads(content)
        values = program["graph_module"]["graph"]["tensor_values"]
        values["metadata"] = {"sizes": [{"as_expr": {"expr_str": "open('x1')"}}]}
        values["target"] = values["metadata"]
        return json.dumps(program).encode()

    assert "expr_str" in refused(archive, tmp_path / "x.pt2", change)


def test_refuses_inputs_of_foreign_classes(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    change = replacing(r"builtins\.tuple", "collections.defaultdict")

    assert "in_spec" in refused(archive, tmp_path / "x.pt2", change)
