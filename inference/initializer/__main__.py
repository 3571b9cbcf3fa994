"""Unseal releases before a server starts: KServe's storage-initializer contract.

    python -m inference.initializer SRC DST [SRC DST ...]

SRC is `sealed+s3://BUCKET/MODEL/VERSION`, nothing else; the object store comes by the AWS_*
names, the key ring by FALAJ_KEYS. The last line on standard error is the reason of a
failure, so that `kubectl describe` shows it (FallbackToLogsOnError).
"""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

from components.foundation.errors import FalajError, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore, Settings

_LOG = logging.getLogger("initializer")


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    try:
        _unseal_all(arguments.paths, os.environ)
    except FalajError as error:
        _LOG.error("%s", error.shown)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.initializer",
        description="Verify and decrypt sealed releases into folders.",
        epilog="example: python -m inference.initializer "
        "sealed+s3://falaj-models/delays/3fa9c1d2e4b5 /mnt/models",
    )
    parser.add_argument("paths", nargs="+", metavar="SRC DST", help="a release and its folder")
    return parser


def _unseal_all(paths: Sequence[str], environment: Mapping[str, str]) -> None:
    pairs = list(_pairs(paths))
    store = ObjectStore(Settings.from_environment(environment))
    keys = KeyRing.from_environment(environment)
    for source, destination in pairs:
        opened = release.unseal(source, pathlib.Path(destination), store=store, keys=keys)
        files = len(opened.statement.files)
        _LOG.info("%s: signature holds, %d files are in %s", opened.uri, files, destination)


def _pairs(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(paths) % 2:
        raise UserError(
            f"got {len(paths)} arguments; expected pairs of SRC and DST",
            code="initializer-arguments",
        )
    return zip(paths[::2], paths[1::2], strict=True)


if __name__ == "__main__":
    sys.exit(main())
