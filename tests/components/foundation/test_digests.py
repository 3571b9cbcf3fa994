import pathlib

import pytest

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import UserError


def test_a_digest_round_trips() -> None:
    digest = digests.of_bytes(b"falaj")

    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize("text", ["", "sha256:12", "md5:" + "0" * 64, "sha256:" + "G" * 64])
def test_refuses_what_is_no_digest(text: str) -> None:
    with pytest.raises(UserError, match="64 hex digits"):
        Digest.parse(text)


def test_order_of_keys_and_kind_of_whole_numbers_do_not_count() -> None:
    assert digests.of_json({"a": 2.0, "b": [1, 0.5]}) == digests.of_json({"b": [1.0, 0.5], "a": 2})


def test_values_count() -> None:
    assert digests.of_json({"a": 2}) != digests.of_json({"a": 3})
    assert digests.of_json({"a": True}) != digests.of_json({"a": 1})


def test_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digests.canonical_json(float("nan"))


def test_a_folder_is_its_files_by_path_and_content(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_text("one")
    before = digests.of_path(tmp_path)

    (tmp_path / "a").rename(tmp_path / "b")

    assert digests.of_path(tmp_path) != before
    assert digests.of_path(tmp_path / "b") == digests.of_file(tmp_path / "b")
