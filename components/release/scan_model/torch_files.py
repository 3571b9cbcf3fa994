"""Archives of PyTorch: programs of torch.export, which may be served, and checkpoints."""

import io
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.foundation.errors import UserError
from components.foundation.formats import torch_archive
from components.foundation.formats.wire import Malformed
from components.release.scan_model import archives, pickles
from components.release.scan_model.archives import Member
from components.release.scan_model.finding import shown
from components.release.scan_model.limits import Limits

_CHECKPOINT: Final = re.compile(
    r"data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/[a-z_]+"
)
_SCRIPT: Final = re.compile(r"code/.*|constants\.pkl|.*\.debug_pkl|mobile_debug.*|bytecode\.pkl")
_MOST_JSON: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Archive:
    """The members of an archive without the folder that they all lie in, as PyTorch sees them."""

    members: Sequence[Member]

    @classmethod
    def of(cls, members: Sequence[Member]) -> "Archive":
        tops = {member.name.partition("/")[0] for member in members}
        if len(tops) != 1 or any("/" not in member.name for member in members):
            raise Malformed("members that do not lie in one folder")
        inner = [Member(m.name.partition("/")[2], m.size, m.read) for m in members]
        return cls(inner)

    def names(self) -> list[str]:
        return [member.name for member in self.members]

    def read(self, name: str) -> bytes:
        for member in self.members:
            if member.name == name:
                if member.size > _MOST_JSON:
                    raise Malformed(f"{shown(name)}: {member.size} bytes, too many to be read")
                return member.read(member.size)
        raise Malformed(f"has no {name}")


def check_program(members: Sequence[Member], limits: Limits) -> str:
    """Return what an exported program could do besides computing; empty where nothing.

    Raises:
        Malformed: it is no program of torch.export.
    """

    def only_tensors(pickled: bytes) -> bool:
        return holds_only_tensors(pickled, limits)

    try:
        torch_archive.check(pathlib.Path(), Archive.of(members), only_tensors=only_tensors)
    except UserError as error:
        return str(error).removeprefix(".: ")
    # Its JSON has another form than PyTorch writes.
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Malformed(f"no program of torch.export: {shown(repr(error))}") from error
    return ""


def holds_only_tensors(pickled: bytes, limits: Limits) -> bool:
    """Say whether what torch.save wrote holds nothing but tensors and plain values."""
    try:
        archive = Archive.of(archives.of_zip(io.BytesIO(pickled), limits))
        known = all(_CHECKPOINT.fullmatch(name) for name in archive.names())
        walk = pickles.walk(io.BytesIO(archive.read("data.pkl")))
    except Malformed:
        return False
    return known and not list(walk.complaints())


def is_script(members: Sequence[Member]) -> bool:
    """Say whether an archive is TorchScript: a program in source text and pickles."""
    return any(_SCRIPT.fullmatch(member.name.partition("/")[2]) for member in members)


def is_checkpoint(members: Sequence[Member]) -> bool:
    return any(member.name.partition("/")[2] == "data.pkl" for member in members)
