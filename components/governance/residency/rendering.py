"""Write the manifests of residency: what a cluster is given, all of it from rules and profiles."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from components.governance.residency import policies, profiles
from components.governance.residency.definition import definition
from components.governance.residency.rules import Policy
from components.governance.residency.rules import policies as every_policy

Thing = dict[str, Any]
FOLDER, DEFINITIONS = "residency", "definitions"
LAW = "pdpl"  # that of an installation that says nothing; kustomize writes the site's over it
# Where things of a site are until it says so, in the order in which kustomize writes over them.
HOSTS = (
    "s3.falaj.example",
    "registry.falaj.example",
    "issuer.falaj.example",
    "issuer.falaj.example",
    "prometheus.falaj.example",
    "s3.falaj.example",
    "openbao.falaj.example",
    "redis.falaj.example",
    "sources.falaj.example",
    "falaj.example",
)
DOMAIN = ".falaj"  # below which a site's models are, the first of the suffixes
_WIDTH = 100
_BY = "\n# Rendered by `falaj residency render`, from"


def write(manifests: pathlib.Path) -> None:
    """Write every file; a policy whose rule is gone goes too."""
    found = files()
    for old in sorted((manifests / FOLDER).glob("*-falaj-residency-*.yaml")):
        if f"{FOLDER}/{old.name}" not in found:
            old.unlink()
    for path, text in found.items():
        (manifests / path).parent.mkdir(parents=True, exist_ok=True)
        (manifests / path).write_text(text, encoding="utf-8")


def write_static(folder: pathlib.Path, profile: Mapping[str, Any]) -> None:
    """Write the form for an API server's `staticManifestsDir`, for one profile."""
    folder.mkdir(parents=True, exist_ok=True)
    for policy in every_policy():
        pair = [policies.static(policy, profile), policies.static_binding(policy)]
        text = f"# {policy.why}\n" + "---\n".join(map(_yaml, pair))
        (folder / f"{policies.name(policy)}.yaml").write_text(text, encoding="utf-8")


def files() -> dict[str, str]:
    """Return the text of each file, by its path in the folder of manifests."""
    everything = {_path(thing): _text(thing, why) for thing, why in _things()}
    crd, why = definition(), "What may be said of a law of residency, and where its places are."
    defined = {_path(crd): _text(crd, f"{why} Apply it before anything that holds one.")}
    return {
        **{f"{FOLDER}/{path}": text for path, text in everything.items()},
        f"{FOLDER}/kustomization.yaml": _listing(
            "Which bytes may go where, asked whenever something is created or changed.", everything
        ),
        **{f"{DEFINITIONS}/{path}": text for path, text in defined.items()},
        f"{DEFINITIONS}/kustomization.yaml": _listing(
            "Kinds of ours that the API server has to know before all else.", defined
        ),
    }


def _things() -> Iterator[tuple[Thing, str]]:
    """Yield each object with a sentence on why it exists."""
    for name, profile in profiles.all_by_name().items():
        why = f"What counts as in the country under {name}.{_BY} the registry of places."
        yield _declared(profile), why
    for policy in every_policy():
        yield from _of(policy)


def _of(policy: Policy) -> Iterator[tuple[Thing, str]]:
    yield policies.admission(policy), f"{policy.why}{_BY} rules/{policy.name}.yaml."
    why = "under the site's law: in namespaces that name it, and outside of namespaces."
    yield policies.binding(policy, LAW), f"Asks this {why}"
    why = "of every other namespace, by the strictest profile; spared are those that would break:"
    spared = "".join(f"\n#   {name}: {reason}" for name, reason in policies.EXEMPT.items())
    yield policies.strictest(policy, LAW), f"Asks this {why}{spared}"


def _declared(profile: Thing) -> Thing:
    """Add what sites fill in: hosts of their own, and the domain of their models."""
    spec = profile["spec"]
    return {
        **profile,
        "spec": {**spec, "hosts": list(HOSTS), "suffixes": [DOMAIN, *spec["suffixes"]]},
    }


def _path(thing: Thing) -> str:
    return f"{thing['kind'].lower()}-{thing['metadata']['name']}.yaml"


def _listing(why: str, found: Mapping[str, str]) -> str:
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return _text({**kind, "resources": sorted(found)}, why)


def _text(thing: Thing, why: str) -> str:
    return f"# {why}\n{_yaml(thing)}"


class _Dumper(yaml.SafeDumper):
    """Writes long texts over several lines, and lists below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _folded(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Fold a long text; one of many lines stays as it is, and so does one that cannot be."""
    folded = ">" if len(text) > _WIDTH - 20 else None
    style = "|" if text.endswith("\n") else folded
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _short(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    plain = 0 < len(items) < 50 and all(isinstance(one, str) for one in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain or None)


_Dumper.add_representer(str, _folded)
_Dumper.add_representer(list, _short)


def _yaml(thing: Thing) -> str:
    return yaml.dump(thing, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
