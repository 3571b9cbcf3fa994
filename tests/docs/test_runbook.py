"""docs/runbook.md cannot be run without a cluster; each of its lines is one that would be taken."""

import argparse
import pathlib
import re
import shlex
import subprocess

import pytest

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.governance.doctor import examining
from components.governance.doctor.interface import Status
from pipelines.__main__ import parser
from pipelines.commands import doctor
from tests import kubectl
from tests.components.governance.doctor import fit
from tests.components.governance.doctor.fit import Case
from tests.test_readme import commands

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/runbook.md").read_text()
LINES = list(dict.fromkeys(commands(PAGE)))
GROUPS = {"create", "rollout"}
OTHERS = {"cp", "export", "git", "istioctl", "make", "python"}
SETUP = (ROOT / "setup.cfg").read_text()
MODULES = (ROOT / "tests/cluster/crds/go.mod").read_text()


def of(program: str) -> list[str]:
    return [line for line in LINES if line.split()[0] == program]


def taken(line: str) -> bool:
    """Say whether our own parser takes a line."""
    try:
        found = parser().parse_args(shlex.split(line)[1:])
    except (SystemExit, argparse.ArgumentError):
        return False
    return callable(found.do)


def understood(line: str) -> bool:
    """Say whether kubectl has the command and every option of a line.

    Asked to help with what is no command of a group, it helps with the group.
    """
    words = shlex.split(line)[1:]
    command = words[2:] if words[0] == "-n" else words
    named = command[: 2 if command[0] in GROUPS else 1]
    asked = [kubectl.path(), *words, "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.returncode == 0 and f"kubectl {' '.join(named)} " in done.stdout


def test_every_line_is_of_a_program_that_is_looked_at() -> None:
    assert {line.split()[0] for line in LINES} == {"falaj", "kubectl", *OTHERS}
    assert min(len(of("falaj")), len(of("kubectl"))) >= 15


def test_our_own_parser_takes_every_line_of_ours() -> None:
    assert [line for line in of("falaj") if not taken(line)] == []
    assert not taken("falaj doctor --sit my-site.yaml --wrong")


def shape(line: str) -> str:
    """Return what kubectl reads of a line when asked for help: its command and options."""
    return " ".join(one.partition("=")[0] for one in line.split() if not re.search(r"[<:/]", one))


def test_kubectl_has_every_command_and_option() -> None:
    shapes = {shape(line): line for line in of("kubectl")}

    assert [line for line in shapes.values() if not understood(line)] == []
    assert not understood("kubectl apply --server-sid -k manifests/definitions")
    assert not understood("kubectl aply -k manifests/definitions")
    assert not understood("kubectl -n kserve rollout restrat deployment/x")


def test_folders_of_ours_are_there() -> None:
    named = re.findall(r"(?:-k|cp -r|cp) ((?:kustomize|manifests|pipelines)/[^\s<]+)", PAGE)

    assert len(named) >= 8
    assert [one for one in named if not (ROOT / one).exists()] == []


@pytest.mark.parametrize(
    ("words", "pinned"),
    [
        (r"ref=([\d.]+)", r"\bkfp==([\d.]+)"),
        (r"kserve/releases/download/v([\d.]+)", r"\bkserve==([\d.]+)"),
        (r"cert-manager/releases/download/v([\d.]+)", r"cert-manager v([\d.]+)"),
        (r"gateway-api/releases/download/v([\d.]+)", r"gateway-api v([\d.]+)"),
    ],
    ids=["kfp", "kserve", "cert-manager", "gateway-api"],
)
def test_what_is_installed_is_what_the_tests_use(words: str, pinned: str) -> None:
    [version] = set(re.findall(pinned, SETUP + MODULES))

    assert set(re.findall(words, PAGE)) == {version}


def test_every_status_of_the_doctor_is_explained() -> None:
    [section] = re.findall(r"^## 7\. .*?(?=^## )", PAGE, re.M | re.DOTALL)
    assert set(re.findall(r"^\| `([a-z ]+)` \|", section, re.M)) == {str(one) for one in Status}


def test_how_the_doctor_ends_and_how_long_it_waits_is_told() -> None:
    [section] = re.findall(r"^## 7\. .*?(?=^## )", PAGE, re.M | re.DOTALL)
    ends = {kind.exit_code for kind in (UserError, Refused, InfrastructureError)}

    assert {int(one) for one in re.findall(r"^\| (\d+) \|", section, re.M)} == {0, *ends}
    assert "after three minutes at the latest, and waits 20\nseconds for one answer" in section
    assert examining.Patience(one_s=20, all_s=180) == examining.PATIENCE


def test_what_the_doctor_is_shown_to_say_is_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = Case()
    waiting = {"type": "Accepted", "status": "Unknown", "message": "Waiting for controller"}
    case.api.at[fit.GATEWAY]["status"] = {"conditions": [waiting]}

    table = doctor._Table()
    for one in case.examined():
        table.add(one)

    [shown] = re.findall(r"^```text\n(gateway\n.*?)^```", PAGE, re.M | re.DOTALL)
    assert shown in capsys.readouterr().out
