import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from components.foundation.errors import UserError
from components.foundation.formats import saved_graph

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("frameworks")]  # TensorFlow takes seconds

Call = Callable[[Any, Any], Any]


def save(path: pathlib.Path, call: Call) -> pathlib.Path:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable([1.0])
    module.serve = tf.function(
        lambda x: call(module, x), input_signature=[tf.TensorSpec([None], tf.float32, "x")]
    )
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return save(tmp_path_factory.mktemp("tensorflow") / "saved", lambda m, x: x * m.weight)


def nested(module: Any, x: Any) -> Any:
    """Write a file deep in branches and loops."""
    import tensorflow as tf

    def write() -> Any:
        with tf.control_dependencies([tf.io.write_file("/nowhere", "text")]):
            return tf.identity(x)

    return tf.while_loop(
        lambda y: tf.reduce_sum(y) < 0, lambda y: (tf.cond(y[0] > 0, write, lambda: y),), (x,)
    )[0]


def table(module: Any, x: Any) -> Any:
    import tensorflow as tf

    handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=handle, filename="/nowhere", key_index=-2, value_index=-1
    )
    return x


def operators() -> dict[str, Call]:
    """Each reaches outside of the model through one operator."""
    import tensorflow as tf

    raw = tf.raw_ops

    def beside(act: Callable[[Any], Any]) -> Call:
        def call(module: Any, x: Any) -> Any:
            act(x)
            return x

        return call

    return {
        "ReadFile": beside(lambda x: tf.io.read_file("/nowhere")),
        "WriteFile": beside(lambda x: tf.io.write_file("/nowhere", "text")),
        "MatchingFiles": beside(lambda x: tf.io.matching_files("/*")),
        "PrintV2": beside(lambda x: tf.print(x, output_stream="file:///nowhere")),
        "EagerPyFunc": lambda module, x: tf.py_function(lambda y: y, [x], tf.float32),
        "PyFunc": lambda module, x: tf.numpy_function(lambda y: y, [x], tf.float32),
        "SaveV2": beside(
            lambda x: raw.SaveV2(
                prefix="/nowhere", tensor_names=["x"], shape_and_slices=[""], tensors=[x]
            )
        ),
        "RestoreV2": beside(
            lambda x: raw.RestoreV2(
                prefix="/nowhere", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
            )
        ),
        "DebugIdentity": lambda module, x: raw.DebugIdentity(input=x, debug_urls=["file:///no"]),
        "DatasetFromGraph": beside(lambda x: raw.DatasetFromGraph(graph_def=b"")),
        "DecodeProtoV2": beside(
            lambda x: raw.DecodeProtoV2(
                bytes=[b""], message_type="x", field_names=[], output_types=[]
            )
        ),
        "InitializeTableFromTextFileV2": table,
        "nested": nested,
    }


OPERATORS = [
    *("ReadFile", "WriteFile", "MatchingFiles", "PrintV2", "EagerPyFunc", "PyFunc"),
    *("SaveV2", "RestoreV2", "DebugIdentity", "DatasetFromGraph", "DecodeProtoV2"),
    *("InitializeTableFromTextFileV2", "nested"),
]


def refused(folder: pathlib.Path) -> str:
    with pytest.raises(UserError) as refusal:
        saved_graph.check(folder)
    assert refusal.value.code == "program-unsafe"
    return str(refusal.value)


@pytest.mark.parametrize("operator", OPERATORS)
def test_refuses_operators_that_reach_outside(tmp_path: pathlib.Path, operator: str) -> None:
    folder = save(tmp_path / "saved", operators()[operator])

    said = {"nested": "WriteFile"}.get(operator, operator)
    assert f"operator {said}:" in refused(folder)


def test_lets_a_model_with_variables_through(saved: pathlib.Path) -> None:
    saved_graph.check(saved)


def test_lets_what_layers_are_made_of_through(tmp_path: pathlib.Path) -> None:
    import keras

    text = keras.Input((2,), dtype="string")
    found = keras.layers.StringLookup(vocabulary=["a", "b"])(text)
    found = keras.layers.LSTM(4)(keras.layers.Embedding(4, 3)(found))
    model = keras.Model(text, keras.layers.Dense(1)(keras.layers.Dropout(0.5)(found)))
    model.export(tmp_path / "saved", verbose=False)

    saved_graph.check(tmp_path / "saved")


def edit(source: pathlib.Path, target: pathlib.Path, change: Callable[[Any], None]) -> pathlib.Path:
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(source, target)
    model = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    change(model.meta_graphs[0])
    (target / "saved_model.pb").write_bytes(model.SerializeToString())
    return target


def saver(graph: Any) -> str:
    """Return the name of the function that writes checkpoints."""
    [name] = [
        f.signature.name for f in graph.graph_def.library.function if "save" in f.signature.name
    ]
    return str(name)


def by_an_operator(graph: Any) -> None:
    functions = graph.graph_def.library.function
    served = next(f for f in functions if "signature_wrapper" in f.signature.name)
    calls = next(n for n in served.node_def if n.op == "StatefulPartitionedCall")
    calls.attr["f"].func.name = saver(graph)


def by_an_object(graph: Any) -> None:
    graph.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = saver(graph)


def by_the_optimizer(graph: Any) -> None:
    for function in graph.graph_def.library.function:
        if function.signature.name == saver(graph):
            function.attr["api_implements"].s = b"same"


@pytest.mark.parametrize("change", [by_an_operator, by_an_object, by_the_optimizer])
def test_refuses_a_saver_that_could_be_called(
    saved: pathlib.Path, tmp_path: pathlib.Path, change: Callable[[Any], None]
) -> None:
    assert "operator " in refused(edit(saved, tmp_path / "edited", change))


def test_refuses_an_operator_that_tensorflow_does_not_know(
    saved: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def change(graph: Any) -> None:
        graph.graph_def.library.function[0].node_def.add(op="Unheard", name="unheard")

    assert "operator Unheard:" in refused(edit(saved, tmp_path / "edited", change))


@pytest.mark.parametrize("name", ["saved_model.pbtxt", "saved_model.cpb"])
def test_refuses_a_second_form_of_the_graph(
    saved: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    folder = edit(saved, tmp_path / "edited", lambda graph: None)
    (folder / name).write_bytes(b"")

    assert f"{name}: a second form" in refused(folder)


def test_refuses_a_graph_without_objects(saved: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = edit(saved, tmp_path / "edited", lambda graph: graph.ClearField("object_graph_def"))

    with pytest.raises(UserError, match="is not one graph with its objects"):
        saved_graph.check(folder)


def test_refuses_what_is_no_graph(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"saved_model\.pb: missing"):
        saved_graph.check(tmp_path)

    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(UserError, match="is no SavedModel"):
        saved_graph.check(tmp_path)


def test_what_stands_in_the_file_is_what_tensorflow_knows_without_effects() -> None:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    listed = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    known = {op.name: op.is_stateful for op in op_def_pb2.OpList.FromString(listed).op}

    assert saved_graph.without_effects() == {
        name
        for name, stateful in known.items()
        if not stateful and not saved_graph.reaches_outside(name)
    }
    assert not saved_graph.may_run("Unheard")
