"""What a program imports, read from its source: our modules, and others' packages."""

import ast
import pathlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from images.families import ROOT

OURS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}


@dataclass
class Closure:
    """Everything that some modules of ours import, at any depth, inside functions too."""

    modules: dict[str, pathlib.Path] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)

    def add(self, module: str) -> None:
        path = _file(module)
        if path is None or module in self.modules:
            return
        self.modules[module] = path
        for name in _imported(ast.parse(path.read_text())):
            self._follow(name)

    def _follow(self, name: str) -> None:
        parts = name.split(".")
        if parts[0] in OURS:
            for end in range(1, len(parts) + 1):
                self.add(".".join(parts[:end]))
        elif parts[0] not in sys.stdlib_module_names:
            self.packages.add(parts[0])


def of(*modules: str) -> Closure:
    """Follow the imports of modules, and of the packages that they lie in."""
    closure = Closure()
    for module in modules:
        closure._follow(module)
    return closure


def name_of(path: pathlib.Path) -> str:
    """Return the name a file is imported by."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _file(module: str) -> pathlib.Path | None:
    base = ROOT.joinpath(*module.split("."))
    candidates = [base.with_suffix(".py"), base / "__init__.py"]
    return next((path for path in candidates if path.exists()), None)


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield dotted names; `from a import b` may mean the module a.b, so it yields both."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            yield module
            yield from (f"{module}.{alias.name}" for alias in names)
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)
