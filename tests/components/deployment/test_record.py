"""What a record keeps, and records that earlier releases wrote."""

import json
import pathlib

import pytest

from components.deployment.record import Phase, Record, State
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.transformer import Transformer
from components.foundation.errors import UserError
from components.foundation.kubernetes.resources import CONFIG_MAP
from components.foundation.sealing.uri import ReleaseUri
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds

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
    assert state.carried == {"backend": "twins"}  # nobody wrote down why


def test_records_of_before_are_kept() -> None:
    assert [path.stem for path in OLD] == ["record-uris", "record-whole"]


def test_the_oldest_know_only_the_releases_of_good_versions() -> None:
    state = State.from_dict(json.loads((KEPT / "record-uris.json").read_text()))

    assert not any(one.capacity for one in state.good)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="no data"),
        pytest.param({"state": "{"}, id="no JSON"),
        pytest.param({"state": "[]"}, id="no object"),
        pytest.param({"state": '{"phase": "gone"}'}, id="no phase of ours"),
        pytest.param({"state": json.dumps({**State().to_dict(), "phase": "canary"})}, id="nobody"),
    ],
)
def test_a_record_that_somebody_broke_is_told_with_its_name(
    world: World, data: dict[str, str] | None
) -> None:
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m-rollout"}}
    world.api.post(CONFIG_MAP, found if data is None else {**found, "data": data})

    with pytest.raises(UserError, match=r"ConfigMap m-rollout: .* restore it") as caught:
        Record.open(world.cluster, "m")
    assert caught.value.code == "rollout-edited"


def test_what_others_write_beside_a_record_stays(world: World) -> None:
    worlds.stage(world, "twins").launch("m", "aaaaaaaaaa00")
    found = world.api.get(CONFIG_MAP, "m-rollout")
    found["metadata"]["labels"] = {"backup": "nightly"}
    del found["metadata"]["ownerReferences"]  # as a backup brings it back
    world.api.put(CONFIG_MAP, found)

    Record.open(world.cluster, "m").change(verdict={})

    assert world.api.get(CONFIG_MAP, "m-rollout")["metadata"]["labels"] == {"backup": "nightly"}
