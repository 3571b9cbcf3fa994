"""docs/kubeflow.md: its settings are all there are, its site file compiles, its commands parse."""

import pathlib
import re
import shlex

import pytest
import yaml
from kfp import compiler

from components.foundation.pods import Pod
from components.foundation.site import Site
from pipelines import compiled, diff, linter, pods
from pipelines.__main__ import parser
from pipelines.ir import Compiled
from pipelines.place import Place
from pipelines.project import load

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/kubeflow.md").read_text()
CLUSTER = (ROOT / "pipelines/sites/cluster.yaml").read_text()


def table(header: str) -> set[str]:
    """The names in the first column of a table."""
    rows = PAGE.partition(f"| {header} |")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}


def said() -> str:
    (block,) = re.findall(r"^```yaml\n(pods:\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_table_of_settings_has_every_setting_and_no_other() -> None:
    assert table("Setting") == set(Pod.model_fields)


def test_the_table_of_rules_has_every_rule_and_no_other() -> None:
    assert table("Rule") == {rule.__name__.replace("_", "-") for rule in linter.RULES}


def test_its_site_file_compiles_without_findings(tmp_path: pathlib.Path) -> None:
    place = Place(Site.parse(CLUSTER + said()))
    pods.check(place.site.pods, site="page", ours=frozenset())
    project = load(ROOT / "examples/flights")

    for name in ("training-torch", "collection"):
        path = tmp_path / f"{name}.yaml"
        compiler.Compiler().compile(compiled.pipeline(name, project, place), str(path))
        assert linter.lint(path) == []


@pytest.mark.parametrize("line", re.findall(r"^falaj .*$", PAGE, re.MULTILINE))
def test_its_commands_are_commands(line: str) -> None:
    assert callable(parser().parse_args(shlex.split(line)[1:]).do)


def test_the_changes_that_it_shows_are_so_said() -> None:
    golden = ROOT / "tests/golden/pipelines/deployment.yaml"
    documents = yaml.load_all(golden.read_text(), Loader=yaml.CSafeLoader)
    whole = {key: value for one in documents for key, value in one.items()}
    released = Compiled.read(whole)
    inputs = whole["root"]["inputDefinitions"]["parameters"]
    fewer = {name: one for name, one in inputs.items() if name != "bake_s"}
    fewer["alpha"] = {**inputs["alpha"], "defaultValue": 0.01}
    root = {**whole["root"], "inputDefinitions": {"parameters": fewer}}

    for change in diff.one(released, Compiled.read({**whole, "root": root})):
        assert f"  {change}\n" in PAGE
