"""Dashboards load in Grafana, as far as their form tells, and are in the ConfigMap it looks for."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.manifests.conftest import built
from tests.monitoring import dashboards

BOARDS = pytest.mark.parametrize("board", dashboards.boards().values(), ids=dashboards.boards())
UNITS = {"short", "s", "reqps", "percentunit", "bytes", "rowsps", "cps"}
KINDS = {"timeseries", "stat", "heatmap", "table"}
CHOICE = {"type": "prometheus", "uid": "${datasource}"}


@BOARDS
def test_a_board_has_what_grafana_asks_for(board: dict[str, Any]) -> None:
    assert board.keys() >= {"uid", "title", "schemaVersion", "panels", "templating", "time"}
    assert "id" not in board  # Grafana gives it; one that is given makes it update a stranger's
    assert len(board["uid"]) <= 40
    assert board["templating"]["list"][0]["type"] == "datasource"


@BOARDS
def test_a_panel_says_what_it_shows_and_from_where(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["type"] in KINDS
        assert panel["datasource"] == CHOICE
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names) > 0


@BOARDS
def test_panels_have_their_own_number_and_place(board: dict[str, Any]) -> None:
    cells = [cell for panel in board["panels"] for cell in _cells(panel["gridPos"])]

    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    return [
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]


@BOARDS
def test_a_query_uses_variables_that_the_board_has(board: dict[str, Any]) -> None:
    has = {variable["name"] for variable in board["templating"]["list"]}
    text = "".join(target["expr"] for panel in board["panels"] for target in panel["targets"])

    used = {name for name in ("namespace", "model", "experiment") if f"${name}" in text}

    assert used == has - {"datasource"}


@BOARDS
def test_grafanas_own_models_know_every_field(board: dict[str, Any]) -> None:
    assert list(_lost(board, _read_and_written(board))) == []


@pytest.mark.parametrize("way", [[], ["panels", 0], ["panels", 0, "targets", 0], ["templating"]])
def test_a_field_that_grafana_does_not_know_is_found(way: list[Any]) -> None:
    board: Any = copy.deepcopy(next(iter(dashboards.boards().values())))
    place = board
    for step in way:
        place = place[step]
    place["tite"] = "misspelt"

    [lost] = _lost(board, _read_and_written(board))

    assert lost.endswith(".tite")


def _read_and_written(board: dict[str, Any]) -> Any:
    """Read a board into Grafana's models, which leave out what they do not know; write it again."""
    register_default_plugins()
    read = Dashboard.from_json(copy.deepcopy(board))
    return json.loads(JSONEncoder().encode(read))


def _lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            yield from _lost(value, theirs.get(name), f"{path}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _lost(one, other, f"{path}[{number}]")
    elif ours != theirs:
        yield path


def test_grafana_finds_all_boards_by_their_label() -> None:
    things = yaml.safe_load_all(built("manifests/monitoring"))
    [given] = [thing for thing in things if thing["kind"] == "ConfigMap"]

    assert given["metadata"]["labels"]["grafana_dashboard"] == "1"
    texts = {name: json.loads(text) for name, text in given["data"].items()}
    assert texts == {f"{name}.json": board for name, board in dashboards.boards().items()}
    assert len({board["uid"] for board in texts.values()}) == len(texts)
