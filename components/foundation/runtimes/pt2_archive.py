"""An archive of torch.export, as PyTorch's own reader finds it, before PyTorch loads it."""

import io
import pathlib
from dataclasses import dataclass
from typing import Any

from components.foundation.formats import torch_archive


@dataclass(frozen=True, slots=True)
class _Archive:
    """What PyTorch's reader says lies in it."""

    reader: Any

    def names(self) -> list[str]:
        return list(self.reader.get_file_names())

    def read(self, name: str) -> bytes:
        return bytes(self.reader.read_bytes(name))


def check(file: pathlib.Path) -> None:
    """Raise UserError naming what of an archive could do more than compute."""
    from torch.export import pt2_archive

    reader: Any = pt2_archive.PT2ArchiveReader  # has no types
    with reader(str(file)) as opened:
        torch_archive.check(file, _Archive(opened), only_tensors=_only_tensors)


def _only_tensors(pickled: bytes) -> bool:
    import torch

    try:
        torch.load(io.BytesIO(pickled), weights_only=True)
    # It raises what the pickle makes it raise; nothing of it was executed.
    except Exception:
        return False
    return True
