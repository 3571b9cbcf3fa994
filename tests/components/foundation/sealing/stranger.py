"""A reader of sealed releases by somebody who has docs/sealing.md and none of our code."""

import base64
import hashlib
import json
import pathlib
import struct

from blake3 import blake3
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHUNK, TAG = 1 << 20, 16
KIND = "application/vnd.in-toto+json"


def derive(key: bytes, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


def verified(folder: pathlib.Path, public_key: bytes) -> dict:  # type: ignore[type-arg]  # JSON
    envelope = json.loads((folder / "statement.json").read_bytes())
    payload = base64.b64decode(envelope["payload"])
    assert envelope["payloadType"] == KIND
    message = b"DSSEv1 %d %s %d %s" % (len(KIND), KIND.encode(), len(payload), payload)
    key = serialization.load_pem_public_key(public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    predicate: dict = json.loads(payload)["predicate"]  # type: ignore[type-arg]
    assert predicate["format"] == 2
    assert folder.parts[-2:] == (predicate["model"], predicate["version"])
    return predicate


def unwrapped(folder: pathlib.Path, wrapping_key: bytes, content: str) -> bytes:
    entry = json.loads((folder / "keys.json").read_bytes())["keys"][0]
    nonce, wrapped = base64.b64decode(entry["nonce"]), base64.b64decode(entry["key"])
    return AESGCM(wrapping_key).decrypt(nonce, wrapped, b"falaj release key 1\0" + content.encode())


def opened(sealed: bytes, release_key: bytes, path: str, size: int, plain: bytes) -> bytes:
    header = b"falaj\0\0\2" + struct.pack(">IQ32s", CHUNK, size, plain)
    assert sealed[:52] == header
    material = derive(release_key, b"falaj sealed file 2\0" + path.encode(), 39, salt=plain)
    count = max(1, -(-size // CHUNK))
    chunks = [sealed[at : at + CHUNK + TAG] for at in range(52, len(sealed), CHUNK + TAG)]
    assert len(chunks) == count
    nonces = [material[32:] + struct.pack(">IB", i, i == count - 1) for i in range(count)]
    gcm = AESGCM(material[:32])
    return b"".join(gcm.decrypt(n, c, header) for n, c in zip(nonces, chunks, strict=True))


def read(folder: pathlib.Path, public_key: bytes, wrapping_key: bytes) -> dict[str, bytes]:
    """Open a release that lies in a folder MODEL/VERSION; return its files."""
    statement = verified(folder, public_key)
    key = unwrapped(folder, wrapping_key, statement["content"])
    assert derive(key, b"falaj key commitment 2", 32).hex() == statement["key"]
    files = {}
    for path, file in statement["files"].items():
        sealed = (folder / "files" / path).read_bytes()
        assert f"blake3:{blake3(sealed).hexdigest()}" == file["sealed"]
        plain = bytes.fromhex(file["plain"].removeprefix("sha256:"))
        files[path] = opened(sealed, key, path, file["size"], plain)
        assert hashlib.sha256(files[path]).digest() == plain
    return files
