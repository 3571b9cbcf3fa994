"""What a record keeps, and records that earlier releases wrote."""

import json
import pathlib

import pytest

from components.deployment.record import Phase, State
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.transformer import Transformer
from components.foundation.sealing.uri import ReleaseUri

KEPT = pathlib.Path(__file__).parent / "kept"
OLD = sorted(KEPT.glob("record-*.json"))


def version(number: int) -> Version:
    uri = ReleaseUri("falaj-models", "m", f"{number:012x}")
    before = Transformer("image", "a.b", "lateness", "s3://b/k#sha256:00")
    return Version("a", uri, Runtime.TORCH, before, Capacity(3, 7), "s3://b/observed")


def test_a_good_version_is_kept_whole() -> None:
    state = State.from_dict(json.loads(json.dumps(State().crowned(version(1)).to_dict())))

    assert state.good[0].to_dict() == version(1).to_dict()


def test_the_newest_five_are_kept_each_once() -> None:
    state = State()
    for number in (1, 2, 3, 4, 5, 6, 4):
        state = state.crowned(version(number))

    assert [one.release.version[-1] for one in state.good] == ["4", "6", "5", "3", "2"]


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_record_of_before_is_read(path: pathlib.Path) -> None:
    state = State.from_dict(json.loads(path.read_text()))

    assert (state.phase, state.backend, state.returning) == (Phase.STABLE, "twins", "")
    assert state.champion is not None
    assert state.good[0].release == state.champion.release
    assert State.from_dict(state.to_dict()) == state
    assert not any(one.capacity for one in state.good)


def test_records_of_before_are_kept() -> None:
    assert OLD
