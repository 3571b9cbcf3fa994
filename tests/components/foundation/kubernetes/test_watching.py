"""What a watch tells while its connection is cut, silent, or too old; played by a real server."""

from typing import Any

import pytest

from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.watching import Collection, Watch
from tests.components.foundation.kubernetes.playing import (
    Player,
    Script,
    cut,
    events,
    playing,
    says,
)

EXPIRED = {"kind": "Status", "code": 410, "message": "too old resource version: 1 (9)"}


def one(name: str, version: int, uid: str = "") -> dict[str, Any]:
    metadata = {"name": name, "resourceVersion": str(version), "uid": uid or name}
    return {"kind": "ConfigMap", "metadata": metadata}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": one(name, version)}


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def listed(version: int, *things: dict[str, Any]) -> dict[str, Any]:
    metadata = {"resourceVersion": str(version)}
    return {"kind": "ConfigMapList", "metadata": metadata, "items": list(things)}


def told(cluster: Cluster, count: int) -> list[tuple[str, str, str]]:
    """Return the first changes: kind, name, version."""
    found = []
    for change in cluster.watch(resources.CONFIG_MAP, seconds=5):
        metadata = change.manifest["metadata"]
        found.append((str(change.kind), metadata["name"], metadata["resourceVersion"]))
        if len(found) == count:
            break
    return found


def since(script: Script) -> list[str]:
    """Return from which versions changes were asked for."""
    parts = [path.partition("resourceVersion=")[2].partition("&")[0] for _, path, _ in script.asked]
    return [part for part in parts if part]


def test_what_is_there_is_told_first_and_then_what_changes() -> None:
    steps = [says(200, listed(5, one("a", 3))), events(event("MODIFIED", "a", 6))]
    with playing(*steps) as (cluster, script):
        found = told(cluster, 2)

    assert found == [("ADDED", "a", "3"), ("MODIFIED", "a", "6")]
    assert since(script) == ["5"]


@pytest.mark.parametrize("then", ["ends", "is cut", "is silent"])
def test_after_a_cut_it_goes_on_from_the_last_version_seen(then: str) -> None:
    steps = [
        says(200, listed(5)),
        events(event("ADDED", "a", 6), event("ADDED", "b", 7), then=then),
        events(event("DELETED", "a", 8)),
    ]
    with playing(*steps) as (cluster, script):
        watch = Watch(Collection(cluster, resources.CONFIG_MAP), turn_s=0.3)
        found = [
            (str(change.kind), change.manifest["metadata"]["name"])
            for _, change in zip(range(3), watch.changes(seconds=5), strict=False)
        ]

    assert found == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    assert since(script) == ["5", "7"]


def test_a_change_that_comes_again_is_told_once() -> None:
    again = events(event("ADDED", "a", 6), event("MODIFIED", "a", 7))
    with playing(says(200, listed(5)), events(event("ADDED", "a", 6)), again) as (cluster, _):
        assert told(cluster, 2) == [("ADDED", "a", "6"), ("MODIFIED", "a", "7")]


def test_a_bookmark_moves_on_without_a_change() -> None:
    steps = [says(200, listed(5)), events(bookmark(90)), events(event("ADDED", "a", 91))]
    with playing(*steps) as (cluster, script):
        assert told(cluster, 1) == [("ADDED", "a", "91")]

    assert since(script) == ["5", "90"]


@pytest.mark.parametrize(
    "expired",
    [events({"type": "ERROR", "object": EXPIRED}), says(410, EXPIRED)],
    ids=["as an event", "as an answer"],
)
def test_what_happened_while_the_server_forgot_is_told_from_a_list(expired: Any) -> None:
    steps = [
        says(200, listed(5, one("kept", 1), one("changed", 2), one("gone", 3), one("new", 4))),
        expired,
        says(200, listed(9, one("kept", 1), one("changed", 7), one("new", 8, uid="another"))),
        events(event("ADDED", "later", 10)),
    ]
    with playing(*steps) as (cluster, script):
        found = told(cluster, 9)

    assert found[:4] == [
        ("ADDED", "kept", "1"),
        ("ADDED", "changed", "2"),
        ("ADDED", "gone", "3"),
        ("ADDED", "new", "4"),
    ]
    assert found[4:] == [
        ("DELETED", "gone", "3"),
        ("MODIFIED", "changed", "7"),
        ("DELETED", "new", "4"),
        ("ADDED", "new", "8"),
        ("ADDED", "later", "10"),
    ]
    assert since(script) == ["5", "9"]


def test_a_server_that_only_lists_is_compared_with_what_was_known() -> None:
    steps = [says(200, listed(5, one("a", 3))), says(200, listed(6, one("a", 3), one("b", 6)))]
    with playing(*steps) as (cluster, _):
        assert told(cluster, 2) == [("ADDED", "a", "3"), ("ADDED", "b", "6")]


def test_only_what_was_asked_for_is_asked_for() -> None:
    with playing(says(200, listed(5, one("a", 3)))) as (cluster, script):
        watching = cluster.watch(resources.CONFIG_MAP, labels={"k": "v"}, name="a", seconds=5)
        next(watching)

    assert script.asked[0][1].endswith("?labelSelector=k%3Dv&fieldSelector=metadata.name%3Da")


def test_it_ends_when_its_time_is_up() -> None:
    with playing(says(200, listed(5)), events()) as (cluster, script):
        assert list(cluster.watch(resources.CONFIG_MAP, seconds=0.3)) == []

    assert len(script.asked) < 4  # and does not hammer a server that ends watches at once


def test_without_the_right_to_watch_it_says_so() -> None:
    needed = "Role with list and watch on configmaps"
    with (
        playing(says(200, listed(5)), says(403)) as (cluster, _),
        pytest.raises(Refused, match=needed),
    ):
        list(cluster.watch(resources.CONFIG_MAP, seconds=5))


def test_without_the_right_to_list_only_that_is_asked_for() -> None:
    with playing(says(403)) as (cluster, _), pytest.raises(Refused, match="Role with list on conf"):
        cluster.list(resources.CONFIG_MAP)


def test_a_page_in_the_place_of_changes_is_an_error_of_ours() -> None:
    def page(player: Player) -> None:
        player.send_response(200)
        player.send_header("content-length", "20")
        player.end_headers()
        player.wfile.write(b"<html>\nsign in\n<html>")

    with (
        playing(says(200, listed(5)), page) as (cluster, _),
        pytest.raises(InfrastructureError, match="no object, 6 bytes"),
    ):
        list(cluster.watch(resources.CONFIG_MAP, seconds=5))


def test_a_server_that_stays_away_is_an_error() -> None:
    said = "did not answer"
    with (
        playing(says(200, listed(5)), cut) as (cluster, script),
        pytest.raises(InfrastructureError, match=said),
    ):
        list(cluster.watch(resources.CONFIG_MAP, seconds=5))

    assert len(script.asked) == 6
