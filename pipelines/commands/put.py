"""`falaj put`: files into a laptop's object store, where pipelines look for them."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_TARGET = "s3://falaj-raw/landing/demand"


def add(verbs: "Verbs") -> None:
    what = "copy files into a laptop's object store"
    parser = options.verb(verbs, "put", what, f"falaj put demand/sample {_TARGET}")
    parser.add_argument("source", type=pathlib.Path, help="a file, or a folder of files")
    parser.add_argument("target", help=f"where to, e.g. {_TARGET}")
    options.state(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Copy; a file of the same content again is no news to ingestion."""
    from components.foundation.storage import Address
    from pipelines.laptop import session

    files = _files(arguments.source)
    target = Address.parse(arguments.target.rstrip("/"))
    with session.storing(arguments.state) as laptop:
        for path in files:
            laptop.store.put(target / path.name, path.read_bytes())
    say(f"{len(files)} files in {target}")
    return 0


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    found = sorted(source.iterdir()) if source.is_dir() else [source]
    files = [path for path in found if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise UserError(f"{source}: holds no files; make some first", code="file-missing")
    return files
