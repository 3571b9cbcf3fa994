"""What a run does: its steps, their order, images, code, arguments, Secrets and pods."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from components.foundation import digests
from pipelines.diff.change import Change, gone_and_new
from pipelines.ir import Compiled

_LONGEST = 80  # characters of what is shown
_KEYS = {"secretAsEnv": "variables", "secretAsVolume": "files"}
_SPOKEN = {
    "securityContext": "security context",
    "nodeSelector": "node selector",
    "podMetadata": "labels or annotations",
    "imagePullSecret": "image pull secrets",
    "imagePullPolicy": "image pull policy",
    "activeDeadlineSeconds": "timeout",
    "emptyDirMounts": "empty folders",
    "genericEphemeralVolume": "volumes of its own",
    "nodeAffinity": "node affinity",
    "pvcMount": "volume claims",
    "configMapAsEnv": "variables from ConfigMaps",
    "configMapAsVolume": "files from ConfigMaps",
    "fieldPathAsEnv": "variables of its pod",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A task of a pipeline with all that it runs with."""

    task: Mapping[str, Any]
    container: Mapping[str, Any]
    pod: Mapping[str, Any]
    after: frozenset[str]
    importer: Mapping[str, Any]

    @property
    def code(self) -> digests.Digest:
        """What is run, without the image it is run in."""
        return digests.of_json([self.container.get("command"), self.container.get("args")])

    @property
    def secrets(self) -> Mapping[str, str]:
        """Each Secret, as what -> in which ways: keys, paths, and whether it has to be there."""
        ways: dict[str, list[str]] = {}
        for kind, how in _KEYS.items():
            for one in self.pod.get(kind, []):
                name = one.get("secretName", "given at run time")
                ways.setdefault(f"{name} as {how}", []).append(digests.of_json(one).short)
        return {name: " ".join(sorted(each)) for name, each in ways.items()}

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is worth a word when it is another."""
        retries, cached = self.task.get("retryPolicy", {}), self.task.get("cachingOptions", {})
        starts = self.task.get("triggerPolicy", {})
        spoken = {word: self.pod.get(kind) for kind, word in _SPOKEN.items()}
        unspoken = {kind: self.pod[kind] for kind in self.pod.keys() - {*_SPOKEN, *_KEYS}}
        return {
            "condition": starts.get("condition"),
            "start": starts.get("strategy"),
            "cached": cached.get("enableCache", False),
            "retries": retries.get("maxRetryCount", 0),
            "waiting between retries": {**retries, "maxRetryCount": None} if retries else None,
            "loop": self.task.get("parameterIterator") or self.task.get("artifactIterator"),
            "turns at one time": self.task.get("iteratorPolicy", {}).get("parallelismLimit"),
            "import": self.importer,
            "variables": self.container.get("env"),
            **self._resources,
            **spoken,
            **unspoken,
        }

    @property
    def _resources(self) -> Mapping[str, Any]:
        said = self.container.get("resources", {})
        device = said.get("accelerator", {})
        amounts = {
            f"{kind} {end}": said.get(f"resource{kind.title()}{end.title()}")
            for kind in ("cpu", "memory")
            for end in ("request", "limit")
        }
        devices = f"{device.get('resourceCount')} {device.get('resourceType')}" if device else None
        return {**amounts, "accelerators": devices}


def changes(before: Compiled, after: Compiled) -> Iterator[Change]:
    """Yield what is different for a run; none of it breaks who calls the pipeline."""
    old, new = dict(steps(before)), dict(steps(after))
    yield from map(Change, gone_and_new(old, new, gone="the step is gone:", new="the step is new:"))
    both = [name for name in old if name in new]
    whose: dict[str, list[str]] = {}
    for name in both:
        for what in _words(old[name], new[name], both=set(both)):
            whose.setdefault(what, []).append(name)
    yield from (Change(f"{_who(names, of=len(both))}: {what}") for what, names in whose.items())


def _who(names: list[str], *, of: int) -> str:
    """Name the steps of one change; a site's change is one of all of them."""
    if len(names) == of > 1:
        return "every step"
    return f"step {names[0]}" if len(names) == 1 else f"steps {', '.join(names)}"


def steps(compiled: Compiled, dag: str = "root", path: str = "") -> Iterator[tuple[str, Step]]:
    """Yield each step by its title; inside of a condition or loop, by the way to it."""
    tasks = dict(compiled.dags())[dag].get("dag", {}).get("tasks", {})
    titles = _titles(tasks)
    for key, task in tasks.items():
        name = f"{path}{titles[key]}"
        after = (f"{path}{titles[one]}" for one in task.get("dependentTasks", []))
        yield name, _made(compiled, task, frozenset(after))
        inner = compiled.spec["components"].get(task["componentRef"]["name"], {})
        if "dag" in inner:
            yield from steps(compiled, task["componentRef"]["name"], f"{name} / ")


def _titles(tasks: Mapping[str, Any]) -> Mapping[str, str]:
    """Name tasks as people see them: kfp's own names are numbered anew when one is put between."""
    shown = {key: task.get("taskInfo", {}).get("name", key) for key, task in tasks.items()}
    times = Counter(shown.values())
    return {key: title if times[title] == 1 else key for key, title in shown.items()}


def _made(compiled: Compiled, task: Mapping[str, Any], after: frozenset[str]) -> Step:
    component = compiled.spec["components"].get(task["componentRef"]["name"], {})
    executor = component.get("executorLabel", "")
    made = compiled.spec.get("deploymentSpec", {}).get("executors", {}).get(executor, {})
    pod = dict(compiled.pods()).get(executor, {})
    return Step(task, made.get("container", {}), pod, after, made.get("importer", {}))


def _words(old: Step, new: Step, *, both: Set[str]) -> Iterator[str]:
    """Yield in words how a step is not what it was."""
    before, after = old.container.get("image"), new.container.get("image")
    if before != after:
        yield f"image {before} -> {after}"
    if old.code != new.code:
        yield "runs other code"
    wait = {"gone": "no longer waits for", "new": "now waits for"}
    yield from gone_and_new(old.after & both, new.after & both, **wait)
    given = ("is no longer given", "is now given", "is given another")
    yield from _entries(_given(old.task), _given(new.task), given)
    reads = ("no longer reads Secret", "now reads Secret", "reads otherwise Secret")
    yield from _entries(old.secrets, new.secrets, reads)
    yield from _facts(old.facts, new.facts)


def _entries(
    old: Mapping[str, str], new: Mapping[str, str], said: tuple[str, str, str]
) -> Iterator[str]:
    """Yield in words which entries are gone, new or of another value."""
    gone, added, other = said
    yield from gone_and_new(old, new, gone=gone, new=added)
    yield from (
        f"{other} {name}" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]
    )


def _facts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for word in (*new, *(word for word in old if word not in new)):
        was, now = old.get(word), new.get(word)
        if was != now and isinstance(was or now, dict | list):
            yield f"other {word}"
        elif was != now:
            yield f"{word} {_shown(was)} -> {_shown(now)}"


def _given(task: Mapping[str, Any]) -> Mapping[str, str]:
    """Return each argument of a task -> where it comes from."""
    inputs = task.get("inputs", {})
    given = {**inputs.get("parameters", {}), **inputs.get("artifacts", {})}
    return {name: _source(argument) for name, argument in given.items()}


def _source(argument: Mapping[str, Any]) -> str:
    """Say where an argument comes from, without the numbers of tasks, which say nothing."""
    for kind in ("taskOutputParameter", "taskOutputArtifact"):
        if kind in argument:
            return str({k: v for k, v in argument[kind].items() if k != "producerTask"})
    return str(argument)


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
