"""The matrix shows a right, a right by name and no right apart."""

from components.governance.rbac import matrix, reading
from components.governance.rbac.rights import Access

TEXT = """
kind: Role
metadata: {name: r, namespace: a}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get]}
  - {apiGroups: [""], resources: [secrets], resourceNames: [mine], verbs: [get]}
  - {apiGroups: [x.example], resources: [runs], verbs: [create, terminate]}
  - {apiGroups: [y.example], resources: [all], verbs: ["*"]}
---
kind: RoleBinding
metadata: {name: r, namespace: a}
roleRef: {kind: Role, name: r}
subjects: [{kind: User, name: zayed}]
"""


def test_one_block_an_identity_one_line_a_resource_one_column_a_verb() -> None:
    access = Access.of(reading.read([("x", TEXT)]))

    who, head, *rows, last = (line.split() for line in matrix.lines(access))

    assert who == ["User", "zayed"]
    assert head == [*matrix.VERBS, "others"]
    assert rows == [
        ["a", "all.y.example", *["yes"] * 8, "*"],
        ["a", "pods", "yes", *["."] * 8],
        ["a", "runs.x.example", *["."] * 3, "yes", *["."] * 4, "terminate"],
        ["a", "secrets", "mine", "named", *["."] * 8],
    ]
    assert last == []
