"""Whatever Secret our pods and steps name, the doctor asks for."""

import pathlib
import re

from components.governance.doctor.checks import secrets
from pipelines import place

ROOT = pathlib.Path(__file__).parents[4]
# What a controller of others makes from an object of ours.
MADE = {"falaj-authority", "falaj-gateway"}  # cert-manager, from Certificates
_NAMED = re.compile(
    r"secretName\"?: ?\"?(falaj-[\w-]+)|(?:secretKeyRef|secretRef):\s*\{?\s*name: (falaj-[\w-]+)"
)


def test_every_secret_that_manifests_and_pipelines_name_is_asked_for() -> None:
    files = [*(ROOT / "manifests").rglob("*.yaml"), *(ROOT / "kustomize").rglob("*.yaml")]
    named = {one or two for path in files for one, two in _NAMED.findall(path.read_text())}
    named |= {text for name, text in vars(place).items() if name.endswith("_SECRET")}

    assert len(named) >= 8
    assert named - MADE == {*secrets.NEEDED, *secrets.WANTED}
