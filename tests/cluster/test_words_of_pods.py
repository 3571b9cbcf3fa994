"""What a site may say of pods, a real API server takes; what it refuses, we refuse before."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

from components.foundation import pods
from tests.cluster.ground.clients import Access

Thing = dict[str, Any]
Write = Callable[[str], Thing]

IMAGE = f"registry.falaj.example/falaj/data@sha256:{'0' * 64}"
LONG = "a" * 64
DEMANDED = "requiredDuringSchedulingIgnoredDuringExecution"
CONTAINER: Thing = {"name": "main", "image": IMAGE}


def container(**said: Any) -> Thing:
    return {"containers": [{**CONTAINER, **said}]}


def folder(name: str, **said: Any) -> Thing:
    return {
        **container(volumeMounts=[{"name": name, "mountPath": "/mnt"}]),
        "volumes": [{"name": name, "emptyDir": said}],
    }


def sub_path(text: str) -> Thing:
    volume = {"name": "one", "persistentVolumeClaim": {"claimName": "a"}}
    mount = {"name": "one", "mountPath": "/mnt", "subPath": text}
    return {**container(volumeMounts=[mount]), "volumes": [volume]}


def matched(text: str) -> Thing:
    """A demand on a node's label, of a text such as "In a b"."""
    operator, *values = text.split()
    one = {"key": "k", "operator": operator, "values": values}
    terms = [{"matchExpressions": [one]}]
    return {**container(), "affinity": {"nodeAffinity": {DEMANDED: {"nodeSelectorTerms": terms}}}}


def field(text: str) -> Thing:
    return container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": text}}}])


def ephemeral(*, size: str = "1Gi", mode: str = "ReadWriteOnce", storage: str = "fast") -> Thing:
    claim = {
        "accessModes": [mode],
        "resources": {"requests": {"storage": size}},
        "storageClassName": storage,
    }
    volume = {"name": "one", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
    mounts = [{"name": "one", "mountPath": "/mnt"}]
    return {**container(volumeMounts=mounts), "volumes": [volume]}


def one_of(kind: object) -> Callable[[str], bool]:
    return lambda text: text in get_args(kind)


def secret(name: str) -> Thing:
    """The Secret itself: a pod that names one which cannot be waits for it for ever."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


def labelled(key: str, value: str) -> Thing:
    return {**container(), "labels": {key: value}}


# word -> where it stands in a pod, whether we take it, and texts of both kinds
WORDS: Mapping[str, tuple[Write, Callable[[str], object], list[str]]] = {
    "cores": (
        lambda text: container(resources={"limits": {"cpu": text}}),
        pods.cores,
        ["2", "0.5", "500m", "1.5m", "two", "2c", "-1", "\u0663"],
    ),
    "bytes": (
        lambda text: container(resources={"limits": {"memory": text}}),
        pods.size,
        ["512", "1.5G", "2Gi", "3k", "3K", "64Ki", "4GB", "4 G", "much", "-1G"],
    ),
    "size of a folder": (
        lambda text: folder("shm", medium="Memory", sizeLimit=text),
        pods.size,
        ["2Gi", "1.5G", "big"],
    ),
    "volume": (
        lambda text: folder(text),
        pods.is_volume_name,
        ["shm", "a-1", "a.b", "A", "a-", LONG],
    ),
    "object": (
        secret,
        pods.is_object_name,
        ["ca", "a.b-c", "UPPER_bad_name", "a_b", "-a", "a.", "a..b", "a.-b", "a" * 254],
    ),
    "variable": (
        lambda text: container(env=[{"name": text, "value": "x"}]),
        pods.is_environment_name,
        ["TOKEN", "_a1", "1a", "not=legal", ""],
    ),
    "label": (
        lambda text: labelled("key", text),
        pods.is_label_value,
        ["a", "", "A_1.b", "a b", "-a", "a-", LONG],
    ),
    "key": (
        lambda text: labelled(text, "a"),
        pods.is_key,
        [
            "team",
            "example.com/team",
            "A_b.c",
            "bad key",
            "a/",
            "/a",
            "a/b/c",
            "UPPER.com/a",
            "a..b/c",
            "t\u00e9am",
            LONG,
        ],
    ),
    "device": (
        lambda text: container(resources={"limits": {text: "1"}}),
        pods.is_accelerator,
        ["nvidia.com/gpu", "amd.com/gpu", "gpu", "nvidia.com/", "nvidia.com/g p", "a..b/gpu"],
    ),
    "path inside": (
        sub_path,
        pods.is_inside,
        ["", "models/encoders", "a b", "../a", "a/../b", "/a"],
    ),
    "entry": (
        lambda text: {**secret("a"), "data": {text: ""}},
        pods.is_entry,
        ["tls.crt", "A_b-c.1", ".hidden", "a b", ".", "..", "..a", "a/b", "a" * 254],
    ),
    "match": (
        matched,
        lambda text: pods.is_match(text.split()[0], text.split()[1:]),
        [
            "In a b",
            "NotIn a",
            "Exists",
            "DoesNotExist",
            "Gt 5",
            "In",
            "NotIn",
            "Exists a",
            "DoesNotExist a",
            "Gt",
            "Gt 1 2",
            "Has a",
        ],
    ),
    "field": (
        field,
        one_of(pods.PodField),
        [*get_args(pods.PodField), "spec.nodename", "metadata.generation"],
    ),
    "access": (
        lambda text: ephemeral(mode=text),
        one_of(pods.AccessMode),
        [*get_args(pods.AccessMode), "ReadOnce"],
    ),
    "class": (
        lambda text: ephemeral(storage=text),
        pods.is_object_name,
        ["fast", "a.b", "UPPER", "a b"],
    ),
    "size of a volume": (
        lambda text: ephemeral(size=text),
        pods.size,
        ["200Gi", "1.5G", "64K", "big"],
    ),
    "path": (
        lambda text: {
            **container(volumeMounts=[{"name": "one", "mountPath": text}]),
            "volumes": [{"name": "one", "emptyDir": {}}],
        },
        pods.is_path,
        ["/mnt/data", "/dev/shm", "/a:b", ""],  # noqa: S108 - where it is
    ),
}
# What the linter refuses of two settings together, and a pod that says it.
TOGETHER: Mapping[str, Thing] = {
    "request beyond limit": container(
        resources={"requests": {"memory": "4G"}, "limits": {"memory": "2Gi"}}
    ),
    "path twice": {
        **container(
            volumeMounts=[
                {"name": "one", "mountPath": "/mnt"},
                {"name": "two", "mountPath": "/mnt"},
            ]
        ),
        "volumes": [{"name": "one", "emptyDir": {}}, {"name": "two", "emptyDir": {}}],
    },
    "exists with a value": {
        **container(),
        "tolerations": [{"key": "k", "operator": "Exists", "value": "v"}],
    },
    "equal without a key": {**container(), "tolerations": [{"operator": "Equal", "value": "v"}]},
    "seconds without an end": {
        **container(),
        "tolerations": [
            {"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}
        ],
    },
}


def refused(ground: Access, namespace: str, said: list[Thing]) -> set[int]:
    """Ask for many objects at once; return the numbers of those that are refused."""
    things = [_thing(f"p-{number}", one) for number, one in enumerate(said)]
    for number, thing in enumerate(things):
        thing["metadata"]["annotations"] = {"number": str(number)}
    listed = {"apiVersion": "v1", "kind": "List", "items": things}
    told = ("-o", 'jsonpath={.metadata.annotations.number}{"\\n"}', "-f", "-")
    words = ("-n", namespace, "create", "--dry-run=server", "--validate=false", *told)
    done = ground.kubectl(*words, input=json.dumps(listed), check=False)
    return set(range(len(said))) - {int(line) for line in done.stdout.split()}


def _thing(name: str, said: Thing) -> Thing:
    if "kind" in said:
        return copy.deepcopy(said)
    spec = {key: value for key, value in said.items() if key != "labels"}
    metadata = {"name": name, "labels": said.get("labels", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_what_we_take_of_words_is_taken_and_what_is_refused_we_refuse(
    ground: Access, namespace: str
) -> None:
    asked = [(word, text) for word, (_, _, texts) in WORDS.items() for text in texts]
    there = refused(ground, namespace, [WORDS[word][0](text) for word, text in asked])
    here = {n for n, (word, text) in enumerate(asked) if WORDS[word][1](text) in (None, False)}

    assert [asked[number] for number in there - here] == []
    for word in WORDS:
        mine = {number for number, (one, _) in enumerate(asked) if one == word}
        assert mine & there, f"nothing of {word} is refused there"
        assert mine - here, f"nothing of {word} is taken here"


def test_what_the_linter_refuses_together_is_refused_there(ground: Access, namespace: str) -> None:
    assert refused(ground, namespace, list(TOGETHER.values())) == set(range(len(TOGETHER)))
