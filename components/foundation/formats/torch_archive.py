"""What an archive of torch.export may hold, so that loading it only builds a graph.

`torch.export.load` unpickles whatever weights, constants and sample inputs say that they are
pickles, links machine code (AOTInductor), evaluates expressions of shapes as Python, resolves
operators by walking attributes of the torch package (os.system is among them), and writes names
into source text that it then executes. Nothing in PyTorch 2.13 turns all of this off. So an
archive is read here first, and anything but raw tensors, known operators, plain names and
arithmetic on sizes is refused.

Whoever serves a program and whoever scans one ask here, with PyTorch installed or not: each
brings its own reader of archives, and its own judge of the one member that is always pickled.
"""

import ast
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from components.foundation.errors import UserError

_MEMBERS: Final = re.compile(
    r"archive_format|archive_version|byteorder|\.data/[a-z_]+|models/model\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt"
)
_PROGRAM: Final = "models/model.json"
_SAMPLE: Final = "data/sample_inputs/model.pt"
_CONFIGS: Final = (
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
_OPERATORS: Final = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file\b|_print\b)\w+\.\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|wrap_with_set_grad_enabled)"
    r"|torch\.(_?sym_\w+)"
    r"|math\.(ceil|floor|trunc|sqrt)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|and_|or_|lshift|rshift|getitem"
    r"|eq|ne|lt|le|gt|ge)",
    re.ASCII,
)
_NAME: Final = re.compile(r"[\w.@]*", re.ASCII)
_SYMBOL: Final = re.compile(r"[a-z]+\d+", re.ASCII)
_FUNCTIONS: Final = frozenset(
    {"Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Abs", "Max", "Min", "Mod"}
    | {"Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "floor", "ceiling", "sqrt"}
    | {"FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt"}
    | {"CeilDiv", "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv", "TruncToInt"}
    | {"TruncToFloat", "RoundToInt", "ToFloat", "Identity"}
)
_ARITHMETIC: Final = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.keyword, ast.Load),
    *(ast.operator, ast.unaryop, ast.cmpop),
)
_MOST_TEXT: Final = 10_000  # characters of one expression
_TREES: Final = {None, "builtins.tuple", "builtins.list", "builtins.dict"}


class Archive(Protocol):
    """The members of an archive, without the name of the folder that they all lie in."""

    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...


def check(file: pathlib.Path, archive: Archive, *, only_tensors: Callable[[bytes], bool]) -> None:
    """Raise UserError naming what of an archive could do more than compute.

    Args:
        file: what the archive is called in the message.
        archive: its members.
        only_tensors: says of a pickled member whether it holds tensors and plain values only.
    """
    names = archive.names()
    for name in names:
        _require(file, "member", name, _MEMBERS.fullmatch(name) is not None)
    if len(names) != len(set(names)):
        raise unsafe(file, "member", "one name twice")
    for name in _CONFIGS:
        _check_payloads(file, json.loads(archive.read(name)))
    if not only_tensors(archive.read(_SAMPLE)):
        raise unsafe(file, "sample inputs", "a pickle of more than tensors")
    _check_graph(file, json.loads(archive.read(_PROGRAM)))


def _check_payloads(file: pathlib.Path, config: dict[str, Any]) -> None:
    for name, payload in config["config"].items():
        _require(file, "pickled tensor", name, not payload["use_pickle"])


def _check_graph(file: pathlib.Path, program: dict[str, Any]) -> None:
    rules: dict[str, Callable[[str], bool]] = {
        "target": _is_operator,
        "as_operator": _is_operator,
        "expr_str": _is_arithmetic,
        "in_spec": _is_plain_tree,
        "out_spec": _is_plain_tree,
        "as_float": lambda text: text in {"Infinity", "-Infinity", "NaN"},
        "as_string": lambda text: True,  # written into source text by repr
    }
    # Nobody evaluates these: the server asks for a module without guards.
    checked = program | {"guards_code": [], "torch_version": ""}
    for key, text in _strings(checked, "program"):
        _require(file, key, text, rules.get(key, _is_name)(text))


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every string with the key it stands under, and every key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)
    elif isinstance(value, dict):
        for inner, item in value.items():
            yield "key", inner
            if not _is_trace(value, inner):
                yield from _strings(item, inner)


def _is_trace(node: dict[str, Any], key: str) -> bool:
    """Say whether a part is where an operator came from: free text that nothing reads."""
    part = node[key]
    return (
        key == "metadata"
        and isinstance(node.get("target"), str)
        and isinstance(part, dict)
        and all(isinstance(text, str) for text in part.values())
    )


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text != "as_custom_obj"


def _is_operator(text: str) -> bool:
    return _OPERATORS.fullmatch(text) is not None


def _is_arithmetic(text: str) -> bool:
    if len(text) > _MOST_TEXT:
        return False
    try:
        return all(_is_harmless(node) for node in ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the parser's, of odd text
        return False


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return name in _FUNCTIONS or _SYMBOL.fullmatch(name) is not None
        case ast.Constant(value=str(text)):
            return _SYMBOL.fullmatch(text) is not None
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.Call(func=function):
            return isinstance(function, ast.Name) and function.id in _FUNCTIONS
    return isinstance(node, _ARITHMETIC)


def _is_plain_tree(text: str) -> bool:
    """Say whether inputs or outputs are tuples, lists and dicts of tensors."""
    if "__enum__" in text:
        return False
    _, tree = json.loads(text)
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node["type"] not in _TREES:
            return False
        waiting += node["children_spec"]
    return True


def _require(file: pathlib.Path, kind: str, what: str, fine: bool) -> None:
    if not fine:
        raise unsafe(file, kind, repr(what[:80]))


def unsafe(file: pathlib.Path, kind: str, what: str) -> UserError:
    return UserError(
        f"{file}: {kind} {what}: may run code when it is loaded; export plain operators and "
        "tensors, or serve the model as ONNX",
        code="program-unsafe",
    )
