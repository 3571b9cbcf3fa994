"""Seal a file and open it again, once, in a process of its own: what that took, as JSON.

    python worker.py KIND SOURCE SCRATCH CORE[,CORE]

Runs in the environment that has the kind's library: it imports nothing of ours but in `falaj`.
"""

import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

CHUNK = 1 << 20
Step = Callable[[pathlib.Path, pathlib.Path], object]


def main() -> None:
    kind, source, scratch, cores = sys.argv[1:]
    os.sched_setaffinity(0, map(int, cores.split(",")))
    plain, into = pathlib.Path(source), pathlib.Path(scratch)
    seal, unseal = KINDS[kind]()
    found = {
        "seal": measured(lambda: seal(plain, into / "sealed")),
        "open": measured(lambda: unseal(into / "sealed", into / "opened")),
    }
    print(json.dumps(found))


def measured(step: Callable[[], object]) -> dict[str, float]:
    """Return what a step took: seconds, those of processors, and the bytes it had beyond before."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # let the peak begin anew
    before, cpu, began = _memory("VmRSS"), time.process_time(), time.perf_counter()
    step()
    seconds = time.perf_counter() - began
    cpu = time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "peak": _memory("VmHWM") - before}


def _reserve(file: BinaryIO, size: int) -> None:
    os.posix_fallocate(file.fileno(), 0, size)


def _memory(name: str) -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def falaj() -> tuple[Step, Step]:
    """Do what sealing and opening a release do with each file, without the store."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))
    from components.foundation.sealing import stream
    from components.foundation.sealing.measured import Measured

    key, kept = os.urandom(32), dict[str, Any]()

    def seal(source: pathlib.Path, target: pathlib.Path) -> None:
        kept["header"] = Measured.of(source.parent, source.name).header
        encrypt(source, target)

    def encrypt(source: pathlib.Path, target: pathlib.Path) -> None:
        with source.open("rb", buffering=0) as plain, target.open("wb") as sealed:
            _reserve(sealed, kept["header"].sealed_size)
            pieces = stream.Sealing(plain, header=kept["header"], key=key, path="model")
            for piece in pieces:
                sealed.write(piece)
            kept["sealed"] = pieces.digest()

    def unseal(source: pathlib.Path, target: pathlib.Path) -> None:
        with source.open("rb", buffering=0) as sealed, target.open("wb") as plain:
            _reserve(plain, kept["header"].size)
            for piece in stream.decrypt(
                sealed, header=kept["header"], key=key, path="model", sealed_as=kept["sealed"]
            ):
                plain.write(piece)

    return seal, unseal


def copy() -> tuple[Step, Step]:
    return shutil.copyfile, shutil.copyfile


def jwe() -> tuple[Step, Step]:
    """Do what KServe's initializer does for a confidential model: JWE, compact, in memory."""
    from jwcrypto import jwe, jwk

    key = jwk.JWK.generate(kty="oct", size=256)

    def seal(source: pathlib.Path, target: pathlib.Path) -> None:
        token = jwe.JWE(source.read_bytes(), json.dumps({"alg": "A256KW", "enc": "A256GCM"}))
        token.add_recipient(key)
        target.write_text(token.serialize(compact=True))

    def unseal(source: pathlib.Path, target: pathlib.Path) -> None:
        token = jwe.JWE()
        token.deserialize(source.read_text(), key)
        target.write_bytes(token.payload)

    return seal, unseal


def age() -> tuple[Step, Step]:
    import pyrage

    identity = pyrage.x25519.Identity.generate()

    def seal(source: pathlib.Path, target: pathlib.Path) -> None:
        with source.open("rb") as plain, target.open("wb") as sealed:
            pyrage.encrypt_io(plain, sealed, [identity.to_public()])

    def unseal(source: pathlib.Path, target: pathlib.Path) -> None:
        with source.open("rb") as sealed, target.open("wb") as plain:
            pyrage.decrypt_io(sealed, plain, [identity])

    return seal, unseal


def tink() -> tuple[Step, Step]:
    import tink
    from tink import streaming_aead

    streaming_aead.register()
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    primitive = tink.new_keyset_handle(template).primitive(streaming_aead.StreamingAead)

    def seal(source: pathlib.Path, target: pathlib.Path) -> None:
        file = target.open("wb")  # the stream closes it
        with source.open("rb") as plain, primitive.new_encrypting_stream(file, b"model") as sealed:
            shutil.copyfileobj(plain, sealed, CHUNK)

    def unseal(source: pathlib.Path, target: pathlib.Path) -> None:
        file = source.open("rb")
        with target.open("wb") as plain, primitive.new_decrypting_stream(file, b"model") as sealed:
            shutil.copyfileobj(sealed, plain, CHUNK)

    return seal, unseal


def model_signing() -> tuple[Step, Step]:
    """Sign and verify only, by SHA-256: nothing is encrypted, nothing is copied."""
    import tempfile

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from model_signing import signing, verifying

    folder = pathlib.Path(tempfile.mkdtemp())
    key = ec.generate_private_key(ec.SECP256R1())
    pem, subject = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    pkcs8, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "private.pem").write_bytes(key.private_bytes(pem, pkcs8, bare))
    (folder / "public.pem").write_bytes(key.public_key().public_bytes(pem, subject))
    of: list[pathlib.Path] = []

    def sign(source: pathlib.Path, target: pathlib.Path) -> None:
        of.append(source.parent)
        signer = signing.Config()  # type: ignore[no-untyped-call]  # its own lack
        signer.use_elliptic_key_signer(private_key=folder / "private.pem")
        signer.sign(source.parent, target)

    def verify(source: pathlib.Path, target: pathlib.Path) -> None:
        verifier = verifying.Config()  # type: ignore[no-untyped-call]  # its own lack
        verifier.use_elliptic_key_verifier(public_key=folder / "public.pem")
        verifier.verify(of[0], source)
        shutil.rmtree(folder)

    return sign, verify


KINDS: dict[str, Callable[[], tuple[Step, Step]]] = {
    "falaj": falaj,
    "copy": copy,
    "jwe": jwe,
    "age": age,
    "tink": tink,
    "model-signing": model_signing,
}

if __name__ == "__main__":
    main()
