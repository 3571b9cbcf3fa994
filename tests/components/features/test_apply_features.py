import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pytest
from kfp import dsl

from components.features.apply_features.component import apply_features
from components.features.registry_store.reference import RegistryRef
from components.foundation.errors import UserError
from components.foundation.storage import Address, ObjectStore


@pytest.fixture
def apply(small: Any, tmp_path: pathlib.Path) -> Callable[[], Any]:
    def apply() -> Any:
        report = dsl.HTML(uri=str(tmp_path / "report" / "features.html"))
        return apply_features.python_func(small.package, report)

    return apply


def test_applying_twice_writes_once(
    small: Any, apply: Callable[[], Any], store: ObjectStore, forget: Callable[[], None]
) -> None:
    registry = Address("falaj-features", f"{small.package}/registry.db")

    first = apply()
    written = store.get_with_etag(registry)
    forget()
    second = apply()

    assert first == second
    assert first[1] == ["weather"]
    assert store.get_with_etag(registry) == written


def test_a_changed_definition_changes_the_reference(
    small: Any,
    apply: Callable[[], Any],
    forget: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where Python keeps bytecode, and the change has the size and the second of before."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = small.folder / "definitions.py"
    written = file.stat()

    before, _ = apply()
    small.redefine("hours=6", "hours=7")
    os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))
    forget()

    after, _ = apply()

    assert RegistryRef.parse(before).address == RegistryRef.parse(after).address
    assert before != after


def test_what_is_no_longer_defined_is_removed(
    small: Any, apply: Callable[[], Any], forget: Callable[[], None]
) -> None:
    apply()
    small.redefine('name="weather",\n    entities', 'name="sky",\n    entities')
    forget()

    _, views = apply()

    assert views == ["sky"]


def test_the_report_lists_what_is_registered(
    apply: Callable[[], Any], tmp_path: pathlib.Path
) -> None:
    apply()

    text = (tmp_path / "report" / "features.html").read_text()
    assert "temp, gusts" in text
    assert "6:00:00" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [("s3://b/registry.db", "as apply_features gives"), ("s3://b/k#sha256:12", "64 hex digits")],
)
def test_refuses_what_is_no_registry_reference(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        RegistryRef.parse(text)


def test_a_missing_package_is_the_callers_mistake(
    environment: None, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        apply_features.python_func("no.such.package", dsl.HTML(uri=str(tmp_path / "r.html")))

    assert stopped.value.code == UserError.exit_code
    assert "expected an importable package" in capsys.readouterr().err
