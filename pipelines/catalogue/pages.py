"""The reference of components as Markdown: an index, and one page a stage of the channel."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

from pipelines.catalogue.entries import CHANNEL, Entry, Port
from pipelines.catalogue.usage import Usage

FOLDER = "docs/components"
_MADE = f"<!-- Made by `falaj catalogue --write {FOLDER}`; change the code instead. -->"


def pages(listed: Sequence[Entry], uses: Mapping[str, Usage]) -> dict[str, str]:
    """Return file name -> Markdown, ending in a newline.

    Args:
        listed: every component, in the order of the channel.
        uses: component -> how a pipeline uses it.
    """
    stages = [stage for stage in CHANNEL if any(entry.stage == stage for entry in listed)]
    made = {"README.md": _index(listed, stages)}
    for stage in stages:
        chapters = (_chapter(entry, uses) for entry in listed if entry.stage == stage)
        lines = [line for chapter in chapters for line in chapter]
        made[f"{stage}.md"] = _page(stage.capitalize(), lines)
    return made


def write(folder: pathlib.Path, made: Mapping[str, str]) -> None:
    """Write every page, and remove pages of stages that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)


def _page(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"# {title}", "", _MADE, "", *lines]).rstrip() + "\n"


def _index(listed: Sequence[Entry], stages: Sequence[str]) -> str:
    rows = [
        f"| [{stage}]({stage}.md) | [{entry.name}]({stage}.md#{entry.name}) "
        f"| {_inline(entry.purpose)} | {entry.image} |"
        for stage in stages
        for entry in listed
        if entry.stage == stage
    ]
    opening = [
        f"{len(listed)} components, in the order of the channel. Whatever judges gives a verdict",
        "and ends well; a `gate` after it stops the run. Exit codes: 2 your input is wrong, 3 a",
        "policy or gate said no, 75 something beneath failed and may work later;",
        "[errors](../errors.md) has the cause and the cure of each.",
        "",
    ]
    head = ["| Stage | Component | What for | Image |", "|---|---|---|---|"]
    return _page("Components", [*opening, *head, *rows])


def _chapter(entry: Entry, uses: Mapping[str, Usage]) -> Iterator[str]:
    yield f"## {entry.name}"
    yield ""
    yield entry.purpose
    yield ""
    for label, body in entry.facts.items():
        yield f"- **{label}**: {body}"
    yield f"- **Image**: {entry.image}"
    yield f"- **Source**: `components/{entry.stage}/{entry.name}/component.py`"
    yield ""
    yield from _ports("Input", entry.inputs)
    yield from _ports("Output", entry.outputs)
    if usage := uses.get(entry.name):
        yield from _example(usage, entry)


def _example(usage: Usage, entry: Entry) -> Iterator[str]:
    yield f"In the worked example's pipeline `{usage.pipeline}`:"
    yield ""
    yield "```python"
    yield from usage.call(port.name for port in entry.inputs).splitlines()
    yield "```"
    yield ""


def _ports(kind: str, ports: Sequence[Port]) -> Iterator[str]:
    if not ports:
        return
    defaults = kind == "Input"
    yield f"| {kind} | Type |{' Default |' if defaults else ''} What it is |"
    yield f"|---|---|{'---|' if defaults else ''}---|"
    for port in ports:
        default = f" {_default(port)} |" if defaults else ""
        yield f"| `{port.name}` | {port.type} |{default} {_inline(port.text)} |"
    yield ""


def _default(port: Port) -> str:
    return "required" if port.default is None else f"`{_inline(port.default)}`"


def _inline(words: str) -> str:
    return words.replace("|", "\\|")
