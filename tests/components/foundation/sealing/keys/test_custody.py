"""Split knowledge: a passphrase that custodians have together, and none alone."""

import pathlib
import secrets
import stat

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing.keys import KeyRing, custody


@pytest.fixture
def parts(tmp_path: pathlib.Path) -> list[pathlib.Path]:
    return [tmp_path / f"{number}.hex" for number in range(3)]


@pytest.fixture
def environment_of(tmp_path: pathlib.Path, parts: list[pathlib.Path]) -> dict[str, str]:
    """The environment of a ring whose signing key three custodians have."""
    KeyRing.create(tmp_path / "ring", passphrase=custody.split(parts))
    return {
        "FALAJ_KEYS": str(tmp_path / "ring"),
        custody.VARIABLE: ":".join(map(str, parts)),
    }


def test_all_together_sign(environment_of: dict[str, str]) -> None:
    ring = KeyRing.from_environment(environment_of)

    assert ring.signed_by(b"m", [ring.sign(b"m")])


def test_their_order_does_not_matter(
    environment_of: dict[str, str], parts: list[pathlib.Path]
) -> None:
    environment_of[custody.VARIABLE] = ":".join(map(str, reversed(parts)))

    assert KeyRing.from_environment(environment_of).signer is not None


@pytest.mark.parametrize("present", [[0], [1], [2], [0, 1], [0, 2], [1, 2]], ids=str)
def test_fewer_than_all_open_nothing(
    environment_of: dict[str, str], parts: list[pathlib.Path], present: list[int]
) -> None:
    environment_of[custody.VARIABLE] = ":".join(str(parts[number]) for number in present)

    with pytest.raises(UserError, match=r"signing\.pem: expected a PEM private key"):
        KeyRing.from_environment(environment_of)


def spoil(path: pathlib.Path, by: str) -> None:
    text = path.read_text().strip()
    texts = {
        "another": secrets.token_hex(32),
        "short": text[:-2],
        "long": text + "00",
        "no hex": "z" * 64,
        "empty": "",
        "binary": "\x00\x01",
    }
    path.write_text(texts[by])


@pytest.mark.parametrize("by", ["another", "short", "long", "no hex", "empty", "binary"])
def test_no_message_says_whose_component_is_wrong(
    environment_of: dict[str, str], parts: list[pathlib.Path], tmp_path: pathlib.Path, by: str
) -> None:
    said, before = set(), [part.read_bytes() for part in parts]
    for wrong, part in enumerate(parts):
        spoil(part, by)
        with pytest.raises(UserError) as refused:
            KeyRing.from_environment(environment_of)
        said.add(str(refused.value))
        assert part.name not in str(refused.value)
        part.write_bytes(before[wrong])

    assert len(said) == 1


def test_one_component_twice_is_not_two(
    environment_of: dict[str, str], parts: list[pathlib.Path]
) -> None:
    environment_of[custody.VARIABLE] = f"{parts[0]}:{parts[0]}"

    with pytest.raises(UserError, match="no two alike") as refused:
        KeyRing.from_environment(environment_of)

    assert refused.value.code == "custodians-unfit"


def test_the_passphrase_is_in_no_component(parts: list[pathlib.Path]) -> None:
    phrase = custody.split(parts).reveal()

    assert len(phrase) == 64
    assert all(phrase not in part.read_bytes() for part in parts)
    assert len({part.read_bytes() for part in parts}) == 3


def test_only_the_owner_can_read_a_component(parts: list[pathlib.Path]) -> None:
    custody.split(parts)

    assert {stat.S_IMODE(part.stat().st_mode) for part in parts} == {0o600}


def test_refuses_a_component_that_everybody_may_read(
    environment_of: dict[str, str], parts: list[pathlib.Path]
) -> None:
    parts[1].chmod(0o644)

    with pytest.raises(UserError, match="everybody"):
        KeyRing.from_environment(environment_of)


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "there"]], ids=str)
def test_components_are_two_or_more_new_files(tmp_path: pathlib.Path, names: list[str]) -> None:
    (tmp_path / "there").write_text("somebody's")

    with pytest.raises(UserError, match="two files or more"):
        custody.split([tmp_path / name for name in names])

    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "somebody's"
