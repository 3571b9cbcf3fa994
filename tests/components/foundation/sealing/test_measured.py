import hashlib
import pathlib

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing import measured, parallel
from components.foundation.sealing.measured import Measured

MIB = 1 << 20


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("size", [0, 5, 12 * MIB + 5], ids=["empty", "small", "many pieces"])
def test_a_file_is_measured_by_its_size_and_sha_256(
    size: int, cores: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    data = b"".join(bytes([number]) * MIB for number in range(13))[:size]
    (tmp_path / "model").write_bytes(data)

    found = Measured.of(tmp_path, "model")

    assert found.header.size == size
    assert found.header.digest == hashlib.sha256(data).digest()


def test_refuses_a_file_that_is_written_to_while_it_is_digested(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"before")

    def write(path: pathlib.Path) -> bytes:
        path.write_bytes(b"afterwards")
        return bytes(32)

    monkeypatch.setattr(measured, "_sha256", write)

    with pytest.raises(UserError, match="changed while it was sealed"):
        Measured.of(tmp_path, "model")
