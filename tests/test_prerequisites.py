"""What tests need beyond wheels is installed or asked for, never skipped."""

import pathlib
from collections.abc import Sequence

import pytest

from tests.prerequisites import Need, installing, provide


def refused(command: Sequence[str]) -> None:
    raise AssertionError(f"ran {command}")


@pytest.fixture
def need(tmp_path: pathlib.Path) -> Need:
    return Need("chromium", str(tmp_path / "*/chromium"), "nothing is seen")


@pytest.fixture
def other(tmp_path: pathlib.Path) -> Need:
    (tmp_path / "initdb").touch()
    return Need("postgresql", str(tmp_path / "initdb"), "nothing is read")


def test_says_nothing_when_everything_is_there(
    other: Need, capfd: pytest.CaptureFixture[str]
) -> None:
    assert provide(other, may_install=True, run=refused) == 0
    assert capfd.readouterr() == ("", "")


def test_installs_only_what_is_missing_where_it_may(
    need: Need, other: Need, tmp_path: pathlib.Path
) -> None:
    ran: list[Sequence[str]] = []

    def install(command: Sequence[str]) -> None:
        ran.append(command)
        if "install" in command:
            (tmp_path / "bin").mkdir()
            (tmp_path / "bin/chromium").touch()

    assert provide(need, other, may_install=True, run=install) == 0
    assert ran == list(installing(need))


def test_names_the_line_to_run_where_it_may_not(
    need: Need, other: Need, capsys: pytest.CaptureFixture[str]
) -> None:
    assert provide(need, other, may_install=False, run=refused) == 1

    said = capsys.readouterr().err
    assert "apt-get install --quiet --yes chromium" in said
    assert "postgresql" not in said


def test_an_installation_that_did_not_work_is_a_failure(
    need: Need, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: Sequence[str]) -> None:
        """Leave nothing behind."""

    assert provide(need, may_install=True, run=fail) == 1
    assert need.missing in capsys.readouterr().err
