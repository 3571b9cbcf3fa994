"""Ask `denials` about every InferenceService of a namespace, as KServe's webhook is asked."""

import base64
import contextlib
import http.server
import json
import pathlib
import ssl
import threading
from collections.abc import Iterator

from components.foundation.kubernetes.client import Manifest
from tests.cluster.ground.identities import Authority
from tests.cluster.standin.api import Api, ClusterWide
from tests.cluster.standin.denials import denial

NAME = "inferenceservice.kserve-webhook-server.validator"
_HOOK = ClusterWide(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
)


@contextlib.contextmanager
def serving(api: Api, folder: pathlib.Path) -> Iterator[None]:
    """Deny until the block ends."""
    authority = Authority()
    certificate, key = authority.server().write(folder, "webhook")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{server.server_address[1]}/validate"
        hook = _configuration(url, authority.certificate, api.namespace)
        api.post(_HOOK, hook)
        try:
            yield
        finally:
            api.delete(_HOOK, hook["metadata"]["name"])
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        request = asked["request"]
        why = denial(request["object"], request.get("oldObject"))
        answer = {"uid": request["uid"], "allowed": not why}
        if why:
            answer["status"] = {"message": why, "code": 403}
        content = json.dumps({**asked, "response": answer}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _configuration(url: str, authority: bytes, namespace: str) -> Manifest:
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "apiVersions": ["v1beta1"],
        "resources": ["inferenceservices"],
        "operations": ["CREATE", "UPDATE"],
    }
    return {
        "apiVersion": _HOOK.api_version,
        "kind": _HOOK.kind,
        "metadata": {"name": f"standin-{namespace}"},
        "webhooks": [
            {
                "name": NAME,
                "rules": [rule],
                "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
