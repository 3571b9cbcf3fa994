"""The catalogue is what the code says, and the code says enough."""

import importlib
import pathlib
import re

import pytest

from pipelines import catalogue
from pipelines.catalogue import Entry, Port

ROOT = pathlib.Path(__file__).parents[2]
ENTRIES = catalogue.entries()
SAMPLE = Entry(
    "ingestion",
    "take",
    "Take a | b.",
    "data",
    (Port("source", "str", "where from"), Port("rows", "int", "how many", "'7|8'")),
    (Port("table", "str", ""),),
    {"Needs": "a store"},
)

every = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def test_lists_every_component_once() -> None:
    folders = {file.parent.name for file in (ROOT / "components").glob("*/*/component.py")}

    assert {entry.name for entry in ENTRIES} == folders
    assert len(ENTRIES) == len(folders)


def test_the_written_catalogue_is_up_to_date() -> None:
    written = (ROOT / "docs" / "components.md").read_text()

    assert written == catalogue.markdown(ENTRIES), (
        "docs/components.md is not what the code says; "
        "run: falaj catalogue --write docs/components.md"
    )


@every
def test_a_component_says_what_it_reads_writes_needs_and_when_it_fails(entry: Entry) -> None:
    missing = {"Reads", "Writes", "Needs", "Fails when"} - set(entry.facts)

    assert not missing, f"components/{entry.stage}/{entry.name}/component.py lacks {missing}"


@every
def test_a_component_documents_every_input(entry: Entry) -> None:
    bare = [port.name for port in entry.inputs if not port.text]

    assert not bare, f"{entry.name}: Args of the docstring lack {bare}"


@every
def test_a_component_documents_every_output(entry: Entry) -> None:
    bare = [port.name for port in entry.outputs if not port.text]

    assert not bare or "Returns" in entry.facts, (
        f"{entry.name}: Returns or Args of the docstring lack {bare}"
    )


@every
def test_a_component_runs_in_an_image_of_the_lock(entry: Entry) -> None:
    assert "@" not in entry.image


@every
def test_a_component_is_named_like_its_folder_and_its_function(entry: Entry) -> None:
    module = importlib.import_module(f"components.{entry.stage}.{entry.name}.component")

    assert getattr(module, entry.name).python_func.__name__ == entry.name


def test_the_pages_links_lead_somewhere() -> None:
    page = catalogue.markdown(ENTRIES)
    headings = set(re.findall(r"^## (\S+)$", page, re.MULTILINE))

    assert set(re.findall(r"\(#(\S+)\)", page)) == headings


def test_a_bar_in_a_text_does_not_break_a_table() -> None:
    rows = [row for row in catalogue.markdown([SAMPLE]).splitlines() if row.startswith("|")]

    assert r"Take a \| b." in rows[2]
    assert r"`'7\|8'`" in catalogue.markdown([SAMPLE])


def test_required_and_optional_inputs_differ() -> None:
    assert "| `source` | str | required | where from |" in catalogue.markdown([SAMPLE])
    assert "takes source: str, rows: int = '7|8'" in catalogue.text([SAMPLE])
