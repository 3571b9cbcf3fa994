"""Run a program of ours as in its image: what the image's lock does not name is not there.

python -m tests.images.locked FAMILY MODULE [ARGUMENT ...]
"""

import importlib.metadata
import re
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

from images.families import LOCKS, name_of

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


class Lock:
    """A finder that knows of others' packages only those that a family's lock names."""

    def __init__(self, family: str) -> None:
        locked = set(map(name_of, _PIN.findall((LOCKS / f"{family}.lock").read_text())))
        self.absent = {
            module
            for module, owners in importlib.metadata.packages_distributions().items()
            if locked.isdisjoint(map(name_of, owners)) and "falaj" not in owners
        }

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Refuse what is not locked; leave the rest to the finders behind."""
        if name.partition(".")[0] in self.absent:
            raise ModuleNotFoundError(f"No module named {name!r}: it is not locked", name=name)
        return None


def main(argv: Sequence[str]) -> None:
    family, module, *arguments = argv
    sys.meta_path.insert(0, Lock(family))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
