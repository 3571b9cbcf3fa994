"""A stand-in for AWS KMS: the few calls that keys need, answered as AWS documents them.

It is none of AWS: ciphertexts are of its own making. What it holds callers to is the protocol
(awsJson1.1, SigV4's scope), and which exception comes of which mistake.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.components.foundation.sealing.keys.standins import serving, status

REGION, ACCESS_KEY = "me-central-1", "AKIAFALAJTESTS"
_ID_BYTES, _NONCE_BYTES = 16, 12
_SIGNS, _ENCRYPTS = "SIGN_VERIFY", "ENCRYPT_DECRYPT"


class Failure(Exception):
    """What the service says instead of an answer."""

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(kind)
        self.kind, self.message = kind, message


@dataclass
class Key:
    """A key of the service."""

    use: str
    id: bytes = field(default_factory=lambda: secrets.token_bytes(_ID_BYTES))
    enabled: bool = True
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def arn(self) -> str:
        return f"arn:aws:kms:{REGION}:111122223333:key/{self.id.hex()}"

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )


@dataclass
class Service:
    """Keys by ARN and alias, and what was asked about them."""

    port: int = 0
    keys: dict[str, Key] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def wrapping(self, alias: str = "") -> Key:
        return self._made(Key(_ENCRYPTS), alias)

    def signing(self) -> Key:
        return self._made(Key(_SIGNS), "")

    def name(self, key: Key | str) -> str:
        """Return what a ring calls a key, or an alias, of this server."""
        return f"awskms://127.0.0.1:{self.port}/{key if isinstance(key, str) else key.arn}"

    def answer(self, call: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append({"call": call, **asked})
        if call in self.denied:
            raise Failure("AccessDeniedException", f"not authorized to perform: kms:{call}")
        key = self.keys.get(asked["KeyId"])
        if key is None:
            raise Failure("NotFoundException", f"Key '{asked['KeyId']}' does not exist")
        if not key.enabled:
            raise Failure("DisabledException", f"{key.arn} is disabled.")
        if key.use != (_SIGNS if call == "Sign" else _ENCRYPTS):
            raise Failure("InvalidKeyUsageException", f"{key.arn} key usage is {key.use}")
        done: dict[str, Any] = getattr(self, f"_{call.lower()}")(key, asked)
        return {"KeyId": key.arn, **done}

    def _sign(self, key: Key, asked: dict[str, Any]) -> dict[str, Any]:
        digest = base64.b64decode(asked["Message"])
        if asked["MessageType"] != "DIGEST" or asked["SigningAlgorithm"] != "ECDSA_SHA_256":
            raise Failure("ValidationException", "this stand-in signs digests only")
        if len(digest) != 32:
            raise Failure("ValidationException", "Digest is invalid length for algorithm")
        signature = key.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return {"Signature": base64.b64encode(signature).decode()}

    def _encrypt(self, key: Key, asked: dict[str, Any]) -> dict[str, Any]:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        data = base64.b64decode(asked["Plaintext"])
        sealed = AESGCM(key.secret).encrypt(nonce, data, _bound(asked))
        return {"CiphertextBlob": base64.b64encode(key.id + nonce + sealed).decode()}

    def _decrypt(self, key: Key, asked: dict[str, Any]) -> dict[str, Any]:
        blob = base64.b64decode(asked["CiphertextBlob"])
        if blob[:_ID_BYTES] not in {known.id for known in self.keys.values()}:
            raise Failure("InvalidCiphertextException")
        if blob[:_ID_BYTES] != key.id:
            raise Failure("IncorrectKeyException", "The key ID in the request does not identify it")
        nonce, sealed = blob[_ID_BYTES:][:_NONCE_BYTES], blob[_ID_BYTES + _NONCE_BYTES :]
        try:
            data = AESGCM(key.secret).decrypt(nonce, sealed, _bound(asked))
        except (InvalidTag, ValueError):
            raise Failure("InvalidCiphertextException") from None
        return {"Plaintext": base64.b64encode(data).decode()}

    def _made(self, key: Key, alias: str) -> Key:
        self.keys[key.arn] = key
        if alias:
            self.keys[f"alias/{alias}"] = key
        return key


def _bound(asked: dict[str, Any]) -> bytes:
    context = asked.get("EncryptionContext", {})
    return hashlib.sha256(json.dumps(context, sort_keys=True).encode()).digest()


class _Speaking(http.server.BaseHTTPRequestHandler):
    service: ClassVar[Service]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            self._check_signed()
            answer = status(200, self.service.answer(self._call, asked))
        except Failure as failure:
            answer = status(400, {"__type": failure.kind, "message": failure.message})
        answer(self)

    @property
    def _call(self) -> str:
        service, _, call = self.headers["x-amz-target"].partition(".")
        if service != "TrentService":
            raise Failure("UnknownOperationException")
        return call

    def _check_signed(self) -> None:
        """See that the caller is ours and asks this region; the signature itself is believed."""
        shown = self.headers.get("authorization", "")
        scope = shown.partition("Credential=")[2].partition(",")[0].split("/")
        if scope[0] != ACCESS_KEY:
            raise Failure("UnrecognizedClientException", "The security token is invalid.")
        if scope[2:] != [REGION, "kms", "aws4_request"]:
            raise Failure("InvalidSignatureException", f"Credential should be scoped to {REGION}")


@contextlib.contextmanager
def running() -> Iterator[Service]:
    """Run the stand-in until the block ends."""
    service = Service()
    with serving(type("Speaking", (_Speaking,), {"service": service})) as port:
        service.port = port
        yield service
