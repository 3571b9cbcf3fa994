"""The one helper that turns a function into a KFP component."""

import ast
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import yaml
from kfp import dsl

_LOCK = pathlib.Path(__file__).with_name("images.yaml")


@functools.cache
def images() -> dict[str, str]:
    """Read the image lock: family -> repository@sha256:digest."""
    locked: dict[str, str] = yaml.safe_load(_LOCK.read_text())
    return locked


def component(family: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a component that runs in an image family and installs nothing."""

    def decorate(function: Callable[..., Any]) -> Any:
        made = dsl.component(function, base_image=images()[family], install_kfp_package=False)
        container = made.component_spec.implementation.container
        container.command = [_without_docstrings(part) for part in container.command]
        return made

    return decorate


def _without_docstrings(part: str) -> str:
    """Cut docstrings from source that travels: the IR holds each step's, the descriptions too.

    A pipeline of 35 steps would else near the 256 kB that Argo takes.
    """
    try:
        tree = ast.parse(part)
    except SyntaxError:  # a word of the command, not source
        return part
    lines = part.splitlines(keepends=True)
    for node in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        if ast.get_docstring(node):
            first = node.body[0]
            lines[first.lineno - 1 : first.end_lineno] = []
    return "".join(lines)
