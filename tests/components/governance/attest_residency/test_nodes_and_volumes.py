"""Nodes and volumes are where what they cannot make up themselves says they are."""

from typing import Any

import pytest

from components.governance.attest_residency.listing import Listing
from components.governance.attest_residency.observation import Observation, Standing
from components.governance.attest_residency.readers import nodes
from components.governance.attest_residency.readers.nodes import COUNTRY, Nodes
from components.governance.attest_residency.readers.store import Store
from components.governance.attest_residency.readers.volumes import Volumes
from tests.components.governance.attest_residency.recorded import Recorded, Thing, recorded

REGION = "topology.kubernetes.io/region"
HOSTNAME = "kubernetes.io/hostname"
EBS, RBD = "ebs.csi.aws.com", "rbd.csi.ceph.com"


def node(id: str = "", name: str = "n1", **labels: str) -> Thing:
    named = {
        key.replace("COUNTRY", COUNTRY).replace("REGION", REGION): v for key, v in labels.items()
    }
    metadata = {"name": name, "labels": {HOSTNAME: name, **named}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"providerID": id}}


def affinity(*terms: tuple[str, list[str]], operator: str = "In") -> Thing:
    """Terms, any of which may hold, of one expression each."""
    found = [
        {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}
        for key, values in terms
    ]
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": found}}}


def volume(
    name: str, claim: str, driver: str = EBS, namespace: str = "falaj", **spec: Any
) -> Thing:
    source = {"csi": {"driver": driver, "volumeHandle": name}}
    bound = {"claimRef": {"namespace": namespace, "name": claim}}
    metadata = {"name": name}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": metadata,
        "spec": {**source, **bound, **spec},
    }


def seen(cluster: Recorded, namespace: str = "falaj") -> list[Observation]:
    return list(Volumes(Listing(cluster), namespace, "AE")())


@pytest.mark.parametrize(
    ("thing", "standing", "says"),
    [
        (node("aws:///me-central-1a/i-0a1"), Standing.HOME, "UAE"),
        (node("aws:///me-central-1a/i-0a1", REGION="me-central-1"), Standing.HOME, "provider's id"),
        (node("ocid1.instance.oc1.me-dubai-1.abc"), Standing.HOME, "Dubai"),
        (node("me-east-1.i-abc"), Standing.HOME, "Dubai"),
        (node("aws:///me-south-1b/i-0a1"), Standing.ABROAD, "(BH)"),
        (node("me-central-1.i-abc"), Standing.ABROAD, "Riyadh"),
        (node("gce://project/me-central1-a/vm"), Standing.ABROAD, "Doha"),
        (node("aws:///us-east-1-bos-1a/i-0a1"), Standing.UNKNOWN, "tells no region"),
        (node("kwok://n1"), Standing.UNKNOWN, "tells no region"),
        (node("", REGION="me-central-1"), Standing.UNKNOWN, "may have written itself"),
        (node("azure:///subscriptions/x", REGION="uaenorth"), Standing.UNKNOWN, "written itself"),
        (node("azure:///subscriptions/x", COUNTRY="AE"), Standing.HOME, "cannot write itself"),
        (node("", COUNTRY="AE"), Standing.HOME, "cannot write itself"),
        (node("", COUNTRY="BH"), Standing.ABROAD, "BH"),
        (
            node("aws:///me-south-1a/i-0a1", REGION="me-central-1"),
            Standing.BROKEN,
            "label says me-central-1, its provider's id me-south-1",
        ),
        (node("aws:///me-south-1a/i-0a1", COUNTRY="AE"), Standing.BROKEN, "says AE"),
    ],
    ids=lambda value: value["spec"]["providerID"] if isinstance(value, dict) else str(value),
)
def test_a_node_is_where_its_provider_or_a_protected_label_says(
    thing: Thing, standing: Standing, says: str
) -> None:
    found = nodes.of(thing, "AE")

    assert (found.standing, says in found.because) == (standing, True), found


def test_a_label_that_only_looks_protected_says_nothing() -> None:
    thing = node("")
    thing["metadata"]["labels"] |= {
        "node-restriction.kubernetes.io.evil.example/country": "AE",
        "example.com/country": "AE",
    }

    assert nodes.of(thing, "AE").standing is Standing.UNKNOWN


def test_nodes_alike_are_told_once_with_their_number() -> None:
    home = [node("aws:///me-central-1a/i-1", f"n{number}") for number in range(9)]

    found = list(Nodes(Listing(recorded(*home, node("", "odd"))), "AE")())

    assert [(one.number, one.standing) for one in found] == [
        (9, Standing.HOME),
        (1, Standing.UNKNOWN),
    ]
    assert found[0].value == "n0, n1, n2, n3, n4, and 4 more"


@pytest.mark.parametrize(
    ("spec", "driver", "standing", "says"),
    [
        (affinity(("topology.ebs.csi.aws.com/zone", ["me-central-1a"])), EBS, Standing.HOME, "UAE"),
        (affinity(("topology.kubernetes.io/zone", ["me-south-1a"])), EBS, Standing.ABROAD, "(BH)"),
        (affinity(("topology.kubernetes.io/zone", ["me-central-1z"])), EBS, Standing.UNKNOWN, "1z"),
        (
            affinity(("topology.kubernetes.io/zone", ["me-central-1a", "me-south-1a"])),
            EBS,
            Standing.ABROAD,
            "(BH)",
        ),
        (affinity((REGION, ["me-central-1"])), EBS, Standing.HOME, "by its region"),
        (affinity((REGION, ["me-central-1"])), RBD, Standing.UNKNOWN, "tells no country"),
        (
            affinity(("topology.kubernetes.io/zone", ["me-central-1a"])),
            "diskplugin.csi.alibabacloud.com",
            Standing.ABROAD,
            "Riyadh",
        ),
        (affinity(("topology.rbd.csi.ceph.com/country", ["AE"])), RBD, Standing.HOME, "says AE"),
        (affinity(("topology.rbd.csi.ceph.com/country", ["SA"])), RBD, Standing.ABROAD, "says SA"),
        (affinity((HOSTNAME, ["n1"])), "local", Standing.HOME, "on node n1"),
        (affinity((HOSTNAME, ["gone"])), "local", Standing.UNKNOWN, "not there"),
        (
            affinity((HOSTNAME, ["n1"]), ("topology.kubernetes.io/zone", ["me-south-1a"])),
            EBS,
            Standing.ABROAD,
            "(BH)",
        ),
        (affinity(("x/zone", ["me-south-1a"]), operator="NotIn"), EBS, Standing.UNKNOWN, "no zone"),
        ({}, RBD, Standing.UNKNOWN, "nothing says where rbd.csi.ceph.com keeps it"),
    ],
    ids=str,
)
def test_a_volume_is_where_it_is_bound_to(
    spec: Thing, driver: str, standing: Standing, says: str
) -> None:
    cluster = recorded(node("", COUNTRY="AE"), volume("pv", "c", driver, **spec))

    [found] = seen(cluster)

    assert (found.standing, says in found.because) == (standing, True), found


def test_volumes_of_other_namespaces_are_theirs() -> None:
    abroad = affinity(("topology.kubernetes.io/zone", ["me-south-1a"]))

    [found] = seen(recorded(volume("pv", "c", namespace="other", **abroad)))

    assert (found.standing, found.value) == (Standing.HOME, "none")


def in_cluster(*volumes: Thing, claims: tuple[str, ...] = ("data",)) -> Recorded:
    """A store in the cluster, as a Service, two pods and their claims."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "seaweedfs", "namespace": "kubeflow"},
        "spec": {"selector": {"app": "weed"}},
    }
    mounted = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "kubeflow", "labels": {"app": app}},
            "spec": {"volumes": [{"name": "tmp", "emptyDir": {}}, *mounted]},
        }
        for name, app in (("weed-0", "weed"), ("other", "mysql"))
    ]
    return recorded(service, *pods, *volumes)


def store(cluster: Recorded) -> list[Observation]:
    return list(Store(Listing(cluster), "seaweedfs", "kubeflow", "AE")())


HOME = affinity(("topology.kubernetes.io/zone", ["me-central-1a"]))
ABROAD = affinity(("topology.kubernetes.io/zone", ["me-south-1a"]))


def test_a_store_in_the_cluster_is_where_its_volumes_are() -> None:
    volumes = (
        volume("pv-1", "data", namespace="kubeflow", **HOME),
        volume("pv-2", "more", namespace="kubeflow", **ABROAD),
    )

    home, abroad = store(in_cluster(*volumes, claims=("data", "more")))

    assert home.standing is Standing.HOME
    assert (abroad.standing, abroad.value) == (Standing.ABROAD, "claim more, volume pv-2")


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (in_cluster(claims=()), "no pod with a volume"),
        (in_cluster(), "no volume is bound"),
        (in_cluster(volume("pv", "data", namespace="falaj", **HOME)), "no volume is bound"),
        (recorded(), "no pod with a volume"),
    ],
    ids=["no claim", "not bound", "another's claim of that name", "nothing there"],
)
def test_a_store_without_volumes_cannot_be_attested(cluster: Recorded, says: str) -> None:
    [found] = store(cluster)

    assert found.standing is Standing.UNKNOWN
    assert says in found.because
