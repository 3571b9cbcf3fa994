"""What serves models: our runtimes, the opener of sealed releases, and the account of pods."""

from collections.abc import Iterator
from functools import partial

from components.deployment.slots import Runtime
from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    Thing,
    missing,
    warning,
    well,
)

OPENER = "falaj-sealed"
ACCOUNT = "falaj-serving"
SCHEME = "sealed+s3://"
_GROUP = "/apis/serving.kserve.io/v1alpha1"
_APPLY = "apply your overlay, which has manifests/serving"
_NEVER_PUSHED = "sha256:" + 64 * "0"


def questions(at: Installation) -> Iterator[Question]:
    for runtime in Runtime:
        ask = partial(_runtime, at, runtime.value)
        yield Question(f"ClusterServingRuntime {runtime.value}", ask)
    yield Question(f"ClusterStorageContainer {OPENER}", partial(_opener, at))
    yield Question(f"ServiceAccount {ACCOUNT}", partial(_account, at))


def _runtime(at: Installation, name: str) -> Answer:
    found = at.api.find(f"{_GROUP}/clusterservingruntimes/{name}")
    if found is None:
        return missing("not there", expected="the runtime that `deploy` names", do=_APPLY)
    if found["spec"].get("disabled"):
        return missing("disabled", expected="one that KServe may use", do="take `disabled` away")
    return _image(found["spec"]["containers"])


def _opener(at: Installation) -> Answer:
    found = at.api.find(f"{_GROUP}/clusterstoragecontainers/{OPENER}")
    if found is None:
        return missing("not there", expected=f"what opens {SCHEME}", do=_APPLY)
    schemes = [one.get("prefix") for one in found["spec"].get("supportedUriFormats", [])]
    if SCHEME not in schemes:
        got = f"opens {', '.join(filter(None, schemes)) or 'nothing'}"
        return missing(got, expected=f"what opens {SCHEME}", do=_APPLY)
    return _image([found["spec"]["container"]])


def _image(containers: list[Thing]) -> Answer:
    """Judge which image runs; by a digest of zeros nothing was ever pushed."""
    image = str(containers[0].get("image", ""))
    if image.endswith(_NEVER_PUSHED):
        return warning(
            f"image {image}",
            expected="one that was pushed",
            do="run `python -m images.build`, and apply the overlay again",
        )
    if "@sha256:" not in image:
        return warning(f"image {image}", expected="an image by its digest", do=_APPLY)
    return well(f"image {image}")


def _account(at: Installation) -> Answer:
    if at.api.find(at.core("serviceaccounts", ACCOUNT)) is None:
        return missing("not there", expected="who serves a model", do=_APPLY)
    return well("there")
