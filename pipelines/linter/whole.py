"""What steps run, and what a whole pipeline tells to whoever sees it."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from components.face import images
from pipelines.ir import Compiled
from pipelines.linter.finding import Finding

SIZE_LIMIT = 256 * 1024  # etcd refuses objects beyond 1.5 MiB; Argo repeats specs in its own

_GAP = r"[\s\"',\[\]]+"
_PIP = re.compile(
    rf"\b(pip3?|uv|conda|apt(-get)?)\b({_GAP}(pip\b|-[\w=-]+))*{_GAP}install\b|\bensurepip\b"
)
_DIGEST = re.compile(r"^[^\s@]+@sha256:[0-9a-f]{64}$")
_SECRET_NAME = re.compile(
    r"(passw(or)?d|passphrase|secret|credentials?|(api|access|private|signing)_?key|"
    r"(?<!page_)(?<!next_)(?<!stop_)(?<!bos_)(?<!eos_)(?<!pad_)token)$",
    re.I,
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\beyJ[\w-]+\.eyJ[\w-]+\.|"
    r"\bgh[pousr]_\w{20,}|\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"
)
_STORE_WITH_QUERY = re.compile(r"^(s3|gs|minio)://\S*\?\S+=")


def pip_at_start(compiled: Compiled) -> Iterator[Finding]:
    """Find steps that install something when they start."""
    for where, container in compiled.containers():
        words = [*container.get("command", []), *container.get("args", [])]
        if found := _PIP.search(" ".join(_without_words(str(word)) for word in words)):
            yield Finding(
                "pip-at-start",
                where,
                f"installs when it starts ({found.group(0)!r})",
                "put the package in the image; use @component of components.face",
            )


def floating_image(compiled: Compiled) -> Iterator[Finding]:
    """Find images without a digest: what runs could change."""
    for where, container in compiled.containers():
        image = container.get("image", "")
        if not _DIGEST.match(image):
            yield Finding(
                "floating-image",
                where,
                f"image {image!r} has no digest, so what runs can change",
                "name it repository@sha256:... as components/images.yaml does",
            )


def unlocked_image(compiled: Compiled) -> Iterator[Finding]:
    """Find images that are not in `components/images.yaml`."""
    locked = set(images().values())
    for where, container in compiled.containers():
        image = container.get("image", "")
        if _DIGEST.match(image) and image not in locked:
            yield Finding(
                "unlocked-image",
                where,
                f"image {image} is not in the lock",
                "use an image family of components/images.yaml, or add one there",
            )


def size_budget(compiled: Compiled) -> Iterator[Finding]:
    """Find files beyond 256 KiB, with which Argo comes near what etcd takes."""
    if compiled.size > SIZE_LIMIT:
        yield Finding(
            "size-budget",
            compiled.name,
            f"{compiled.size:,} bytes, {SIZE_LIMIT:,} allowed",
            "split the pipeline, or pass large texts by reference",
        )


def secret_default(compiled: Compiled) -> Iterator[Finding]:
    """Find what looks like a secret in a default, a constant or a variable."""
    for path, name, value in _texts(compiled):
        if value.startswith("{{$."):  # it comes when the pipeline runs
            continue
        if _SECRET_VALUE.search(value) or (value and _SECRET_NAME.search(name)):
            yield Finding(
                "secret-default",
                compiled.at(path),
                f"{name!r} holds what looks like a secret, readable by all who see the pipeline",
                "leave it empty and mount a Kubernetes Secret",
            )


def root_with_query(compiled: Compiled) -> Iterator[Finding]:
    """Find addresses with a query, with which KFP ignores its provider settings."""
    root = compiled.spec.get("defaultPipelineRoot", "")
    texts = [("defaultPipelineRoot", root)] if re.search("[?#]", root) else []
    texts += [
        (path, value) for path, _, value in _texts(compiled) if _STORE_WITH_QUERY.match(value)
    ]
    for path, value in texts:
        yield Finding(
            "root-with-query",
            compiled.at(path),
            f"{value!r} has a query string; with one, KFP ignores its provider settings and "
            "follows the address's own endpoint",
            "remove everything from '?' on",
        )


def _without_words(text: str) -> str:
    """Drop what a component's source says to people: comments, docstrings and errors."""
    if "import kfp" not in text:
        return text
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                node.value = ast.Constant(value="")
            case ast.Raise():
                node.exc = node.cause = None
    return ast.unparse(tree)


def _texts(compiled: Compiled) -> Iterator[tuple[str, str, str]]:
    """Yield (path, name, text) of every text in a default, a constant or a variable."""
    for path, name, value in _constants(compiled):
        yield from _below(path, name, value)


def _below(path: str, name: str, value: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the texts in a value; one in a list has the list's name."""
    match value:
        case str():
            yield path, name, value
        case dict():
            for key, inner in value.items():
                yield from _below(f"{path}.{key}", key, inner)
        case list():
            for inner in value:
                yield from _below(path, name, inner)


def _constants(compiled: Compiled) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, name, value) of every default, constant argument and variable."""
    parts = [("root", compiled.spec["root"]), *compiled.spec.get("components", {}).items()]
    for where, part in parts:
        for name, one in part.get("inputDefinitions", {}).get("parameters", {}).items():
            yield f"{where}.{name}", name, one.get("defaultValue")
    for where, dag in compiled.dags():
        for title, task in dag["dag"].get("tasks", {}).items():
            for name, one in task.get("inputs", {}).get("parameters", {}).items():
                yield f"{where}.{title}.{name}", name, one.get("runtimeValue", {}).get("constant")
    for where, container in compiled.containers():
        for one in container.get("env", []):
            yield f"{where}.{one['name']}", one["name"], one.get("value")
