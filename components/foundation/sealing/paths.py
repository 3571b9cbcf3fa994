"""Which names a file of a release may have: safe in every folder, on every system."""

import pathlib
import re
from collections.abc import Iterator

from components.foundation.errors import UserError

OPENED = "release.json"  # the opener writes it, so no file of a release may have this name
SIGNATURE = "model.sig"  # the signature over the plaintext, in the OpenSSF's format
ADDED = (OPENED, SIGNATURE)  # to what was sealed, by the opener
_LONGEST = 512  # of a path; an S3 key may have 1024 bytes, and ours begins with model and version
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def of_folder(folder: pathlib.Path) -> list[str]:
    """List the files below a folder, which shall be a release.

    Raises:
        UserError: there is none, one is a link or no plain file, or has an unfit name.
    """
    paths = listed(folder)
    if not paths:
        raise UserError(
            f"{folder}: holds no files; name the folder of a model", code="release-empty"
        )
    check_paths(paths)
    return paths


def listed(folder: pathlib.Path) -> list[str]:
    """List the files below a folder; raises UserError for a link or no plain file."""
    found = sorted(folder.rglob("*"))
    for path in found:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UserError(
                f"{path}: is a link or no file; a release holds plain files only",
                code="release-path",
            )
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def check_paths(paths: list[str]) -> None:
    """Raise UserError for a path that could leave a folder, hide in it, or have a twin."""
    spelt: dict[str, str] = {}
    files = {path.lower() for path in paths}
    for path in paths:
        if _PATH.fullmatch(path) is None or path.lower() in ADDED or len(path) > _LONGEST:
            raise UserError(
                f"{path[:80]!r}: not a path of a release; expected letters, digits, '.', '_' and "
                f"'-' between slashes, no leading dot, at most {_LONGEST} characters, not "
                f"{OPENED} or {SIGNATURE}",
                code="release-path",
            )
        for name in _every(path):
            twin = spelt.setdefault(name.lower(), name)
            if twin != name:
                raise UserError(
                    f"{name!r} and {twin!r}: differ only in case; rename one", code="release-path"
                )
            if name != path and name.lower() in files:
                raise UserError(
                    f"{name!r}: is a file and the folder of {path!r}; rename one",
                    code="release-path",
                )


def _every(path: str) -> Iterator[str]:
    """Yield a path and every folder on its way."""
    parts = path.split("/")
    for length in range(1, len(parts) + 1):
        yield "/".join(parts[:length])
