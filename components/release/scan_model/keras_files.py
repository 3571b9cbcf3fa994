"""Keras' own files: layers that are Python functions, in JSON or in HDF5."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from components.foundation.formats.wire import Malformed
from components.release.scan_model.finding import shown

CONFIG: Final = "config.json"
_CODE: Final = re.compile(rb"Lambda|__lambda__|marshal|\\u00[46][0-9a-fA-F]")
_MODULES: Final = ("keras", "builtins")
_MOST_NODES: Final = 1_000_000


def in_config(raw: bytes) -> Iterator[str]:
    """Yield what of a model's configuration is Python: lambdas, and classes from elsewhere.

    Raises:
        Malformed: it is no JSON, or larger than is read.
    """
    try:
        waiting: list[Any] = [json.loads(raw)]
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{CONFIG}: {shown(str(error))}") from error
    seen = 0
    while waiting:
        if (seen := seen + 1) > _MOST_NODES:
            raise Malformed(f"{CONFIG}: more than {_MOST_NODES} values")
        node = waiting.pop()
        if isinstance(node, dict):
            yield from _in_object(node)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def in_hdf5(data: "bytes | memoryview") -> Iterator[str]:
    """Yield what in an HDF5 file looks like the code of a Lambda layer."""
    if found := _CODE.search(data):
        yield f"holds {found[0].decode()}, as a layer that is a Python function does"


def _in_object(node: dict[str, Any]) -> Iterator[str]:
    name, module = str(node.get("class_name", "")), node.get("module")
    if "lambda" in name.lower():
        yield f"layer {shown(name)} is a Python function"
    if isinstance(module, str) and module.partition(".")[0] not in _MODULES:
        yield f"class {shown(name)} comes from module {shown(module)}"
    if isinstance(module, str) and module.partition(".")[0] == "builtins" and name != "function":
        yield f"{shown(name)} is taken from builtins"
