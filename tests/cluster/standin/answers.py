"""What pods and Prometheus would answer: kwok's pods take no requests.

A server for the names of Services: it answers for what the ready pods behind a Service were
told to serve. And a page of counters: each time it is asked for, a model has had a few more
requests, split as its route says. Nothing is served or measured here.
"""

import contextlib
import http.server
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import DEPLOYMENT, HTTP_ROUTE, Resource
from tests.cluster.standin.api import Api
from tests.cluster.standin.failures import SOURCE_URI
from tests.cluster.standin.knative import KSERVICE, REVISION
from tests.cluster.standin.workloads import SERVICE

_POD = Resource("v1", "Pod", "pods")
_A_LOOK = 100  # requests that a model has between two looks at its counters


@dataclass
class Answers:
    """What there is to answer in one namespace."""

    api: Api
    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def ready(self, service: str, path: str) -> bool:
        """Say whether a pod behind a Service serves this version of this model.

        `path` is that of the Open Inference Protocol, /v2/models/MODEL/versions/VERSION/ready.
        """
        found = self.api.find(SERVICE, service)
        selector = found["spec"]["selector"] if found else {"app": "nothing"}
        pods = self.api.list(_POD, labels=selector)
        return any(_is_ready(pod) and path == _path(pod) for pod in pods)

    def page(self, model: str) -> str:
        """Return the counters of a model in Prometheus' format, after a few more requests."""
        for version, share in self._split(model).items():
            requests = _A_LOOK * share // 100
            errors = requests * int(version[10:]) // 100
            self.counts[model, version, 500] += errors
            self.counts[model, version, 200] += requests - errors
        lines = ["# TYPE inference_requests_total counter"]
        for (named, version, code), count in self.counts.items():
            labels = f'model="{named}",version="{version}",code="{code}"'
            lines += [f"inference_requests_total{{{labels}}} {count}"] if named == model else []
        return "\n".join(lines) + "\n"

    def _split(self, model: str) -> dict[str, int]:
        """Return the percent of each version, as a route or a Knative Service has it."""
        route = self.api.find(HTTP_ROUTE, model)
        service = self.api.find(KSERVICE, f"{model}-predictor")
        shares = Counter[str]()
        for one in route["spec"]["rules"][0].get("backendRefs", []) if route else []:
            pods = self.api.find(DEPLOYMENT, one["name"])
            shares[_version(pods["spec"]["template"] if pods else {})] += one.get("weight", 100)
        for one in (service or {}).get("status", {}).get("traffic", []):
            shares[_version(self.api.get(REVISION, one["revisionName"]))] += one["percent"]
        return {version: share for version, share in shares.items() if version}


def _version(template: Manifest) -> str:
    """Return what is served: nothing where there are no pods."""
    told = template.get("metadata", {}).get("annotations", {}).get(SOURCE_URI, "")
    return str(told).rpartition("/")[2]


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _path(pod: Manifest) -> str:
    """Return what a pod would say yes to: its last word on the model's name counts."""
    words = pod["spec"]["containers"][0]["args"]
    names = [word.partition("=")[2] for word in words if word.startswith("--model_name=")]
    version = pod["metadata"]["annotations"].get(SOURCE_URI, "").rpartition("/")[2]
    return f"/v2/models/{names[-1]}/versions/{version}/ready"


@contextlib.contextmanager
def answering(answers: Answers) -> Iterator[int]:
    """Answer on a loopback port, given to the block, until it ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            content = b""
            if url.path == "/federate":
                [wanted, *_] = urllib.parse.parse_qs(url.query)["match[]"]
                content = answers.page(wanted.split('"')[1]).encode()
            service = str(self.headers["host"]).partition(".")[0]
            found = bool(content) or answers.ready(service, url.path)
            self.send_response(200 if found else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
