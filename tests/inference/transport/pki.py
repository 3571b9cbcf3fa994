"""Certificates as an authority would give them out, made in milliseconds."""

import datetime
import ipaddress
import pathlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Purpose = x509.ObjectIdentifier
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM."""

    cert: bytes
    key: bytes

    def write(self, folder: pathlib.Path, name: str = "tls") -> tuple[pathlib.Path, pathlib.Path]:
        cert, key = folder / f"{name}.crt", folder / f"{name}.key"
        cert.write_bytes(self.cert)
        key.write_bytes(self.key)
        return cert, key


class Authority:
    """A certificate authority."""

    def __init__(self, name: str) -> None:
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        made = _builder(self._name, self._name, self._key.public_key(), days=2)
        self.cert = _pem(made.add_extension(basic, critical=True).sign(self._key, hashes.SHA256()))

    def issue(
        self, name: str, purpose: Purpose = SERVER, *, days: float = 1, host: str = "localhost"
    ) -> Pair:
        """Give out a certificate for 127.0.0.1 and localhost, or another host."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        made = (
            _builder(_name(name), self._name, key.public_key(), days=days)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        return Pair(_pem(made.sign(self._key, hashes.SHA256())), pem_key(key))


def pem_key(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        locked = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _DAY)
        .not_valid_after(now + days * _DAY)
    )


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)
