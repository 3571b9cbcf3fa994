"""What the namespace lets pods be."""

from collections.abc import Iterator, Mapping

from components.governance.doctor.interface import Answer, Installation, Question

_ENFORCE = "pod-security.kubernetes.io/enforce"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"namespace {at.namespace}", _namespace)
    yield Question(f"Pod Security of {at.namespace}", _level)


def labels(at: Installation) -> Mapping[str, str] | None:
    """Return the labels of the namespace; None where it is not there."""
    found = at.api.find(f"/api/v1/namespaces/{at.namespace}")
    return None if found is None else found["metadata"].get("labels") or {}


def _namespace(at: Installation) -> Answer:
    if labels(at) is None:
        return Answer.missing(
            "not there",
            expected="the namespace in which runs and models are",
            do="apply your overlay, or correct namespace in the site file",
        )
    return Answer.well("there")


def _level(at: Installation) -> Answer | None:
    said = labels(at)
    if said is None:
        return None
    level = said.get(_ENFORCE, "")
    if level == "restricted":
        return Answer.well(level)
    return Answer.warning(
        level or "nothing is enforced",
        expected="restricted, which all pods of ours meet",
        do=f"label the namespace: {_ENFORCE}=restricted, as manifests/namespace does",
    )
