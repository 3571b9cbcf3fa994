"""A stand-in for KFP's API: a real HTTP server that holds both sides to the contract.

It is not KFP: it keeps names in memory, starts nothing, and a run goes where its script says. What
it does keep is the contract (each request and each answer against the description), KFP's rules
of names (a pipeline, a version and an experiment have theirs once; runs and schedules do not),
and its rule that only an installation for several users has namespaces.
"""

import contextlib
import http.server
import itertools
import json
import pathlib
import ssl
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any

from tests.pipelines.kubeflow import contract
from tests.pipelines.kubeflow.contract import Operation

Thing = dict[str, Any]
PREFIX = "/pipeline"  # as behind the gateway of a whole Kubeflow
_ID = "00000000-0000-0000-0000-{:012d}"
_THEN = "2026-01-02T03:04:05Z"
_CODES = {400: 3, 404: 5, 409: 6}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Fault:
    """What goes wrong with the next requests of a method whose path ends so.

    Attributes:
        status: answered instead; 0 answers nothing and cuts the connection.
        after: only once the request was done.
        body: and its content type: what the answer is, where it is no status of KFP's.
        then: done when it goes wrong, such as to kill who asked.
    """

    method: str
    end: str
    status: int = 0
    after: bool = False
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: tuple[str, str] = ("", "application/json")
    then: Callable[[], object] = lambda: None

    def hits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method == method and path.endswith(self.end)


@dataclass
class Request:
    """A request that was held to the contract."""

    operation: Operation
    path: str
    query: dict[str, str]
    body: Any
    headers: Message

    @property
    def parts(self) -> list[str]:
        return self.path.removeprefix("/apis/v2beta1/").split("/")


class Standin:
    """What KFP holds, who may ask, and what was asked."""

    def __init__(self, *, several_users: bool = False, secret: str = "", page: int = 100) -> None:
        self.contract = contract.read()
        self.several_users = several_users
        self.secret = secret
        self.page = page
        self.things: dict[str, list[Thing]] = {
            kind: [] for kind in ("pipelines", "versions", "experiments", "runs", "recurringruns")
        }
        self.keeps_tags = True  # as from 2.17 on
        self.uploads: dict[str, str] = {}
        self.script: list[Thing] = [{"state": "SUCCEEDED"}]
        self.faults: list[Fault] = []
        self.seen: Counter[str] = Counter()
        self.headers: list[Message] = []
        self.breaches: list[str] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    # the contract

    def take(self, method: str, target: str, headers: Message, content: bytes) -> Request:
        """Hold a request to the contract; a breach is kept, so that a test can see it."""
        split = urllib.parse.urlsplit(target)
        path = urllib.parse.unquote(split.path.removeprefix(PREFIX))
        operation = self.contract.operation(method, path)
        if not split.path.startswith(PREFIX) or operation is None:
            raise self._breach(f"{method} {split.path}: no such operation")
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        for name in query:
            if name not in operation.query:
                raise self._breach(f"{operation}: no such query parameter: {name}")
        body = self._body(operation, headers, content)
        self.seen[str(operation)] += 1
        self.headers.append(headers)
        return Request(operation, path, query, body, headers)

    def _body(self, operation: Operation, headers: Message, content: bytes) -> Any:
        if operation.files:
            files = _files(headers, content)
            if set(files) != operation.files:
                raise self._breach(
                    f"{operation}: expected {set(operation.files)}, got {set(files)}"
                )
            return files
        if operation.body is None:
            if content:
                raise self._breach(f"{operation}: takes no body")
            return None
        body = json.loads(content)
        for one in self.contract.complaints(body, operation.body, asked=True):
            raise self._breach(f"{operation}: {one}")
        return body

    def hold(self, operation: Operation, answer: Any) -> None:
        """Hold our own answer to the contract."""
        for one in self.contract.complaints(answer, operation.answer, asked=False):
            raise self._breach(f"answer to {operation}: {one}")

    def _breach(self, what: str) -> Refusal:
        self.breaches.append(what)
        return Refusal(400, what)

    # what KFP does

    def answer(self, request: Request) -> Any:
        """Do what was asked, one thing after the other."""
        with self._lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Any:
        match request.operation.method, request.parts:
            case "GET", ["healthz"]:
                return {"multi_user": self.several_users, "pipeline_store": "database"}
            case "GET", ["pipelines", "names", name]:
                return self._one("pipelines", "name", name)
            case "GET", ["pipelines", pipeline, "versions"]:
                found = [one for one in self.things["versions"] if one["pipeline_id"] == pipeline]
                return self._list(request, "pipeline_versions", found)
            case "GET", [("experiments" | "recurringruns" | "runs") as kind]:
                self._hold_namespace(request.query.get("namespace"))
                name = {"recurringruns": "recurringRuns"}.get(kind, kind)
                return self._list(request, name, self._under(request, kind))
            case "GET", ["runs", run]:
                return self._went_on(self._one("runs", "run_id", run))
            case "PATCH", ["pipelines", _, "versions", version]:
                return self._retagged(version, request.body)
            case "POST", ["pipelines", "upload_version"]:
                return self._uploaded(request)
            case "POST", [("pipelines" | "experiments") as kind]:
                self._hold_namespace(request.body.get("namespace"))
                return self._named(kind, request.body)
            case "POST", [("runs" | "recurringruns") as kind]:
                return self._started(kind, request.body)
            case ("POST" | "DELETE") as method, ["recurringruns", which]:
                return self._changed(method, *which.partition(":")[::2])
        raise Refusal(501, f"the stand-in does not know {request.operation}")

    def _named(self, kind: str, body: Thing) -> Thing:
        """Make what has a name once."""
        key = "name" if kind == "pipelines" else "display_name"
        if any(one[key] == body[key] for one in self.things[kind]):
            raise Refusal(409, f"{kind} {body[key]}: exists")
        id_field = {"pipelines": "pipeline_id", "experiments": "experiment_id"}[kind]
        state = {"storage_state": "AVAILABLE"} if kind == "experiments" else {}
        return self._keep(kind, {id_field: self._id(), **body, **state})

    def _uploaded(self, request: Request) -> Thing:
        query = request.query
        self._one("pipelines", "pipeline_id", query["pipelineid"])
        for one in self.things["versions"]:
            if (one["pipeline_id"], one["name"]) == (query["pipelineid"], query["name"]):
                raise Refusal(409, "Failed to create a pipeline version")
        made = self._keep(
            "versions",
            {
                "pipeline_id": query["pipelineid"],
                "pipeline_version_id": self._id(),
                "name": query["name"],
                "display_name": query["display_name"],
                "description": query["description"],
                "tags": json.loads(query.get("tags", "{}")),
            },
        )
        self.uploads[made["pipeline_version_id"]] = request.body["uploadfile"]
        return made

    def _retagged(self, version: str, body: Thing) -> Thing:
        """Change what may change of a version; tags take the place of all that it had."""
        if not self.keeps_tags:
            raise Refusal(501, "Method Not Allowed")
        if len(body["tags"]) > 20:
            raise Refusal(400, "at most 20 tags")
        found = self._one("versions", "pipeline_version_id", version)
        found["tags"] = dict(body["tags"])
        return found

    def _started(self, kind: str, body: Thing) -> Thing:
        self._one("experiments", "experiment_id", body["experiment_id"])
        if kind == "runs":
            return self._keep(kind, {"run_id": self._id(), **body, "state": "PENDING"})
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[body["mode"]]
        return self._keep(kind, {"recurring_run_id": self._id(), **body, "status": status})

    def _changed(self, method: str, id: str, verb: str) -> Thing:
        found = self._one("recurringruns", "recurring_run_id", id)
        if method == "DELETE":
            self.things["recurringruns"].remove(found)
        else:
            found["status"] = f"{verb}d".upper()
        return {}

    def _went_on(self, run: Thing) -> Thing:
        """Bring a run to the next state of the script; it stays in the last."""
        run |= self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return run

    def _keep(self, kind: str, thing: Thing) -> Thing:
        self.things[kind].append({**thing, "created_at": _THEN})
        return self.things[kind][-1]

    def _one(self, kind: str, key: str, value: str) -> Thing:
        for one in self.things[kind]:
            if one[key] == value:
                return one
        raise Refusal(404, f"{kind} {value}: not found")

    def _under(self, request: Request, kind: str) -> list[Thing]:
        under = request.query.get("experiment_id")
        return [one for one in self.things[kind] if under in (None, one.get("experiment_id"))]

    def _list(self, request: Request, name: str, found: list[Thing]) -> Thing:
        query = request.query
        if "filter" in query:
            found = [one for one in found if self._fits(one, json.loads(query["filter"]))]
        if query.get("sort_by", "").endswith(" desc"):
            found = found[::-1]
        start = int(query.get("page_token") or 0)
        end = start + min(int(query.get("page_size", 10)), self.page)
        more = {"next_page_token": str(end)} if end < len(found) else {}
        return {name: found[start:end], "total_size": len(found), **more}

    def _fits(self, thing: Thing, filter: Thing) -> bool:
        ref = next(name for name in self.contract.asked if name.lower() == "v2beta1filter")
        schema = {"$ref": f"#/definitions/{ref}"}
        for one in self.contract.complaints(filter, schema, asked=True):
            raise self._breach(f"filter: {one}")
        return all(thing.get(one["key"]) == one["string_value"] for one in filter["predicates"])

    def _hold_namespace(self, namespace: str | None) -> None:
        if self.several_users and not namespace:
            raise Refusal(400, "Namespace is empty")
        if namespace and not self.several_users:
            raise Refusal(400, "In single-user mode, a namespace is not allowed")

    def _id(self) -> str:
        return _ID.format(next(self._ids))


def _files(headers: Message, content: bytes) -> dict[str, str]:
    """Read a form of files: name -> content."""
    kind = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser().parsebytes(kind + content)
    found = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        name = str(part.get_param("name", header="content-disposition"))
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found[name] = payload.decode()
    return found


def _handler(standin: Standin) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urllib.parse.urlsplit(self.path).path
            fault = next((f for f in standin.faults if f.hits(self.command, path)), None)
            if fault:
                fault.times -= 1
            if fault and not fault.after:
                self.fail(fault)
                return
            self.well(content, fault)

        do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815 - http.server calls these

        def well(self, content: bytes, fault: Fault | None) -> None:
            try:
                self.known()
                request = standin.take(self.command, self.path, self.headers, content)
                answer = standin.answer(request)
                standin.hold(request.operation, answer)
            except Refusal as refusal:
                code = _CODES.get(refusal.status, 2)
                body = json.dumps({"code": code, "message": str(refusal), "details": []})
                self.reply(refusal.status, body)
                return
            if fault:
                self.fail(fault)
                return
            self.reply(200, json.dumps(answer))

        def known(self) -> None:
            sent = (self.headers.get("Authorization", ""), self.headers.get("Cookie", ""))
            if standin.secret and standin.secret not in sent:
                raise Refusal(401, "Unauthenticated")

        def fail(self, fault: Fault) -> None:
            fault.then()
            if fault.status == 0:
                self.close_connection = True
                self.connection.close()
                return
            text, kind = fault.body
            text = text or json.dumps({"code": 14, "message": "no healthy upstream"})
            self.reply(fault.status, text, kind, fault.headers)

        def reply(
            self,
            status: int,
            text: str,
            kind: str = "application/json",
            headers: dict[str, str] | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing; a test sees what was asked in `seen`."""

    return Handler


@contextlib.contextmanager
def serving(
    standin: Standin, certificate: tuple[pathlib.Path, pathlib.Path] | None = None
) -> Iterator[str]:
    """Serve on a free port of loopback; yield the address that a site would name."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(standin))
    server.daemon_threads = True
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        server.server_close()
