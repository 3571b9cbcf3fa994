"""Write a lock of exact versions and hashes for every image family, and for what builds source.

Usage: python -m images.locks [FAMILY ...]
The versions are those of requirements.lock, so that what was tested is what runs.
"""

import argparse
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from images.families import BUILDERS, FAMILIES, LOCKS, ROOT, Declared

_COMPILE = (
    "uv", "pip", "compile", "-", "--quiet", "--python-version", "3.11", "--generate-hashes",
    "--no-emit-index-url", "--no-annotate", "--custom-compile-command", "make lock",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Write the locks of the named families, or all."""
    parser = argparse.ArgumentParser(prog="python -m images.locks", description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    declared = Declared.read()
    for name in parser.parse_args(argv).families or FAMILIES:
        if name not in FAMILIES:
            parser.error(f"{name}: no such family; known: {', '.join(FAMILIES)}")
        write(LOCKS / f"{name}.lock", declared.of(FAMILIES[name]))
    write(LOCKS / "build.lock", BUILDERS)
    return 0


def write(path: pathlib.Path, requirements: Sequence[str]) -> None:
    """Resolve requirements within requirements.lock; write exact versions with hashes."""
    path.parent.mkdir(exist_ok=True)
    command = [*_COMPILE, "--constraints", str(ROOT / "requirements.lock"), "-o", str(path)]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, cwd=ROOT)
    print(f"{path.relative_to(ROOT)}: {len(requirements)} requirements")


if __name__ == "__main__":
    sys.exit(main())
