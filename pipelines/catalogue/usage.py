"""How a pipeline of the worked example uses a component, read from the compiled pipeline."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.digests import whole

_WIDTH = 72
_CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['pipelinechannel--([\w-]+)'\]\}\}")


@dataclass(frozen=True, slots=True)
class Usage:
    """One task: which pipeline has it, and what it is given."""

    pipeline: str
    component: str
    given: Mapping[str, str]  # input -> Python source

    def call(self, order: Iterable[str]) -> str:
        """Write the call as it would stand in a pipeline, inputs in this order."""
        lines = [f"    {name}={self.given[name]}" for name in order if name in self.given]
        return "\n".join([f"task = {self.component}(", *lines, ")"])


def first_uses(pipelines: Mapping[str, Any]) -> dict[str, Usage]:
    """Return component -> its first use, looking through compiled pipelines in order."""
    found: dict[str, Usage] = {}
    for name, pipeline in pipelines.items():
        for usage in _uses(name, pipeline):
            found.setdefault(usage.component, usage)
    return found


def _uses(name: str, pipeline: Any) -> Iterator[Usage]:
    from google.protobuf.json_format import MessageToDict

    spec = MessageToDict(pipeline.pipeline_spec)
    for _, task in sorted(spec["root"]["dag"]["tasks"].items()):
        inputs = task.get("inputs", {})
        given = {**inputs.get("artifacts", {}), **inputs.get("parameters", {})}
        function = _function(spec, spec["components"][task["componentRef"]["name"]])
        yield Usage(name, function, {key: _source(value) for key, value in given.items()})


def _function(spec: Mapping[str, Any], component: Mapping[str, Any]) -> str:
    executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
    arguments: list[str] = executor["container"]["args"]
    return arguments[arguments.index("--function_to_execute") + 1]


def _source(value: Mapping[str, Any]) -> str:
    """Write where a value comes from (another task, the pipeline, or itself) and a comma."""
    match value:
        case {"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}:
            return _output(task, key)
        case {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}:
            return _output(task, key)
        case {"componentInputParameter": parameter}:
            return f"{parameter},"
        case _:
            return _constant(value.get("runtimeValue", {}).get("constant"))


def _output(task: str, key: str) -> str:
    return f'{task.replace("-", "_")}.outputs["{key}"],'


def _constant(value: object) -> str:
    """Write a constant on one line; of what is long, its beginning and how long it is."""
    match value:
        case str() if "\n" in value:
            return f"...,  # {value.strip().splitlines()[0].lstrip('-# ')[:_WIDTH].rstrip()}"
        case [first, second, *rest] if len(rest) > 1:
            return f"[{_python(first)}, {_python(second)}, ...],  # {len(value)} in all"
        case _:
            text = _python(value)
            return f"{text}," if len(text) <= _WIDTH else f"...,  # {text[:_WIDTH].rstrip()}"


def _python(value: object) -> str:
    """Write a value as JSON does; a task's output within it in angle brackets."""
    return _CHANNEL.sub(r"<\1>", json.dumps(whole(value), ensure_ascii=False, sort_keys=True))
