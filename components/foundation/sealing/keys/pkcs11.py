"""Keys in a hardware security module or another PKCS#11 token: `pkcs11:` URIs (RFC 7512).

Neither key ever leaves the token (docs/keys.md). Every call starts the module and ends it: a token
that was put back is found again, a fork inherits no session, and nobody stays logged in.
"""

import contextlib
import hashlib
import pathlib
import secrets
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.mechanisms import GCMParams
from pkcs11.types import DecryptMixin, EncryptMixin, SignMixin

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.sealing.keys import files
from components.foundation.sealing.keys.files import not_ours
from components.foundation.sealing.keys.pkcs11_uri import KeyUri

_NONCE_BYTES, _KEY_BYTES, _TAG_BYTES = 12, 32, 16
_WRAPPED_BYTES = _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_module = threading.Lock()  # a module has one state a process: logged in or not

_DENIED = (
    *(pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked),
    *(pkcs11.PinExpired, pkcs11.UserPinNotInitialized, pkcs11.UserNotLoggedIn),
)
_UNFIT = (
    *(pkcs11.MechanismInvalid, pkcs11.MechanismParamInvalid, pkcs11.FunctionNotSupported),
    *(pkcs11.KeyTypeInconsistent, pkcs11.KeySizeRange, pkcs11.AttributeTypeInvalid),
)


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A private key on P-256 that signs by CKM_ECDSA."""

    uri: KeyUri

    def sign(self, message: bytes) -> bytes:
        with _key(self.uri, ObjectClass.PRIVATE_KEY, KeyType.EC) as key:
            if not isinstance(key, SignMixin):
                raise _unfit(self.uri, "may not sign (CKA_SIGN)")
            digest = hashlib.sha256(message).digest()
            signature = bytes(key.sign(digest, mechanism=Mechanism.ECDSA))
        half = len(signature) // 2
        r, s = signature[:half], signature[half:]
        return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))


@dataclass(frozen=True, slots=True)
class TokenRecipient:
    """A key of AES-256; it wraps as one in a file does: nonce (12) | AES-256-GCM."""

    uri: KeyUri
    algorithm: str = "A256GCM"
    opens: bool = True

    @property
    def id(self) -> str:
        """Name token and key: the key's bytes stay inside, and no token is needed to ask."""
        return self.uri.recipient

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        with _key(self.uri, ObjectClass.SECRET_KEY, KeyType.AES) as ours:
            _check_wraps(self.uri, ours)
            return _wrap(ours, key, context)

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        if len(wrapped) != _WRAPPED_BYTES:
            raise not_ours(self.id, where)
        with _key(self.uri, ObjectClass.SECRET_KEY, KeyType.AES) as ours:
            _check_wraps(self.uri, ours)
            try:
                return _unwrap(ours, wrapped, context)
            except pkcs11.PKCS11Error:
                if _works(ours):
                    raise not_ours(self.id, where) from None
                raise


def signer(name: str, environment: Mapping[str, str]) -> TokenSigner:
    """Return the key of a URI; raises UserError if that is malformed."""
    return TokenSigner(KeyUri.parse(name, environment, kind="private"))


def recipient(name: str, environment: Mapping[str, str]) -> TokenRecipient:
    """Return the key of a URI; raises UserError if that is malformed."""
    return TokenRecipient(KeyUri.parse(name, environment, kind="secret-key"))


def _wrap(ours: Any, key: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    how = GCMParams(nonce, context)
    return nonce + bytes(ours.encrypt(key, mechanism=Mechanism.AES_GCM, mechanism_param=how))


def _unwrap(ours: Any, wrapped: bytes, context: bytes) -> bytes:
    nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
    how = GCMParams(nonce, context)
    return bytes(ours.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=how))


def _works(ours: Any) -> bool:
    """Tell a ciphertext of somebody else from a token that fails.

    Some tokens (SoftHSM is one) answer both with the same general error.
    """
    try:
        return _unwrap(ours, _wrap(ours, bytes(_KEY_BYTES), b""), b"") == bytes(_KEY_BYTES)
    except pkcs11.PKCS11Error:
        return False


def _check_wraps(uri: KeyUri, key: Any) -> None:
    """Raise UserError for a key that is shorter, or that may not do both."""
    bits = key.key_length
    if bits != 8 * _KEY_BYTES:
        raise _unfit(uri, f"has {bits} bits, expected 256")
    if not isinstance(key, EncryptMixin) or not isinstance(key, DecryptMixin):
        raise _unfit(uri, "may not encrypt and decrypt (CKA_ENCRYPT, CKA_DECRYPT)")


@contextlib.contextmanager
def _key(uri: KeyUri, kind: ObjectClass, key_type: KeyType) -> Iterator[Any]:
    """Lend a key of a token, logged in; one caller at a time."""
    pin = _pin(uri.pin)
    with _module, _explained(uri), _started(uri.module) as module:
        serial = {"token_serial": uri.serial.encode()} if uri.serial else {}
        session = module.get_token(token_label=uri.token, **serial).open(user_pin=pin)
        key = _found(session, uri, {Attribute.CLASS: kind, Attribute.KEY_TYPE: key_type})
        if not key[Attribute.SENSITIVE] or key[Attribute.EXTRACTABLE]:
            raise _unfit(uri, "would leave the token (CKA_SENSITIVE, CKA_EXTRACTABLE)")
        yield key


def _found(session: Any, uri: KeyUri, kind: dict[Attribute, Any]) -> Any:
    """Return the one key of that name and kind; raises UserError for none or several."""
    named = {Attribute.LABEL: uri.object, Attribute.ID: uri.id}
    wanted = {attribute: value for attribute, value in named.items() if value}
    keys = list(session.get_objects(kind | wanted))
    if not keys:
        raise _unfit(uri, "is not in the token, or is of another kind")
    if len(keys) > 1:
        raise _unfit(uri, "is there more than once; give each an id, and name that too")
    return keys[0]


@contextlib.contextmanager
def _started(path: pathlib.Path) -> Iterator[Any]:
    """Load a module and initialise it; at the end all of its sessions close."""
    module = _loaded(path)
    try:
        yield module
    finally:
        with contextlib.suppress(pkcs11.PKCS11Error):
            module.finalize()
        _forget()


def _forget() -> None:
    """Clear OpenSSL's errors of this thread, which a module may share with Python.

    SoftHSM leaves one ("no such engine"), and the next read of a TLS connection that is open
    would take it for its own. To begin a handshake clears them; this one goes nowhere.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unheard = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="nowhere")
    with contextlib.suppress(ssl.SSLWantReadError):
        unheard.do_handshake()


def _loaded(path: pathlib.Path) -> Any:
    try:
        return pkcs11.lib(str(path))
    except pkcs11.PKCS11Error as error:
        if type(error) is not pkcs11.PKCS11Error:
            raise
        raise UserError(
            f"{path}: cannot be loaded as a PKCS#11 module: {str(error)[:200]}; install it, or "
            "name it in module-path or PKCS11_MODULE_PATH",
            code="token-module",
        ) from None


def _pin(file: pathlib.Path) -> str:
    """Read a PIN as it is written, less the end of its line."""
    try:
        pin = files.read_secret(file).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        pin = ""
    if not pin:
        raise UserError(f"{file}: holds no PIN; write it there", code="token-denied")
    return pin


@contextlib.contextmanager
def _explained(uri: KeyUri) -> Iterator[None]:
    try:
        yield
    except pkcs11.PKCS11Error as error:
        raise _from(error, uri) from None


def _from(error: pkcs11.PKCS11Error, uri: KeyUri) -> FalajError:
    what = f"{uri.recipient}: {type(error).__name__}"
    match error:
        case _ if isinstance(error, _DENIED):
            return UserError(
                f"{what}: the token {uri.token!r} does not let us in; write its user PIN to "
                f"{uri.pin}, and mind that a few wrong ones lock it",
                code="token-denied",
            )
        case pkcs11.MultipleTokensReturned():
            return _unfit(uri, "may lie in several tokens of that label; name the serial, too")
        case _ if isinstance(error, _UNFIT):
            return _unfit(uri, f"or the token cannot do this ({type(error).__name__})")
        case pkcs11.NoSuchToken():
            said = f"no token is labelled {uri.token!r}; plug it in, or name the right one"
        case _:
            said = f"the token {uri.token!r} failed; see that it is plugged in and well"
    return InfrastructureError(f"{what}: {said}, then run again", code="token-failed")


def _unfit(uri: KeyUri, why: str) -> UserError:
    return UserError(
        f"{uri.recipient}: the key {why}; name a key that is made as docs/keys.md shows",
        code="token-key-unfit",
    )
