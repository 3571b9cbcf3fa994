"""The rules of manifests/monitoring, as an operator hands them to Prometheus."""

import pathlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.monitoring.promql import metrics

MONITORING = pathlib.Path(__file__).parents[2] / "manifests" / "monitoring"
Thing = dict[str, Any]
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it records, or what it alerts of."""

    file: str
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.said.get("alert") or self.said["record"])

    @property
    def expr(self) -> str:
        return str(self.said["expr"])

    @property
    def patience(self) -> int:
        """How many minutes what it alerts of has to last."""
        lasting: str = self.said.get("for", "0m")
        return int(lasting[:-1]) * _MINUTES[lasting[-1]]

    @property
    def alerts(self) -> bool:
        return "alert" in self.said


def objects(kind: str) -> Iterator[Thing]:
    """Read every object of a kind."""
    for path in sorted(MONITORING.glob(f"{kind.lower()}-*.yaml")):
        thing: Thing = yaml.safe_load(path.read_text())
        yield thing


def groups() -> list[Thing]:
    """Return all groups, those that record first."""
    found = [group for thing in objects("PrometheusRule") for group in thing["spec"]["groups"]]
    return sorted(found, key=lambda group: any("alert" in rule for rule in group["rules"]))


def rules() -> list[Rule]:
    return [
        Rule(thing["metadata"]["name"], rule)
        for thing in objects("PrometheusRule")
        for group in thing["spec"]["groups"]
        for rule in group["rules"]
    ]


def behind(name: str) -> set[str]:
    """Return a rule's name and those of all rules that it stands on, directly or not."""
    by_name = {rule.name: rule for rule in rules()}
    found, new = set[str](), {name}
    while new:
        found |= new
        asked = set().union(*(metrics(by_name[one].expr) for one in new))
        new = (asked & by_name.keys()) - found
    return found


def write(path: pathlib.Path, *, only: Container[str] | None = None, interval: str = "") -> None:
    """Write rules as one file of Prometheus; with an interval, all groups at that."""
    every = {"interval": interval} if interval else {}
    wanted = [
        {**group, **every, "rules": [rule for rule in group["rules"] if _is_in(only, rule)]}
        for group in groups()
    ]
    path.write_text(yaml.safe_dump({"groups": wanted}))


def _is_in(only: Container[str] | None, rule: Thing) -> bool:
    return only is None or rule.get("alert", rule.get("record")) in only
