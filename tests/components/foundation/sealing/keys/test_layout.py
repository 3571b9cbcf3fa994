"""`ring.yaml`: written and read back, and refused in each way it can be none."""

import pathlib

import pytest
import yaml

from components.foundation.errors import UserError
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.keys.layout import Believed, Layout, Named

WHOLE = {
    "format": 1,
    "signer": "signing.pem",
    "verifiers": [{"file": "verify.pem", "revoked": ""}, {"file": "old.pem", "revoked": "lost"}],
    "recipients": [{"key": "wrapping.key"}, {"key": "hashivault://a", "retired": True}],
}


def test_is_read_as_it_was_written() -> None:
    layout = Layout(
        "s.pem",
        (Believed("a.pem"), Believed("b.pem", "stolen")),
        (Named("w.key"), Named("hashivault://k", retired=True)),
    )

    assert Layout.decode(layout.encode(), "here") == layout


def test_says_what_may_be_left_out() -> None:
    layout = Layout.decode(yaml.safe_dump(WHOLE).encode(), "here")

    assert layout.recipients == (Named("wrapping.key"), Named("hashivault://a", retired=True))
    assert layout.verifiers[1].revoked == "lost"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"format": 2}, id="another format"),
        pytest.param({"format": "1"}, id="format as text"),
        pytest.param({"signer": 7}, id="signer is a number"),
        pytest.param({"signer": "../signing.pem"}, id="signer outside"),
        pytest.param({"verifiers": []}, id="no verifiers"),
        pytest.param({"verifiers": "verify.pem"}, id="verifiers are text"),
        pytest.param({"verifiers": [{"file": None}]}, id="a verifier without a file"),
        pytest.param({"verifiers": [{"revoked": "x"}]}, id="a verifier that is none"),
        pytest.param({"verifiers": [{"file": "a", "revoked": True}]}, id="revoked for no reason"),
        pytest.param({"verifiers": [{"file": "a"}, {"file": "a"}]}, id="a verifier twice"),
        pytest.param({"verifiers": [{"file": "/etc/key.pem"}]}, id="a verifier outside"),
        pytest.param({"recipients": []}, id="no recipients"),
        pytest.param({"recipients": None}, id="recipients are nothing"),
        pytest.param({"recipients": [{"key": "a", "retired": "no"}]}, id="retired is text"),
        pytest.param({"recipients": [{"key": "a", "more": 1}]}, id="a recipient with more"),
        pytest.param({"recipients": [{"key": "a"}, {"key": "a"}]}, id="a recipient twice"),
        pytest.param({"recipients": [{"key": "verify.pem"}]}, id="a verifier as recipient"),
        pytest.param({"recipients": [{"key": "sub/a.key"}]}, id="a recipient outside"),
        pytest.param({"recipients": [{"key": f"{n}.key"} for n in range(65)]}, id="too many"),
        pytest.param({"more": 1}, id="another member"),
    ],
)
def test_refuses_what_is_no_layout(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="here: is no layout of a key ring") as refused:
        Layout.decode(yaml.safe_dump({**WHOLE, **change}).encode(), "here")

    assert refused.value.code == "key-ring-malformed"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"- a", id="a list"),
        pytest.param(b"a: [", id="no YAML"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"!!python/object/apply:os.getcwd []", id="a program"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_refuses_what_is_no_mapping(data: bytes) -> None:
    with pytest.raises(UserError, match="is no layout of a key ring"):
        Layout.decode(data, "here")


@pytest.mark.parametrize("name", ["verifiers", "recipients"])
def test_refuses_a_layout_that_lacks(name: str) -> None:
    value = {key: entry for key, entry in WHOLE.items() if key != name}

    with pytest.raises(UserError, match=name):
        Layout.decode(yaml.safe_dump(value).encode(), "here")


def test_sixty_four_recipients_of_today_are_taken_and_the_retired_do_not_count() -> None:
    names = [{"key": f"{n}.key"} for n in range(64)] + [{"key": "old.key", "retired": True}]

    layout = Layout.decode(yaml.safe_dump({**WHOLE, "recipients": names}).encode(), "here")

    assert len(layout.recipients) == 65


def test_a_ring_names_the_layout_that_is_none(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path)
    (tmp_path / "ring.yaml").write_text("{}")

    with pytest.raises(UserError, match=r"ring\.yaml: is no layout"):
        KeyRing.load(tmp_path)
