"""Network and mesh on a real API server: taken strictly, and still the table once read back."""

import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.manifests.conftest import ROOT, built
from tests.manifests.test_network import compared, site

Thing = dict[str, Any]

CONCERNS = ("network", "mesh", "cilium", "gateway", "certificates")
NAMESPACE = "falaj-network-test"
FEATURES = """
kind: Kustomization
resources: [../../base]
components:
  - ../../components/network
  - ../../components/router
  - ../../components/gateway-api
  - ../../components/prometheus
  - ../../components/istio
  - ../../components/cilium
  - ../../components/cert-manager
transformers: [../../transformers/site]
"""
KINDS = {"NetworkPolicy", "CiliumNetworkPolicy", "AuthorizationPolicy", "RequestAuthentication",
         "PeerAuthentication", "Sidecar", "ServiceEntry", "Gateway", "Certificate", "Issuer",
         "PodMonitor"}  # fmt: skip


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[str]:
    with applied.restricted(ground, NAMESPACE, ["network"]):
        yield NAMESPACE


@pytest.mark.parametrize("concern", CONCERNS)
def test_a_concern_is_taken_strictly_and_settles(ground: Access, place: str, concern: str) -> None:
    things = applied.concern(concern, place)

    assert applied.apply(ground, things) == ""
    assert applied.changed_by_applying(ground, things) == []


def test_the_policies_are_the_table_as_the_server_reads_them(ground: Access, place: str) -> None:
    found = ground.get("networkpolicies", "-n", place)["items"]
    seen = compared([t for t in found if "all-to-mesh" not in t["metadata"]["name"]], site(), place)

    assert (sorted(seen.unlisted), sorted(seen.missing)) == ([], [])


def test_all_features_of_the_network_together_are_taken(
    ground: Access, place: str, tmp_path: pathlib.Path
) -> None:
    for name in ("manifests", "kustomize"):
        shutil.copytree(ROOT / name, tmp_path / name)
    overlay = tmp_path / "kustomize/overlays/test"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(FEATURES)
    things = [t for t in yaml.safe_load_all(built(str(overlay))) if t["kind"] in KINDS]

    assert {t["kind"] for t in things} == KINDS
    assert applied.apply(ground, list(applied.moved(things, place))) == ""


def test_a_policy_that_names_a_party_twice_is_refused(ground: Access, place: str) -> None:
    """What keeps `serviceAccounts` and `namespaces` in sources of their own."""
    [thing] = [t for t in applied.concern("mesh", place) if t["metadata"]["name"] == "falaj-router"]
    thing["spec"]["rules"][0]["from"][0]["source"]["namespaces"] = ["gateways"]

    said = ground.kubectl(*applied.STRICT, input=yaml.safe_dump(thing), check=False).stderr

    assert "Cannot set serviceAccounts with namespaces or principals" in said
