"""A key ring: the keys of one site, of which some may lie elsewhere."""

import contextlib
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from components.foundation import undumpable
from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.sealing.keys import custody, files
from components.foundation.sealing.keys.files import FileSigner, Folder, WrappingKey
from components.foundation.sealing.keys.interface import Files, Recipient, Signer, WrappedKey
from components.foundation.sealing.keys.layout import (
    NAME,
    PUBLIC,
    SIGNING,
    VERIFY,
    WRAPPING,
    Layout,
    Named,
)
from components.foundation.sealing.keys.places import Places
from components.foundation.sealing.keys.secret import Secret
from components.foundation.sealing.keys.verifier import Verifier


@dataclass(frozen=True)
class KeyRing:
    """Whom a site believes, who opens its releases, and who signs for it, if anybody does.

    Attributes:
        verifiers: whose signatures are believed; the first is the signer's.
        recipients: for whom release keys are wrapped.
        signer: signs; without one the ring opens releases and makes none.
        retired: recipients that open what was wrapped for them once, and get nothing new.
    """

    verifiers: tuple[Verifier, ...]
    recipients: tuple[Recipient, ...]
    signer: Signer | None = None
    retired: tuple[Recipient, ...] = ()

    @classmethod
    def create(
        cls,
        folder: pathlib.Path,
        *,
        passphrase: Secret | None = None,
        recovery: Sequence[pathlib.Path] = (),
    ) -> Self:
        """Make new keys and write them to a folder where only the owner can read them.

        Args:
            folder: where they go.
            passphrase: what encrypts `signing.pem`, if anything does.
            recovery: public keys, NAME.pub.pem, whose holders open every release as well.

        Raises:
            UserError: the folder already holds a ring, of which nothing is overwritten; or a
                recovery key is none.
        """
        private, wrapping = ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(32)
        layout = Layout(recipients=(Named(WRAPPING), *(Named(path.name) for path in recovery)))
        made = {path.name: _recovery_key(path) for path in recovery}
        if recovery:
            made[NAME] = layout.encode()
        made[VERIFY] = Verifier(private.public_key()).pem
        made[SIGNING] = files.private_pem(private, passphrase)
        made[WRAPPING] = WrappingKey(wrapping).text
        files.write_all(folder, made)
        return cls.load(folder, passphrase=passphrase)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the ring that FALAJ_KEYS names; this process then leaves no core.

        Raises:
            UserError: none is named, or as `read` does.
        """
        undumpable.become(environment)
        ring, passphrase = _files(environment), custody.passphrase(environment)
        return cls.read(ring, passphrase=passphrase, environment=environment)

    @classmethod
    def load(
        cls,
        folder: pathlib.Path,
        *,
        passphrase: Secret | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Read a ring in a folder, as `read` does."""
        return cls.read(Folder(folder), passphrase=passphrase, environment=environment)

    @classmethod
    def read(
        cls,
        ring: Files,
        *,
        passphrase: Secret | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Read a ring.

        Args:
            ring: holds its files.
            passphrase: what its private keys are encrypted with, if anything.
            environment: how the keepers of keys that lie elsewhere are reached.

        Raises:
            UserError: a file is missing, is no key, or can be read by everybody.
        """
        layout = Layout.read(ring)
        verifiers = tuple(
            Verifier(files.public_key(ring, entry.file), entry.revoked)
            for entry in layout.verifiers
        )
        places = Places(ring, passphrase, environment or {})
        signer = places.signer(layout.signer)
        _check_halves(ring, signer, verifiers[0])
        return cls(
            verifiers,
            tuple(places.recipient(one.key) for one in layout.recipients if not one.retired),
            signer,
            tuple(places.recipient(one.key) for one in layout.recipients if one.retired),
        )

    @property
    def signer_id(self) -> str:
        """The name of the key that signs for this site."""
        return self.verifiers[0].id

    def sign(self, message: bytes) -> bytes:
        """Sign; raises UserError without a signer, or when its key is not the first verifier's."""
        if self.signer is None:
            raise UserError(
                f"this key ring has no {SIGNING}: it opens releases; sign with the ring that "
                "makes them",
                code="key-ring-cannot-sign",
            )
        signature = self.signer.sign(message)
        if self.signed_by(message, [signature]) != self.signer_id:
            raise UserError(
                f"the signing key is not the private half of {self.signer_id[:16]}, the ring's "
                "first verifier; name the right key, or its public half",
                code="key-malformed",
            )
        return signature

    def signed_by(self, message: bytes, signatures: list[bytes], *, where: str = "") -> str | None:
        """Return whose signature one of these is; None if nobody's whom we know.

        Raises:
            Refused: those who signed are all revoked.
        """
        known = [
            verifier
            for signature in signatures
            for verifier in self.verifiers
            if verifier.verifies(message, signature)
        ]
        for verifier in known:
            if not verifier.revoked:
                return verifier.id
        for verifier in known:
            raise Refused(
                f"{where}: is signed by {verifier.id[:16]}, which was revoked: "
                f"{verifier.revoked}; have it judged and sealed again by a signer of today",
                code="signer-revoked",
            )
        return None

    def before_revocations(self) -> Self:
        """Return the ring that believes the revoked, too: for whoever holds them to evidence."""
        believed = tuple(replace(verifier, revoked="") for verifier in self.verifiers)
        return replace(self, verifiers=believed)

    def revoked(self, verifier: str) -> bool:
        """Tell whether the verifier of an id is revoked."""
        return any(one.revoked for one in self.verifiers if one.id == verifier)

    def wrap(self, key: bytes, *, context: bytes) -> list[WrappedKey]:
        """Wrap a key for every recipient of today."""
        return [
            WrappedKey(one.id, one.algorithm, one.wrap(key, context=context))
            for one in self.recipients
        ]

    def unwrap(self, entries: list[WrappedKey], *, context: bytes, where: str) -> bytes:
        """Return a key that was wrapped for one of us.

        Of several recipients that we are, the first whose keeper can be reached opens.

        Raises:
            Refused: it was wrapped for nobody here, or by another key or for another use.
            UserError: we may not use what would unwrap it.
            InfrastructureError: no keeper of what would unwrap it can be reached.
        """
        entry_of = {entry.recipient: entry for entry in entries}
        ours = [one for one in (*self.recipients, *self.retired) if one.opens]
        found = [(one, entry_of[one.id]) for one in ours if one.id in entry_of]
        for recipient, entry in found[:-1]:
            with contextlib.suppress(InfrastructureError):
                return _opened(recipient, entry, context=context, where=where)
        for recipient, entry in found[-1:]:
            return _opened(recipient, entry, context=context, where=where)
        raise Refused(
            f"{where}: the release key is wrapped for {_some(list(entry_of))}, our wrapping key is "
            f"{_some([one.id for one in ours])}; use the key ring it was sealed with",
            code="wrapping-key-unknown",
        )


def _opened(recipient: Recipient, entry: WrappedKey, *, context: bytes, where: str) -> bytes:
    if entry.algorithm != recipient.algorithm:
        raise Refused(
            f"{where}: the release key is wrapped for {recipient.id} by {entry.algorithm[:40]!r}, "
            f"expected {recipient.algorithm!r}; restore the object",
            code="wrapped-keys-malformed",
        )
    return recipient.unwrap(entry.key, context=context, where=where)


def _some(names: list[str]) -> str:
    """Name a few: what is listed there, nobody signed."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "") or "nobody"


def _check_halves(ring: Files, signer: Signer | None, verifier: Verifier) -> None:
    """Refuse a signing key in a file that is not the first verifier's other half."""
    if isinstance(signer, FileSigner) and Verifier(signer.private.public_key()).id != verifier.id:
        raise UserError(
            f"{ring.where(SIGNING)} and {VERIFY} are not halves of one key; restore them",
            code="key-malformed",
        )


def _recovery_key(path: pathlib.Path) -> bytes:
    if not path.name.endswith(PUBLIC):
        raise UserError(
            f"{path}: expected a public key in a file *{PUBLIC}; the private half stays away",
            code="key-malformed",
        )
    return Verifier(files.public_key(Folder(path.parent), path.name)).pem


def _files(environment: Mapping[str, str]) -> Files:
    """Find the ring that FALAJ_KEYS names: a folder, or a Secret of Kubernetes."""
    name = environment.get("FALAJ_KEYS")
    if not name:
        raise UserError(
            "FALAJ_KEYS is not set; it names the folder of the key ring, which a site file or "
            "a mounted Secret has to give",
            code="keys-unset",
        )
    if name.startswith("kubernetes:"):
        from components.foundation.sealing.keys.kubernetes_secret import KubernetesSecret

        return KubernetesSecret.fetch(name, environment)
    return Folder(pathlib.Path(name))
