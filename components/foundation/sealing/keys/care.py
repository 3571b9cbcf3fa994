"""What people do with a ring in a folder: list it, make keys anew, revoke, hand it to pods.

New files go first and `ring.yaml` last, by a rename: killed anywhere, the ring is the one before
or the one after. A private key that signs no more is removed at the end.
"""

import contextlib
import fcntl
import os
import pathlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from components.foundation import undumpable
from components.foundation.errors import UserError
from components.foundation.sealing.keys import custody, files
from components.foundation.sealing.keys.files import Folder, WrappingKey
from components.foundation.sealing.keys.layout import NAME, SIGNING, Believed, Layout, Named
from components.foundation.sealing.keys.places import Places
from components.foundation.sealing.keys.ring import KeyRing
from components.foundation.sealing.keys.secret import Secret
from components.foundation.sealing.keys.verifier import Verifier

_ID = 16


@dataclass(frozen=True, slots=True)
class Part:
    """One key of a ring, as people see it; nothing of it is secret.

    Attributes:
        id: what names it in messages and in `keys.json`.
        place: its file or URI.
        role: verifier or recipient.
        state: current, retired, or revoked with the reason.
        use: what this ring can do with it: signs, believes, opens, wraps.
    """

    id: str
    place: str
    role: str
    state: str
    use: str

    @property
    def shown(self) -> str:
        """The id, shortened where it is a digest."""
        return self.id if ":" in self.id else self.id[:_ID]


@dataclass(frozen=True, slots=True)
class Kept:
    """A ring in a folder, as its layout has it."""

    folder: pathlib.Path
    layout: Layout
    places: Places

    @classmethod
    def load(
        cls,
        folder: pathlib.Path,
        *,
        passphrase: Secret | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        ring = Folder(folder)
        return cls(folder, Layout.read(ring), Places(ring, passphrase, environment or {}))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the ring in the folder that FALAJ_KEYS names; this process then leaves no core.

        Raises:
            UserError: none is named, or it is not in a folder, or is none.
        """
        undumpable.become(environment)
        name = environment.get("FALAJ_KEYS", "")
        if not name or "://" in name:
            raise UserError(
                f"FALAJ_KEYS is {name!r}, expected the folder of a key ring; a ring is changed "
                "where its folder is kept, and then copied to where it is mounted",
                code="keys-unset",
            )
        passphrase = custody.passphrase(environment)
        return cls.load(pathlib.Path(name), passphrase=passphrase, environment=environment)

    def parts(self) -> list[Part]:
        """Describe every key; no keeper is asked, and no signing key is read."""
        return [*self._verifiers(), *self._recipients()]

    def _verifiers(self) -> Iterator[Part]:
        signs = ":" in self.layout.signer or (self.folder / self.layout.signer).is_file()
        for number, entry in enumerate(self.layout.verifiers):
            use = "signs" if signs and not number else "believes"
            state = f"revoked: {entry.revoked}" if entry.revoked else "current"
            yield Part(self.verifier_id(entry), entry.file, "verifier", state, use)

    def _recipients(self) -> Iterator[Part]:
        for entry in self.layout.recipients:
            one = self.places.recipient(entry.key)
            use = "opens" if one.opens else "wraps"
            yield Part(
                one.id, entry.key, "recipient", "retired" if entry.retired else "current", use
            )

    def verifier_id(self, entry: Believed) -> str:
        return Verifier(files.public_key(Folder(self.folder), entry.file)).id


def make(
    folder: pathlib.Path,
    *,
    passphrase_files: Sequence[pathlib.Path],
    split: bool,
    recovery: Sequence[pathlib.Path],
    environment: Mapping[str, str],
) -> None:
    """Make a ring in a folder.

    Args:
        folder: new or empty.
        passphrase_files: hold what encrypts the signing key; else the environment may name them.
        split: write new components of custodians to those files first.
        recovery: as `KeyRing.create` takes them.
        environment: FALAJ_KEYS_PASSPHRASE_FILE.

    Raises:
        UserError: the folder holds a ring, or a file is none of what it should be.
    """
    undumpable.become(environment)
    if not passphrase_files:
        passphrase = custody.passphrase(environment)
    else:
        passphrase = (custody.split if split else custody.of_files)(passphrase_files)
    try:
        KeyRing.create(folder, passphrase=passphrase, recovery=recovery)
    except UserError:
        for path in passphrase_files if split else ():
            path.unlink()
        raise


def rotate(kept: Kept, *, signing: bool, wrapping: bool) -> list[Part]:
    """Make new keys beside the old ones; return the new.

    The old verifier is believed on, the old wrapping keys in files are retired: they open what
    was wrapped for them. Keys that lie elsewhere, and recovery keys, stay.

    Raises:
        UserError: the signing key is not in a file, or is not opened by the passphrase.
    """
    with _alone(kept):
        before, layout = {entry.id for entry in kept.parts()}, kept.layout
        if signing:
            layout = _new_signer(kept, layout)
        if wrapping:
            layout = _new_wrapping_key(kept, layout)
        after = _written(kept, layout)
        if signing:
            (kept.folder / kept.layout.signer).unlink()
    return [part for part in after.parts() if part.id not in before]


def revoke(
    kept: Kept, name: str, *, reason: str, everywhere: bool, left: Callable[[str], int]
) -> Part:
    """Believe a verifier no more, or wrap nothing more for a recipient; return what it is now.

    Args:
        kept: the ring.
        name: the id of the key, or how it begins.
        reason: why, in a few words.
        everywhere: remove a recipient: it opens nothing any more.
        left: counts the releases that are wrapped for a recipient.

    Raises:
        UserError: no such key, the last of its kind, or releases are wrapped for it still.
    """
    with _alone(kept):
        part = _named(kept.parts(), name)
        match part.role, everywhere:
            case "verifier", _:
                layout = _disbelieved(kept, part, reason)
            case _, True:
                layout = _removed(kept, part, left(part.id))
            case _:
                layout = _retired(kept, part)
        after = _written(kept, layout)
    same = [one for one in after.parts() if one.place == part.place]
    return same[0] if same else replace(part, state="removed", use="")


def share(kept: Kept, folder: pathlib.Path) -> None:
    """Write what opening releases needs to a new folder: no key that signs or recovers.

    Raises:
        UserError: the folder holds a ring, or nothing here opens for a pod.
    """
    opens = tuple(
        entry for entry in kept.layout.recipients if ":" in entry.key or entry.is_wrapping_file
    )
    if not opens:
        raise UserError(
            f"{kept.folder}: nobody but recovery keys opens, and those are not shared; make a "
            "wrapping key: falaj keys rotate --wrapping",
            code="key-ring-opens-nothing",
        )
    layout = replace(kept.layout, signer=SIGNING, recipients=opens)
    ring = Folder(kept.folder)
    made = {entry.file: ring.read(entry.file) for entry in layout.verifiers}
    made |= {
        entry.key: files.wrapping_key(ring, entry.key).text
        for entry in opens
        if entry.is_wrapping_file
    }
    plain = {} if layout == Layout() else {NAME: replace(layout, signer="").encode()}
    files.write_all(folder, {**plain, **made})


def _new_signer(kept: Kept, layout: Layout) -> Layout:
    if kept.places.signer(layout.signer) is None or ":" in layout.signer:
        raise UserError(
            f"{kept.folder}: its signing key is not in a file here; make a new one where it lies, "
            f"and name it and its public half in {NAME}",
            code="key-ring-cannot-sign",
        )
    private = ec.generate_private_key(ec.SECP256R1())
    verifier = Verifier(private.public_key())
    signer, public = f"signing-{verifier.id[:_ID]}.pem", f"verify-{verifier.id[:_ID]}.pem"
    files.write(kept.folder / signer, files.private_pem(private, kept.places.passphrase))
    files.write(kept.folder / public, verifier.pem)
    return replace(layout, signer=signer, verifiers=(Believed(public), *layout.verifiers))


def _new_wrapping_key(kept: Kept, layout: Layout) -> Layout:
    key = WrappingKey(secrets.token_bytes(32))
    name = f"wrapping-{key.id}.key"
    files.write(kept.folder / name, key.text)
    old = (replace(one, retired=True) if one.is_wrapping_file else one for one in layout.recipients)
    return replace(layout, recipients=(Named(name), *old))


def _named(parts: list[Part], name: str) -> Part:
    found = [part for part in parts if name and part.id.startswith(name)]
    if len(found) != 1:
        raise UserError(
            f"key {name[:80]!r}: {len(found)} keys of this ring begin so, expected one of "
            f"{', '.join(part.id for part in parts)}",
            code="key-unknown",
        )
    return found[0]


def _disbelieved(kept: Kept, part: Part, reason: str) -> Layout:
    """Mark a verifier; the reason it was first given stays."""
    first, *others = kept.layout.verifiers
    if part.place == first.file:
        raise UserError(
            f"key {part.id}: signs for this ring; make a new one first: falaj keys rotate "
            "--signing, then revoke this one",
            code="key-is-the-last",
        )
    marked = (
        replace(one, revoked=one.revoked or reason) if one.file == part.place else one
        for one in others
    )
    return replace(kept.layout, verifiers=(first, *marked))


def _retired(kept: Kept, part: Part) -> Layout:
    return _with_recipients(
        kept,
        part,
        [
            replace(one, retired=True) if one.key == part.place else one
            for one in kept.layout.recipients
        ],
    )


def _removed(kept: Kept, part: Part, left: int) -> Layout:
    if left:
        raise UserError(
            f"key {part.id}: {left} releases are wrapped for it, and without it some may open "
            "never again; revoke it without --everywhere, falaj rewrap --all, then once more",
            code="key-in-use",
        )
    kept_on = [one for one in kept.layout.recipients if one.key != part.place]
    return _with_recipients(kept, part, kept_on)


def _with_recipients(kept: Kept, part: Part, recipients: list[Named]) -> Layout:
    if all(one.retired for one in recipients):
        raise UserError(
            f"key {part.id}: nobody would be left for whom releases are wrapped; make a new key "
            "first: falaj keys rotate --wrapping",
            code="key-is-the-last",
        )
    return replace(kept.layout, recipients=tuple(recipients))


def _written(kept: Kept, layout: Layout) -> Kept:
    """Put a layout in place, whole or not at all."""
    partial = kept.folder / f"{NAME}.part"
    partial.unlink(missing_ok=True)
    files.write(partial, layout.encode())
    os.replace(partial, kept.folder / NAME)
    _sync(kept.folder)
    return replace(kept, layout=layout)


def _sync(folder: pathlib.Path) -> None:
    """Let the rename outlast a power cut before anything that it replaces is removed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _alone(kept: Kept) -> Iterator[None]:
    """Keep others from changing the ring meanwhile, and refuse what they changed before."""
    lock = os.open(kept.folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if Layout.read(Folder(kept.folder)) != kept.layout:
            raise UserError(
                f"{kept.folder}: somebody else changed the ring meanwhile; look at it with falaj "
                "keys list, then decide again",
                code="key-ring-raced",
            )
        yield
    finally:
        os.close(lock)
