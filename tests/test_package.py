"""The project as a thing to install, build and hand on: its names, its locks, its Makefile."""

import configparser
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
LOCKS = [ROOT / "requirements.lock", *sorted((ROOT / "requirements").glob("*.lock"))]
PUBLIC = {"pypi.org", "files.pythonhosted.org", "proxy.golang.org", "sum.golang.org"}
RECIPES = re.findall(r"^([a-z-]+):([^\n]*)\n((?:\t[^\n]*\n)*)", MAKEFILE, re.MULTILINE)

every_target = pytest.mark.parametrize(
    ("name", "head", "recipe"), RECIPES, ids=[name for name, *_ in RECIPES]
)


def printed(*command: str | pathlib.Path) -> str:
    """Run a command in the project's folder; return what it printed."""
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def texts() -> Iterator[tuple[str, str]]:
    """Every text file that git knows, as a path and its content."""
    for name in printed("git", "ls-files", "-z").split("\0"):
        path = ROOT / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            yield name, data.decode()


def found(pattern: str, *, apart_from: str = "") -> list[str]:
    """Say where a pattern occurs."""
    sought = re.compile(pattern)
    return [
        f"{name}:{number}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if sought.search(line) and name != apart_from
    ]


def test_pyproject_names_the_build_backend_and_nothing_else() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()

    assert len(lines) == 3
    assert lines[0] == "[build-system]"
    assert lines[2] == 'build-backend = "setuptools.build_meta"'


def test_the_console_script_is_the_command_line() -> None:
    (script,) = importlib.metadata.distribution("falaj").entry_points.select(name="falaj")

    assert script.value == "pipelines.__main__:main"
    beside = pathlib.Path(sys.executable).with_name("falaj")
    assert printed(beside, "--help").startswith("usage: falaj")


def test_dev_has_every_other_extra() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    reached, waiting = set(), ["dev"]
    while waiting:
        reached.add(extra := waiting.pop())
        for names in re.findall(r"falaj\[([a-z0-9,]+)\]", extras[extra]):
            waiting += set(names.split(",")) - reached

    assert reached == set(extras)


def test_the_files_that_code_reads_are_installed_with_it() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    shipped = {one.strip() for one in config["options.package_data"]["*"].split(",")}
    packages = ("components/", "pipelines/", "inference/", "examples/")
    read = {pathlib.Path(name).suffix for name, _ in texts() if name.startswith(packages)}

    assert {f"*{suffix}" for suffix in read - {".py", ".pyi", ".md"}} == shipped


def test_the_installer_is_the_one_that_the_lock_names() -> None:
    pins = [
        re.findall(r"^uv==(\S+).*\n((?:    --hash=.*\n)+)", lock.read_text(), re.MULTILINE)
        for lock in (ROOT / "requirements.lock", ROOT / "requirements/uv.lock")
    ]

    assert len(pins[0]) == 1
    assert pins[0] == pins[1]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_hashes_and_says_no_index(lock: pathlib.Path) -> None:
    lines = lock.read_text().splitlines()

    assert not [line for line in lines if line.startswith("-")]
    assert not [line for line in lines if "://" in line]
    for number, line in enumerate(lines):
        if "==" in line and not line.lstrip().startswith("#"):
            assert "--hash=sha256:" in lines[number + 1], line


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    made_up = "tests/components/release/test_export_onnx.py"  # a path that must not leak

    assert found(r"(?<![\w.])/(?:work|root|home|Users|opt(?!/falaj))/\w", apart_from=made_up) == []


def test_no_file_names_the_registry_of_a_workplace() -> None:
    for host in _registries() - PUBLIC:
        assert found(re.escape(host)) == [], "a file names the package index of this machine"


def test_an_index_is_read_from_any_setting() -> None:
    settings = "index-url = https://me:pw@packages.example:8443/simple\nx=https://b.example|direct"

    assert _hosts(settings) == {"packages.example", "b.example"}


def _registries() -> set[str]:
    """Return the hosts that this machine takes packages from."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "GOPROXY")
    files = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf", "~/.config/uv/uv.toml")
    told = [os.environ.get(name, "") for name in names]
    told += [p.read_text() for f in files if (p := pathlib.Path(f).expanduser()).is_file()]
    return _hosts(" ".join(told))


def _hosts(settings: str) -> set[str]:
    addresses = re.findall(r"https?://[^\s\"',|]+", settings)
    return {host for one in addresses if (host := urllib.parse.urlsplit(one).hostname)}


@pytest.mark.parametrize("document", ["DESIGN", "STYLE"])
def test_no_file_refers_to_a_document_that_is_not_here(document: str) -> None:
    assert found(rf"\b{document}\b", apart_from="tests/test_package.py") == []


def test_no_tests_folder_is_a_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@every_target
def test_a_target_says_what_it_is_for_in_a_few_lines(name: str, head: str, recipe: str) -> None:
    assert re.search(r" ## \w", head), f"make {name}: add ` ## what it does`"
    assert recipe.count("\n") <= 2, f"make {name}: move the program into a Python file"


def test_every_target_is_phony_and_helped() -> None:
    names = [name for name, *_ in RECIPES]
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert sorted(phony.split()) == sorted(names)
    assert [
        line.split()[0] for line in printed("make", "--no-print-directory", "help").splitlines()
    ] == names


@pytest.mark.parametrize("name", [name for name, *_ in RECIPES])
def test_a_target_can_be_made(name: str) -> None:
    assert printed("make", "--dry-run", name)
