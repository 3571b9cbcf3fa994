"""What callers give and get: parameters, their types and defaults, inputs and outputs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.diff.change import Change
from pipelines.ir import Compiled

Definitions = Mapping[str, Mapping[str, Any]]

_SHOWN = 60  # characters of a default; a contract has thousands


def changes(before: Compiled, after: Compiled) -> Iterator[Change]:
    """Yield what is different for who runs, schedules or nests the pipeline."""
    for kind, thing in (("parameters", "parameter"), ("artifacts", "input artifact")):
        old, new = (_defined(one, "inputDefinitions", kind) for one in (before, after))
        yield from _inputs(old, new, thing=thing, pipeline=after.pipeline)
    for kind, thing in (("parameters", "output"), ("artifacts", "output artifact")):
        old, new = (_defined(one, "outputDefinitions", kind) for one in (before, after))
        yield from _outputs(old, new, thing=thing, pipeline=after.pipeline)


def _defined(compiled: Compiled, end: str, kind: str) -> Definitions:
    found: Definitions = compiled.spec["root"].get(end, {}).get(kind, {})
    return found


def _inputs(old: Definitions, new: Definitions, *, thing: str, pipeline: str) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        breaks = f"{pipeline}.{name}"
        if name not in new:
            yield Change(f"the {thing} {name} is gone; who gives it is refused", breaks)
        elif name not in old and _is_asked(new[name]):
            yield Change(f"the {thing} {name} is new and has no default", breaks)
        elif name not in old:
            yield Change(f"the {thing} {name} is new: {_type(new[name])}{_default(new[name])}")
        else:
            yield from _input(old[name], new[name], what=f"the {thing} {name}", breaks=breaks)


def _input(
    old: Mapping[str, Any], new: Mapping[str, Any], *, what: str, breaks: str
) -> Iterator[Change]:
    if _type(old) != _type(new):
        yield Change(f"{what} is {_type(new)}, was {_type(old)}", breaks)
    if _is_asked(new) and not _is_asked(old):
        yield Change(f"{what} has lost its default", breaks)
    elif old.get("defaultValue") != new.get("defaultValue"):
        before, now = _shown(old.get("defaultValue")), _shown(new.get("defaultValue"))
        yield Change(f"the default of {what.removeprefix('the ')}: {before} -> {now}")


def _outputs(old: Definitions, new: Definitions, *, thing: str, pipeline: str) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if name not in new:
            what = f"the {thing} {name} is gone; who reads it finds nothing"
            yield Change(what, f"{pipeline}.{name}")
        elif name not in old:
            yield Change(f"the {thing} {name} is new: {_type(new[name])}")
        elif _type(old[name]) != _type(new[name]):
            what = f"the {thing} {name} is {_type(new[name])}, was {_type(old[name])}"
            yield Change(what, f"{pipeline}.{name}")


def _is_asked(definition: Mapping[str, Any]) -> bool:
    return not (definition.get("isOptional") or "defaultValue" in definition)


def _type(definition: Mapping[str, Any]) -> str:
    """Name a type as KFP does: of a parameter, or of an artifact with its schema's version."""
    if "artifactType" in definition:
        kind = definition["artifactType"]
        many = "a list of " if definition.get("isArtifactList") else ""
        return f"{many}{kind.get('schemaTitle', 'any')} {kind.get('schemaVersion', '')}".strip()
    return str(definition.get("parameterType", "unknown"))


def _default(definition: Mapping[str, Any]) -> str:
    return f", {_shown(definition['defaultValue'])}" if "defaultValue" in definition else ""


def _shown(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
