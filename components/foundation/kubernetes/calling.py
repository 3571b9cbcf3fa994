"""One call of the Kubernetes API: sent, tried again by the rules, read or followed.

The client gives who we are, TLS and its pool of connections. What it has above those differs from
release to release (`call_api`, `request`, what they raise), so nothing of it is used.
"""

import contextlib
import dataclasses
import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation.kubernetes import failures
from components.foundation.kubernetes.failures import Answered, translated
from components.foundation.kubernetes.resources import Resource
from components.foundation.kubernetes.retries import Retries

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Manifest = dict[str, Any]
Query = list[tuple[str, str]]

JSON = "application/json"
_CONNECT_S, _ANSWER_S = 5, 30
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked.

    Attributes:
        what: the same for people.
        needs: the right that it takes.
        accept: in which form the answer is wanted.
    """

    verb: str
    path: str
    what: str
    needs: str
    body: Manifest | None = None
    query: Query = dataclasses.field(default_factory=list)
    content: str = JSON
    accept: str = JSON

    @classmethod
    def on(
        cls, verb: str, resource: Resource, namespace: str, name: str | None = None, **more: Any
    ) -> "Call":
        """Return a call on one object, or on the collection when no name is given."""
        what = f"{verb} {resource.kind} {namespace}/{name or ''}".rstrip("/")
        needs = f"{_rights(verb)} on {resource.plural}.{resource.group}".rstrip(".")
        return cls(verb, resource.path(namespace, name), what, needs, **more)


def ask(api: "ApiClient", call: Call, retries: Retries) -> Manifest:
    """Send a call and read the answer; every failure is one of our errors."""
    with translated(call.what, call.needs):
        answer = retries.run(call.verb, lambda: _send(api, call, _ANSWER_S))
    return failures.document(call.what, answer.data)


@contextlib.contextmanager
def following(
    api: "ApiClient", call: Call, retries: Retries, *, seconds: float
) -> Iterator[Iterator[Manifest]]:
    """Send a call whose answer goes on; give its JSON lines as they come.

    They end when the server ends them, and where the connection is cut or silent for `seconds`:
    what came only in part is left out.
    """
    with translated(call.what, call.needs):
        answer = retries.run(call.verb, lambda: _send(api, call, seconds, whole=False))
    try:
        yield _documents(call.what, answer)
    finally:
        answer.close()


def _send(api: "ApiClient", call: Call, seconds: float, *, whole: bool = True) -> Any:
    import urllib3

    query = f"?{urllib.parse.urlencode(call.query)}" if call.query else ""
    answer = api.rest_client.pool_manager.request(
        call.verb,
        f"{api.configuration.host}{call.path}{query}",
        body=None if call.body is None else json.dumps(call.body).encode(),
        headers=_headers(api, call),
        timeout=urllib3.Timeout(connect=_CONNECT_S, read=seconds),
        retries=False,  # urllib3's own know nothing of what may be sent twice
        preload_content=whole,
    )
    if answer.status >= 300:
        raise Answered(answer.status, dict(answer.headers), answer.data)
    return answer


def _headers(api: "ApiClient", call: Call) -> dict[str, str]:
    """Say who we are and what we send; tokens that are due are read anew by the client."""
    told = {**api.default_headers, "Accept": call.accept, "Content-Type": call.content}
    token = api.configuration.auth_settings().get("BearerToken", {}).get("value")
    return {**told, "Authorization": token} if token else told


def _documents(what: str, answer: Any) -> Iterator[Manifest]:
    import urllib3.exceptions

    rest = b""
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
        for chunk in answer.stream(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (failures.document(what, line) for line in lines if line)
    with contextlib.suppress(ValueError):  # an answer in one piece has no end of line
        if rest:
            yield json.loads(rest)


def _rights(verb: str) -> str:
    return {"PATCH": "patch and create", "PUT": "update", "POST": "create"}.get(verb, verb.lower())
