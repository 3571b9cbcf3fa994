"""The dashboards of manifests/monitoring, and what their panels ask."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.monitoring.rules import MONITORING

FILES = sorted((MONITORING / "dashboards").glob("*.json"))
_CHOSEN = {
    "namespace": "falaj",
    "model": "delays",
    "experiment": "delays",
    "__rate_interval": "1m",
}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and where it stands."""

    board: str
    panel: str
    said: str

    @property
    def expr(self) -> str:
        """The expression as Grafana sends it, after somebody has chosen."""
        return re.sub(r"\$(\w+)", lambda found: _CHOSEN[found[1]], self.said)


def boards() -> Mapping[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in FILES}


def queries() -> Iterator[Query]:
    """Return what panels show and what variables choose from."""
    for name, board in boards().items():
        for panel in board["panels"]:
            yield from (Query(name, panel["title"], t["expr"]) for t in panel["targets"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                [series] = re.findall(r"^label_values\((.+), \w+\)$", variable["query"])
                yield Query(name, f"variable {variable['name']}", series)
