"""What serves models: our runtimes, the opener of sealed releases, and the account of pods."""

from collections.abc import Iterator
from functools import partial

from components.deployment.slots import Runtime
from components.governance.doctor.interface import Answer, Installation, Question, Thing

OPENER = "falaj-sealed"
ACCOUNT = "falaj-serving"
SCHEME = "sealed+s3://"
_GROUP = "/apis/serving.kserve.io/v1alpha1"
_APPLY = "apply your overlay, which has manifests/serving"
_NEVER_PUSHED = "sha256:" + 64 * "0"


def questions(at: Installation) -> Iterator[Question]:
    for runtime in Runtime:
        name = runtime.value
        yield Question(f"ClusterServingRuntime {name}", partial(_runtime, name=name))
    yield Question(f"ClusterStorageContainer {OPENER}", _opener)
    yield Question(f"ServiceAccount {ACCOUNT}", _account)


def _runtime(at: Installation, *, name: str) -> Answer:
    found = at.api.find(f"{_GROUP}/clusterservingruntimes/{name}")
    if found is None:
        return Answer.missing("not there", expected="the runtime that `deploy` names", do=_APPLY)
    if found["spec"].get("disabled"):
        do = f"set spec.disabled of {name} to false, or apply your overlay"
        return Answer.missing("disabled", expected="a runtime that KServe may use", do=do)
    return _image(found["spec"]["containers"])


def _opener(at: Installation) -> Answer:
    found = at.api.find(f"{_GROUP}/clusterstoragecontainers/{OPENER}")
    if found is None:
        return Answer.missing("not there", expected=f"one that opens {SCHEME}", do=_APPLY)
    schemes = [one.get("prefix") for one in found["spec"].get("supportedUriFormats", [])]
    if SCHEME not in schemes:
        got = f"opens {', '.join(filter(None, schemes)) or 'nothing'}"
        return Answer.missing(got, expected=f"one that opens {SCHEME}", do=_APPLY)
    return _image([found["spec"]["container"]])


def _image(containers: list[Thing]) -> Answer:
    """Judge which image runs; by a digest of zeros nothing was ever pushed."""
    image = str(containers[0].get("image", ""))
    if image.endswith(_NEVER_PUSHED):
        return Answer.warning(
            f"image {image}",
            expected="an image that was pushed",
            do="run `python -m images.build`, and apply the overlay again",
        )
    if "@sha256:" not in image:
        return Answer.warning(f"image {image}", expected="an image by its digest", do=_APPLY)
    return Answer.well(f"image {image}")


def _account(at: Installation) -> Answer:
    if at.api.find(at.core("serviceaccounts", ACCOUNT)) is None:
        return Answer.missing(
            "not there", expected="the account of pods that serve a model", do=_APPLY
        )
    return Answer.well("there")
