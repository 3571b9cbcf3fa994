"""The catalogue for a terminal: one component a paragraph."""

from collections.abc import Sequence

from pipelines.catalogue.entries import Entry, Port


def text(listed: Sequence[Entry]) -> str:
    """Return every component with its signature."""
    return "\n".join(map(_paragraph, listed))


def _paragraph(entry: Entry) -> str:
    takes = ", ".join(_signature(port) for port in entry.inputs) or "nothing"
    gives = ", ".join(f"{port.name}: {port.type}" for port in entry.outputs) or "nothing"
    return (
        f"{entry.stage}/{entry.name} [{entry.image}]\n"
        f"    {entry.purpose}\n"
        f"    takes {takes}\n"
        f"    gives {gives}\n"
    )


def _signature(port: Port) -> str:
    default = "" if port.default is None else f" = {port.default}"
    return f"{port.name}: {port.type}{default}"
