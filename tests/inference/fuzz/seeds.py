"""Requests that are right, to be made wrong."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "echo"
DATATYPES = ("FP32", "INT64", "BOOL", "BYTES")
INFER = f"/v2/models/{MODEL}/infer"


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request before it is bytes."""

    method: str = "POST"
    target: str = INFER
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def wire(self, *, length: str | None = "") -> bytes:
        """Write it; `length` stands for content-length, None leaves that out."""
        shown = str(len(self.body)) if length == "" else length
        lines = [f"{self.method} {self.target} HTTP/1.1", "host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if shown is not None:
            lines.append(f"content-length: {shown}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


def inputs() -> list[dict[str, Any]]:
    """Return one tensor of each datatype, two rows of two."""
    data: dict[str, list[Any]] = {
        "FP32": [1.5, -2.0, 0.25, 3.0],
        "INT64": [1, -2, 3, 4],
        "BOOL": [True, False, True, True],
        "BYTES": ["a", "", "ü", "dd"],
    }
    return [
        {"name": f"in_{kind}", "datatype": kind, "shape": [2, 2], "data": data[kind]}
        for kind in DATATYPES
    ]


def document() -> dict[str, Any]:
    """Return a request of the v2 protocol as a value."""
    outputs = [{"name": f"out_{kind}"} for kind in DATATYPES]
    return {"id": "r-1", "parameters": {"p": 1}, "inputs": inputs(), "outputs": outputs}


def as_json(value: Any) -> Message:
    """Send a value as JSON."""
    body = json.dumps(value).encode("utf-8", "surrogatepass")
    return Message(headers={"content-type": "application/json"}, body=body)


def instances() -> dict[str, Any]:
    """Return a request of the v1 protocol as a value."""
    row = {"in_FP32": [1.5, 2.0], "in_INT64": [1, 2], "in_BOOL": [True, False]}
    return {"instances": [{**row, "in_BYTES": ["a", "b"]}] * 2}


def binary(value: dict[str, Any] | None = None, *, header: str | None = None) -> Message:
    """Send the numbers as bytes behind the JSON; `header` stands for where they begin."""
    contents = {
        "FP32": struct.pack("<4f", 1.5, -2.0, 0.25, 3.0),
        "INT64": struct.pack("<4q", 1, -2, 3, 4),
        "BOOL": bytes([1, 0, 1, 1]),
        "BYTES": b"".join(struct.pack("<I", len(b)) + b for b in (b"a", b"", "ü".encode(), b"dd")),
    }
    if value is None:
        value = document()
        for tensor in value["inputs"]:
            del tensor["data"]
            size = len(contents[tensor["datatype"]])
            tensor["parameters"] = {"binary_data_size": size}
        for output in value["outputs"]:
            output["parameters"] = {"binary_data": True}
    head = json.dumps(value).encode("utf-8", "surrogatepass")
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)) if header is None else header,
    }
    return Message(headers=headers, body=head + b"".join(contents.values()))
