"""Every error that is raised has a stable code, and the catalogue says its cause and cure."""

import ast
import functools
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest

from components.foundation import error_catalogue
from components.foundation.errors import Refused, UserError
from pipelines.__main__ import main
from pipelines.commands import errors

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("components", "pipelines", "inference", "examples", "images")
KINDS = {"UserError": "user", "Refused": "refused", "InfrastructureError": "infrastructure"}


@functools.cache
def nodes() -> Sequence[tuple[pathlib.Path, ast.AST]]:
    """Return every class, call and assignment, with its file."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        (path.relative_to(ROOT), node)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef | ast.Call | ast.Assign)
    ]


def classes() -> Iterator[ast.ClassDef]:
    return (node for _, node in nodes() if isinstance(node, ast.ClassDef))


@functools.cache
def kinds() -> dict[str, str]:
    """Return class -> kind, subclasses as what they are made from."""
    found = {**KINDS, "FalajError": ""}
    for _ in range(3):  # as deep as classes go
        for node in classes():
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in found:
                    found.setdefault(node.name, found[base.id])
    return found


def fixed() -> dict[str, set[str]]:
    """Return class -> code, of the classes whose constructor fixes one."""
    found = {}
    for node in classes():
        made = [call for call in ast.walk(node) if isinstance(call, ast.Call) and codes(call)]
        if node.name in kinds() and made:
            found[node.name] = codes(made[0])
    return found


def codes(call: ast.Call) -> set[str]:
    """Return the codes of a call: a literal, both of a choice, or a constant of some module."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    ends = [
        end
        for one in given
        for end in ([one.body, one.orelse] if isinstance(one, ast.IfExp) else [one])
    ]
    named = {constants().get(end.id, "") for end in ends if isinstance(end, ast.Name)}
    return {str(end.value) for end in ends if isinstance(end, ast.Constant)} | (named - {""})


@functools.cache
def constants() -> dict[str, str]:
    """Return NAME -> text, of texts that a module gives a name in capitals."""
    return {
        target.id: str(node.value.value)
        for _, node in nodes()
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }


def passes_on(call: ast.Call) -> bool:
    """Say whether an error is made from another, with that one's code."""
    return any(k.arg == "code" and ast.unparse(k.value) == "error.code" for k in call.keywords)


@functools.cache
def raised() -> Sequence[tuple[str, str, str]]:
    """Return place, kind and code of every error that is made; no code is an empty one."""
    known, constructors = kinds(), fixed()
    calls = [(path, node) for path, node in nodes() if isinstance(node, ast.Call)]
    found = []
    for path, node in calls:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in known and not passes_on(node):
            given = constructors.get(name) or codes(node) or {""}
            found += [(f"{path}:{node.lineno}", known[name], code) for code in given]
    return found


def test_every_raise_names_a_code_of_the_catalogue_that_fits_its_class() -> None:
    known = error_catalogue.entries()
    wrong = [
        f"{place}: {code or 'no literal code'}"
        for place, kind, code in raised()
        if code not in known or kind not in ("", known[code].kind)
    ]

    assert len(raised()) > 300
    assert not wrong


def test_every_code_of_the_catalogue_is_raised_somewhere() -> None:
    used = {code for _, _, code in raised()}

    assert not set(error_catalogue.entries()) - used


def test_a_code_is_a_word_and_its_entry_whole_sentences() -> None:
    for entry in error_catalogue.entries().values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.code)
        assert not entry.title.endswith(".")
        assert entry.cause.endswith("."), entry.code
        assert entry.cure.endswith("."), entry.code


def test_no_two_entries_say_the_same() -> None:
    titles = defaultdict(list)
    for entry in error_catalogue.entries().values():
        titles[entry.title].append(entry.code)

    assert not [codes for codes in titles.values() if len(codes) > 1]


def test_the_page_is_what_the_catalogue_gives() -> None:
    page = (ROOT / "docs/errors.md").read_text()

    assert page == errors.markdown(), "falaj errors --write docs/errors.md"


def test_the_command_prints_cause_and_cure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", "unsigned"]) == 0

    said = capsys.readouterr().out
    entry = error_catalogue.entry("unsigned")
    assert entry.cause in said
    assert entry.cure in said
    assert f"exit code  {Refused.exit_code}" in said


def test_the_command_lists_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors"]) == 0

    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] == " "}
    assert listed == set(error_catalogue.entries())


def test_the_command_names_the_nearest_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", "table-mising"]) == UserError.exit_code

    said = capsys.readouterr().err
    assert "did you mean 'table-missing'?" in said
    assert said.endswith("[error-unknown]\n")
