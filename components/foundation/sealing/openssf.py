"""Signatures in the format of the OpenSSF's model-signing, over a folder's plaintext.

A sigstore bundle around a DSSE envelope, whose statement lists every file with its digest
(predicate https://model_signing/signature/v1.0). The tool verifies ours:

    model_signing verify key FOLDER --signature FOLDER/model.sig --public_key verify.pem
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from components.foundation import digests
from components.foundation.digests import SHA256, Digest
from components.foundation.errors import Refused, UserError
from components.foundation.sealing import envelope, paths
from components.foundation.sealing.keys import KeyRing, Verifier

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_KIND = "application/vnd.in-toto+json"
_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_NO_MODEL = {".git", ".gitattributes", ".github", ".gitignore"}


def sign(model: str, plain: Mapping[str, Digest], *, keys: KeyRing) -> bytes:
    """Sign files by their digests; what the opener writes beside them is left out."""
    enveloped = json.loads(envelope.sign(_statement(model, plain), kind=_KIND, keys=keys))
    return _bundled(enveloped, keys.verifiers[0])


def is_ours(data: bytes, model: str, plain: Mapping[str, Digest], *, keys: KeyRing) -> bool:
    """Tell whether `sign` wrote this for these files, byte for byte, with the key of today."""
    try:
        enveloped = json.loads(data)["dsseEnvelope"]
        opened = envelope.open_signed(
            json.dumps(enveloped).encode(), kind=_KIND, keys=keys, where=""
        )
        wanted = opened.payload == _statement(model, plain) and opened.signer == keys.signer_id
        return wanted and _bundled(enveloped, keys.verifiers[0]) == data
    except (Refused, ValueError, KeyError, TypeError, RecursionError):
        return False


def signed(data: bytes, *, keys: KeyRing, where: str) -> dict[str, Digest]:
    """Return the files that a signature covers, with their digests.

    Raises:
        Refused: it is no such bundle, not signed by our signer, or its parts do not agree.
    """
    try:
        bundle = json.loads(data)
        if bundle["mediaType"] != _BUNDLE:
            raise ValueError(f"is a {bundle['mediaType']!r}")
        enveloped = json.dumps(bundle["dsseEnvelope"]).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_signature(where, error) from error
    payload = envelope.open_signed(enveloped, kind=_KIND, keys=keys, where=where).payload
    try:
        return _resources(json.loads(payload))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
        raise _no_signature(where, error) from error


def check(folder: pathlib.Path, data: bytes, *, keys: KeyRing, ignore: frozenset[str]) -> None:
    """Hold a folder's files against a signature, which may come from the OpenSSF's own tool.

    Args:
        folder: holds the files.
        data: the signature.
        keys: the ring of who has to have signed.
        ignore: files of the folder that need not be signed, such as the signature itself.

    Raises:
        Refused: the signature is not ours, or a file is missing, unsigned or changed.
    """
    expected = signed(data, keys=keys, where=f"signature of {folder}")
    found = {path for path in paths.listed(folder) if path.split("/")[0] not in _NO_MODEL}
    for path in sorted(expected.keys() | (found - ignore)):
        want = expected.get(path)
        got = _digest(folder / path, want.algorithm) if want and path in found else None
        if want is None or got != want:
            raise Refused(
                f"{folder / path}: is {got or _what(path in found)}, the signature covers "
                f"{want or 'no such file'}; restore the folder or sign it again",
                code="release-altered",
            )


def _digest(file: pathlib.Path, algorithm: str) -> Digest:
    """Digest a file as whoever signed it did."""
    if algorithm == SHA256:
        return digests.of_file(file)
    return Digest(blake3().update_mmap(file).hexdigest(), algorithm)


def _what(there: bool) -> str:
    return "unsigned" if there else "missing"


def _bundled(enveloped: Mapping[str, Any], verifier: Verifier) -> bytes:
    """Put a signed envelope into a bundle; whatever else it has shows as a difference."""
    (signature,) = enveloped["signatures"]
    bundle = {
        "mediaType": _BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": _hint(verifier)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": enveloped["payload"],
            "payloadType": enveloped["payloadType"],
            "signatures": [{"sig": signature["sig"], "keyid": ""}],
        },
    }
    return digests.canonical_json(bundle)


def _statement(model: str, plain: Mapping[str, Digest]) -> bytes:
    resources = [
        {"name": path, "algorithm": digest.algorithm, "digest": digest.hex}
        for path, digest in sorted(plain.items(), key=_order)
    ]
    serialization = {
        "method": "files",
        "hash_type": SHA256,  # the tool's command verifies no other, its library does
        "allow_symlinks": False,
        "ignore_paths": [paths.SIGNATURE, paths.OPENED],
    }
    return digests.canonical_json(
        {
            "_type": _TYPE,
            "subject": [{"name": model, "digest": {"sha256": _root(resources)}}],
            "predicateType": _PREDICATE,
            "predicate": {"serialization": serialization, "resources": resources},
        }
    )


def _order(item: tuple[str, Digest]) -> tuple[str, ...]:
    """Order files as that tool does: by the parts of their paths."""
    return tuple(item[0].split("/"))


def _root(resources: list[dict[str, Any]]) -> str:
    """Digest the digests, in their order."""
    whole = hashlib.sha256()
    for resource in resources:
        whole.update(bytes.fromhex(resource["digest"]))
    return whole.hexdigest()


def _resources(statement: dict[str, Any]) -> dict[str, Digest]:
    """Read a statement's files; raises ValueError for one of another kind."""
    predicate, resources = statement["predicate"], statement["predicate"]["resources"]
    got = statement["_type"], statement["predicateType"], predicate["serialization"]["method"]
    if got != (_TYPE, _PREDICATE, "files"):
        raise ValueError(f"is {' '.join(map(str, got))}")
    if [subject["digest"]["sha256"] for subject in statement["subject"]] != [_root(resources)]:
        raise ValueError("its digest is not that of its files")
    files = {r["name"]: Digest.parse(f"{r['algorithm']}:{r['digest']}") for r in resources}
    if len(files) != len(resources):
        raise ValueError("names a file twice")
    return files


def _no_signature(where: str, error: Exception) -> Refused:
    return Refused(
        f"{where}: is no OpenSSF signature over files that we can check: {error}; expected "
        f"{_PREDICATE} by files, with sha256 or blake3; sign the folder again",
        code="openssf-malformed",
    )


def _hint(verifier: Verifier) -> str:
    """Name the public key as that tool does."""
    return hashlib.sha256(verifier.pem).hexdigest()
