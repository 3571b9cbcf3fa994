"""What tests need beyond wheels is installed or asked for, never skipped."""

import pathlib
from collections.abc import Sequence

import pytest

from tests import prerequisites


def refused(command: Sequence[str]) -> None:
    raise AssertionError(f"ran {command}")


def test_says_nothing_when_everything_is_there(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chromium").touch()

    assert prerequisites.provide(tmp_path / "chromium", may_install=True, run=refused) == 0
    assert capfd.readouterr() == ("", "")


def test_installs_what_is_missing_where_it_may(tmp_path: pathlib.Path) -> None:
    ran: list[Sequence[str]] = []

    def install(command: Sequence[str]) -> None:
        ran.append(command)
        if "install" in command:
            (tmp_path / "chromium").touch()

    assert prerequisites.provide(tmp_path / "chromium", may_install=True, run=install) == 0
    assert ran == list(prerequisites.INSTALL)


def test_names_the_line_to_run_where_it_may_not(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prerequisites.provide(tmp_path / "chromium", may_install=False, run=refused) == 1
    assert "apt-get install --quiet --yes chromium" in capsys.readouterr().err


def test_an_installation_that_did_not_work_is_a_failure(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: Sequence[str]) -> None:
        """Leave nothing behind."""

    assert prerequisites.provide(tmp_path / "chromium", may_install=True, run=fail) == 1
    assert prerequisites.MISSING in capsys.readouterr().err
