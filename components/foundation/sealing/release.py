"""Seal a folder into a release, and open one again (docs/sealing.md).

    s3://falaj-models/MODEL/VERSION/
        files/...         every file, encrypted (stream.py)
        model.sig         signature over the plaintext, for the OpenSSF's tool (openssf.py)
        keys.json         the release key, wrapped; the only object that key rotation touches
        statement.json    signed (envelope.py, statement.py); written last, never replaced

The release key is made once a version and adopted by whoever seals the same content again,
so sealers that race or were killed write the same bytes; without the statement nothing is
a release.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from blake3 import blake3

from components.foundation import cost, digests
from components.foundation.digests import BLAKE3, Digest
from components.foundation.errors import Refused, UserError, nearest
from components.foundation.sealing import envelope, openssf, paths, space, stream, wrapped
from components.foundation.sealing.destination import Destination
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.measured import Measured
from components.foundation.sealing.parallel import each
from components.foundation.sealing.paths import ADDED, OPENED, SIGNATURE
from components.foundation.sealing.source import Source
from components.foundation.sealing.statement import (
    KIND,
    SealedFile,
    Statement,
    commitment,
    content,
)
from components.foundation.sealing.uri import BUCKET, ReleaseUri, checked_name
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

_STATEMENT = "statement.json"


@dataclass(frozen=True, slots=True)
class Release:
    """A sealed release whose statement's signature holds; `signer` is the id of who made it."""

    location: ReleaseUri
    statement: Statement
    signer: str

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

    def digests(self) -> dict[str, Digest]:
        """Return what the opened folder holds, besides release.json."""
        plain = {file.path: file.plain for file in self.statement.files}
        return {**plain, SIGNATURE: self.statement.signature}

    def to_dict(self) -> dict[str, Any]:
        """Say what the release is, for release.json and for the audit log."""
        return {
            "model": self.model,
            "version": self.version,
            "uri": self.uri,
            "content": str(self.statement.content),
            "files": {name: str(digest) for name, digest in self.digests().items()},
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
    measured = each(partial(Measured.of, folder), paths.of_folder(folder))
    plain = {one.path: one.plain for one in measured}
    identity = content(model, plain, facts)
    location = ReleaseUri(BUCKET, model, identity.short)
    if store.exists(location.address / _STATEMENT):
        return _same(read(location, store=store, keys=keys), identity)
    signature = _signature(location, plain, store=store, keys=keys)
    key = wrapped.get_or_create(location.address, identity, store=store, keys=keys)
    files = each(partial(_put, key=key, address=location.address, store=store), measured)
    statement = Statement(
        model, location.version, identity, commitment(key), signature, tuple(files), facts
    )
    cost.writes(location, bytes=sum(file.header.sealed_size for file in files))
    signed = envelope.sign(statement.encode(), kind=KIND, keys=keys)
    try:
        store.create(location.address / _STATEMENT, signed)
    except Conflict:
        return _same(read(location, store=store, keys=keys), identity)
    return Release(location, statement, keys.signer_id)


def read(location: ReleaseUri, *, store: Source, keys: KeyRing) -> Release:
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
    opened = envelope.open_signed(signed, kind=KIND, keys=keys, where=where)
    statement = Statement.decode(opened.payload, where=where)
    if (statement.model, statement.version) != (location.model, location.version):
        raise Refused(
            f"release {location}: was signed as {statement.model}/{statement.version}; a release "
            "cannot be renamed, seal the model under its new name",
            code="release-renamed",
        )
    return Release(location, statement, opened.signer)


def unseal(
    uri: str,
    destination: pathlib.Path,
    *,
    store: Source,
    keys: KeyRing,
    accept: Callable[[Release], None] | None = None,
) -> Release:
    """Verify, then decrypt a release into a folder, which then also holds release.json.

    No file is in place before all are decrypted and have the digests that were signed; files
    are read-only. Whoever was killed goes on where it stopped: a whole file is not fetched twice.

    Args:
        uri: the release.
        destination: the folder, empty or with the same release, whole or in part.
        store: where the release lies.
        keys: a ring that can open it.
        accept: raises Refused for a release that is sound and yet not wanted here, before
            anything of it is fetched.

    Raises:
        UserError: not a release URI, no such release, the folder holds something else, or has
            too little room.
        Refused: anything is not as it was signed; the sentence says what.
    """
    release = read(ReleaseUri.parse(uri), store=store, keys=keys)
    if accept is not None:
        accept(release)
    _check_objects(release, store)
    files = release.statement.files
    names = [*(file.path for file in files), SIGNATURE, OPENED]
    into = Destination(destination, uri)
    into.check(names)
    key = _key(release, store, keys)
    with into.writing(names) as folder:
        absent = [file for file in files if not into.holds(file.path, file.header.size, file.plain)]
        into.discard([*(file.path for file in absent), *ADDED])
        space.check(destination, sum(file.header.size for file in absent))
        (folder / SIGNATURE).write_bytes(_signature_of(release, store, keys))
        each(partial(_fetch, folder, key=key, release=release, store=store), absent)
        (folder / OPENED).write_bytes(digests.canonical_json(release.to_dict()))
    cost.reads(uri, bytes=sum(file.header.sealed_size for file in absent))
    return release


def read_file(
    uri: str,
    path: str,
    *,
    store: Source,
    keys: KeyRing,
    offset: int = 0,
    length: int | None = None,
) -> bytes:
    """Verify a release and decrypt one file of it into memory, e.g. its profile; or a part.

    Of a part only the chunks that hold it are read, and only whoever can open the release could
    have forged them; of a whole file not even they.

    Args:
        uri: the release.
        path: of the file.
        store: where the release lies.
        keys: a ring that can open it.
        offset: where the part begins.
        length: how long it is; it ends with the file.

    Raises:
        UserError: no such release or file, or a part that begins outside of it.
        Refused: anything is not as it was signed.
    """
    release = read(ReleaseUri.parse(uri), store=store, keys=keys)
    file, key = release.file(path), _key(release, store, keys)
    if (offset, length) == (0, None):
        return b"".join(map(bytes, _pieces(file, key=key, release=release, store=store)))
    rest = file.size - offset if length is None else length
    if offset < 0 or rest < 0:
        raise UserError(
            f"{path}: part at {offset} of length {rest}; the file has {file.size} bytes",
            code="release-file-part",
        )
    stored = partial(store.get_range, _file(release.location.address, path))
    part = stream.decrypt_range(
        stored, header=file.header, key=key, path=path, offset=offset, length=rest
    )
    with _named(release):
        return b"".join(map(bytes, part))


def verify(uri: str, *, store: Source, keys: KeyRing) -> Release:
    """Check a release without decrypting it: signature, names, and every sealed byte."""
    release = read(ReleaseUri.parse(uri), store=store, keys=keys)
    _check_objects(release, store)
    _signature_of(release, store, keys)
    each(partial(_verify_file, release=release, store=store), release.statement.files)
    return release


def _same(release: Release, identity: Digest) -> Release:
    if release.statement.content != identity:
        raise Refused(
            f"release {release.uri}: exists with content {release.statement.content}, sealing "
            f"{identity}; versions are written once, change a fact to get another version",
            code="release-exists",
        )
    return release


def _file(address: Address, path: str) -> Address:
    return address / "files" / path


def _key(release: Release, store: Source, keys: KeyRing) -> bytes:
    """Unwrap the release's key, which has to be the one that the statement commits to."""
    address = release.location.address
    key = wrapped.get(address, release.statement.content, store=store, keys=keys)
    release.statement.check_key(key, where=str(wrapped.address(address)))
    return key


def _signature(
    location: ReleaseUri, plain: Mapping[str, Digest], *, store: ObjectStore, keys: KeyRing
) -> Digest:
    """Sign the plaintext, or adopt the signature of whoever sealed the same before."""
    address = location.address / SIGNATURE
    try:
        data = store.get_bounded(address, limit=envelope.MAX_BYTES)
    except NotFound:
        data = openssf.sign(location.model, plain, keys=keys)
        try:
            store.create(address, data)
        except Conflict:
            return _signature(location, plain, store=store, keys=keys)
    if openssf.signed(data, keys=keys, where=str(address)) != plain:
        raise Refused(
            f"{address}: signs other files than are sealed; remove the object, then seal again",
            code="release-altered",
        )
    return digests.of_bytes(data)


def _signature_of(release: Release, store: Source, keys: KeyRing) -> bytes:
    """Read the signature that was sealed, or the one that `resign` is replacing it with."""
    data = store.get_bounded(release.location.address / SIGNATURE, limit=envelope.MAX_BYTES)
    got, want = digests.of_bytes(data), release.statement.signature
    plain = {file.path: file.plain for file in release.statement.files}
    if got != want and not openssf.is_ours(data, release.model, plain, keys=keys):
        raise Refused(
            f"release {release.uri}, {SIGNATURE}: digest is {got}, the statement covers {want}; "
            "restore the object or seal the model again",
            code="release-altered",
        )
    return data


def _put(measured: Measured, *, key: bytes, address: Address, store: ObjectStore) -> SealedFile:
    header, path = measured.header, measured.path
    with measured.file.open("rb", buffering=0) as plain:
        sealed = stream.Sealing(plain, header=header, key=key, path=path)
        store.put_stream(_file(address, path), sealed, size=header.sealed_size)
    measured.check()
    return SealedFile(path, header.size, measured.plain, sealed.digest())


def _check_objects(release: Release, store: Source) -> None:
    """Refuse a release with an object too many, too few, or of another size."""
    address = release.location.address
    wanted = {str(_file(address, f.path)): f.header.sealed_size for f in release.statement.files}
    found = {str(item.address): item.size for item in store.list(address)}
    for beside in (address / _STATEMENT, address / SIGNATURE, wrapped.address(address)):
        found.pop(str(beside), None)
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            got, want = _bytes(found.get(name)), _bytes(wanted.get(name))
            raise Refused(
                f"release {release.uri}: {name} is {got}, the statement covers {want}; restore "
                "what was sealed and remove what was not",
                code="release-altered",
            )


def _bytes(size: int | None) -> str:
    return "no such object" if size is None else f"{size} bytes"


def _verify_file(file: SealedFile, *, release: Release, store: Source) -> None:
    digest, buffer = blake3(), memoryview(bytearray(stream.CHUNK))
    with store.reading(_file(release.location.address, file.path)) as source:
        while size := source.readinto(buffer):
            digest.update(buffer[:size])
    with _named(release):
        stream.check_digest(Digest(digest.hexdigest(), BLAKE3), file.sealed, file.path)


def _fetch(
    folder: pathlib.Path, file: SealedFile, *, key: bytes, release: Release, store: Source
) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as plain:
        space.reserve(plain.fileno(), file.size)
        for piece in _pieces(file, key=key, release=release, store=store):
            plain.write(piece)


def _pieces(
    file: SealedFile, *, key: bytes, release: Release, store: Source
) -> Iterator[memoryview]:
    """Yield a file's plaintext; what was yielded is sound once the iteration has ended."""
    at = _file(release.location.address, file.path)
    with _named(release), store.reading(at) as source:
        yield from stream.decrypt(
            source, header=file.header, key=key, path=file.path, sealed_as=file.sealed
        )


@contextlib.contextmanager
def _named(release: Release) -> Iterator[None]:
    """Say of which release the file is that was refused."""
    try:
        yield
    except Refused as error:
        raise Refused(f"release {release.uri}, {error}", code="release-altered") from error
