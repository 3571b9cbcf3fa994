"""What was accepted stays quiet; what reaches further, or opens by another right, does not."""

import dataclasses

import pytest

from components.foundation.errors import UserError
from components.governance.rbac import accepted
from components.governance.rbac.grants import Identity
from components.governance.rbac.paths import Finding

FINDING = Finding(
    Identity.parse("Group falaj:deployer"),
    "falaj",
    "pods",
    ("create inferenceservices.serving.kserve.io",),
    "because",
    "do not",
    ("ServiceAccount falaj/robot",),
)
TEXT = """
format: 1
accepted:
  - identity: Group falaj:*
    path: pods
    by: [create inferenceservices.serving.kserve.io]
    gains: [ServiceAccount */robot]
    reason: that is the work
"""


def test_a_finding_is_covered_with_its_reason() -> None:
    done = accepted.sort([FINDING], accepted.parse(TEXT))

    assert (done.open, done.idle) == ((), ())
    assert [one.reason for _, one in done.accepted] == ["that is the work"]


@pytest.mark.parametrize(
    "change",
    [
        {"identity": Identity.parse("User zayed")},
        {"path": "secrets"},
        {"by": (*FINDING.by, "create pods")},
        {"gains": (*FINDING.gains, "Secrets of falaj")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_finding_that_differs_is_open(change: dict[str, str]) -> None:
    differs = dataclasses.replace(FINDING, **change)  # type: ignore[arg-type]

    done = accepted.sort([differs], accepted.parse(TEXT))

    assert done.open == (differs,)
    assert len(done.idle) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "no YAML"),
        ("[]", "format: 1"),
        ("format: 2\naccepted: []", "format: 1"),
        ("format: 1\naccepted: 7", "expected a list"),
        ("format: 1\naccepted: [x]", "got x"),
        (TEXT.replace("reason: that is the work", ""), "expected by, identity, path, reason"),
        (TEXT.replace("that is the work", "' '"), "reason is ' '"),
        (TEXT.replace("gains:", "gain:"), "'gain'"),
        (TEXT.replace("by: [", "by: [1, "), "by is 1"),
        (TEXT.replace("path: pods", "path: 3"), "path is 3"),
    ],
)
def test_refuses_a_file_that_accepts_nothing_clearly(text: str, says: str) -> None:
    with pytest.raises(UserError) as refusal:
        accepted.parse(text)

    assert says in str(refusal.value)
    assert refusal.value.code == "rbac-acceptance"
