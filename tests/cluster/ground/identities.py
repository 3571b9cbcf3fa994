"""Who asks: people with certificates, robots with tokens; the API server knows both for real."""

import datetime
import ipaddress
import pathlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Person:
    """A user and the groups that an identity provider would say."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Robot:
    """A service account."""

    namespace: str
    name: str


Identity = Person | Robot
_AUTHORITY = "authority.key"
ADMIN = Person("admin", ("system:masters",))


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: pathlib.Path, name: str) -> tuple[pathlib.Path, pathlib.Path]:
        """Write both; return the paths of the certificate and of the key."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


class Authority:
    """The cluster's own certificate authority, for an hour or so."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "falaj test cluster")])
        ca = x509.BasicConstraints(ca=True, path_length=0)
        builder = _blank(self._name, self._name).public_key(self._key.public_key())
        signed = builder.add_extension(ca, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = signed.public_bytes(serialization.Encoding.PEM)

    def keep(self, folder: pathlib.Path) -> None:
        """Write the key, so that another process can certify more people."""
        (folder / _AUTHORITY).write_bytes(private(self._key))

    @classmethod
    def kept(cls, folder: pathlib.Path) -> "Authority":
        """Return the authority whose key is in a folder."""
        key = serialization.load_pem_private_key((folder / _AUTHORITY).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key)

    def client(self, person: Person) -> Pair:
        """Certify a person: the name is the common name, the groups are organizations."""
        name = [x509.NameAttribute(NameOID.COMMON_NAME, person.name)]
        name += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in person.groups]
        return self._issue(x509.Name(name), ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self) -> Pair:
        """Certify a server on loopback."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH)

    def _issue(self, name: x509.Name, usage: x509.ObjectIdentifier) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _blank(name, self._name)
            .public_key(key.public_key())
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_loopback(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Pair(signed.public_bytes(serialization.Encoding.PEM), private(key))


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM, in the form that Kubernetes reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _loopback() -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def _blank(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=12))
    )
