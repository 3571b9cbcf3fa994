"""Conditions that kfp.local 2.17 takes for false without a word."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.ir import Compiled
from pipelines.linter.finding import Finding


def bare_condition(compiled: Compiled) -> Iterator[Finding]:
    """Find conditions on named outputs that kfp.local 2.17 takes for false without a word."""
    for name, task, outputs in _conditions(compiled, "root", {}):
        if outputs:
            yield Finding(
                "bare-condition",
                compiled.at(name, task),
                f"an If without Else on the named output {outputs[0]!r}; kfp.local skips it "
                "silently and the run succeeds",
                "add a dsl.Else, or let the task return one unnamed value",
            )


def _conditions(
    compiled: Compiled, name: str, known: Mapping[str, str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each condition that has no Else, with the named outputs it looks at.

    Args:
        compiled: the pipeline.
        name: the component whose tasks are looked at.
        known: its input parameters that come from a named output -> that output's name.
    """
    component = compiled.spec["root"] if name == "root" else compiled.spec["components"][name]
    tasks = component.get("dag", {}).get("tasks", {})
    conditions = [task.get("triggerPolicy", {}).get("condition", "") for task in tasks.values()]
    has_else = "condition-branches" in name and any(_is_else(one) for one in conditions)
    for title, task in tasks.items():
        inputs = _named(task.get("inputs", {}).get("parameters", {}), known)
        condition = task.get("triggerPolicy", {}).get("condition", "")
        if condition and not has_else:
            yield name, title, [out for key, out in inputs.items() if f"'{key}'" in condition]
        yield from _conditions(compiled, task["componentRef"]["name"], inputs)


def _named(parameters: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Keep the parameters that come from a task's named output."""
    found = {}
    for name, source in parameters.items():
        output = source.get("taskOutputParameter", {}).get("outputParameterKey")
        output = output or known.get(source.get("componentInputParameter", ""))
        if output and output != "Output":
            found[name] = output
    return found


def _is_else(condition: str) -> bool:
    """Say whether a condition only denies: kfp writes an Else as !(a) && !(b)."""
    rest, depth = [], 0
    for before, character in zip(" " + condition, condition, strict=False):
        depth += character == "("
        if depth == 0 and not (character == "&" or character.isspace()):
            rest.append(character)
        if depth == 1 and character == "(" and before != "!":
            rest.append(character)
        depth -= character == ")"
    return bool(condition) and set(rest) <= {"!"}
