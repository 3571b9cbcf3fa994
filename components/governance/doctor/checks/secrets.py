"""The Secrets that pods ask for, by name; what they hold is not read."""

from collections.abc import Iterator
from functools import partial

from components.governance.doctor.interface import Answer, Installation, Question

NEEDED = {
    "falaj-object-store": "steps, KFP's launcher and serving pods sign in with it",
    "falaj-buckets": "the job that keeps buckets signs in with it",
    "falaj-keys": "steps and serving pods open releases with it",
    "falaj-signing": "the steps that seal and register sign with it",
}
WANTED = {
    "falaj-online-store": "materialise and transformers find Feast's online store by it",
    "falaj-attestor": "the attestor of residency signs in with it",
    "falaj-attestor-keys": "the attestor of residency signs with it",
}
POLICY = "falaj-policy"
_ELSEWHERE = {"falaj-online-store": "manifests/storage/README.md"}


def questions(at: Installation) -> Iterator[Question]:
    for name in (*NEEDED, *WANTED):
        yield Question(f"Secret {name}", partial(_secret, name=name))
    yield Question(f"ConfigMap {POLICY}", _policy)


def _secret(at: Installation, *, name: str) -> Answer:
    if at.api.heading(at.core("secrets", name)) is not None:
        return Answer.well("there; what it holds was not read")
    lacking = Answer.missing if name in NEEDED else Answer.warning
    use = {**NEEDED, **WANTED}[name]
    return lacking("not there", expected=f"a Secret: {use}", do=_make(name))


def _policy(at: Installation) -> Answer:
    found = at.api.find(at.core("configmaps", POLICY))
    if found is None:
        expected = "a policy of whose releases serving pods open; without it they open none"
        return Answer.missing("not there", expected=expected, do=_make(POLICY))
    if "policy.yaml" not in (found.get("data") or {}):
        got = "has no entry policy.yaml"
        return Answer.missing(got, expected="an entry policy.yaml", do=_make(POLICY))
    return Answer.well("there")


def _make(name: str) -> str:
    return f"make it as {_ELSEWHERE.get(name, 'docs/cluster.md section 4')} says"
