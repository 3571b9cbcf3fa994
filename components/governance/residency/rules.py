"""Read what rules say of each kind of object, and put whole policies together of it.

A policy is a list of named CEL expressions, each of which may read those before it as
`variables.<name>`, and ends in `findings`: the sentences for which the object is refused.
"""

import functools
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Rule = Mapping[str, Any]

_HERE = pathlib.Path(__file__).parent
_WORD = re.compile(r"<([a-z_]+)>")
_READ = re.compile(r"\bvariables[.](\w+)")


@dataclass(frozen=True, slots=True)
class Match:
    """Kinds of objects in one group, in whatever version, and the names of their resources."""

    group: str
    resources: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that is asked of some kinds of objects.

    `unless` are the names of those whose writing is not judged, since Kubernetes itself does it;
    `often` says that such objects are written often, so that time counts.
    `variables` are (name, CEL) in the order in which they may read one another; `findings` and
    `transfers` are among the last.
    """

    name: str
    why: str
    matches: tuple[Match, ...]
    variables: tuple[tuple[str, str], ...]
    unless: tuple[str, ...] = ()
    often: bool = False

    def covers(self, thing: Mapping[str, Any]) -> bool:
        group = str(thing.get("apiVersion", "")).rpartition("/")[0]
        return any(one.group == group and thing.get("kind") in one.kinds for one in self.matches)


@functools.cache
def policies() -> tuple[Policy, ...]:
    """Return all policies, by name."""
    return tuple(_policy(file) for file in sorted((_HERE / "rules").glob("*.yaml")))


def policy(name: str) -> Policy:
    return next(one for one in policies() if one.name == name)


def shared() -> Mapping[str, Rule]:
    """Return the parts of rules that several kinds need, by the key with which a rule asks it."""
    return {name: _read(name) for name in ("pods", "settings")}


def put_together(name: str, why: str, rule: Rule, parts: Mapping[str, Rule]) -> Policy:
    """Return the policy of a rule and of those shared parts for which it has a key."""
    own = rule.get("words", {})
    return Policy(
        name,
        why,
        tuple(_match(one) for one in rule["matches"]),
        _in_order((name, _one_line(text, own)) for name, text in _variables(rule, parts)),
        tuple(rule.get("unless", ())),
        rule.get("often", False),
    )


def _policy(file: pathlib.Path) -> Policy:
    text = file.read_text(encoding="utf-8")
    why = text.split("\n", 1)[0].removeprefix("# ")
    return put_together(file.stem, why, yaml.safe_load(text), shared())


def _in_order(variables: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return variables of which each reads only those before it, and none has another's name.

    A variable that reads itself, as one may that has the name of an earlier one, is evaluated
    by the API server (1.34) until its stack overflows: the whole process ends.
    """
    known: dict[str, str] = {}
    for name, text in variables:
        unknown = set(_READ.findall(text)) - known.keys()
        if name in known or unknown:
            raise ValueError(f"{name}: named twice, or reads {sorted(unknown)} before they are")
        known[name] = text
    return tuple(known.items())


def _match(row: Mapping[str, Any]) -> Match:
    return Match(row["group"], tuple(row["resources"]), tuple(row["kinds"]))


def _variables(rule: Rule, common: Mapping[str, Rule]) -> Iterator[tuple[str, str]]:
    """Yield a policy's expressions in order: the shared, the rule's own, the judging."""
    judging = _read("judging")
    asked = [name for name in common if name in rule]
    parts = [rule, *(common[name] for name in asked)]
    yield from judging["first"].items()
    yield from rule.get("lets", {}).items()
    for name in asked:
        yield name, rule[name]
        yield from common[name]["lets"].items()
    used = [name for name in judging["categories"] if any(name in part for part in parts)]
    for name in used:
        yield name, " + ".join(f"({part[name]})" for part in parts if name in part)
        yield from ((step["name"], step["expression"]) for step in judging["categories"][name])
    named = [judging["categories"][name][-1]["name"] for name in used]
    yield from _last(judging, named, [one for part in parts for one in part.get("refuses", [])])


def _last(
    judging: Mapping[str, Any], named: Sequence[str], refuses: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    lists = " + ".join(f"variables.{name}" for name in named) or "[]"
    refused = " + ".join(
        f"({one['items']}).map(i, i + {_quoted(': ' + one['because'] + '; ' + one['instead'])})"
        for one in refuses
    )
    for name, text in judging["last"].items():
        yield name, text.replace("<named>", lists).replace("<refused>", refused or "[]")


def _one_line(text: str, own: Mapping[str, str]) -> str:
    """Replace words by what they stand for, and breaks by blanks; `<place>` is `n[2]`."""
    words = {**_read("judging")["words"], "place": "n[2]", **own}
    while found := _WORD.search(text):
        text = text.replace(found.group(), words[found.group(1)].strip())
    return " ".join(text.split())


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@functools.cache
def _read(name: str) -> Any:
    return yaml.safe_load((_HERE / f"{name}.yaml").read_text(encoding="utf-8"))
