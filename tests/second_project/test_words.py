"""Nothing in components/ or pipelines/ knows about the worked example, but examples in words."""

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
WORDS = re.compile(
    r"(?<![a-z])(flights?|carriers?|airports?|delays|weather|nycflights\w*)(?![a-z])|^(late)$"
)

# Where a word stands for a default or a line to copy, and why.
ALLOWED = {
    "pipelines/commands/": "lines to copy in help",
    "pipelines/__main__.py": "lines to copy in help",
    "pipelines/sites/": "sites of the worked example",
}


def knowing(source: str) -> Iterator[str]:
    """Yield what a file's code knows: names and texts, but no docstrings and no comments."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in said:
                yield from _found(text.lower(), node.lineno)
            case ast.Name(id=text) | ast.arg(arg=text) | ast.Attribute(attr=text):
                yield from _found(text.lower(), node.lineno)
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                yield from _found(text.lower(), node.lineno)


def _found(text: str, line: int) -> Iterator[str]:
    examples = re.sub(r"\be\.g\. \S+|such as \S+", "", text)  # an example says that it is one
    for word in WORDS.finditer(examples.replace("_", " ")):
        yield f"line {line}: {word.group()}"


def _files() -> Iterator[pathlib.Path]:
    for package in ("components", "pipelines"):
        yield from (path for path in sorted((ROOT / package).rglob("*")) if path.is_file())


def _texts() -> Iterator[tuple[str, str]]:
    for path in _files():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in {".py", ".tmpl", ".sql"} and not name.startswith(tuple(ALLOWED)):
            yield name, path.read_text()


def test_code_knows_no_word_of_the_worked_example() -> None:
    known = [
        f"{name}: {what}"
        for name, text in _texts()
        for what in (knowing(text) if name.endswith(".py") else _found(text.lower(), 0))
    ]

    assert known == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("carrier = 1", 1),
        ("def f(airport_code): return airport_code", 2),
        ("x = {'weather': 1}", 1),
        ("def f():\n    '''Say, e.g. delays.'''", 0),
        ("x = 1  # such as flights", 0),
        ("raise E('expected a name, e.g. delays')", 0),
        ("related = latest + template", 0),
        ("x['late'] = 'labels come late'", 1),
    ],
    ids=["name", "argument", "text", "docstring", "comment", "example", "longer", "a label"],
)
def test_finds_what_code_knows_and_not_what_it_says(source: str, found: int) -> None:
    assert len(list(knowing(source))) == found
