"""What the globals of a pickle are good for: rebuilding tensors, running code, or unknown."""

import enum
import functools
import pathlib
from dataclasses import dataclass
from typing import Final, Self

import yaml

_FILE: Final = pathlib.Path(__file__).with_name("pickle_globals.yaml")


class Danger(enum.Enum):
    """What unpickling a global can lead to."""

    NONE = "none"
    UNKNOWN = "unknown"
    RUNS = "runs code"


@dataclass(frozen=True, slots=True)
class _Globals:
    """What is known of globals, each "module name"."""

    harmless: frozenset[str]
    running: frozenset[str]

    @classmethod
    @functools.cache
    def known(cls) -> Self:
        said = yaml.safe_load(_FILE.read_text())
        tensors = {
            f"{module} {name}" for module, names in said["tensors"].items() for name in names
        }
        plain = {f"{module} {name}" for module in _BUILTINS for name in said["plain"]}
        return cls(frozenset(tensors | plain), frozenset(said["running"]))


_BUILTINS: Final = ("builtins", "__builtin__")


def danger(name: str, declared: frozenset[str]) -> Danger:
    """Say what a global, "module name", may be good for.

    Args:
        name: as the pickle asks for it.
        declared: what the model's card lets it ask for, as "module.name"; what runs code stays so.
    """
    known = _Globals.known()
    if name in known.harmless:
        return Danger.NONE
    dotted = name.replace(" ", ".")
    parts = dotted.split(".")
    if any(".".join(parts[:end]) in known.running for end in range(1, len(parts) + 1)):
        return Danger.RUNS
    return Danger.NONE if dotted in declared else Danger.UNKNOWN
