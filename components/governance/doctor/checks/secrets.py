"""The Secrets that pods ask for, by name; what they hold is not read."""

from collections.abc import Iterator
from functools import partial

from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    warning,
    well,
)

NEEDED = {
    "falaj-object-store": "steps, KFP's launcher and serving pods sign in with it",
    "falaj-buckets": "the job that keeps buckets signs in with it",
    "falaj-keys": "steps and serving pods open releases with it",
    "falaj-signing": "the steps that seal and register sign with it",
}
WANTED = {
    "falaj-online-store": "transformers find Feast's online store by it",
    "falaj-attestor": "the attestor of residency signs in with it",
}
POLICY = "falaj-policy"
_MAKE = "make it as docs/cluster.md section 4 says"


def questions(at: Installation) -> Iterator[Question]:
    for name, use in {**NEEDED, **WANTED}.items():
        yield Question(f"Secret {name}", partial(_secret, at, name, use))
    yield Question(f"ConfigMap {POLICY}", partial(_policy, at))


def _secret(at: Installation, name: str, use: str) -> Answer:
    if at.api.heading(at.core("secrets", name)) is not None:
        return well("there; what it holds was not read")
    lacking = missing if name in NEEDED else warning
    return lacking("not there", expected=f"a Secret: {use}", do=_MAKE)


def _policy(at: Installation) -> Answer:
    found = at.api.find(at.core("configmaps", POLICY))
    if found is None:
        what = "whose releases serving pods open; without it none"
        return missing("not there", expected=what, do=_MAKE)
    if "policy.yaml" not in (found.get("data") or {}):
        return missing("has no policy.yaml", expected="an entry policy.yaml", do=_MAKE)
    return well("there")
