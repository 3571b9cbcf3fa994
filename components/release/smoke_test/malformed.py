"""Requests that no client should send, and what the server has to answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.release.smoke_test.process import Answer, Client

_TELLING = (b"Traceback", b".py", b"onnx", b"torch", b"tensorflow", b"site-packages")


@dataclass(frozen=True, slots=True)
class Malformed:
    """One such request."""

    name: str
    wanted: int
    body: bytes = b""
    method: str = "POST"
    path: str = ""
    kind: str = "application/json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the server met it."""

    name: str
    wanted: int
    got: int
    leaks: bool

    @property
    def good(self) -> bool:
        return self.got == self.wanted and not self.leaks


def outcomes(client: Client, good: bytes, infer: str, *, hidden: str) -> list[Outcome]:
    """Send each malformed variant of a good request; no answer may hold the hidden text."""
    return [_outcome(client, case, infer, hidden.encode()) for case in _cases(good)]


def _outcome(client: Client, case: Malformed, infer: str, hidden: bytes) -> Outcome:
    answer = client.send(case.method, case.path or infer, case.body or None, case.kind)
    return Outcome(case.name, case.wanted, answer.status, _leaks(answer, hidden))


def _leaks(answer: Answer, hidden: bytes) -> bool:
    """Say whether an answer is more than one plain error, or speaks of internals."""
    try:
        value = answer.json()
    except ValueError:
        return True
    plain = isinstance(value, dict) and list(value) == ["error"] and isinstance(value["error"], str)
    return not plain or any(word in answer.body for word in (hidden, *_TELLING))


def _cases(good: bytes) -> Iterator[Malformed]:
    yield Malformed("no JSON", 400, b"{'inputs': ]")
    yield Malformed("empty body", 400, b" ")
    yield Malformed("no object", 400, b"[1, 2]")
    yield Malformed("no inputs", 400, b"{}")
    yield Malformed("an unknown input", 400, _changed(good, name="no_such_input"))
    yield Malformed("a missing input", 400, _without_first(good))
    yield Malformed("another datatype", 400, _changed(good, datatype="BYTES"))
    yield Malformed("another shape", 400, _changed(good, shape=[1, 7]))
    yield Malformed("a wrong count", 400, _changed(good, data=[1, 2, 3]))
    yield Malformed("text for numbers", 400, _changed(good, data=["1; DROP TABLE"]))
    yield Malformed("another method", 405, method="GET")
    yield Malformed("another content type", 415, good, kind="text/csv")
    yield Malformed("an unknown model", 404, good, path="/v2/models/no-such-model/infer")


def _changed(good: bytes, **change: Any) -> bytes:
    value = json.loads(good)
    value["inputs"][0].update(change)
    return json.dumps(value).encode()


def _without_first(good: bytes) -> bytes:
    value = json.loads(good)
    del value["inputs"][0]
    return json.dumps(value).encode()
