"""The attestor on a real API server, as its own service account with the rights that ship."""

import json
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation.errors import Refused
from components.foundation.sealing.keys import KeyRing
from components.governance.attest_residency import attestor, roles, statement
from components.governance.attest_residency.attestor import Attestor
from components.governance.attest_residency.listing import Listing
from components.governance.attest_residency.observation import Standing
from components.governance.attest_residency.readers.nodes import Nodes
from components.governance.attest_residency.readers.volumes import Volumes
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Robot
from tests.components.foundation.sealing.memory import Memory
from tests.components.governance.attest_residency.installed import Weed, site
from tests.manifests.conftest import built

Thing = dict[str, Any]
TAG = uuid.uuid4().hex[:6]
PLACE = f"attest-{TAG}"
ABROAD = f"pv-{TAG}"


@pytest.fixture(scope="module", autouse=True)
def installed(ground: Access) -> Iterator[None]:
    """What ships, under names of the test's own, with a volume abroad and a pod that says so."""
    things = built("manifests/attestor").replace(f"{roles.NAME}\n", f"{roles.NAME}-{TAG}\n")
    things = things.replace(f"{roles.NAME}.falaj\n", f"{roles.NAME}.{PLACE}\n")
    things = things.replace("namespace: falaj\n", f"namespace: {PLACE}\n")
    ground.kubectl("create", "namespace", PLACE)
    ground.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=things)
    for thing in (_volume(), _pod()):
        ground.kubectl("create", "-f", "-", input=json.dumps(thing))
    yield
    ground.kubectl("delete", "--wait=false", "-f", "-", input=things)
    ground.kubectl("delete", "--wait=false", "persistentvolume", ABROAD)
    ground.kubectl("delete", "--wait=false", "namespace", PLACE)


def _volume() -> Thing:
    expression = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["me-south-1a"]}
    terms = [{"matchExpressions": [expression]}]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": ABROAD},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": PLACE, "name": "data"},
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    }


def _pod() -> Thing:
    env = [{"name": "AWS_ENDPOINT_URL", "value": "https://s3.me-south-1.amazonaws.com"}]
    container = {"name": "main", "image": "registry.falaj.example/falaj/data", "env": env}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "old", "namespace": PLACE},
        "spec": {"containers": [container], "schedulingGates": [{"name": "falaj.example/never"}]},
    }


@pytest.fixture
def listing(ground: Access) -> Listing:
    return Listing(ground.cluster(Robot(PLACE, f"{roles.NAME}-{TAG}"), PLACE))


def test_nodes_are_where_their_providers_ids_say(listing: Listing) -> None:
    found = {one.place: one for one in Nodes(listing, "AE")()}

    assert found["aws/me-central-1"].standing is Standing.HOME
    assert found["aws/me-central-1"].number >= 3


def test_a_volume_that_is_bound_is_found_by_its_zone(listing: Listing) -> None:
    [found] = Volumes(listing, PLACE, "AE")()

    assert (found.standing, found.value) == (Standing.ABROAD, ABROAD)


def test_it_may_open_no_secret_and_see_no_other_namespace(listing: Listing) -> None:
    for path in (f"/api/v1/namespaces/{PLACE}/secrets", "/api/v1/namespaces/default/pods"):
        with pytest.raises(Refused) as refusal:
            listing.cluster.look(path)
        assert refusal.value.code == "kubernetes-forbidden"


def test_a_whole_look_reads_everything_that_its_rights_are_for(
    listing: Listing, tmp_path: pathlib.Path
) -> None:
    """Nothing that rules cover is forbidden, and what is abroad is refused in a statement."""
    declared = site("health", FALAJ_NAMESPACE=PLACE, AWS_ENDPOINT_URL="http://10.1.2.3:8333")
    store, keys = Memory(), KeyRing.create(tmp_path / "keys")

    with pytest.raises(Refused, match="Profile health"):
        list(attestor.attest(Attestor(declared, listing.cluster, Weed()), store=store, keys=keys))

    [checked] = statement.verify(store=store, keys=keys)
    assert checked.statement is not None
    seen = checked.statement.observations
    said = [str(one) for one in seen]
    assert [one for one in said if "forbidden" in one] == []
    assert [one for one in said if one.startswith(f"Pod old in {PLACE} ") and "Bahrain" in one]
    assert [one for one in seen if one.what == f"volumes of namespace {PLACE}"]
    assert checked.problem == ""
