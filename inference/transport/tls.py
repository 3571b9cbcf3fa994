"""A server's certificates: read whole or not at all, and read again when they change."""

import asyncio
import logging
import pathlib
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.foundation.errors import UserError

if TYPE_CHECKING:
    import grpc

_LOG = logging.getLogger("tls")
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good
_TRIES: Final = 3
_SOON: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the material lies."""

    cert: pathlib.Path
    key: pathlib.Path
    client_ca: pathlib.Path | None

    def stamp(self) -> tuple[tuple[int, ...] | None, ...]:
        """Tell one state of the files from another, through whatever links lead to them."""
        paths = (self.cert, self.key, self.client_ca)
        return tuple(_stamp(path) for path in paths if path is not None)


def _stamp(path: pathlib.Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class _Material:
    """What was read together: the same bytes for HTTP and for gRPC."""

    context: ssl.SSLContext
    cert: bytes
    key: bytes
    client_ca: bytes | None
    expires: float
    stamp: tuple[tuple[int, ...] | None, ...]


class _Moved(Exception):
    """The files changed while they were read."""


class Certificates:
    """The server's certificate and key and, for mutual TLS, whose clients may connect.

    A change gives a new context, not a changed one: sessions that clients could resume belong to
    the old one, so who was taken out of the client authorities cannot come back by resuming.
    """

    def __init__(
        self, cert: pathlib.Path, key: pathlib.Path, *, client_ca: pathlib.Path | None = None
    ) -> None:
        """Read the files.

        Raises:
            UserError: one is missing, unreadable, malformed or does not fit the others.
        """
        self._files = _Files(cert, key, client_ca)
        self._material = _settled(self._files)
        self._complaint = ""
        self._warn_of_expiry()

    def context(self) -> ssl.SSLContext:
        """Return what new connections are to use: the same until the files change."""
        return self._material.context

    @property
    def expires(self) -> float:
        """When the certificate in use expires, in seconds since 1970."""
        return self._material.expires

    @property
    def certificate_expiry(self) -> float:
        """Seconds until the certificate expires; negative once it has."""
        return self.expires - time.time()

    async def watch(self, changed: Callable[[], Awaitable[None]], *, seconds: float = 5.0) -> None:
        """Look for other files again and again; await `changed` when new ones were taken.

        Files that cannot be used leave the old ones in use; that is said once and tried again.
        """
        told = self._material
        while True:
            await asyncio.sleep(seconds)
            if self._files.stamp() != self._material.stamp:
                await asyncio.to_thread(self._reload)
            elif self._complaint:
                self._recovered()
            if told is not self._material and await self._told(changed):
                told = self._material

    async def _told(self, changed: Callable[[], Awaitable[None]]) -> bool:
        """Tell of new material; False where the listener could not take it, to tell again."""
        try:
            await changed()
        except OSError as error:
            _LOG.error("new certificates wait: the port cannot take them: %s", error.strerror)
            return False
        return True

    def grpc_credentials(self) -> "grpc.ServerCredentials":
        """Return credentials for a gRPC port that follow the files as `watch` takes them."""
        import grpc

        given = self._material

        def fetch() -> "grpc.ServerCertificateConfiguration | None":
            nonlocal given
            if self._material is given:
                return None
            given = self._material
            return _configuration(given)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given),
            fetch,
            require_client_authentication=self._files.client_ca is not None,
        )

    def _reload(self) -> None:
        try:
            self._material = _read(self._files)
        except _Moved:
            return  # the next look finds them settled
        except UserError as error:
            if self._complaint != str(error):
                _LOG.error("%s; the certificates read before stay in use", error.shown)
            self._complaint = str(error)
        else:
            self._complaint = ""
            _LOG.info("%s: new certificates are in use", self._files.cert)
            self._warn_of_expiry()

    def _recovered(self) -> None:
        _LOG.info("%s: the certificates in use are back", self._files.cert)
        self._complaint = ""

    def _warn_of_expiry(self) -> None:
        left = self.certificate_expiry
        if left < 0:
            _LOG.error("%s: expired; clients will refuse it; renew it", self._files.cert)
        elif left < _SOON:
            _LOG.warning("%s: expires in %.1f days; renew it", self._files.cert, left / 86_400)


def certificates(
    cert: pathlib.Path | None,
    *,
    key: pathlib.Path | None,
    client_ca: pathlib.Path | None = None,
    allow_plaintext: bool = False,
) -> Certificates | None:
    """Choose how connections are protected, from the command line's flags; None is plaintext.

    Raises:
        UserError: neither a certificate with its key nor the hatch is named, or both are.
    """
    if allow_plaintext and (cert or key or client_ca):
        raise UserError(
            "--allow_plaintext and --tls_* contradict each other; leave one out",
            code="tls-contradicts",
        )
    if allow_plaintext:
        _LOG.warning("connections are not encrypted: --allow_plaintext is set")
        return None
    if cert is None or key is None:
        raise UserError(
            "no certificate to serve with: name --tls_cert and --tls_key, "
            "or serve without encryption with --allow_plaintext",
            code="tls-unset",
        )
    return Certificates(cert, key, client_ca=client_ca)


def upstream_tls(ca: pathlib.Path | None) -> ssl.SSLContext:
    """Say how https upstreams are checked: by these authorities, or by the system's.

    Raises:
        UserError: the authorities cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UserError(
            f"{ca}: is no PEM file of certificates that can be read; name one", code="tls-malformed"
        ) from error


def _settled(files: _Files) -> _Material:
    """Read the files, again where they are just being swapped."""
    for _ in range(_TRIES):
        try:
            return _read(files)
        except _Moved:
            time.sleep(0.1)
    raise UserError(
        f"{files.cert}: changes again and again while it is read; write it once", code="tls-file"
    )


def _read(files: _Files) -> _Material:
    """Read one state of the files; raises _Moved where that state passed meanwhile."""
    stamp = files.stamp()
    try:
        material = _Material(
            context=_context(files),
            cert=_bytes(files.cert),
            key=_bytes(files.key),
            client_ca=_bytes(files.client_ca) if files.client_ca else None,
            expires=_expires(files.cert),
            stamp=stamp,
        )
    except UserError:
        if files.stamp() != stamp:
            raise _Moved from None
        raise
    if files.stamp() != stamp:
        raise _Moved
    return material


def _context(files: _Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, files)
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, files.client_ca)
    return context


def _load_pair(context: ssl.SSLContext, files: _Files) -> None:
    for path in (files.cert, files.key):
        _bytes(path)
    try:
        # Without a password of ours, OpenSSL would stop to ask the terminal for one.
        context.load_cert_chain(files.cert, files.key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UserError(
                f"{files.key}: is not the key of {files.cert}; mount the two that were made "
                "together",
                code="tls-key-mismatch",
            ) from error
        raise UserError(
            f"{files.cert}, {files.key}: no PEM certificate with an unencrypted PEM key; "
            "write both as PEM",
            code="tls-malformed",
        ) from error


def _load_authorities(context: ssl.SSLContext, path: pathlib.Path) -> None:
    try:
        context.load_verify_locations(cadata=_bytes(path).decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise UserError(
            f"{path}: is no PEM file of certificates; write the authorities of clients to it",
            code="tls-malformed",
        ) from error


def _bytes(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; mount the file where the server may read it",
            code="tls-file",
        ) from error


def _expires(path: pathlib.Path) -> float:
    from cryptography import x509

    return x509.load_pem_x509_certificate(_bytes(path)).not_valid_after_utc.timestamp()


def _configuration(material: _Material) -> "grpc.ServerCertificateConfiguration":
    import grpc

    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.cert)], root_certificates=material.client_ca
    )
