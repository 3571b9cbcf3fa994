"""Read what a command is given: files, folders of them, standard input."""

import pathlib
import sys
from collections.abc import Iterator, Sequence

from components.foundation.errors import UserError

_SUFFIXES = {".yaml", ".yml", ".json"}
STANDARD_INPUT = pathlib.Path("-")


def read(paths: Sequence[pathlib.Path]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each file; of a folder, those in YAML and JSON, at any depth."""
    for path in paths:
        if path == STANDARD_INPUT:
            yield "standard input", sys.stdin.read()
        elif path.is_dir():
            files = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES)
            yield from ((str(one), text(one)) for one in files)
        else:
            yield str(path), text(path)


def text(path: pathlib.Path) -> str:
    """Return a file's text.

    Raises:
        UserError: there is no such file, or it is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: {error}; name a file or a folder of manifests", code="manifests-unreadable"
        ) from error
