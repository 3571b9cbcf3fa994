"""Read every component from its own code: what for, what it takes, gives, needs and how it ends."""

import importlib
import inspect
import pathlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.face import images

_ROOT = pathlib.Path(__file__).parents[2]
CHANNEL = (
    "ingestion",
    "preparation",
    "privacy",
    "features",
    "training",
    "evaluation",
    "release",
    "deployment",
    "monitoring",
    "experiments",
    "governance",
)
_UNNAMED = "Output"  # what kfp calls a single unnamed return value


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output: its wire type, and its default if it may be left out."""

    name: str
    type: str
    text: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One component, as its code describes it."""

    stage: str
    name: str
    purpose: str
    image: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    facts: Mapping[str, str]  # Reads, Writes, Needs, Fails when, and Returns


def entries() -> list[Entry]:
    """Load every component of the suite, in the order of the channel."""
    files = (_ROOT / "components").glob("*/*/component.py")
    found = (_entry(file) for file in files)
    return sorted(found, key=lambda one: (CHANNEL.index(one.stage), one.name))


def _entry(file: pathlib.Path) -> Entry:
    name, stage = file.parent.name, file.parents[1].name
    module = importlib.import_module(f"components.{stage}.{name}.component")
    component = getattr(module, name)
    spec, said = component.component_spec, _said(component.python_func)
    outputs = tuple(_port(key, one, said) for key, one in (spec.outputs or {}).items())
    unsaid = said[_UNNAMED] and any(not port.text for port in outputs)
    returns = {"Returns": said[_UNNAMED]} if unsaid else {}
    return Entry(
        stage,
        name,
        (module.__doc__ or "").strip().splitlines()[0],
        _family(spec.implementation.container.image),
        tuple(_port(key, one, said) for key, one in (spec.inputs or {}).items()),
        outputs,
        {**_facts(module.__doc__ or ""), **returns},
    )


def _port(name: str, spec: Any, said: Mapping[str, str]) -> Port:
    optional = getattr(spec, "optional", False)
    default = _shown(getattr(spec, "default", None)) if optional else None
    # kfp writes artifact types with a schema and a version, and parameters as proto names.
    kind = str(spec.type).removeprefix("system.").partition("@")[0]
    return Port(name, _TYPES.get(kind, kind), said.get(name, ""), default)


_TYPES = {
    "String": "str",
    "Integer": "int",
    "Float": "float",
    "Double": "float",
    "Boolean": "bool",
    "List": "list",
    "Dict": "dict",
    "List[String]": "list",
}


def _shown(default: object) -> str:
    return "none" if default is None else repr(default)


def _family(image: str) -> str:
    return next((name for name, locked in images().items() if locked == image), image)


def _said(function: Any) -> dict[str, str]:
    """Read what a face's docstring says of each argument and of each thing returned."""
    sections = _labelled(inspect.getdoc(function) or "", ("Args", "Returns", "Raises"))
    arguments = _labelled_lines(sections.get("Args", ""))
    returned = _labelled_lines(sections.get("Returns", ""))
    whole = " ".join(sections.get("Returns", "").split())
    return {**returned, **arguments, _UNNAMED: whole}


def _labelled_lines(section: str) -> dict[str, str]:
    """Read lines such as "rows: how many", with what is indented further below them."""
    lines = inspect.cleandoc(section)
    parts = re.split(r"^(\w+): ", lines, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: " ".join(body.split()) for name, body in pairs}


def _facts(documentation: str) -> dict[str, str]:
    found = _labelled(documentation, ("Reads", "Writes", "Needs", "Fails when"))
    return {label: " ".join(body.split()) for label, body in found.items()}


def _labelled(documentation: str, labels: Sequence[str]) -> dict[str, str]:
    """Read what follows each label, at the start of a line or of a sentence."""
    parts = re.split(rf"(?:^|(?<=\. ))({'|'.join(labels)}):", documentation, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
