"""What is said of pods that KFP compiles in silence and a cluster refuses, or takes amiss."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from components.foundation import pods
from pipelines.ir import Compiled
from pipelines.linter.finding import Finding

Settings = Mapping[str, Any]

# Where KFP's launcher mounts folders of its own in every step.
LAUNCHERS = ("/gcs", "/s3", "/minio", "/kfp-launcher", "/.local", "/.cache", "/.config")
_RUN_TIME = "{{$."  # a placeholder: its value comes when the pipeline runs


def quantity(compiled: Compiled) -> Iterator[Finding]:
    """Find amounts that are none, and requests beyond their limits."""
    for step, resources in _resources(compiled):
        for what, do in (*_amiss(resources, "cpu"), *_amiss(resources, "memory")):
            yield Finding("quantity", compiled.at(step), what, do)
    for step, name, said in _sizes(compiled):
        if said and pods.size(said) is None:
            what = f"the size {said!r} of {name} is no amount"
            yield Finding("quantity", compiled.at(step), what, "write one such as 2Gi")


def _sizes(compiled: Compiled) -> Iterator[tuple[str, str, str]]:
    """Yield each step, volume and the size that is said of it."""
    for step, settings in compiled.pods():
        for one in settings.get("emptyDirMounts", []):
            yield step, one["volumeName"], one.get("sizeLimit", "")
        for one in settings.get("genericEphemeralVolume", []):
            yield step, one["volumeName"], one.get("size", "")


def _amiss(resources: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the cpu or memory of a step, and what to do."""
    read, such = (pods.cores, "2 or 500m") if kind == "cpu" else (pods.size, "4G")
    amounts = {}
    for end in ("Request", "Limit"):
        text = resources.get(f"resource{kind.title()}{end}", "")
        amounts[end] = read(text)
        if text and amounts[end] is None and _RUN_TIME not in text:
            yield f"the {kind} {end.lower()} {text!r} is no amount", f"write one such as {such}"
    request, limit = amounts["Request"], amounts["Limit"]
    if request is not None and limit is not None and request > limit:
        yield f"asks for more {kind} than its limit", f"lower {kind}_request, or raise {kind}"


def accelerator(compiled: Compiled) -> Iterator[Finding]:
    """Find devices without a type, or of one that no device plugin has."""
    for step, resources in _resources(compiled):
        device = resources.get("accelerator")
        kind = device.get("resourceType", device.get("type", "")) if device else _RUN_TIME
        if not (_RUN_TIME in kind or pods.is_accelerator(kind)):
            of = f"of the type {kind!r}" if kind else "without a type"
            do = "name the resource as the nodes' device plugin does, such as nvidia.com/gpu"
            yield Finding("accelerator", compiled.at(step), f"a limit of accelerators {of}", do)


def mounted_twice(compiled: Compiled) -> Iterator[Finding]:
    """Find paths that two volumes would have, that KFP mounts its own at, or that are none."""
    for step, settings in compiled.pods():
        paths = Counter(one["mountPath"] for one in _volumes(settings) if "mountPath" in one)
        for path, times in paths.items():
            if wrong := _path_amiss(path, times):
                yield Finding("mounted-twice", compiled.at(step), *wrong)


def _path_amiss(path: str, times: int) -> tuple[str, str] | None:
    if not pods.is_path(path):
        return (
            f"mounts something at {path!r}",
            "use an absolute path, without '..' or '/' at its end",
        )
    if any(path == one or path.startswith(f"{one}/") for one in LAUNCHERS):
        return f"mounts something at {path}, where KFP does", "use another path"
    if times > 1:
        return f"mounts {times} volumes at {path}", "give each a path of its own"
    return None


def variable_twice(compiled: Compiled) -> Iterator[Finding]:
    """Find variables that are set twice: the last wins, and nobody is told."""
    plain = {where.rpartition(".")[2]: one.get("env", []) for where, one in compiled.containers()}
    for step, settings in compiled.pods():
        names = Counter([*_variables(settings), *(one["name"] for one in plain.get(step, []))])
        for name in (name for name, times in names.items() if times > 1):
            what = f"sets {name} {names[name]} times"
            yield Finding("variable-twice", compiled.at(step), what, "remove all but one")


def memory_volume(compiled: Compiled) -> Iterator[Finding]:
    """Find folders in memory without a size, or as large as all of their step's memory."""
    resources = dict(_resources(compiled))
    for step, one in _folders(compiled):
        limit = pods.size(resources.get(step, {}).get("resourceMemoryLimit", ""))
        said = one.get("sizeLimit", "")
        where = compiled.at(step, one["volumeName"])
        if one.get("medium") == "Memory" and not said:
            what = "is a folder in memory without a size"
            yield Finding("memory-volume", where, what, "say its size, such as 2Gi")
        elif one.get("medium") == "Memory" and limit and (pods.size(said) or 0) >= limit:
            what = f"may take {said} of memory, all that its step has"
            yield Finding("memory-volume", where, what, "raise memory, or lower the size")


def runs_as_root(compiled: Compiled) -> Iterator[Finding]:
    """Find steps that may be user 0, which the namespace refuses."""
    for step, settings in compiled.pods():
        context = settings.get("securityContext", {})
        if str(context.get("runAsUser", "1")) == "0" or context.get("runAsNonRoot") is False:
            what = "may run as root, which the namespace refuses"
            yield Finding("runs-as-root", compiled.at(step), what, "name a user above 0")


def toleration(compiled: Compiled) -> Iterator[Finding]:
    """Find tolerations that the API server refuses."""
    for step, settings in compiled.pods():
        for one in settings.get("tolerations", []):
            if "tolerationJson" not in one and (wrong := _toleration_amiss(one)):
                yield Finding("toleration", compiled.at(step), *wrong)


def affinity(compiled: Compiled) -> Iterator[Finding]:
    """Find demands on nodes that the API server refuses, and several of which any one is enough."""
    for step, settings in compiled.pods():
        terms = [one for one in settings.get("nodeAffinity", []) if "nodeAffinityJson" not in one]
        for one in (match for term in terms for match in term.get("matchExpressions", [])):
            operator, values = one.get("operator", ""), one.get("values", [])
            if not pods.is_match(operator, values):
                what = f"asks that {one.get('key')!r} is {operator} of {values}"
                do = "give In and NotIn values, Gt and Lt one number, Exists and DoesNotExist none"
                yield Finding("affinity", compiled.at(step), what, do)
        if sum("weight" not in term for term in terms) > 1:
            what = "makes several demands on its node, of which any one is enough"
            yield Finding("affinity", compiled.at(step), what, "say them in one call")


def _toleration_amiss(one: Mapping[str, Any]) -> tuple[str, str] | None:
    key, exists = one.get("key", ""), one.get("operator") == "Exists"
    if exists and one.get("value"):
        return f"tolerates {key!r} with Exists and a value", "remove the value"
    if not exists and not key:
        return "tolerates a taint without a key", "name the key, or say Exists"
    if "tolerationSeconds" in one and one.get("effect") != "NoExecute":
        return f"tolerates {key!r} for a time", "say the effect NoExecute"
    return None


def _folders(compiled: Compiled) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each folder that lives as long as its pod, and whose it is."""
    for step, settings in compiled.pods():
        yield from ((step, one) for one in settings.get("emptyDirMounts", []))


def _resources(compiled: Compiled) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for where, container in compiled.containers():
        yield where.rpartition(".")[2], container.get("resources", {})


def _volumes(settings: Settings) -> Iterator[Mapping[str, Any]]:
    for kind in ("secretAsVolume", "configMapAsVolume", "pvcMount", "emptyDirMounts",
                 "genericEphemeralVolume"):  # fmt: skip
        yield from settings.get(kind, [])


def _variables(settings: Settings) -> Iterator[str]:
    for kind in ("secretAsEnv", "configMapAsEnv"):
        for one in settings.get(kind, []):
            yield from (pair["envVar"] for pair in one.get("keyToEnv", []))
    yield from (one["name"] for one in settings.get("fieldPathAsEnv", []))
