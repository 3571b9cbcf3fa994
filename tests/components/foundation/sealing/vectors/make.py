"""Write the golden vectors and the kept release, once a format: never for one that is in use.

python -m tests.components.foundation.sealing.vectors.make
"""

import hashlib
import io
import json
import pathlib

from blake3 import blake3

from components.foundation.sealing import release, statement, stream
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.stream import CHUNK, Header
from tests.components.foundation.sealing.memory import Memory

HERE = pathlib.Path(__file__).parent
KEY = bytes(range(32))
SIZES = (0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5)
FACTS = {"code": "abc", "training": "s3://falaj-features/t@3"}


def plaintext(size: int) -> bytes:
    """Return bytes that count up to 250 and begin again."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def sealed_file(size: int, path: str) -> tuple[Header, bytes]:
    """Seal that many bytes under the vectors' key."""
    data = plaintext(size)
    header = Header(size, hashlib.sha256(data).digest())
    pieces = stream.encrypt(io.BytesIO(data), header=header, key=KEY, path=path)
    return header, b"".join(bytes(piece) for piece in pieces)


def vector(size: int, path: str) -> dict[str, object]:
    header, sealed = sealed_file(size, path)
    short = {"sealed": sealed.hex()} if size < 100 else {}
    return {
        "path": path,
        "size": size,
        "sha256": header.digest.hex(),
        "header": header.encode().hex(),
        "sealed_size": len(sealed),
        "sealed_blake3": blake3(sealed).hexdigest(),
        **short,
    }


def main() -> None:
    vectors = [vector(size, "model.onnx") for size in SIZES]
    vectors.append(vector(17, "variables/a-b_c.0"))
    value = {"release_key": KEY.hex(), "commitment": statement.commitment(KEY), "files": vectors}
    (HERE / "format2.json").write_text(json.dumps(value, indent=1) + "\n")
    _keep_release()


def _keep_release() -> None:
    folder, keys, store = HERE / "plain", KeyRing.create(HERE / "keys"), Memory()
    release.seal(folder, model="golden", facts=FACTS, store=store, keys=keys)
    (HERE / "keys/signing.pem").unlink()  # nobody signs with it again
    for address, data in store.objects.items():
        path = HERE / "release2" / address.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
