"""The API server's own release."""

import re
from collections.abc import Iterator

from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    unknown,
    well,
)

OLDEST = (1, 30)  # ValidatingAdmissionPolicy is served as v1 from there on


def questions(at: Installation) -> Iterator[Question]:
    yield Question("API server", lambda: _release(at))
    yield Question("identity", lambda: well(at.api.identity()))


def _release(at: Installation) -> Answer:
    text = str((at.api.find("/version") or {}).get("gitVersion", ""))
    found = re.match(r"v(\d+)\.(\d+)", text)
    if found is None:
        return unknown(f"it calls itself {text!r}", do="look at `kubectl version`")
    if (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return missing(text, expected=f"{oldest} or newer", do="upgrade Kubernetes")
    return well(text)
