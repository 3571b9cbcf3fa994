"""KFP's REST contract, from its own description or from the kfp-server-api wheel made of it.

`KFP_API` names the description, a Swagger 2.0 file; without it, the wheel's operations are called
with a recorder in the place of its transport, and its models and docstrings say the rest. Either
way a field that KFP only gives is refused in a request, and one that it requires is required.
"""

import functools
import inspect
import json
import os
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import kfp_server_api

Schema = dict[str, Any]

_GIVEN_BY_KFP = re.compile(r"^Output\b")
_REQUIRED = re.compile(r"^(Required input|Input\. Required)\b")


@dataclass(frozen=True)
class Operation:
    """One thing that the API does."""

    method: str
    path: str
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None
    files: frozenset[str] = frozenset()
    answer: Schema = field(default_factory=dict)

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"(\{[^}]+\})", self.path)
        return re.compile(
            "".join("[^/:]+" if part.startswith("{") else re.escape(part) for part in parts)
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Contract:
    """All operations, and what their bodies are made of: as given, and as asked."""

    source: str
    operations: tuple[Operation, ...]
    given: Mapping[str, Schema]
    asked: Mapping[str, Schema]

    def operation(self, method: str, path: str) -> Operation | None:
        """Find the operation of a request; a path without variables goes first."""
        fits = [
            one for one in self.operations if one.method == method and one.pattern.fullmatch(path)
        ]
        return min(fits, key=lambda one: one.path.count("{"), default=None)

    def complaints(self, value: Any, schema: Schema, *, asked: bool) -> list[str]:
        """Say how a body departs from its schema."""
        whole = {**schema, "definitions": self.asked if asked else self.given}
        found = jsonschema.Draft202012Validator(whole).iter_errors(value)
        return [f"{'.'.join(map(str, one.path)) or 'body'}: {one.message[:300]}" for one in found]


@functools.cache
def read() -> Contract:
    """Read the contract that is at hand."""
    path = os.environ.get("KFP_API")
    return described(pathlib.Path(path)) if path else of_wheel()


# from KFP's description


def described(path: pathlib.Path) -> Contract:
    whole = json.loads(path.read_text())
    operations = tuple(
        _operation(method.upper(), at, said)
        for at, methods in whole["paths"].items()
        for method, said in methods.items()
    )
    definitions = whole["definitions"]
    return Contract(
        str(path),
        operations,
        {name: _closed(schema) for name, schema in definitions.items()},
        {name: _as_asked(_closed(schema)) for name, schema in definitions.items()},
    )


def _operation(method: str, path: str, said: Mapping[str, Any]) -> Operation:
    by = {
        place: [one for one in said.get("parameters", []) if one["in"] == place]
        for place in ("query", "body", "formData")
    }
    body = next((_as_asked(_closed(one["schema"])) for one in by["body"]), None)
    if body and method == "PATCH":  # which says what is another, and no more
        body = {**body, "required": []}
    return Operation(
        method,
        path,
        {one["name"]: {"type": one["type"]} for one in by["query"]},
        body,
        frozenset(one["name"] for one in by["formData"]),
        _closed(said["responses"]["200"].get("schema", {})),
    )


def _closed(schema: Any) -> Any:
    """Refuse fields that a schema does not name, at every depth."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"], "description": schema.get("description", "")}
    closed = {name: _closed(value) for name, value in schema.items()}
    if "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed


def _as_asked(schema: Schema) -> Schema:
    """Take away what KFP gives, and require what it requires."""
    fields = schema.get("properties")
    if not fields:
        return schema
    said = {name: _said(one) for name, one in fields.items()}
    ours = {name: one for name, one in fields.items() if not _GIVEN_BY_KFP.search(said[name])}
    required = [name for name in ours if _REQUIRED.search(said[name])]
    return {**schema, "properties": ours, "required": required}


def _said(schema: Any) -> str:
    return str(schema.get("description") or schema.get("title") or "")


# from the wheel

_PLAIN: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": {"type": "string"},
    "object": {},
}
_MAP, _LIST = re.compile(r"dict\(str, (.+)\)"), re.compile(r"list\[(.+)\]")


class _Recorder:
    """Stands in the place of the wheel's transport and keeps what it was called with."""

    client_side_validation = False

    def select_header_accept(self, kinds: list[str]) -> str:
        return kinds[0]

    def select_header_content_type(self, kinds: list[str]) -> str:
        return kinds[0]

    def call_api(self, path: str, method: str, *parts: Any, **named: Any) -> None:
        self.call = {"path": path, "method": method, "query": parts[1], **named}


def of_wheel() -> Contract:
    models = {
        name: model
        for name, model in vars(kfp_server_api.models).items()
        if inspect.isclass(model) and hasattr(model, "openapi_types")
    }
    given = {name: _model(model) for name, model in models.items()}
    asked = {name: _as_asked(schema) for name, schema in given.items()}
    source = f"the wheel kfp-server-api {kfp_server_api.__version__}"
    return Contract(source, tuple(calls().values()), given, asked)


def calls() -> dict[str, Operation]:
    """Call every operation of the wheel once, with the names of its parameters as values."""
    services = [one for name, one in vars(kfp_server_api).items() if name.endswith("ServiceApi")]
    return {
        name.removesuffix("_with_http_info"): _record(service, name, call)
        for service in services
        for name, call in inspect.getmembers(service, inspect.isfunction)
        if name.endswith("_with_http_info")
    }


def _record(service: Any, name: str, call: Any) -> Operation:
    types = dict(re.findall(r":type (\w+): (\S+)", call.__doc__ or ""))
    ours = {one: kind for one, kind in types.items() if one[0] != "_" and one != "async_req"}
    recorder = _Recorder()
    getattr(service(recorder), name)(**{one: one for one in ours})
    said = recorder.call
    query = {where: _PLAIN.get(ours[value], _PLAIN["str"]) for where, value in said["query"]}
    body = said["body"] and _type(ours[said["body"]])
    if (
        said["method"] == "PATCH"
    ):  # the wheel calls these bodies `object`: KFP describes them inline
        body = {}
    answer = _type(said["response_type"])
    return Operation(said["method"], said["path"], query, body, frozenset(said["files"]), answer)


def _model(model: Any) -> Schema:
    values = getattr(model, "allowable_values", None)
    if values:
        return {"type": "string", "enum": values}
    properties = {
        model.attribute_map[name]: {**_type(kind), "description": _documented(model, name)}
        for name, kind in model.openapi_types.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _documented(model: Any, name: str) -> str:
    lines = inspect.cleandoc(getattr(model, name).__doc__ or "").splitlines()
    return next((line for line in lines[1:] if line.strip()), "")


def _type(kind: str) -> Schema:
    if found := _MAP.fullmatch(kind):
        return {"type": "object", "additionalProperties": _type(found[1])}
    if found := _LIST.fullmatch(kind):
        return {"type": "array", "items": _type(found[1])}
    return dict(_PLAIN[kind]) if kind in _PLAIN else {"$ref": f"#/definitions/{kind}"}
