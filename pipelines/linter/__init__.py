"""Find in compiled pipelines what KFP accepts and a cluster, or an auditor, will not.

Each rule is a function from a compiled file to findings; `lint` runs them all. What its docstring
says it finds is what docs/kubeflow.md says.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines.ir import Compiled
from pipelines.linter import pods, whole
from pipelines.linter.conditions import bare_condition
from pipelines.linter.finding import Finding, Rule
from pipelines.linter.names import kubernetes_name

__all__ = ["RULES", "Finding", "lint"]

RULES: tuple[Rule, ...] = (
    whole.pip_at_start,
    whole.floating_image,
    whole.unlocked_image,
    bare_condition,
    kubernetes_name,
    whole.size_budget,
    whole.secret_default,
    whole.root_with_query,
    pods.quantity,
    pods.accelerator,
    pods.mounted_twice,
    pods.variable_twice,
    pods.memory_volume,
    pods.runs_as_root,
    pods.toleration,
    pods.affinity,
)


def lint(source: pathlib.Path | Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with a compiled pipeline or component; nothing is good."""
    compiled = Compiled.read(source)
    return [finding for rule in RULES for finding in rule(compiled)]
