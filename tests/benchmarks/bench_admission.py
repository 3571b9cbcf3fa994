"""What the policies on residency add to a request: dry-run creates with and without, in turn.

Usage: python -m tests.benchmarks.bench_admission (`make bench-admission`). It starts a control
plane of its own, fills it with objects and binds every policy as an installation does. Without is
the namespace kube-public, which the policies spare; with is one that names the law.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import random
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from components.governance.residency import policies, profiles, rules
from components.governance.residency.reading import LABEL
from tests.cluster.ground import build, control_plane, crds, loading
from tests.cluster.ground.clients import Access

Thing = dict[str, Any]
WITH, WITHOUT, LAW = "bench-admission", "kube-public", "pdpl"
URL = "https://s3.me-central-1.amazonaws.com"
_PATHS = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "InferenceService": "/apis/serving.kserve.io/v1beta1/namespaces/{}/inferenceservices",
    "TrainJob": "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs",
}
_SECONDS = 60.0


class Server:
    """One connection to the API server, as its administrator."""

    def __init__(self, access: Access) -> None:
        said = yaml.safe_load(access.kubeconfig().read_text())
        user, cluster = said["users"][0]["user"], said["clusters"][0]["cluster"]
        trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        trust.load_cert_chain(user["client-certificate"], user["client-key"])
        host = cluster["server"].removeprefix("https://")
        self._connection = http.client.HTTPSConnection(host, context=trust)

    def send(self, verb: str, path: str, thing: Thing) -> tuple[int, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request(verb, path, json.dumps(thing), headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    def create(self, path: str, thing: Thing) -> None:
        status, said = self.send("POST", path, thing)
        assert status in (201, 409), said


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=5000, help="how many there are before")
    parser.add_argument("--requests", type=int, default=500, help="of each kind, with and without")
    arguments = parser.parse_args(argv)
    with _filled(arguments.objects) as server:
        said = f"{len(rules.policies())} policies, all bound; {arguments.objects} objects"
        print(f"{said}; {arguments.requests} dry-run creates each; milliseconds")
        print(" " * 17 + "".join(f"{name:>16}" for name in ("without", "with", "added")))
        print(" " * 17 + 3 * "     p50     p99")
        for thing in objects():
            print(_line(thing["kind"], measured(server, thing, arguments.requests)))
    return 0


def measured(server: Server, thing: Thing, count: int) -> Mapping[str, list[float]]:
    """Return sorted milliseconds of dry-run creates with and without, asked by turns."""
    took: dict[str, list[float]] = {WITH: [], WITHOUT: []}
    for namespace in [*took, *took]:
        status, said = server.send("POST", _where(thing, namespace), thing)
        assert status == 201, said
    for _ in range(count):
        for namespace in random.sample(list(took), 2):
            began = time.perf_counter()
            server.send("POST", _where(thing, namespace), thing)
            took[namespace].append(1e3 * (time.perf_counter() - began))
    return {namespace: sorted(times) for namespace, times in took.items()}


def objects() -> Iterator[Thing]:
    """Yield one object of each kind, all of which pass."""
    image = "registry.falaj.svc/falaj/data@sha256:" + 64 * "0"
    env = [
        {"name": f"V{n}", "value": f"{URL}/{n}" if n % 5 == 0 else f"value {n}"} for n in range(20)
    ]
    endpoint = {"name": "AWS_ENDPOINT_URL", "value": URL}
    containers = [{"name": f"c{n}", "image": image, "env": [endpoint, *env[1:]]} for n in range(3)]
    metadata = {"name": "it"}
    spec = {"automountServiceAccountToken": False, "containers": containers}
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    model = {"modelFormat": {"name": "falaj-onnx"}, "storageUri": "sealed+s3://falaj-models/it/1"}
    yield {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": {"model": model}},
    }
    data = {f"V{number}_URL": f"{URL}/{number}" for number in range(20)}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    initializer = {"dataset": {"storageUri": "s3://falaj-curated/it"}}
    trainer = {"image": image, "env": [endpoint, *env[1:]]}
    yield {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {"runtimeRef": {"name": "it"}, "initializer": initializer, "trainer": trainer},
    }


@contextlib.contextmanager
def _filled(count: int) -> Iterator[Server]:
    """Run a control plane with objects in it and all policies in force."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        access = stack.enter_context(control_plane.running(build.folder(os.environ), folder))
        loading.load(access, crds.chosen(os.environ))
        server = Server(access)
        metadata = {"name": WITH, "labels": {LABEL: LAW}}
        server.create("/api/v1/namespaces", {"metadata": metadata})
        for number in range(count):
            thing = {"metadata": {"name": f"there-{number}"}, "data": {"number": str(number)}}
            server.create("/api/v1/namespaces/default/configmaps", thing)
        _in_force(server)
        yield server


def _in_force(server: Server) -> None:
    for profile in profiles.all_by_name().values():
        server.create(f"/apis/{profiles.API_VERSION}/residencyprofiles", profile)
    root = f"/apis/{policies.ADMISSION}/validatingadmissionpolic"
    for policy in rules.policies():
        server.create(f"{root}ies", policies.admission(policy))
        for bound in (policies.binding(policy, LAW), policies.strictest(policy, LAW)):
            server.create(f"{root}ybindings", bound)
    until = time.monotonic() + _SECONDS
    for thing in objects():
        abroad = json.loads(json.dumps(thing).replace("me-central-1", "eu-west-1").replace(
            "s3://falaj", "gs://falaj"))  # fmt: skip
        while server.send("POST", _where(thing, WITH), abroad)[0] == 201:
            assert time.monotonic() < until, f"{thing['kind']}: no policy refuses it"
            time.sleep(0.5)


def _where(thing: Thing, namespace: str) -> str:
    return f"{_PATHS[thing['kind']].format(namespace)}?dryRun=All"


def _line(kind: str, took: Mapping[str, list[float]]) -> str:
    of = {name: [times[int(len(times) * part)] for part in (0.5, 0.99)] for name, times in
          took.items()}  # fmt: skip
    added = [more - less for more, less in zip(of[WITH], of[WITHOUT], strict=True)]
    return kind.ljust(17) + "".join(
        f"{middle:8.2f}{high:8.2f}" for middle, high in (of[WITHOUT], of[WITH], added)
    )


if __name__ == "__main__":
    sys.exit(main())
