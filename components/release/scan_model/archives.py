"""Zip, tar and compressed files: their lists are read strictly, their members within bounds.

A zip has two lists of its members, and readers differ in which they believe. Here both have to
say the same, and every byte of the file has to belong to a member or to the lists.
"""

import bz2
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Final

from components.foundation.formats.wire import Malformed
from components.release.scan_model import tree
from components.release.scan_model.finding import shown
from components.release.scan_model.limits import Limits

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_END: Final = struct.Struct("<4s4H2IH")
_LARGE: Final = 56 + 20  # bytes of the records of a zip that may be large
_ENCRYPTED: Final = 0x1 | 0x40
_DESCRIBED: Final = 0x8  # sizes follow the member's bytes
_LONGEST_DESCRIPTION: Final = 24
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_SMALL: Final = 1 << 20


class TooMuch(Malformed):
    """An archive would unpack to more than is let through."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, and how to read the first bytes of it."""

    name: str
    size: int
    read: Callable[[int], bytes]


def of_zip(file: IO[bytes], limits: Limits) -> list[Member]:
    """List a zip.

    Raises:
        Malformed: its lists differ, bytes belong to nobody, a name leads outside, it unpacks to
            too much, or it cannot be read.
    """
    try:
        archive = zipfile.ZipFile(file)
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        _bound(len(infos) <= limits.files, f"{len(infos)} members, at most {limits.files}")
        _check_layout(file, archive, infos)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError) as error:
        raise Malformed(f"zip: {shown(str(error))}") from error
    for info in infos:
        _check_info(info, limits)
    _check_names([info.filename for info in infos])
    _check_sizes([info.file_size for info in infos], limits)
    return [
        Member(info.filename, info.file_size, _reader(archive, info))
        for info in infos
        if not info.is_dir()
    ]


def of_tar(file: IO[bytes], limits: Limits) -> list[Member]:
    """List a tar; raises Malformed where it cannot be read, or holds links or devices."""
    members, infos = list[Member](), list[tarfile.TarInfo]()
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                infos.append(info)
                _bound(len(infos) <= limits.files, f"more than {limits.files} members")
                _require(info.isreg() or info.isdir(), f"{shown(info.name)}: is no plain file")
                if info.isreg():
                    members.append(Member(info.name, info.size, _span(file, info)))
    except (tarfile.TarError, ValueError, OSError, RecursionError) as error:
        raise Malformed(f"tar: {shown(str(error))}") from error
    _check_names([info.name for info in infos])
    _check_sizes([info.size for info in infos], limits)
    return members


def decompressed(data: bytes, limits: Limits) -> bytes:
    """Return what a gzip, bzip2, xz or zlib file holds; raises Malformed beyond the bounds."""
    most = min(limits.pickle, max(_SMALL, len(data) * limits.ratio))
    try:
        found = _decompressor(data)(data, most + 1)
    except (OSError, lzma.LZMAError, zlib.error, EOFError, ValueError, MemoryError) as error:
        raise Malformed(f"compressed: {shown(str(error))}") from error
    _bound(len(found) <= most, f"unpacks to more than {most} bytes")
    return found


def _decompressor(data: bytes) -> Callable[[bytes, int], bytes]:
    if data.startswith(b"BZh"):
        return bz2.BZ2Decompressor().decompress
    if data.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor(memlimit=1 << 27).decompress
    bits = 31 if data.startswith(b"\x1f\x8b") else 15
    return zlib.decompressobj(bits).decompress


def _check_layout(
    file: IO[bytes], archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo]
) -> None:
    """Hold the list at the end against the headers before the members, byte for byte."""
    end, room = 0, 0
    for info in infos:
        file.seek(info.header_offset)
        magic, _, flags, method, _, _, _, packed, size, name, extra = _LOCAL.unpack(
            file.read(_LOCAL.size)
        )
        said = file.read(name)
        whole = 0 <= info.header_offset - end <= room
        _require(whole, "bytes that belong to no member, or to two")
        _require(magic == b"PK\x03\x04", f"{shown(info.filename)}: has no header of its own")
        _require(said == _raw(info), f"{shown(info.filename)}: is {shown(str(said))} in its header")
        same = method == info.compress_type and flags == info.flag_bits
        _require(same, f"{shown(info.filename)}: its two entries differ")
        sizes = (packed, size) in {(info.compress_size, info.file_size), (0xFFFFFFFF, 0xFFFFFFFF)}
        _require(sizes or bool(flags & _DESCRIBED), f"{shown(info.filename)}: two sizes")
        end = info.header_offset + _LOCAL.size + name + extra + info.compress_size
        room = _LONGEST_DESCRIPTION if flags & _DESCRIBED else 0
    _require(0 <= archive.start_dir - end <= room, "bytes between its members and its list")
    _check_end(file, archive.start_dir)


def _check_end(file: IO[bytes], start: int) -> None:
    """Hold the record at the very end against where the list begins, so that nothing follows it."""
    end = file.seek(0, io.SEEK_END) - _END.size
    file.seek(end)
    magic, _, _, _, _, size, offset, comment = _END.unpack(file.read(_END.size))
    _require(magic == b"PK\x05\x06" and not comment, "bytes after its list, or a comment")
    between = end - start - size
    _require(between in (0, _LARGE), "bytes between its list and its end")
    _require(offset in (start, 0xFFFFFFFF), "a list that is not where its end says")


def _raw(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")


def _check_info(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = shown(info.filename)
    _require("\0" not in info.orig_filename, f"{name}: has a NUL in its name")
    _require(not info.flag_bits & _ENCRYPTED, f"{name}: is encrypted")
    _require(info.compress_type in _METHODS, f"{name}: is packed in an unusual way")
    mode = info.external_attr >> 16
    plain = stat.S_IFMT(mode) in {0, stat.S_IFREG, stat.S_IFDIR}
    _require(plain, f"{name}: is a link or a device")
    most = max(_SMALL, info.compress_size * limits.ratio)
    says = f"{name}: unpacks {info.compress_size} bytes to {info.file_size}"
    _bound(info.file_size <= most, says)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        parts = name.removesuffix("/").split("/")
        inside = ".." not in parts and "" not in parts and not name.startswith(("/", "./"))
        _require(inside and "\\" not in name and "\0" not in name, f"{shown(name)}: leads outside")
    for first, other in tree.twins(name.removesuffix("/") for name in names):
        raise Malformed(f"{shown(first)} and {shown(other)}: twins")


def _check_sizes(sizes: Sequence[int], limits: Limits) -> None:
    total = sum(sizes)
    _require(min(sizes, default=0) >= 0, "a size below zero")
    _bound(total <= limits.inflated, f"unpacks to {total} bytes, at most {limits.inflated}")


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        try:
            with archive.open(info) as member:
                return member.read(most)
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
            raise Malformed(f"{shown(info.filename)}: {shown(str(error))}") from error

    return read


def _span(file: IO[bytes], info: tarfile.TarInfo) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        file.seek(info.offset_data)
        return file.read(min(most, info.size))

    return read


def _require(fine: bool, says: str) -> None:
    if not fine:
        raise Malformed(says)


def _bound(fine: bool, says: str) -> None:
    if not fine:
        raise TooMuch(says)
