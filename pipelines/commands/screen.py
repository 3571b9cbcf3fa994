"""What people read on the screen while something runs."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from pipelines.laptop.watch import StepRun

_console = Console(highlight=False, soft_wrap=True, markup=False)


def say(text: object) -> None:
    """Print a line as it is."""
    _console.print(str(text))


def show(step: StepRun) -> None:
    """Print one line for a step: its name, how long, and what came of it."""
    took = "unchanged" if step.cached else f"{step.seconds:.1f} s"
    line = f"    {step.title:<32} {took:>9}  {_gist(step.outputs)}"
    say(line[:160].rstrip())


def _gist(outputs: Mapping[str, Any]) -> str:
    """Say in a few words what a step gave: a verdict, or a table with its rows."""
    if verdict := outputs.get("verdict"):
        return f"{verdict['decision']}: {verdict['reason']}"
    words = []
    for name, value in sorted(outputs.items()):
        match value:
            case int() | float() if value:
                words.append(f"{name.replace('_', ' ')} {_number(value)}")
            case dict() if name in {"rows", "quarantined", "summary"} and value:
                words.append(f"{name} " + ", ".join(f"{k} {_number(v)}" for k, v in value.items()))
            case str() if "s3://" in value:
                words.append(value)
    return "  ".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4f}"
