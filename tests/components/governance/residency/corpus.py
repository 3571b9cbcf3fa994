"""The ways a byte can leave, each as an object that is refused and its twin that is allowed.

A route in `corpus/*.yaml` has an `object` in which VALUE stands for what makes the difference:
`abroad` (or each of a list) is refused and says each of `says`; `home` is allowed. Where a value is
not enough, `abroad` and `home` are fields to merge into the object; null takes a field away.
"""

import copy
import functools
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_HERE = pathlib.Path(__file__).parent
Thing = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One object; `says` is what the refusal has to say, or empty where it is allowed."""

    name: str
    thing: Thing
    refused: bool
    says: tuple[str, ...] = ()
    profile: str = "health"

    def __str__(self) -> str:
        return self.name


@functools.cache
def cases() -> tuple[Case, ...]:
    files = sorted((_HERE / "corpus").glob("*.yaml"))
    return tuple(case for file in files for case in _cases(file))


def routes() -> set[str]:
    return {case.name.rsplit("-", 1)[0] for case in cases()}


def _cases(file: pathlib.Path) -> Iterator[Case]:
    for row in yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
        name, profile = f"{file.stem}.{row['route']}", row.get("profile", "health")
        abroad = row["abroad"] if isinstance(row["abroad"], list) else [row["abroad"]]
        for number, value in enumerate(abroad):
            thing = _with(row["object"], value)
            yield Case(f"{name}-abroad{number or ''}", thing, True, tuple(row["says"]), profile)
        yield Case(f"{name}-home", _with(row["object"], row["home"]), False, (), profile)


def _with(thing: Thing, value: Any) -> Thing:
    if isinstance(value, Mapping):
        return _merged(copy.deepcopy(thing), value)
    found: Thing = _replaced(thing, value)
    return found


def _replaced(part: Any, value: Any) -> Any:
    match part:
        case dict():
            return {_replaced(key, value): _replaced(one, value) for key, one in part.items()}
        case list():
            return [_replaced(one, value) for one in part]
        case "VALUE":
            return value
        case str():
            return part.replace("VALUE", str(value))
    return part


def _merged(thing: Thing, fields: Mapping[str, Any]) -> Thing:
    for key, value in fields.items():
        if value is None:
            thing.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(thing.get(key), dict):
            _merged(thing[key], value)
        else:
            thing[key] = value
    return thing
