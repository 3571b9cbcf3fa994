"""Pages are got once from where the user stands, and nothing is followed."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from components.foundation.errors import InfrastructureError
from components.governance.doctor import web
from tests.inference.processes import free_ports


class Pages(http.server.BaseHTTPRequestHandler):
    """Sends everybody elsewhere."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("location", "/login")
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"there")


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_that_leads_elsewhere_is_an_answer(address: str) -> None:
    page = web.fetch(f"{address}/x")

    assert (page.status, page.text) == (302, "there")


def test_nothing_that_answers_is_an_error_of_ours() -> None:
    [port] = free_ports(1)

    with pytest.raises(InfrastructureError, match=r"did not answer \(NewConnectionError\)"):
        web.fetch(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://prometheus-operated.monitoring.svc:9090", True),
        ("http://s3.kubeflow.svc.cluster.local", True),
        ("http://seaweedfs:9000", True),
        ("https://prometheus.falaj.example", False),
        ("http://localhost:9090", False),
        ("http://127.0.0.1:9090", False),
        ("http://[::1]:9090", False),
        ("https://s3.svcs.example", False),
    ],
)
def test_a_name_of_a_service_is_inside(url: str, inside: bool) -> None:
    assert web.is_inside(url) is inside
