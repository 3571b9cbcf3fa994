"""The catalogue is what the code says, and the code says enough."""

import importlib
import pathlib
import re

import pytest

from pipelines.catalogue import listing, pages
from pipelines.catalogue.entries import Entry, Port, entries
from pipelines.commands import catalogue

ROOT = pathlib.Path(__file__).parents[2]
ENTRIES = entries()
USES = catalogue.uses()
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


def test_the_written_pages_are_up_to_date() -> None:
    folder = ROOT / pages.FOLDER
    written = {path.name: path.read_text() for path in folder.glob("*.md")}

    assert written == pages.pages(ENTRIES, USES), (
        f"{pages.FOLDER} is not what the code says; run: falaj catalogue --write {pages.FOLDER}"
    )


def test_writing_removes_the_page_of_a_stage_that_is_no_more(tmp_path: pathlib.Path) -> None:
    (tmp_path / "streams.md").write_text("# Streams")

    pages.write(tmp_path, {"README.md": "# Components"})

    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@every
def test_a_component_shows_how_the_example_uses_it(entry: Entry) -> None:
    call = USES[entry.name].call(port.name for port in entry.inputs)

    required = [port.name for port in entry.inputs if port.default is None]
    compile(call, entry.name, "exec")
    assert all(f"    {name}=" in call for name in required)


def test_a_usage_says_where_each_value_comes_from() -> None:
    order = ["train", "features", "label", "parameters", "epochs"]

    assert USES["train_torch"].call(order).splitlines()[1:4] == [
        '    train=split.outputs["train"],',
        '    features=["departure_hour", "weekday", ...],  # 27 in all',
        '    label="late",',
    ]
    assert '"hidden": 32' in USES["train_torch"].call(order)
    assert "    epochs=epochs," in USES["train_torch"].call(order)


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


def test_the_links_of_the_index_lead_to_chapters() -> None:
    made = pages.pages(ENTRIES, USES)
    links = re.findall(r"\((\w+\.md)#(\S+)\)", made["README.md"])

    assert len(links) == len(ENTRIES)
    assert [name for page, name in links if f"## {name}\n" not in made[page]] == []


def test_a_bar_in_a_text_does_not_break_a_table() -> None:
    made = pages.pages([SAMPLE], {})

    assert r"Take a \| b." in made["README.md"]
    assert r"`'7\|8'`" in made["ingestion.md"]


def test_required_and_optional_inputs_differ() -> None:
    page = pages.pages([SAMPLE], {})["ingestion.md"]

    assert "| `source` | str | required | where from |" in page
    assert "takes source: str, rows: int = '7|8'" in listing.text([SAMPLE])
