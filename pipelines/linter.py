"""Find in compiled pipelines what KFP accepts and a cluster, or an auditor, will not.

Each rule is a function from a compiled file to findings; `lint` runs them all.
"""

import ast
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import yaml

from components.face import images
from components.foundation.errors import UserError

SIZE_LIMIT = 256 * 1024  # etcd refuses objects beyond 1.5 MiB; Argo repeats specs in its own

_PIP = re.compile(
    r"\b(pip3?|uv|conda|apt-get)\b[\s\"',\[\]]+(pip[\s\"',]+)?install\b|\bensurepip\b"
)
_DIGEST = re.compile(r"^[^\s@]+@sha256:[0-9a-f]{64}$")
_OBJECT_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
_PIPELINE_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_ENVIRONMENT_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
_SECRET_NAME = re.compile(
    r"(passw(or)?d|passphrase|secret|token|credential|(api|access|private|signing)_?key)$", re.I
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\beyJ[\w-]+\.eyJ[\w-]+\.|"
    r"\bgh[pousr]_\w{20,}|^[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@"
)
_STORE_WITH_QUERY = re.compile(r"^(s3|gs|minio)://[^\s]*[?#]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change: which rule, where in which file, what is there, what to do."""

    rule: str
    where: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.do} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled file, parsed: the specification and what is particular to Kubernetes."""

    name: str
    spec: Mapping[str, Any]
    platforms: Mapping[str, Any]
    size: int
    locked: frozenset[str] = field(default_factory=lambda: frozenset(images().values()))

    @classmethod
    def read(cls, source: pathlib.Path | Mapping[str, Any]) -> Self:
        """Read a file, or take its content; raises UserError when it is no compiled pipeline."""
        if isinstance(source, pathlib.Path):
            name, text = str(source), source.read_text(encoding="utf-8")
            documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]
        else:
            name, text, documents = "pipeline", json.dumps(source), [dict(source)]
        whole: dict[str, Any] = {key: value for one in documents for key, value in one.items()}
        if "pipelineInfo" not in whole or "root" not in whole:
            raise UserError(
                f"{name}: not a compiled pipeline; expected pipelineInfo and root",
                code="pipeline-malformed",
            )
        return cls(name, whole, whole.get("platforms", {}), len(text.encode()))

    def at(self, *path: str) -> str:
        return f"{self.name} {'.'.join(path)}"

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield where each container is, and the container."""
        executors = self.spec.get("deploymentSpec", {}).get("executors", {})
        for name, executor in executors.items():
            if "container" in executor:
                yield self.at("executors", name), executor["container"]

    def dags(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the root and every component that has tasks of its own."""
        yield "root", self.spec["root"]
        for name, component in self.spec.get("components", {}).items():
            if "dag" in component:
                yield name, component


Rule = Callable[[Compiled], Iterator[Finding]]


def lint(source: pathlib.Path | Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with a compiled pipeline or component; nothing is good."""
    compiled = Compiled.read(source)
    return [finding for rule in RULES for finding in rule(compiled)]


def pip_at_start(compiled: Compiled) -> Iterator[Finding]:
    for where, container in compiled.containers():
        words = [*container.get("command", []), *container.get("args", [])]
        for word in words:
            if found := _PIP.search(_without_documentation(str(word))):
                yield Finding(
                    "pip-at-start",
                    where,
                    f"installs when it starts ({found.group(0)!r})",
                    "put the package in the image; use @component of components.face",
                )
                break


def floating_image(compiled: Compiled) -> Iterator[Finding]:
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
    for where, container in compiled.containers():
        image = container.get("image", "")
        if _DIGEST.match(image) and image not in compiled.locked:
            yield Finding(
                "unlocked-image",
                where,
                f"image {image} is not in the lock",
                "use an image family of components/images.yaml, or add one there",
            )


def bare_condition(compiled: Compiled) -> Iterator[Finding]:
    """Find conditions on named outputs that kfp.local 2.17 takes for false without a word."""
    for name, task, outputs in _conditions(compiled, "root", {}):
        if outputs:
            yield Finding(
                "bare-condition",
                compiled.at(name, task),
                f"an If without Else on the named output {outputs[0]!r}; kfp.local skips it "
                "silently and the run succeeds",
                "add a dsl.Else, or let the task return one unnamed value",
            )


def kubernetes_name(compiled: Compiled) -> Iterator[Finding]:
    """Find names that KFP compiles and the API server refuses."""
    pipeline = compiled.spec["pipelineInfo"].get("name", "")
    checks = [("pipelineInfo.name", pipeline, _PIPELINE_NAME)]
    for path, text in _texts(compiled.platforms):
        if pattern := _pattern(path):
            checks.append((path, text, pattern))
    for path, text, pattern in dict.fromkeys(checks):
        if not pattern.match(text):
            yield Finding(
                "kubernetes-name",
                compiled.at(path),
                f"{text!r} is not a legal name there",
                "use lower-case letters, digits and '-', beginning and ending with no '-'"
                if pattern in {_OBJECT_NAME, _PIPELINE_NAME}
                else "use letters, digits and '_', not beginning with a digit; labels: 63 at most",
            )


def size_budget(compiled: Compiled) -> Iterator[Finding]:
    if compiled.size > SIZE_LIMIT:
        yield Finding(
            "size-budget",
            compiled.name,
            f"{compiled.size:,} bytes, {SIZE_LIMIT:,} allowed",
            "split the pipeline, or pass large texts by reference",
        )


def secret_default(compiled: Compiled) -> Iterator[Finding]:
    for path, name, value in _constants(compiled):
        if not isinstance(value, str) or not value:
            continue
        if _SECRET_VALUE.search(value) or _SECRET_NAME.search(name):
            yield Finding(
                "secret-default",
                compiled.at(path),
                f"{name!r} holds what looks like a secret, readable by all who see the pipeline",
                "leave it empty and mount a Kubernetes Secret",
            )


def root_with_query(compiled: Compiled) -> Iterator[Finding]:
    root = compiled.spec.get("defaultPipelineRoot", "")
    texts = [("defaultPipelineRoot", root)] if re.search("[?#]", root) else []
    texts += [
        (path, value)
        for path, _, value in _constants(compiled)
        if isinstance(value, str) and _STORE_WITH_QUERY.match(value)
    ]
    for path, value in texts:
        yield Finding(
            "root-with-query",
            compiled.at(path),
            f"{value!r} has a query string; with one, KFP ignores its provider settings and "
            "follows the address's own endpoint",
            "remove everything from '?' on",
        )


RULES: tuple[Rule, ...] = (
    pip_at_start,
    floating_image,
    unlocked_image,
    bare_condition,
    kubernetes_name,
    size_budget,
    secret_default,
    root_with_query,
)


def _without_documentation(text: str) -> str:
    """Drop comments and docstrings from a component's source, so that they may say pip."""
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
    return ast.unparse(tree)


def _conditions(
    compiled: Compiled, name: str, known: Mapping[str, str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each condition that has no Else, with the named outputs it looks at.

    Args:
        compiled: the pipeline.
        name: the component whose tasks are looked at.
        known: its input parameters that come from a named output -> that output's name.
    """
    component = compiled.spec["root"] if name == "root" else compiled.spec["components"][name]
    tasks = component.get("dag", {}).get("tasks", {})
    conditions = [task.get("triggerPolicy", {}).get("condition", "") for task in tasks.values()]
    has_else = "condition-branches" in name and any(_is_else(one) for one in conditions)
    for title, task in tasks.items():
        inputs = _named(task.get("inputs", {}).get("parameters", {}), known)
        condition = task.get("triggerPolicy", {}).get("condition", "")
        if condition and not has_else:
            yield name, title, [out for key, out in inputs.items() if f"'{key}'" in condition]
        yield from _conditions(compiled, task["componentRef"]["name"], inputs)


def _named(parameters: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Keep the parameters that come from a task's named output."""
    found = {}
    for name, source in parameters.items():
        output = source.get("taskOutputParameter", {}).get("outputParameterKey")
        output = output or known.get(source.get("componentInputParameter", ""))
        if output and output != "Output":
            found[name] = output
    return found


def _is_else(condition: str) -> bool:
    """Say whether a condition only denies: kfp writes an Else as !(a) && !(b)."""
    rest, depth = [], 0
    for before, character in zip(" " + condition, condition, strict=False):
        depth += character == "("
        if depth == 0 and not (character == "&" or character.isspace()):
            rest.append(character)
        if depth == 1 and character == "(" and before != "!":
            rest.append(character)
        depth -= character == ")"
    return bool(condition) and set(rest) <= {"!"}


def _texts(value: Any, path: str = "platforms") -> Iterator[tuple[str, str]]:
    """Yield every text below a value with its path."""
    match value:
        case str():
            yield path, value
        case dict():
            for name, inner in value.items():
                yield from _texts(inner, f"{path}.{name}")
        case list():
            for inner in value:
                yield from _texts(inner, path)


def _pattern(path: str) -> re.Pattern[str] | None:
    """Say what a text of the Kubernetes part must look like, by where it stands."""
    last = path.rpartition(".")[2]
    if last in {"secretName", "configMapName", "pvcName", "serviceAccountName"}:
        return _OBJECT_NAME
    if path.endswith("NameParameter.runtimeValue.constant"):
        return _OBJECT_NAME
    if last in {"envVar", "name"} and "Env" in path:
        return _ENVIRONMENT_NAME
    return _LABEL_VALUE if ".podMetadata.labels." in path else None


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
