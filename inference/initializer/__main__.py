"""Unseal releases before a server starts: KServe's storage-initializer contract.

    python -m inference.initializer SRC DST [SRC DST ...]

SRC is sealed+s3://BUCKET/MODEL/VERSION, or the same folder below sealed+file:///FOLDER/ or
sealed+pvc://CLAIM/ (a claim is mounted at /mnt/pvc/CLAIM). The object store comes by the AWS_*
names, the key ring by FALAJ_KEYS, and what may be opened here by FALAJ_POLICY. The reason of a
failure is the last line on standard error and the termination message, so that `kubectl
describe` shows it.
"""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from components.foundation.errors import FULL, FalajError, InfrastructureError, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.policy import Policy
from components.foundation.sealing.release import Release
from components.foundation.sealing.source import Files
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import ObjectStore, Settings

_LOG = logging.getLogger("initializer")
_MESSAGE_BYTES = 4096  # that Kubernetes shows of a termination message


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    try:
        _unseal_all(arguments.paths, os.environ)
    except FalajError as error:
        return _told(error, arguments.termination_log)
    except OSError as error:
        return _told(_of_system(error), arguments.termination_log)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.initializer",
        description="Verify and decrypt sealed releases into folders.",
        epilog="example: python -m inference.initializer "
        "sealed+s3://falaj-models/delays/3fa9c1d2e4b5 /mnt/models",
    )
    parser.add_argument("paths", nargs="+", metavar="SRC DST", help="a release and its folder")
    parser.add_argument(
        "--termination_log",
        type=pathlib.Path,
        default=pathlib.Path("/dev/termination-log"),
        help="where the reason of a failure goes, if it is there (%(default)s)",
    )
    return parser


def _unseal_all(paths: Sequence[str], environment: Mapping[str, str]) -> None:
    pairs = [(ReleaseUri.parse(source), pathlib.Path(to)) for source, to in _pairs(paths)]
    keys, policy = KeyRing.from_environment(environment), _policy(environment)
    if keys.signer is not None:
        _LOG.warning("the key ring can sign: give serving pods what `falaj keys share` writes")
    for source, destination in pairs:
        opened = _unseal(source, destination, keys=keys, policy=policy, environment=environment)
        files = len(opened.statement.files)
        _LOG.info("%s: signature holds, %d files are in %s", opened.uri, files, destination)


def _unseal(
    source: ReleaseUri,
    destination: pathlib.Path,
    *,
    keys: KeyRing,
    policy: Policy | None,
    environment: Mapping[str, str],
) -> Release:
    remote = ObjectStore(Settings.from_environment(environment)) if source.scheme == "s3" else None
    accept = None if policy is None else partial(policy.check, store=remote, keys=keys)
    store = remote or Files.mounted()
    return release.unseal(str(source), destination, store=store, keys=keys, accept=accept)


def _policy(environment: Mapping[str, str]) -> Policy | None:
    if (path := environment.get("FALAJ_POLICY")) is not None:
        return Policy.read(pathlib.Path(path))
    _LOG.warning("FALAJ_POLICY is not set: whatever the ring's signers sealed is opened")
    return None


def _pairs(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(paths) % 2:
        raise UserError(
            f"got {len(paths)} arguments; expected pairs of SRC and DST",
            code="initializer-arguments",
        )
    return zip(paths[::2], paths[1::2], strict=True)


def _of_system(error: OSError) -> FalajError:
    """Say what the system refused, and whether it may be different next time."""
    where = error.filename or "destination"
    if error.errno in FULL:
        return InfrastructureError(
            f"{where}: {error.strerror}; give the model's volume more room", code="disk-full"
        )
    return UserError(
        f"{where}: {error.strerror}; let the container's user write the model's folder",
        code="folder-unwritable",
    )


def _told(error: FalajError, termination_log: pathlib.Path) -> int:
    _LOG.error("%s", error.shown)
    try:
        if termination_log.exists():  # Kubernetes puts it there
            termination_log.write_bytes(_cut(error.shown))
    except OSError as failed:
        _LOG.warning("termination log: %s", failed.strerror)
    return error.exit_code


def _cut(message: str) -> bytes:
    """Return as much as is shown, and no half character, which may make the whole unreadable."""
    said = message.encode(errors="backslashreplace")[:_MESSAGE_BYTES]
    return said.decode(errors="ignore").encode()


if __name__ == "__main__":
    sys.exit(main())
