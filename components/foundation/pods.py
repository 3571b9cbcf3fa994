"""What a site gives the pods of steps beyond what every step has: GPUs, volumes, Secrets, nodes.

A site file says it for every step, for the steps of an image family, or for one step. What is
said more closely wins; lists and maps add up.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import pydantic

# By these labels KFP finds its pods, and network policies say who may reach whom.
_SELECTED = {"app", "component", "k8s-app"}
_SELECTED_BELOW = {
    "app.kubernetes.io", "gateway.networking.k8s.io", "pipeline", "pipelines.kubeflow.org",
}  # fmt: skip
# Not k, which kfp does not read, nor K, of which KFP's driver ends: Kubernetes does not know it.
_DECIMAL = {"": 1, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGTPE", start=1)}
_UNITS = {**_DECIMAL, **_BINARY}

# Digits and letters are named, for \d and \w are those of every script.
_DOMAIN = r"(?=.{1,253}(?:/|$))[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_CPU = re.compile(r"[0-9]+(\.[0-9]+)?|[0-9]+m")
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(" + "|".join(_UNITS) + ")")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OBJECT = re.compile(_DOMAIN)
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(f"({_NAME})?")
_KEY = re.compile(f"({_DOMAIN}/)?{_NAME}")
_RESOURCE = re.compile(f"{_DOMAIN}/{_NAME}")
_PATH = re.compile(r"(/(?!\.\.?(/|$))[^/:\s]+)+")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_ENTRY = re.compile(r"(?!\.\.)[-A-Za-z0-9_.]{1,253}")


def cores(text: str) -> float | None:
    """Return how many cores a quantity names, or None when it is none, as kfp reads it."""
    if not _CPU.fullmatch(text):
        return None
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def size(text: str) -> float | None:
    """Return how many bytes a quantity names, or None when kfp or Kubernetes takes it for none."""
    found = _MEMORY.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found else None


def is_object_name(text: str) -> bool:
    return bool(_OBJECT.fullmatch(text))


def is_volume_name(text: str) -> bool:
    return bool(_LABEL.fullmatch(text))


def is_environment_name(text: str) -> bool:
    return bool(_ENVIRONMENT.fullmatch(text))


def is_label_value(text: str) -> bool:
    return bool(_VALUE.fullmatch(text))


def is_key(text: str) -> bool:
    """Say whether a text may be the key of a label, an annotation, a taint or a node selector."""
    return bool(_KEY.fullmatch(text))


def is_selected(key: str) -> bool:
    """Say whether KFP or a network policy knows pods by a label."""
    return key in _SELECTED or ("/" in key and key.partition("/")[0] in _SELECTED_BELOW)


def is_accelerator(text: str) -> bool:
    return bool(_RESOURCE.fullmatch(text))


def is_path(text: str) -> bool:
    """Say whether something can be mounted there: absolute, no way up, no colon."""
    return bool(_PATH.fullmatch(text))


def is_inside(text: str) -> bool:
    """Say whether a path stays inside of a volume: relative, no way up."""
    return text == "" or is_path(f"/{text}")


def is_entry(text: str) -> bool:
    """Say whether a text may be the key of an entry of a Secret or ConfigMap."""
    return bool(_ENTRY.fullmatch(text)) and text != "."


def is_match(operator: str, values: Sequence[str]) -> bool:
    """Say whether an operator of node affinity can have these values."""
    match operator:
        case "In" | "NotIn":
            return len(values) > 0
        case "Exists" | "DoesNotExist":
            return not values
        case "Gt" | "Lt":
            return len(values) == 1 and bool(_WHOLE.fullmatch(values[0]))
    return False


def _text(good: Callable[[str], object], expected: str) -> pydantic.AfterValidator:
    def check(value: str) -> str:
        if not good(value):
            raise ValueError(f"got {value!r}; expected {expected}")
        return value

    return pydantic.AfterValidator(check)


def _written(value: Any) -> Any:
    """Take a plain number for what it says; Kubernetes does."""
    return str(value) if type(value) in {int, float} else value


def _not_root(value: int) -> int:
    if value < 1:
        raise ValueError(f"got {value}; expected 1 or more: no step of ours is root")
    return value


_LOWER = "lower-case letters, digits and '-', beginning and ending with none"
Cpu = Annotated[
    str, pydantic.BeforeValidator(_written), _text(cores, "cores such as 2, 0.5 or 500m")
]
Memory = Annotated[str, _text(size, "bytes such as 4G or 512Mi")]
ObjectName = Annotated[str, _text(is_object_name, f"the name of an object: {_LOWER}")]
Namespace = Annotated[str, _text(is_volume_name, f"a namespace's name, 63 at most: {_LOWER}")]
VolumeName = Annotated[str, _text(is_volume_name, f"a volume's name, 63 at most: {_LOWER}")]
VariableName = Annotated[str, _text(is_environment_name, "a variable's name such as TOKEN")]
LabelValue = Annotated[str, _text(is_label_value, "63 at most of letters, digits, '-', '_', '.'")]
Key = Annotated[str, _text(is_key, "a key such as team or example.com/team")]
Resource = Annotated[str, _text(is_accelerator, "a device's resource such as nvidia.com/gpu")]
MountPath = Annotated[str, _text(is_path, "an absolute path such as /mnt/data")]
SubPath = Annotated[str, _text(is_inside, "a path inside of the volume such as models/encoders")]
EntryKey = Annotated[str, _text(is_entry, "a key such as tls.crt: letters, digits, '-', '_', '.'")]
NotRoot = Annotated[int, pydantic.AfterValidator(_not_root)]
Positive = Annotated[int, pydantic.Field(ge=1)]
Weight = Annotated[int, pydantic.Field(ge=1, le=100)]
AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]
Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
# What a pod knows of itself, but for its labels and annotations: what these say nobody judges.
PodField = Literal[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Accelerator(_Strict):
    """Devices of one type, as the nodes' device plugin calls them."""

    type: Resource
    count: Positive = 1


class Use(_Strict):
    """A Secret or ConfigMap that a step reads, as variables (its key -> variable) or as files."""

    name: ObjectName
    env: dict[EntryKey, VariableName] = {}
    mount: MountPath | None = None
    optional: bool = False

    @pydantic.model_validator(mode="after")
    def _is_used_in_one_way(self) -> Self:
        if bool(self.env) == bool(self.mount):
            raise ValueError(f"{self.name}: give either env (key: VARIABLE) or mount (a path)")
        return self


class Claim(_Strict):
    """A PersistentVolumeClaim that is there already."""

    name: ObjectName
    mount: MountPath
    sub_path: SubPath = ""


class EmptyDirectory(_Strict):
    """A folder that lives as long as its pod: scratch on disk, or /dev/shm in memory."""

    name: VolumeName
    mount: MountPath
    medium: Literal["Memory"] | None = None
    size: Memory | None = None

    @pydantic.model_validator(mode="after")
    def _in_memory_has_a_size(self) -> Self:
        if self.medium and not self.size:
            raise ValueError(f"{self.name}: in memory without a size; it would eat its step's")
        return self


class EphemeralVolume(_Strict):
    """A volume that is claimed for one pod and deleted with it: scratch beyond a node's disk."""

    name: VolumeName
    mount: MountPath
    size: Memory
    access_modes: tuple[AccessMode, ...] = pydantic.Field(default=("ReadWriteOnce",), strict=False)
    storage_class: ObjectName | None = None
    labels: dict[Key, LabelValue] = {}
    annotations: dict[Key, str] = {}

    @pydantic.field_validator("access_modes")
    @classmethod
    def _some(cls, modes: tuple[str, ...]) -> tuple[str, ...]:
        if not modes:
            raise ValueError("got none; expected one such as ReadWriteOnce")
        return modes


class NodeMatch(_Strict):
    """What is asked of a node's label; with a weight it is a wish, without one a demand."""

    key: Key
    operator: Operator = "In"
    values: tuple[LabelValue, ...] = pydantic.Field(default=(), strict=False)
    weight: Weight | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_that_the_api_server_takes(self) -> Self:
        if not is_match(self.operator, self.values):
            wanted = {"In": "values", "NotIn": "values", "Gt": "one whole number as text",
                      "Lt": "one whole number as text"}.get(self.operator, "no values")  # fmt: skip
            raise ValueError(
                f"{self.key}: got {list(self.values)}; {self.operator} expects {wanted}"
            )
        return self


class Retries(_Strict):
    """How often a step that failed is run again, and how long is waited before."""

    times: Annotated[int, pydantic.Field(ge=0, le=100)]
    wait_s: Annotated[int, pydantic.Field(ge=0)] = 10
    factor: Annotated[float, pydantic.Field(ge=1, le=10, strict=False)] = 2.0
    longest_wait_s: Positive = 3600


class Toleration(_Strict):
    """A taint of nodes that a step bears."""

    key: Key | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: Positive | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_that_the_api_server_takes(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"{self.key}: Exists has no value; remove it, or say Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("a toleration without a key bears every taint; say operator: Exists")
        if self.seconds and self.effect != "NoExecute":
            raise ValueError(f"{self.key}: seconds are for the effect NoExecute")
        return self


class Identity(_Strict):
    """Who a step's process is; never root."""

    user: NotRoot = 65532
    group: NotRoot = 65532


class Pod(_Strict):
    """What the pod of a step gets; what is left out stays as the pipeline has it."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    cpu_request: Cpu | None = None
    memory_request: Memory | None = None
    accelerator: Accelerator | None = None
    security: Identity | None = None
    timeout_s: Positive | None = None
    retries: Retries | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    secrets: tuple[Use, ...] = pydantic.Field(default=(), strict=False)
    config_maps: tuple[Use, ...] = pydantic.Field(default=(), strict=False)
    claims: tuple[Claim, ...] = pydantic.Field(default=(), strict=False)
    empty_dirs: tuple[EmptyDirectory, ...] = pydantic.Field(default=(), strict=False)
    ephemeral_volumes: tuple[EphemeralVolume, ...] = pydantic.Field(default=(), strict=False)
    node_affinity: tuple[NodeMatch, ...] = pydantic.Field(default=(), strict=False)
    tolerations: tuple[Toleration, ...] = pydantic.Field(default=(), strict=False)
    image_pull_secrets: tuple[ObjectName, ...] = pydantic.Field(default=(), strict=False)
    node_selector: dict[Key, LabelValue] = {}
    fields: dict[VariableName, PodField] = {}
    labels: dict[Key, LabelValue] = {}
    annotations: dict[Key, str] = {}

    @pydantic.field_validator("labels")
    @classmethod
    def _select_nothing(cls, labels: dict[str, str]) -> dict[str, str]:
        for key in labels:
            if is_selected(key):
                raise ValueError(
                    f"{key}: by it KFP or a network policy knows pods; name a label of your own"
                )
        return labels

    def over(self, wider: Self) -> Self:
        """Return what holds where both are said: mine wins, lists and maps add up."""
        both = {name: _joined(getattr(wider, name), mine) for name, mine in self}
        return self.model_copy(update=both)


def _joined(wider: Any, mine: Any) -> Any:
    match mine:
        case tuple():
            return wider + tuple(one for one in mine if one not in wider)
        case dict():
            return {**wider, **mine}
        case None:
            return wider
        case _:
            return mine


class Pods(_Strict):
    """What a site says of the pods of steps, from the widest to the closest."""

    every: Pod = Pod()
    families: dict[str, Pod] = {}
    steps: dict[str, Pod] = {}

    def of(self, step: str, *, family: str) -> Pod:
        """Return what the pod of one step gets."""
        wide = self.families.get(family, Pod()).over(self.every)
        return self.steps.get(step, Pod()).over(wide)

    def said(self) -> Mapping[str, Pod]:
        """Return each place where something is said -> what."""
        families = {f"families.{name}": pod for name, pod in self.families.items()}
        steps = {f"steps.{name}": pod for name, pod in self.steps.items()}
        return {"every": self.every, **families, **steps}
