"""The arrows of the house: faces -> cores -> foundation, and nothing the other way.

Read from the imports by AST. Each rule is a function from a module to complaints, and each has
a planted violation below that it must find.
"""

import ast
import functools
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = ("components", "inference", "pipelines", "examples", "tests")
HEAVY = {
    "deltalake",
    "duckdb",
    "feast",
    "keras",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "polars",
    "pyarrow",
    "pyspark",
    "scipy",
    "sklearn",
    "tensorflow",
    "tf2onnx",
    "torch",
}

# Where a rule gives way, and why; a file that no longer needs it must leave (tested below).
HEAVY_AT_THE_TOP = {
    "components/features/offline_store/delta.py": "Feast subclasses; only Feast loads it",
    "components/features/offline_store/job.py": "Feast subclasses; only Feast loads it",
    "components/features/registry_store/object.py": "Feast subclasses; only Feast loads it",
    "examples/flights/features/definitions.py": "a Feast repository; only Feast loads it",
    "examples/flights/models/tensorflow_linear.py": "a user's model; only training loads it",
    "examples/flights/models/torch_mlp.py": "a user's model; only training loads it",
}
READS_THE_ENVIRONMENT = {
    "components/features/settings.py": "Feast makes our plug-ins itself and hands them nothing",
    "inference/plane/launch.py": "hands its environment on to a child",
    "inference/plane/pods.py": "hands its environment on to a child",
    "pipelines/commands/buckets.py": "a command whose store and site are the environment's",
    "pipelines/commands/doctor.py": "a command whose KUBECONFIG and store are the environment's",
    "pipelines/commands/ledger.py": "a command whose store is the environment's",
    "pipelines/commands/keys.py": "commands whose key ring is the environment's",
    "pipelines/commands/releases.py": "a command whose store and keys are the environment's",
    "pipelines/commands/rotation.py": "commands whose store and keys are the environment's",
    "pipelines/commands/serving.py": "commands whose KUBECONFIG is the environment's",
    "pipelines/commands/there.py": "commands whose token and authorities are the environment's",
    "pipelines/laptop/runner.py": "kfp.local gives steps this process's environment",
    "pipelines/laptop/spawning.py": "hands on to a step what kfp.local would have handed it",
    "pipelines/laptop/warm.py": "makes its own environment a step's",
}


@dataclass(frozen=True)
class Module:
    """A Python file: where it is and what it imports."""

    path: str
    source: str

    @property
    def tree(self) -> ast.Module:
        """Parse it; what is kept is what was found, for all trees together are large."""
        return ast.parse(self.source, self.path)

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def is_face(self) -> bool:
        return self.package == "components" and self.path.endswith("/component.py")

    @property
    def is_foundation(self) -> bool:
        return self.path.startswith("components/foundation/")

    @property
    def is_core(self) -> bool:
        depth = self.path.count("/")
        return self.package == "components" and not self.is_face and depth >= 2

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """Every module imported anywhere, types included; `from a import b` gives a and a.b."""
        return tuple(name for node in ast.walk(self.tree) for name in _imported(node))

    @cached_property
    def imported_at_start(self) -> tuple[str, ...]:
        """What importing this module imports: not in functions, not for types only."""
        return tuple(name for node in _run_at_import(self.tree) for name in _imported(node))


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (name.name for name in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield module
            yield from (f"{module}.{name.name}" for name in names)
        case ast.ImportFrom(level=level) if level:
            yield "." * level
        case ast.Call(func=func, args=[ast.Constant(value=str(module)), *_]):
            if ast.unparse(func) in {"importlib.import_module", "import_module", "__import__"}:
                yield module


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _run_at_import(child)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _is_face(name: str) -> bool:
    """Say whether an imported name is a face: components.<stage>.<name>.component."""
    parts = name.split(".")
    return parts[0] == "components" and len(parts) >= 4 and parts[3] == "component"


Rule = Callable[[Module], Iterator[str]]


def absolute_imports(module: Module) -> Iterator[str]:
    if any(name.startswith(".") for name in module.imports):
        yield "imports relatively; write the whole path"


def nothing_imports_pipelines(module: Module) -> Iterator[str]:
    if module.package in {"pipelines", "tests", "examples"}:
        return
    yield from (f"imports {name}" for name in module.imports if _within(name, "pipelines"))


def nothing_imports_tests(module: Module) -> Iterator[str]:
    if module.package != "tests":
        yield from (f"imports {name}" for name in module.imports if _within(name, "tests"))


def components_stand_alone(module: Module) -> Iterator[str]:
    if module.package == "components":
        for name in module.imports:
            if _within(name, "inference") or _within(name, "examples"):
                yield f"imports {name}; a component is an image of its own"


def foundation_is_the_bottom(module: Module) -> Iterator[str]:
    if not module.is_foundation:
        return
    for name in module.imports:
        ours = name.partition(".")[0] in OURS and name != "components"
        if (ours and not _within(name, "components.foundation")) or _within(name, "kfp"):
            yield f"imports {name}; the foundation knows only itself"


def cores_know_no_kfp_and_no_face(module: Module) -> Iterator[str]:
    if not module.is_core:
        return
    for name in module.imports:
        if _within(name, "kfp") or _within(name, "components.step") or _is_face(name):
            yield f"imports {name}; that is for faces"


def faces_do_not_import_faces(module: Module) -> Iterator[str]:
    if module.is_face:
        yield from (f"imports the face {name}" for name in module.imports if _is_face(name))


def inference_uses_cores_and_foundation(module: Module) -> Iterator[str]:
    if module.package != "inference":
        return
    for name in module.imports:
        if _is_face(name) or _within(name, "components.step") or _within(name, "examples"):
            yield f"imports {name}; serving pods have neither faces nor examples"


def heavy_libraries_load_late(module: Module) -> Iterator[str]:
    if module.package == "tests" or module.path in HEAVY_AT_THE_TOP:
        return
    for name in dict.fromkeys(n.partition(".")[0] for n in module.imported_at_start):
        if name in HEAVY:
            yield f"imports {name} at the top; import it in the function that needs it"


def only_edges_read_the_environment(module: Module) -> Iterator[str]:
    edge = module.is_face or module.path == "components/step.py"
    edge = edge or module.path.endswith("__main__.py") or module.package == "tests"
    if edge or module.path in READS_THE_ENVIRONMENT:
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv"):
                yield f"line {node.lineno} reads the environment; take it as an argument"
            case ast.ImportFrom(module="os", names=names):
                if {"environ", "environb", "getenv"} & {name.name for name in names}:
                    yield f"line {node.lineno} reads the environment; take it as an argument"


RULES: tuple[Rule, ...] = (
    absolute_imports,
    nothing_imports_pipelines,
    nothing_imports_tests,
    components_stand_alone,
    foundation_is_the_bottom,
    cores_know_no_kfp_and_no_face,
    faces_do_not_import_faces,
    inference_uses_cores_and_foundation,
    heavy_libraries_load_late,
    only_edges_read_the_environment,
)


@functools.cache
def modules() -> tuple[Module, ...]:
    files = (file for package in OURS for file in sorted((ROOT / package).rglob("*.py")))
    return tuple(Module(file.relative_to(ROOT).as_posix(), file.read_text()) for file in files)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    broken = [f"{module.path}: {why}" for module in modules() for why in rule(module)]

    assert not broken, "\n".join(broken)


_CORE = "components/training/train/loop.py"
_FACE = "components/training/train/component.py"
_BASE = "components/foundation/thing.py"
_SERVER = "inference/server/app.py"


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (absolute_imports, _CORE, "from . import other"),
        (absolute_imports, _CORE, "from ..step import step"),
        (nothing_imports_pipelines, _CORE, "from pipelines.place import Place"),
        (nothing_imports_pipelines, _SERVER, "def f():\n    import pipelines"),
        (
            nothing_imports_pipelines,
            _FACE,
            "import importlib\nimportlib.import_module('pipelines')",
        ),
        (nothing_imports_tests, _CORE, "from tests import conftest"),
        (components_stand_alone, _CORE, "from inference.server import app"),
        (components_stand_alone, _FACE, "def f():\n    import examples.flights"),
        (foundation_is_the_bottom, _BASE, "from components.preparation.validate import rules"),
        (foundation_is_the_bottom, _BASE, "from components.step import step"),
        (foundation_is_the_bottom, _BASE, "def f():\n    from kfp import dsl"),
        (foundation_is_the_bottom, _BASE, "from inference import server"),
        (cores_know_no_kfp_and_no_face, _CORE, "from kfp import dsl"),
        (cores_know_no_kfp_and_no_face, _CORE, "from components.step import Step"),
        (cores_know_no_kfp_and_no_face, _CORE, "from components import step"),
        (cores_know_no_kfp_and_no_face, _CORE, "from components.a.b.component import b"),
        (cores_know_no_kfp_and_no_face, _CORE, "from components.a.b import component"),
        (faces_do_not_import_faces, _FACE, "from components.a.b.component import b"),
        (faces_do_not_import_faces, _FACE, "def f():\n    from components.a.b import component"),
        (inference_uses_cores_and_foundation, _SERVER, "import components.a.b.component"),
        (inference_uses_cores_and_foundation, _SERVER, "from examples import flights"),
        (heavy_libraries_load_late, _CORE, "import torch"),
        (
            heavy_libraries_load_late,
            _CORE,
            "try:\n    import pandas as pd\nexcept ImportError: pass",
        ),
        (heavy_libraries_load_late, _CORE, "class A:\n    import duckdb"),
        (heavy_libraries_load_late, _SERVER, "from scipy.stats import norm"),
        (only_edges_read_the_environment, _CORE, "import os\nos.environ['HOME']"),
        (only_edges_read_the_environment, _BASE, "import os\ndef f():\n    return os.getenv('X')"),
        (only_edges_read_the_environment, _SERVER, "from os import environ"),
    ],
)
def test_finds_what_breaks_the_rule(rule: Rule, path: str, source: str) -> None:
    assert list(rule(Module(path, source)))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (_CORE, "from components.foundation import errors\nfrom components.training import data"),
        (_CORE, "def f():\n    import torch"),
        (_CORE, "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        (_FACE, "from kfp import dsl\nfrom components.face import component"),
        (_FACE, "def f():\n    import os\n    from components.step import step\n    os.environ"),
        (_BASE, "from components.foundation import digests"),
        (_SERVER, "from components.preparation.profile import sketch"),
        ("pipelines/__main__.py", "import os\nos.environ\nfrom pipelines import linter"),
        ("pipelines/training.py", "from components.a.b.component import b"),
        ("tests/test_x.py", "import torch\nimport pipelines"),
        (_CORE, "'a text that says import torch and os.environ'"),
    ],
)
def test_lets_pass_what_keeps_the_rules(path: str, source: str) -> None:
    assert [why for rule in RULES for why in rule(Module(path, source))] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_planted_violation(rule: Rule) -> None:
    planted = test_finds_what_breaks_the_rule.pytestmark[0].args[1]  # type: ignore[attr-defined]

    assert rule in [case[0] for case in planted]


@pytest.mark.parametrize(
    ("rule", "exceptions"),
    [
        (heavy_libraries_load_late, HEAVY_AT_THE_TOP),
        (only_edges_read_the_environment, READS_THE_ENVIRONMENT),
    ],
    ids=["heavy", "environment"],
)
def test_an_exception_is_still_needed(
    rule: Rule, exceptions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [module for module in modules() if module.path in exceptions]
    missing = set(exceptions) - {module.path for module in named}
    with monkeypatch.context() as patched:
        for path in list(exceptions):
            patched.delitem(exceptions, path)
        idle = [module.path for module in named if not list(rule(module))]

    assert not missing | set(idle)
