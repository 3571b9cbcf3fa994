"""Seal a folder into a release, and open one again.

    s3://falaj-models/MODEL/VERSION/
        files/...         every file, encrypted (stream.py)
        keys.json         the release key, wrapped; the only object that key rotation touches
        statement.json    signed (envelope.py, statement.py); written last, never replaced

The release key is made once a version and adopted by whoever seals the same content again,
so sealers that race or were killed write the same bytes; without the statement nothing is
a release.
"""

import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import Refused, UserError, nearest
from components.foundation.pieces import Reader
from components.foundation.sealing import envelope, stream, wrapped
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.statement import (
    KIND,
    OPENED,
    SealedFile,
    Statement,
    check_paths,
    content,
)
from components.foundation.sealing.stream import Header
from components.foundation.sealing.uri import BUCKET, ReleaseUri, checked_name
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

_STATEMENT = "statement.json"
_PARTIAL = ".unsealing"


@dataclass(frozen=True, slots=True)
class Release:
    """A sealed release whose statement's signature holds."""

    location: ReleaseUri
    statement: Statement

    @property
    def uri(self) -> str:
        return str(self.location)

    @property
    def model(self) -> str:
        return self.location.model

    @property
    def version(self) -> str:
        return self.location.version

    def file(self, path: str) -> SealedFile:
        """Return a file of the release; raises UserError naming those there are."""
        files = {file.path: file for file in self.statement.files}
        if path not in files:
            raise UserError(
                f"release {self.uri}: no {path!r}; {nearest(path, list(files))}",
                code="release-file-unknown",
            )
        return files[path]

    def to_dict(self) -> dict[str, Any]:
        """Say what the release is, for release.json and for the audit log."""
        return {
            "model": self.model,
            "version": self.version,
            "uri": self.uri,
            "content": str(self.statement.content),
            "files": {file.path: str(file.plain) for file in self.statement.files},
            "facts": dict(self.statement.facts),
        }


def releases(*, store: ObjectStore, bucket: str = BUCKET) -> Iterator[str]:
    """Yield the URI of every release in a bucket; whether it is sound, `verify` says."""
    for item in store.list(Address(bucket, "")):
        parts = item.address.key.split("/")
        if len(parts) == 3 and parts[2] == _STATEMENT:
            yield str(ReleaseUri(bucket, parts[0], parts[1]))


def seal(
    folder: pathlib.Path,
    *,
    model: str,
    facts: Mapping[str, Any],
    store: ObjectStore,
    keys: KeyRing,
) -> Release:
    """Encrypt and sign a folder; the same folder, name and facts give the same release.

    Args:
        folder: files to seal, e.g. model.onnx, signature.json, profile.json.
        model: name of the model, fit for Kubernetes, e.g. "delays".
        facts: what the statement binds besides the files, plain JSON: training tables,
            image digests, code revision. No times: they would make every sealing new.
        store: where the release goes.
        keys: a ring that can sign.

    Raises:
        UserError: the folder is empty, a path or a fact is unfit.
        Refused: the version exists and is not ours, or not of this content.
    """
    checked_name(model)
    plain = {path: _measure(folder / path) for path in _paths(folder)}
    identity = content(model, {p: Digest(h.digest.hex()) for p, h in plain.items()}, facts)
    location = ReleaseUri(BUCKET, model, identity.short)
    if store.exists(location.address / _STATEMENT):
        return _same(read(location, store=store, keys=keys), identity)
    key = wrapped.get_or_create(location.address, identity, store=store, keys=keys)
    files = [
        _put(folder, path, header, key=key, location=location, store=store)
        for path, header in plain.items()
    ]
    statement = Statement(model, location.version, identity, tuple(files), facts)
    signed = envelope.sign(statement.encode(), kind=KIND, keys=keys)
    try:
        store.create(location.address / _STATEMENT, signed)
    except Conflict:
        return _same(read(location, store=store, keys=keys), identity)
    return Release(location, statement)


def read(location: ReleaseUri, *, store: ObjectStore, keys: KeyRing) -> Release:
    """Read what a release says of itself, once its signature holds.

    Raises:
        NotFound: there is no such release.
        Refused: it is not signed by us, or was signed as another model or version.
    """
    address = location.address / _STATEMENT
    where = f"release {location}, {_STATEMENT}"
    try:
        signed = store.get_bounded(address, limit=envelope.MAX_BYTES)
    except NotFound as error:
        raise NotFound(
            f"release {location}: not found; nothing signed lies there", code="release-missing"
        ) from error
    payload = envelope.open_signed(signed, kind=KIND, keys=keys, where=where)
    statement = Statement.decode(payload, where=where)
    if (statement.model, statement.version) != (location.model, location.version):
        raise Refused(
            f"release {location}: was signed as {statement.model}/{statement.version}; a release "
            "cannot be renamed, seal the model under its new name",
            code="release-renamed",
        )
    return Release(location, statement)


def unseal(uri: str, destination: pathlib.Path, *, store: ObjectStore, keys: KeyRing) -> Release:
    """Verify, then decrypt a release into a folder, which then also holds release.json.

    No file is in place before all are decrypted and have the digests that were signed; files
    are read-only.

    Raises:
        UserError: not a release URI, no such release, or the folder holds something else.
        Refused: anything is not as it was signed; the sentence says what.
    """
    release = read(ReleaseUri.parse(uri), store=store, keys=keys)
    _check_objects(release, store)
    _check_destination(release, destination)
    address = release.location.address
    key = wrapped.get(address, release.statement.content, store=store, keys=keys)
    partial = destination / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for file in release.statement.files:
            _fetch(file, partial / file.path, key=key, address=address, store=store)
        _put_in_place(release, partial, destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return release


def read_file(uri: str, path: str, *, store: ObjectStore, keys: KeyRing) -> bytes:
    """Verify a release and decrypt one file of it into memory, e.g. its profile."""
    release = read(ReleaseUri.parse(uri), store=store, keys=keys)
    file, address = release.file(path), release.location.address
    key = wrapped.get(address, release.statement.content, store=store, keys=keys)
    return b"".join(bytes(piece) for piece in _pieces(file, key=key, address=address, store=store))


def verify(uri: str, *, store: ObjectStore, keys: KeyRing) -> Release:
    """Check a release without decrypting it: signature, names, and every sealed byte."""
    release = read(ReleaseUri.parse(uri), store=store, keys=keys)
    _check_objects(release, store)
    for file in release.statement.files:
        with store.reading(_file(release.location.address, file.path)) as source:
            got = _digest(source)
        if got != file.sealed:
            raise Refused(
                f"release {uri}, {file.path}: sealed bytes have digest {got}, the statement "
                f"covers {file.sealed}; restore the object or seal the model again",
                code="release-altered",
            )
    return release


def _same(release: Release, identity: Digest) -> Release:
    if release.statement.content != identity:
        raise Refused(
            f"release {release.uri}: exists with content {release.statement.content}, sealing "
            f"{identity}; versions are written once, change a fact to get another version",
            code="release-exists",
        )
    return release


def _paths(folder: pathlib.Path) -> list[str]:
    found = sorted(folder.rglob("*"))
    for path in found:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UserError(
                f"{path}: is a link or no file; a release holds plain files only",
                code="release-path",
            )
    paths = [path.relative_to(folder).as_posix() for path in found if path.is_file()]
    if not paths:
        raise UserError(
            f"{folder}: holds no files; name the folder of a model", code="release-empty"
        )
    check_paths(paths)
    return paths


def _measure(path: pathlib.Path) -> Header:
    return Header(path.stat().st_size, bytes.fromhex(digests.of_file(path).hex))


def _file(address: Address, path: str) -> Address:
    return address / "files" / path


def _put(
    folder: pathlib.Path,
    path: str,
    header: Header,
    *,
    key: bytes,
    location: ReleaseUri,
    store: ObjectStore,
) -> SealedFile:
    with (folder / path).open("rb") as plain:
        before = os.fstat(plain.fileno())
        sealed = stream.Pieces(stream.encrypt(plain, header=header, key=key, path=path))
        store.put_stream(_file(location.address, path), sealed, size=header.sealed_size)
        after = os.fstat(plain.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UserError(
            f"{folder / path}: changed while it was sealed; seal it again", code="file-changed"
        )
    return SealedFile(path, header.size, Digest(header.digest.hex()), sealed.digest())


def _check_objects(release: Release, store: ObjectStore) -> None:
    """Refuse a release with an object too many, too few, or of another size."""
    address = release.location.address
    wanted = {str(_file(address, f.path)): f.header.sealed_size for f in release.statement.files}
    found = {str(item.address): item.size for item in store.list(address)}
    for name in (str(address / _STATEMENT), str(wrapped.address(address))):
        found.pop(name, None)
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            got, want = _bytes(found.get(name)), _bytes(wanted.get(name))
            raise Refused(
                f"release {release.uri}: {name} is {got}, the statement covers {want}; restore "
                "what was sealed and remove what was not",
                code="release-altered",
            )


def _digest(source: Reader) -> Digest:
    digest = hashlib.sha256()
    while piece := source.read(stream.CHUNK):
        digest.update(piece)
    return Digest(digest.hexdigest())


def _bytes(size: int | None) -> str:
    return "no such object" if size is None else f"{size} bytes"


def _check_destination(release: Release, destination: pathlib.Path) -> None:
    """Refuse to mix a release with files of something else."""
    ours = {file.path for file in release.statement.files} | {OPENED}
    for path in destination.rglob("*"):
        name = path.relative_to(destination).as_posix()
        if not path.is_dir() and name not in ours and not name.startswith(f"{_PARTIAL}/"):
            raise UserError(
                f"{path}: is not of release {release.uri}; unseal into an empty folder",
                code="folder-not-empty",
            )


def _fetch(
    file: SealedFile, path: pathlib.Path, *, key: bytes, address: Address, store: ObjectStore
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as plain:
        for piece in _pieces(file, key=key, address=address, store=store):
            plain.write(piece)


def _pieces(
    file: SealedFile, *, key: bytes, address: Address, store: ObjectStore
) -> Iterator[memoryview]:
    """Yield a file's plaintext, authenticated; at its end the digest has to be the signed one."""
    digest = hashlib.sha256()
    with store.reading(_file(address, file.path)) as source:
        for piece in stream.decrypt(source, header=file.header, key=key, path=file.path):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != file.plain.hex:
        raise Refused(
            f"{file.path}: digest is sha256:{digest.hexdigest()}, the statement covers "
            f"{file.plain}; seal the model again",
            code="release-altered",
        )


def _put_in_place(release: Release, partial: pathlib.Path, destination: pathlib.Path) -> None:
    (partial / OPENED).write_bytes(digests.canonical_json(release.to_dict()))
    for name in [*(file.path for file in release.statement.files), OPENED]:
        (partial / name).chmod(0o444)
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial / name, destination / name)
