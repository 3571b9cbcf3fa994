"""What the deployment pipeline hands to its steps."""

import pathlib
from typing import Any

import pytest
import yaml
from kfp import compiler

from pipelines import deployment
from pipelines.place import Place
from pipelines.project import load

PROJECT = load(pathlib.Path(__file__).parents[2] / "examples/flights")


def compiled(place: Place, folder: pathlib.Path) -> dict[str, Any]:
    compiler.Compiler().compile(deployment.build(PROJECT, place), str(folder / "p.yaml"))
    root: dict[str, Any] = next(yaml.safe_load_all((folder / "p.yaml").read_text()))["root"]
    return root


@pytest.mark.parametrize(
    ("look_up", "repository"), [(True, PROJECT.features.repo), (False, "")], ids=["yes", "no"]
)
def test_a_site_says_whether_features_are_looked_up(
    look_up: bool, repository: str, tmp_path: pathlib.Path
) -> None:
    shipped = Place.named("cluster").site
    features = shipped.features.model_copy(update={"look_up": look_up})
    place = Place(shipped.model_copy(update={"features": features}))

    root = compiled(place, tmp_path)

    asked = root["inputDefinitions"]["parameters"]["feature_repository"]
    assert asked["defaultValue"] == repository
    given = root["dag"]["tasks"]["deploy"]["inputs"]["parameters"]["feature_repository"]
    assert given == {"componentInputParameter": "feature_repository"}
