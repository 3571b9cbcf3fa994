"""The workflow that users copy: pinned, of few rights, without secrets for others, and it runs."""

import os
import pathlib
import re
import shlex
import shutil
import string
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pipelines import compiled
from pipelines.__main__ import main, parser

ROOT = pathlib.Path(__file__).parents[1]
PATHS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
TEXT = (ROOT / ".github/workflows/pipelines.yaml").read_text()
Thing = dict[str, Any]

# What GitHub knows at each level, as far as we use it.
LEVELS = {
    "workflow": {"name", "on", "permissions", "concurrency", "env", "jobs"},
    "job": {
        "name", "needs", "if", "runs-on", "timeout-minutes", "environment", "concurrency",
        "permissions", "env", "steps",
    },
    "step": {"name", "id", "uses", "with", "if", "shell", "env", "run"},
}  # fmt: skip
GIT = shutil.which("git") or "git"
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$")
OFFLINE = {"compile", "residency"}


def workflow() -> Thing:
    """Read the file as GitHub does: `on` is a word, not YAML's yes."""
    text = re.sub(r"^on:", '"on":', TEXT, flags=re.MULTILINE)
    found: Thing = yaml.safe_load(text)
    return found


WORKFLOW = workflow()
JOBS: dict[str, Thing] = WORKFLOW["jobs"]


def steps() -> Iterator[tuple[str, Thing]]:
    """Yield each step and the job it is of."""
    for name, job in JOBS.items():
        yield from ((name, step) for step in job["steps"])


def lines() -> list[str]:
    """Every command of the workflow, its variables filled in."""
    texts = [step["run"] for _, step in steps() if "run" in step]
    env = {**WORKFLOW["env"], "GITHUB_SHA": "4c1f"}
    return [
        string.Template(one).safe_substitute(env) for text in texts for one in text.splitlines()
    ]


FALAJ = [line.removeprefix(".venv/bin/") for line in lines() if line.startswith(".venv/bin/falaj ")]


# what it may


def test_it_is_the_only_one() -> None:
    assert [path.name for path in PATHS] == ["pipelines.yaml"]


def test_it_says_nothing_that_github_does_not_know() -> None:
    assert set(WORKFLOW) <= LEVELS["workflow"]
    for job in JOBS.values():
        assert set(job) <= LEVELS["job"]
        assert {"runs-on", "timeout-minutes", "permissions", "steps"} <= set(job)
    for _, step in steps():
        assert set(step) <= LEVELS["step"]
        assert ("uses" in step) != ("run" in step)


def test_every_action_is_pinned_to_a_commit_with_its_version_beside() -> None:
    used = [line.strip().removeprefix("- ") for line in TEXT.splitlines() if "uses:" in line]

    assert len(used) >= 2
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_it_has_no_rights_but_those_that_a_job_names() -> None:
    assert WORKFLOW["permissions"] == {}
    assert JOBS["check"]["permissions"] == {"contents": "read"}
    assert JOBS["upload"]["permissions"] == {"contents": "read", "id-token": "write"}


def test_a_checkout_leaves_no_credentials_behind() -> None:
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout")]

    assert len(checkouts) == len(JOBS)
    for step in checkouts:
        assert step["with"]["persist-credentials"] is False


def test_pull_requests_run_without_secrets_and_away_from_the_cluster() -> None:
    assert set(WORKFLOW["on"]) == {"pull_request", "push"}
    for name, job in JOBS.items():
        if "secrets." in str(job) or job["runs-on"] != "ubuntu-24.04":
            assert name == "upload"
            assert job["environment"] == "kubeflow"
            assert job["if"].split(" && ") == [
                "github.event_name == 'push'",
                "startsWith(github.ref, 'refs/tags/v')",
            ]


def test_no_expression_stands_in_a_command() -> None:
    """What GitHub writes into a command, whoever named the branch may have chosen."""
    assert [step["run"] for _, step in steps() if "${{" in step.get("run", "")] == []


def test_uploads_come_one_after_the_other_and_after_the_checks() -> None:
    assert JOBS["upload"]["needs"] == "check"
    assert JOBS["upload"]["concurrency"] == {"group": "pipelines-upload"}


# what it does


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    asked = {line.removeprefix("make ") for line in lines() if line.startswith("make ")}
    assert asked <= targets
    assert asked


@pytest.mark.parametrize("line", FALAJ)
def test_every_command_is_one_that_falaj_takes(line: str) -> None:
    program, *arguments = shlex.split(line)

    assert program == "falaj"
    assert callable(parser().parse_args(arguments).do)


@pytest.fixture
def checkout(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A checkout in which one small pipeline is compiled instead of everything."""
    for name in ("examples", "pipelines"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiled, "BUILDERS", {"collection": compiled.BUILDERS["collection"]})
    monkeypatch.setattr(compiled, "components", lambda: iter(()))
    return tmp_path


def test_the_commands_that_need_no_cluster_run_in_their_order(checkout: pathlib.Path) -> None:
    here = [shlex.split(line)[1:] for line in FALAJ if line.split()[1] in OFFLINE]

    assert [words[0] for words in here] == ["residency", "compile", "compile", "compile"]
    for words in here:
        if "--against" in words:  # what was compiled before is what is released
            shutil.copytree(checkout / "build", checkout / "released")
        assert main(words) == 0, words
    assert (checkout / "released/kubernetes/pipeline-collection.yaml").exists()


def test_a_break_fails_the_comparison(checkout: pathlib.Path) -> None:
    (compare,) = (shlex.split(line)[1:] for line in FALAJ if "--against" in line)
    assert main(["compile", "--out", "released"]) == 0
    file = checkout / "released/pipelines/collection.yaml"
    file.write_text(
        file.read_text().replace("source:\n        defaultValue", "gone:\n        defaultValue")
    )

    assert main(compare) == 3


@pytest.mark.parametrize("change", ["none", "edited", "new"])
def test_a_tag_whose_released_files_differ_is_refused(change: str, tmp_path: pathlib.Path) -> None:
    released = tmp_path / "released"
    released.mkdir()
    (released / "a.yaml").write_text("a: 1\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", "released")
    _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a")
    if change != "none":
        (released / {"edited": "a.yaml", "new": "b.yaml"}[change]).write_text("a: 2\n")

    add, differs = (shlex.split(line)[1:] for line in lines() if line.startswith("git "))
    assert _git(tmp_path, *add) == 0
    assert _git(tmp_path, *differs) == (0 if change == "none" else 1)


def _git(folder: pathlib.Path, *words: str) -> int:
    alone = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        [GIT, *words],
        cwd=folder,
        env=alone,
        capture_output=True,
        check=False,
    ).returncode
