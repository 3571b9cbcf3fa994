"""What a file is: by its first bytes where they tell, else by its name."""

import enum
import pathlib
import re
from typing import Final

from components.foundation.formats import saved_graph

HEAD: Final = 512  # bytes that are looked at


class Kind(enum.StrEnum):
    """The kinds that are told apart; `says` is how each is called in a report."""

    ONNX = "ONNX graph"
    SAVED_MODEL = "SavedModel graph"
    VARIABLES = "weights of a SavedModel"
    SAFETENSORS = "safetensors"
    NUMPY = "NumPy array"
    JSON = "JSON"
    TEXT = "text"
    TORCH_PROGRAM = "torch.export archive"
    ZIP = "zip archive"
    TAR = "tar archive"
    COMPRESSED = "compressed file"
    PICKLE = "pickle"
    HDF5 = "HDF5"
    EXECUTABLE = "executable"
    SOURCE = "source or byte code"
    WEIGHTS = "external data of an ONNX graph"
    UNKNOWN = "unknown"


_MACHINE: Final = (
    *(b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xce"),
    *(b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe", b"\0asm", b"dex\n", b"!<arch>\n", b"BC\xc0\xde"),
)
_LOOSE: Final = (b"MZ", b"#!")  # so short that numbers may begin like it
_ARCHIVES: Final = {
    b"PK\x03\x04": Kind.ZIP,
    b"PK\x05\x06": Kind.ZIP,
    b"\x1f\x8b": Kind.COMPRESSED,
    b"BZh": Kind.COMPRESSED,
    b"\xfd7zXZ\0": Kind.COMPRESSED,
    b"\x89HDF\r\n\x1a\n": Kind.HDF5,
    b"\x93NUMPY": Kind.NUMPY,
}
_PICKLED: Final = re.compile(rb"\x80[\x00-\x05]")
_NAMED: Final = {
    ".onnx": Kind.ONNX,
    ".safetensors": Kind.SAFETENSORS,
    ".npy": Kind.NUMPY,
    ".json": Kind.JSON,
    ".pt2": Kind.TORCH_PROGRAM,
    ".npz": Kind.ZIP,
    ".zip": Kind.ZIP,
    ".keras": Kind.ZIP,
    ".tar": Kind.TAR,
    ".h5": Kind.HDF5,
    ".hdf5": Kind.HDF5,
    **dict.fromkeys((".gz", ".bz2", ".xz", ".lzma", ".z"), Kind.COMPRESSED),
    **dict.fromkeys((".txt", ".md", ".yaml", ".yml", ".csv", ".vocab"), Kind.TEXT),
    **dict.fromkeys(
        (".pkl", ".pickle", ".pck", ".joblib", ".dill", ".dat", ".pt", ".pth", ".bin", ".ckpt"),
        Kind.PICKLE,
    ),
    **dict.fromkeys(
        (".py", ".pyc", ".pyo", ".sh", ".bash", ".ps1", ".bat", ".cmd", ".js", ".rb"),
        Kind.SOURCE,
    ),
    **dict.fromkeys((".so", ".dll", ".dylib", ".exe", ".jar", ".whl", ".o", ".a"), Kind.EXECUTABLE),
}
_SAVED_MODEL: Final = re.compile(
    r"(|saved_model/)(variables/variables\.(index|data-\d{5}-of-\d{5})|fingerprint\.pb)"
)
_ASSET: Final = re.compile(r"(|saved_model/)assets/[^/]+")
_TEXTS: Final = {"LICENSE", "LICENCE", "NOTICE", "README"}


def of(name: str, head: bytes) -> Kind:
    """Say what a file is; its first bytes go before its name."""
    said = named(name)
    told = _by_content(head, loose=said is not Kind.VARIABLES)
    if told is Kind.ZIP and said is Kind.TORCH_PROGRAM:
        return said
    if told is Kind.PICKLE and said is Kind.VARIABLES:
        return said  # weights begin with any bytes, and nobody unpickles these
    return told or said


def disguised(name: str, kind: Kind) -> bool:
    """Say whether a name says another kind than the content."""
    said = named(name)
    if said is kind or said in {Kind.UNKNOWN, Kind.SOURCE, Kind.EXECUTABLE}:
        return False
    # A checkpoint may be a zip, a tar or a pickle, and each is judged as what it is.
    return not (said is Kind.PICKLE and kind in {Kind.ZIP, Kind.TAR, Kind.COMPRESSED, Kind.HDF5})


def is_executable(head: bytes, *, loose: bool) -> bool:
    return head.startswith(_MACHINE) or (loose and head.startswith(_LOOSE))


def _by_content(head: bytes, *, loose: bool) -> Kind | None:
    if is_executable(head, loose=loose):
        return Kind.EXECUTABLE
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return Kind.TAR
    return Kind.PICKLE if _PICKLED.match(head) else None


def named(name: str) -> Kind:
    """Say what a file calls itself."""
    path = pathlib.PurePosixPath(name)
    if path.name == saved_graph.GRAPH:
        return Kind.SAVED_MODEL
    if _SAVED_MODEL.fullmatch(name):
        return Kind.VARIABLES
    if path.name in _TEXTS or (_ASSET.fullmatch(name) and not path.suffix):
        return Kind.TEXT
    return _NAMED.get(path.suffix.lower(), Kind.UNKNOWN)
