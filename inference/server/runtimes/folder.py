"""A model's folder before anything runs: which program lies in it, and whether it was changed."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from components.foundation import digests, programs, trained_with
from components.foundation.errors import UserError
from components.foundation.programs import Framework
from components.foundation.signature import Signature

SIGNATURE: Final = "signature.json"
_RELEASE: Final = "release.json"
_PLAIN: Final = "0"  # the version of a folder that is no release


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with one program and its signature.

    Attributes:
        version: the release's, "0" for a plain folder.
        sealed: it is as the opener of releases left it; the opener checked who signed it.
        program: its name, one of `programs.PROGRAMS`.
        features: what the release says that the model was trained with, by the names of facts.
    """

    path: pathlib.Path
    version: str
    sealed: bool
    program: str
    signature: Signature
    features: Mapping[str, str]

    @classmethod
    def read(cls, path: pathlib.Path, *, name: str) -> Self:
        """Read what a folder says of itself.

        Raises:
            UserError: it holds no program or several, lacks a file, or is not the release
                of this model that it was opened from.
        """
        release = _release(path, name=name)
        version = str(release["version"]) if release else _PLAIN
        program = programs.only(_names(path), where=str(path))
        signature = Signature.from_dict(_json(path / SIGNATURE))
        features = trained_with.of(release.get("facts", {}))
        return cls(path, version, bool(release), program, signature, features)

    @property
    def framework(self) -> Framework:
        return programs.PROGRAMS[self.program]

    @property
    def file(self) -> pathlib.Path:
        """Where the program lies."""
        return self.path / self.program


def _names(path: pathlib.Path) -> list[str]:
    return [found.name for found in path.iterdir()] if path.is_dir() else []


def _release(path: pathlib.Path, *, name: str) -> dict[str, Any]:
    """Return what the opener wrote, nothing for a plain folder; refuse what changed since."""
    if not (path / _RELEASE).exists():
        return {}
    release = _json(path / _RELEASE)
    if lacking := {"files", "model", "version"} - release.keys():
        raise UserError(
            f"{path / _RELEASE}: lacks {', '.join(sorted(lacking))}; unseal the release again",
            code="model-folder-incomplete",
        )
    for file, digest in release["files"].items():
        got = digests.of_file(path / file) if (path / file).exists() else "missing"
        if str(got) != digest:
            raise UserError(
                f"{path / file}: is {got}, the release has {digest}; unseal it again",
                code="served-file-changed",
            )
    _refuse_others(path, release["files"])
    if release["model"] != name:
        raise UserError(
            f"{path}: holds a release of {release['model']!r}, asked to serve {name!r}; name the "
            "model as it was sealed",
            code="release-of-another-model",
        )
    return release


def _refuse_others(path: pathlib.Path, files: Iterable[str]) -> None:
    """Raise UserError for a file that the release does not cover: a runtime might read it."""
    known = {path / name for name in (*files, _RELEASE)}
    for found in sorted(path.rglob("*")):
        if not found.is_dir() and found not in known:
            raise UserError(
                f"{found}: is not of the release; unseal into an empty folder",
                code="served-file-unsealed",
            )


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path}: missing; expected the folder of a model", code="model-folder-incomplete"
        ) from None
    except ValueError as error:
        raise UserError(
            f"{path}: {error}; expected JSON", code="model-folder-incomplete"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object", code="model-folder-incomplete")
    return value
