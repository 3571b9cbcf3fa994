import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.components.release.scan_samples import refusals, scanned
from tests.inference.models import write_model

Change = Callable[[Any], None]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_model(tmp_path / "model")


def change(folder: pathlib.Path, how: Change) -> None:
    path = folder / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    how(model)
    path.write_bytes(model.SerializeToString())


def outside(model: Any, **where: str) -> None:
    """Let the model's one initializer, of 12 bytes, lie beside the graph."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in where.items():
        tensor.external_data.add(key=key, value=value)


def test_a_plain_graph_is_let_through_and_counted(folder: pathlib.Path) -> None:
    found = scanned(folder)

    assert found.refused == []
    assert (found.counts["operators"], found.counts["tensors"]) == (3, 1)


def test_weights_beside_a_graph_are_let_through(folder: pathlib.Path) -> None:
    (folder / "weights.bin").write_bytes(b"\x80\x04" + bytes(14))
    change(folder, lambda model: outside(model, location="weights.bin", offset="4", length="12"))

    found = scanned(folder)

    assert found.refused == []
    assert found.files["weights.bin"] == "external data of an ONNX graph"


@pytest.mark.parametrize(
    "location",
    [
        *("../weights", "/etc/passwd", "a/../../weights", "C:\\weights", "..\\weights"),
        *("weights\0", "link", "folder/inside", "missing", "", ".", "./weights", "sub//weights"),
    ],
)
def test_weights_that_lie_outside_are_refused(folder: pathlib.Path, location: str) -> None:
    for path in (folder / "weights", folder.parent / "weights"):
        path.write_bytes(bytes(12))
    (folder.parent / "target").mkdir()
    (folder.parent / "target" / "inside").write_bytes(bytes(12))
    (folder / "link").symlink_to(folder / "weights")
    (folder / "folder").symlink_to(folder.parent / "target")
    change(folder, lambda model: outside(model, location=location))

    assert any(
        line.startswith("model.onnx: external data: tensor offsets") for line in refusals(folder)
    )


@pytest.mark.parametrize(
    "where",
    [
        {"offset": "4"},
        {"offset": "-4"},
        {"length": "13"},
        {"length": "4"},
        {"length": "99999999999999999999"},
        {"offset": "1" + "0" * 30},
        {"offset": "٣"},
        {"length": "0x0c"},
        {"basepath": "/"},
        {"unheard": "1"},
    ],
    ids=str,
)
def test_weights_beyond_their_file_are_refused(folder: pathlib.Path, where: dict[str, str]) -> None:
    (folder / "weights").write_bytes(bytes(12))
    change(folder, lambda model: outside(model, location="weights", **where))

    assert any("model.onnx: external data: tensor offsets" in line for line in refusals(folder))


def test_bytes_beside_a_graph_that_no_tensor_owns_are_refused(folder: pathlib.Path) -> None:
    (folder / "weights").write_bytes(bytes(12 + (1 << 17)))
    change(folder, lambda model: outside(model, location="weights"))

    assert any("weights: hidden bytes: 131072 bytes from 12" in line for line in refusals(folder))


def rename(domain: str, operator: str = "PyOp") -> Change:
    def how(model: Any) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = operator, domain

    return how


def test_an_operator_of_nobodys_is_refused_unless_its_domain_is_declared(
    folder: pathlib.Path,
) -> None:
    change(folder, rename("ai.onnx.contrib"))

    [said] = refusals(folder)
    assert "model.onnx: operator: operator PyOp of domain ai.onnx.contrib: is custom" in said
    assert refusals(folder, domains=frozenset({"ai.onnx.contrib"})) == []


def test_an_operator_deep_in_branches_is_found(folder: pathlib.Path) -> None:
    inner = helper.make_node("Evil", [], ["x"], domain="evil")
    for _ in range(5):
        graph = helper.make_graph([inner], "g", [], [])
        inner = helper.make_node("If", ["c"], ["x"], then_branch=graph, else_branch=graph)
    change(folder, lambda model: model.graph.node.append(inner))

    assert any("operator Evil of domain evil" in line for line in refusals(folder))


def test_graphs_that_nest_too_deep_are_refused(folder: pathlib.Path) -> None:
    inner = helper.make_node("Neg", ["x"], ["y"])
    for _ in range(33):
        inner = helper.make_node(
            "If", ["c"], ["y"], then_branch=helper.make_graph([inner], "g", [], [])
        )
    path = folder / "model.onnx"
    model = onnx.load(path)
    model.graph.node.append(inner)
    path.write_bytes(model.SerializeToString())

    assert any("graphs in graphs, deeper than 32" in line for line in refusals(folder))


def function(domain: str, name: str, *calls: str) -> Any:
    nodes = [helper.make_node(call, ["x"], ["x"], domain=domain) for call in calls]
    return helper.make_function(domain, name, ["x"], ["x"], nodes, [])


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml"])
def test_a_function_in_the_place_of_a_standard_operator_is_refused(
    folder: pathlib.Path, domain: str
) -> None:
    change(folder, lambda model: model.functions.append(function(domain, "Sigmoid")))

    assert any("a function of its own is called Sigmoid" in line for line in refusals(folder))


def test_functions_of_the_model_are_no_custom_operators(folder: pathlib.Path) -> None:
    def how(model: Any) -> None:
        model.functions.append(function("own", "Twice"))
        model.graph.node.append(helper.make_node("Twice", ["x"], ["y"], domain="own"))

    change(folder, how)

    assert refusals(folder) == []


def test_functions_that_call_each_other_without_end_are_refused(folder: pathlib.Path) -> None:
    def how(model: Any) -> None:
        model.functions.extend([function("own", "A", "B"), function("own", "B", "A")])

    change(folder, how)

    assert [line for line in refusals(folder) if "calls itself" in line]


@pytest.mark.parametrize("sizes", [[1 << 40], [-1], [4], [2] * 65], ids=["huge", "-", "4", "many"])
def test_a_tensor_whose_bytes_do_not_fill_its_shape_is_refused(
    folder: pathlib.Path, sizes: list[int]
) -> None:
    def how(model: Any) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(sizes)

    change(folder, how)

    assert any("model.onnx: broken: tensor offsets" in line for line in refusals(folder))


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.5], np.float64),
        np.array([[1, 2], [3, 4]], np.int8),
        np.array([], np.float32),
        np.array([True]),
        np.array(["text", ""], object),
        np.float16(3),
    ],
    ids=["double", "int8", "empty", "bool", "text", "half"],
)
def test_tensors_of_every_type_are_let_through(folder: pathlib.Path, array: Any) -> None:
    tensors = [numpy_helper.from_array(np.asarray(array), "a")]
    if np.asarray(array).dtype != object:
        values = [*np.asarray(array).ravel().tolist()]
        kind = helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype)
        tensors.append(helper.make_tensor("b", kind, np.asarray(array).shape, values))
    change(folder, lambda model: model.graph.initializer.extend(tensors))

    assert refusals(folder) == []


def test_what_is_no_graph_is_refused(folder: pathlib.Path) -> None:
    (folder / "model.onnx").write_bytes(b"broken")

    [said] = refusals(folder)
    assert said.startswith("model.onnx: broken: is no ONNX graph")


def test_a_graph_larger_than_is_read_is_refused(folder: pathlib.Path) -> None:
    from components.release.scan_model.limits import Limits

    [refused] = scanned(folder, Limits(graph=100)).refused
    assert refused.rule == "size"


@pytest.mark.slow
@pytest.mark.usefixtures("frameworks")
def test_programs_of_frameworks_are_judged_as_the_server_judges_them(
    tmp_path: pathlib.Path,
) -> None:
    import tensorflow as tf
    import torch

    module = tf.Module()
    module.serve = tf.function(
        lambda x: tf.py_function(lambda y: y, [x], tf.float32),
        input_signature=[tf.TensorSpec([None], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "saved_model"))
    program = torch.export.export(torch.nn.Linear(2, 1), (torch.ones(3, 2),))
    torch.export.save(program, tmp_path / "model.pt2")
    torch.save({"w": torch.ones(3)}, tmp_path / "checkpoint.pt")
    script: Any = torch.jit.script(torch.nn.Linear(2, 1))
    script.save(tmp_path / "script.pt")

    found = refusals(tmp_path)

    assert any("saved_model/saved_model.pb: operator: operator EagerPyFunc" in x for x in found)
    assert any("checkpoint.pt: pickle: is a checkpoint of PyTorch" in x for x in found)
    assert any("script.pt: code: is TorchScript" in x for x in found)
    assert not any(line.startswith("model.pt2") for line in found), found
    assert not any(
        line.startswith("checkpoint.pt")
        for line in refusals(tmp_path, pickles={"checkpoint.pt": frozenset()})
    )


@pytest.mark.slow
@pytest.mark.usefixtures("frameworks")
def test_an_operator_of_a_torch_program_that_is_no_algebra_is_refused(
    tmp_path: pathlib.Path,
) -> None:
    import zipfile

    import torch

    program = torch.export.export(torch.nn.Linear(2, 1), (torch.ones(3, 2),))
    torch.export.save(program, tmp_path / "good.pt2")
    model = tmp_path / "model"
    model.mkdir()
    source, target = tmp_path / "good.pt2", model / "model.pt2"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            changed = text.replace(b"torch.ops.aten.linear.default", b"torch.hub.os.system")
            new.writestr(name, changed)

    [said] = refusals(model)
    assert "model.pt2: operator: target 'torch.hub.os.system'" in said
