"""Files that would write a canary if they were loaded; none of them ever is."""

import io
import pathlib
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

from components.release.scan_model import judge
from components.release.scan_model.declared import Declared
from components.release.scan_model.limits import DEFAULT, Limits
from components.release.scan_model.scan import Scan, scan

PROVENANCE = {"licence": "Apache-2.0", "source": "tests", "trained_by": "nobody"}
SAID = Declared(PROVENANCE, ("s3://falaj-features/x@1",))


def scanned(folder: pathlib.Path, limits: Limits = DEFAULT, **declared: Any) -> Scan:
    return scan(folder, Declared(PROVENANCE, SAID.tables, **declared), limits)


def verdict(folder: pathlib.Path, **declared: Any) -> Any:
    return judge.judge(folder, Declared(PROVENANCE, SAID.tables, **declared))[0]


def refusals(folder: pathlib.Path, **declared: Any) -> list[str]:
    """Return what was refused, as "file: rule: what was found"."""
    return [f"{f.file}: {f.rule}: {f.says}" for f in scanned(folder, **declared).refused]


def calling(module: str, name: str, argument: str) -> bytes:
    """Write a pickle that calls a function with a text, by the GLOBAL opcode."""
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


def stack_global(module: str, name: str, argument: str, *, memo: bool = False) -> bytes:
    """Write one that names the function by texts on the stack, or by texts of the memo."""
    parts = b"\x80\x04" + _text(module) + b"\x94" + _text(name) + b"\x94"
    if memo:
        parts += b"00h\x00h\x01"
    return parts + b"\x93" + _text(argument) + b"\x85R."


def assembled(argument: str) -> bytes:
    """Write one whose module name is made while it runs: 'os'.join of nothing else."""
    lower = b"\x8c\x08builtins\x8c\x03str\x93" + _text("posix") + b"\x85R"
    return b"\x80\x04" + lower + _text("system") + b"\x93" + _text(argument) + b"\x85R."


def built_in(name: str, argument: str) -> bytes:
    return calling("builtins", name, argument)


def by_getattr(argument: str) -> bytes:
    """Write getattr(os, 'system')(argument), with os reached as a module's attribute."""
    module = b"cshutil\nos\n"
    return b"cbuiltins\ngetattr\n(" + module + b"Vsystem\ntR(V" + argument.encode() + b"\ntR."


def by_inst(argument: str) -> bytes:
    return b"(V" + argument.encode() + b"\nios\nsystem\n."


def by_obj(argument: str) -> bytes:
    return b"(cos\nsystem\nV" + argument.encode() + b"\no."


def nested(inner: bytes) -> bytes:
    """Write a pickle that holds another one as bytes; some class may load it as it is rebuilt."""
    return b"\x80\x04}\x8c\x05state" + b"B" + struct.pack("<I", len(inner)) + inner + b"s."


def broken(argument: str) -> bytes:
    """Write one that has run its call before it fails."""
    return calling("os", "system", argument)[:-1] + b"\xff garbage"


def by_build(argument: str) -> bytes:
    """Write one that calls when its state is set: a class whose __setstate__ was replaced."""
    return b"\x80\x02cfoo.bar\nThing\n)\x81}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsbV" + (
        argument.encode() + b"\nb."
    )


def registry() -> bytes:
    return b"\x80\x02\x82\x01."


def pickles(canary: pathlib.Path) -> Mapping[str, bytes]:
    """Return every kind of hostile pickle by name."""
    touch = f"touch {canary}"
    code = f"open({str(canary)!r}, 'w')"
    return {
        "os.system": calling("os", "system", touch),
        "posix.system": calling("posix", "system", touch),
        "subprocess": calling("subprocess", "check_output", touch),
        "eval": built_in("eval", code),
        "exec": built_in("exec", code),
        "python 2": calling("__builtin__", "eval", code),
        "import": built_in("__import__", "this"),
        "open": calling("io", "open", str(canary)),
        "getattr": by_getattr(touch),
        "dotted": stack_global("os", "system.__call__", touch),
        "stack global": stack_global("os", "system", touch),
        "stack global with memo": stack_global("os", "system", touch, memo=True),
        "assembled name": assembled(touch),
        "inst": by_inst(touch),
        "obj": by_obj(touch),
        "nested": nested(calling("os", "system", touch)),
        "nested twice": nested(nested(stack_global("os", "system", touch))),
        "broken": broken(touch),
        "without an end": calling("os", "system", touch)[:-1],
        "second pickle": pickle.dumps([1]) + calling("os", "system", touch),
        "after zeros": b"\0" * 4 + calling("os", "system", touch),
        "build": by_build(touch),
        "registry": registry(),
        "runpy": calling("runpy", "run_path", str(canary)),
        "torch.load": calling("torch", "load", str(canary)),
        "torch.hub": calling("torch.hub", "load", str(canary)),
        "numpy.load": calling("numpy", "load", str(canary)),
        "pickle.loads": calling("pickle", "loads", "x"),
        "operator": calling("operator", "methodcaller", "system"),
        "partial": calling("functools", "partial", "x"),
        "webbrowser": calling("webbrowser", "open", "http://127.0.0.1:9"),
        "unknown class": calling("some_package.models", "Estimator", "x"),
    }


def archives(inner: bytes) -> Mapping[str, bytes]:
    """Return files that hold a pickle somewhere, by name."""
    import bz2
    import gzip
    import lzma
    import zlib

    return {
        "model.pkl": inner,
        "model.joblib": inner,
        "model.pt": zipped({"model/data.pkl": inner, "model/version": b"3"}),
        "pytorch_model.bin": zipped({"archive/data.pkl": inner, "archive/byteorder": b"little"}),
        "old.pth": inner,
        "older.pt": tarred({"pickle": inner, "sys_info": b"\x80\x02}.", "tensors": b""}),
        "array.npy": npy(inner),
        "arrays.npz": zipped({"a.npy": npy(inner)}),
        "inner.zip": zipped({"deep.zip": zipped({"x.pkl": inner})}),
        "model.pkl.gz": gzip.compress(inner),
        "model.pkl.bz2": bz2.compress(inner),
        "model.pkl.xz": lzma.compress(inner),
        "model.pkl.z": zlib.compress(inner),
        "weights.dat": inner,
        "model.keras": zipped({"config.json": b"{}", "metadata.json": b"{}", "x.pkl": inner}),
    }


def npy(pickled: bytes) -> bytes:
    """Write an array of objects, which is a header and a pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _text(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()
