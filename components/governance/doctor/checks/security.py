"""What the namespace lets pods be."""

from collections.abc import Iterator, Mapping

from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    unknown,
    warning,
    well,
)

NO_NAMESPACE = unknown("there is no namespace", do="apply your overlay")
_ENFORCE = "pod-security.kubernetes.io/enforce"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"namespace {at.namespace}", lambda: _namespace(at))
    yield Question(f"Pod Security of {at.namespace}", lambda: _level(at))


def labels(at: Installation) -> Mapping[str, str] | None:
    """Return the labels of the namespace; None where it is not there."""
    found = at.api.find(f"/api/v1/namespaces/{at.namespace}")
    return None if found is None else found["metadata"].get("labels") or {}


def _namespace(at: Installation) -> Answer:
    if labels(at) is None:
        do = "apply your overlay, or correct namespace in the site file"
        return missing("not there", expected="where runs and models are", do=do)
    return well("there")


def _level(at: Installation) -> Answer:
    said = labels(at)
    if said is None:
        return NO_NAMESPACE
    level = said.get(_ENFORCE, "")
    if level == "restricted":
        return well(level)
    return warning(
        level or "nothing is enforced",
        expected="restricted, which all pods of ours meet",
        do=f"label the namespace {_ENFORCE}=restricted",
    )
