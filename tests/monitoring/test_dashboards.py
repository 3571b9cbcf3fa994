"""Dashboards load in Grafana, as far as their form tells, and are in the ConfigMap it looks for."""

import json
from typing import Any

import pytest
import yaml

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


def test_grafana_finds_all_boards_by_their_label() -> None:
    things = yaml.safe_load_all(built("manifests/monitoring"))
    [given] = [thing for thing in things if thing["kind"] == "ConfigMap"]

    assert given["metadata"]["labels"]["grafana_dashboard"] == "1"
    texts = {name: json.loads(text) for name, text in given["data"].items()}
    assert texts == {f"{name}.json": board for name, board in dashboards.boards().items()}
    assert len({board["uid"] for board in texts.values()}) == len(texts)
