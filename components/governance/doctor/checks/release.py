"""The API server's own release."""

import re
from collections.abc import Iterator

from components.foundation.storage import NotFound
from components.governance.doctor.interface import Answer, Installation, Question

OLDEST = (1, 30)  # ValidatingAdmissionPolicy is served as v1 from there on


def questions(at: Installation) -> Iterator[Question]:
    yield Question("API server", _release)
    yield Question("identity", _identity)


def _release(at: Installation) -> Answer:
    text = str((at.api.find("/version") or {}).get("gitVersion", ""))
    found = re.match(r"v(\d+)\.(\d+)", text)
    if found is None:
        return Answer.unknown(f"it calls itself {text!r}", do="look at `kubectl version`")
    if (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Answer.missing(text, expected=f"{oldest} or newer", do="upgrade Kubernetes")
    return Answer.well(text)


def _identity(at: Installation) -> Answer:
    try:
        return Answer.well(at.api.identity())
    except NotFound as error:  # it is asked for as it can be from Kubernetes 1.28 on
        return Answer.unknown(str(error), do="upgrade Kubernetes")
