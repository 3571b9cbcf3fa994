"""The workflow that users copy: pinned, of few rights, without secrets for others, and it runs."""

import os
import pathlib
import re
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    env = {**WORKFLOW["env"], "GITHUB_SHA": "4c1f", "GITHUB_WORKSPACE": "."}
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

    asked = {line.rpartition(" ")[2] for line in lines() if line.startswith("make ")}
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
        assert main(words) == 0, words
    assert (checkout / "build/kubernetes/pipeline-collection.yaml").exists()


# what was released


def command(beginning: str) -> str:
    (found,) = (step["run"] for _, step in steps() if step.get("name", "").startswith(beginning))
    return str(found)


COMPILE = command("Compile what was last released")
COMPARE = command("Compare with it")
STUB = """install:
\tmkdir --parents .venv/bin
\tprintf '#!/bin/sh\\necho compiled $$(cat version) by \"$$*\"\\n' > .venv/bin/falaj
\tchmod +x .venv/bin/falaj
"""
REAL = f"""install:
\tmkdir --parents .venv/bin
\tprintf '#!/bin/sh\\nexec {sys.executable} -m pipelines "$$@"\\n' > .venv/bin/falaj
\tchmod +x .venv/bin/falaj
"""
SMALL = """
BUILDERS = {"collection": collection.build}


def components():
    return iter(())
"""


@dataclass(frozen=True)
class Repository:
    """A repository of its own, in which the commands of the workflow are run as GitHub does."""

    folder: pathlib.Path

    def git(self, *words: str) -> str:
        done = _program([GIT, *words], self.folder, {})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, version: str) -> None:
        (self.folder / "version").write_text(version)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", version)

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a step of the workflow with bash, told as GitHub tells it where things are."""
        temporary = self.folder.parent / "temporary"
        temporary.mkdir(exist_ok=True)
        said = {
            **WORKFLOW["env"],
            "RUNNER_TEMP": str(temporary),
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_ENV": str(temporary / "environment"),
        }
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
        return _program(words, self.folder, said)

    @property
    def released(self) -> str:
        """What the step says to the next one of the release; nothing where it is the first."""
        file = self.folder.parent / "temporary" / "environment"
        return file.read_text().strip() if file.exists() else ""


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    """A repository whose programs only say what they were asked."""
    made = Repository(tmp_path / "repository")
    made.folder.mkdir()
    (made.folder / "Makefile").write_text(STUB)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit("first")
    return made


def test_the_first_release_says_so_and_compares_with_nothing(repository: Repository) -> None:
    repository.git("tag", "v1.0.0")  # the commit that is released now is not what was released

    done = repository.run(COMPILE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "::notice::No tag v* is before this commit: it is the first release, and breaks nobody."
    ]
    assert repository.released == ""


def test_the_last_tag_before_a_commit_is_compiled_by_its_own_code(repository: Repository) -> None:
    for version in ("v1.9.0", "v1.10.0"):
        repository.commit(version)
        repository.git("tag", version)
    repository.git("checkout", "--quiet", "-b", "other")
    repository.commit("v9.0.0")
    repository.git("tag", "v9.0.0")
    repository.git("checkout", "--quiet", "main")
    repository.commit("now")
    repository.git("tag", "v1.11.0")

    done = repository.run(COMPILE)

    assert done.returncode == 0, done.stderr
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("compiled"))
    assert said.startswith("compiled v1.10.0 by compile --project examples/flights --site pipelin")
    assert said.endswith(f"--out {repository.folder}/released")
    assert repository.released == "RELEASED=v1.10.0"


def test_a_release_that_cannot_be_compiled_fails_and_is_not_passed_over(
    repository: Repository,
) -> None:
    (repository.folder / "Makefile").write_text("install:\n\tfalse\n")
    repository.commit("v1.0.0")
    repository.git("tag", "v1.0.0")
    repository.commit("now")

    assert repository.run(COMPILE).returncode != 0
    assert repository.released == ""


def test_a_shallow_checkout_knows_no_release_and_says_so(
    repository: Repository, tmp_path: pathlib.Path
) -> None:
    repository.git("tag", "v1.0.0")
    repository.commit("now")
    source = repository.folder.as_uri()
    repository.git("clone", "--quiet", "--depth", "1", source, str(tmp_path / "shallow"))

    done = Repository(tmp_path / "shallow").run(COMPILE)

    assert done.returncode == 1
    assert "say fetch-depth: 0" in done.stdout


def test_the_job_that_compares_fetches_every_tag_and_goes_by_what_was_found() -> None:
    (checkout,) = (one for one in JOBS["check"]["steps"] if "checkout" in one.get("uses", ""))
    (compare,) = (one for one in JOBS["check"]["steps"] if one.get("run") == COMPARE)

    assert checkout["with"]["fetch-depth"] == 0
    assert compare["if"] == "env.RELEASED != ''"


ASK = command("Ask GitHub for a token")
CURL = """#!/bin/bash
printf '%s ' "$@" > "$RUNNER_TEMP/words"
while test $# -gt 0; do
  case "$1" in @*) cat "${1#@}" > "$RUNNER_TEMP/header";; esac
  shift
done
echo '{"value": "fresh"}'
"""


def test_a_token_is_fetched_into_a_file_of_ours_and_shown_to_nobody(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process was called with, everybody on the machine may read."""
    programs, temporary = repository.folder / "programs", repository.folder.parent / "temporary"
    programs.mkdir()
    for name, text in {"curl": CURL, "jq": "#!/bin/sh\ncat\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    secret = "export ACTIONS_ID_TOKEN_REQUEST_TOKEN=mine ACTIONS_ID_TOKEN_REQUEST_URL=u AUDIENCE=k"
    done = repository.run(f"{secret}; {ASK}")

    assert done.returncode == 0, done.stderr
    assert (temporary / "header").read_text() == "Authorization: bearer mine"
    assert "mine" not in (temporary / "words").read_text()
    assert "u&audience=k" in (temporary / "words").read_text()
    assert "fresh" in (temporary / "kubeflow-token").read_text()
    assert (temporary / "kubeflow-token").stat().st_mode & 0o077 == 0


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> Repository:
    """A repository of this project's own code, of which one small pipeline is compiled."""
    made = Repository(tmp_path / "tree")
    tracked = _program([GIT, "ls-files", "components", "pipelines", "examples"], ROOT, {})
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, made.folder / name)
    with (made.folder / "pipelines/compiled.py").open("a") as file:
        file.write(SMALL)
    (made.folder / "Makefile").write_text(REAL)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit("v1.0.0")
    made.git("tag", "v1.0.0")
    return made


def test_a_commit_is_held_to_what_the_last_release_compiles_to(tree: Repository) -> None:
    tree.commit("now")
    assert tree.run("make install").returncode == 0
    assert tree.run(COMPILE).returncode == 0, "the release"

    same = tree.run(COMPARE)
    file = tree.folder / "pipelines/collection.py"
    renamed = file.read_text().replace("collection(source:", "collection(objects:")
    file.write_text(
        renamed.replace("source=source", "source=objects").replace("source: o", "objects: o")
    )
    broken = tree.run(COMPARE)

    assert same.returncode == 0, same.stderr
    assert "0 changed since released, 0 breaks not accepted" in same.stdout
    assert broken.returncode == 3, broken.stderr
    assert "breaks   the parameter source is gone" in broken.stdout


def _program(
    words: list[str], folder: pathlib.Path, said: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program that knows nothing of who runs the tests."""
    alone = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "a" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "a@b" for who in ("AUTHOR", "COMMITTER")},
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        **said,
    }
    return subprocess.run(words, cwd=folder, env=alone, capture_output=True, text=True, check=False)
