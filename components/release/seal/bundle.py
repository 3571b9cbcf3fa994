"""What a release is made of: the model, and what speaks for it."""

import contextlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.foundation import programs
from components.foundation.errors import UserError

_BESIDE = ("signature.json", "model.json")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model's folder, the files of its profile and its evaluation, and its contract's text."""

    model: pathlib.Path
    profile: pathlib.Path
    evaluation: pathlib.Path
    contract: str

    @classmethod
    def of(cls, model: str, profile: str, evaluation: str, contract: str) -> "Bundle":
        """Take the paths as a component is given them."""
        return cls(pathlib.Path(model), pathlib.Path(profile), pathlib.Path(evaluation), contract)

    @contextlib.contextmanager
    def laid_out(self) -> Iterator[pathlib.Path]:
        """Lay out a release's plaintext for as long as the block lasts.

        Raises:
            UserError: a file is missing, profile or metrics are no JSON objects, no contract.
        """
        with tempfile.TemporaryDirectory(prefix="falaj-release-") as name:
            folder = pathlib.Path(name)
            shutil.copytree(_checked(self.model), folder, dirs_exist_ok=True)
            (folder / "profile.json").write_bytes(_json(self.profile, "profile"))
            (folder / "metrics.json").write_bytes(_json(self.evaluation, "evaluation"))
            (folder / "contract.yaml").write_text(_contract(self.contract))
            yield folder


def _checked(model: pathlib.Path) -> pathlib.Path:
    for name in _BESIDE:
        if not (model / name).is_file():
            raise UserError(
                f"{model / name}: missing; expected a folder made by export_onnx or a trainer",
                code="model-folder-incomplete",
            )
    programs.only([found.name for found in model.iterdir()], where=str(model))
    return model


def _json(path: pathlib.Path, what: str) -> bytes:
    try:
        data = path.read_bytes()
        value: Any = json.loads(data)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{what} {path}: {error}; expected a JSON object", code="json-malformed"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{what} {path}: expected a JSON object", code="json-malformed")
    return data


def _contract(text: str) -> str:
    if not text.strip():
        raise UserError(
            "contract: is empty; a release says by which contract its data were judged",
            code="release-without-contract",
        )
    return text
