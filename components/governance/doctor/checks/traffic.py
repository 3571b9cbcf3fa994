"""What can split a model's traffic: the backend that `deploy` takes here, and each by its name."""

from collections.abc import Iterator
from functools import partial

from components.deployment.traffic.choosing import choice
from components.deployment.traffic.interface import Backend
from components.deployment.traffic.probing import Found
from components.foundation.errors import Refused
from components.governance.doctor.checks.gateway import NAME
from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    unknown,
    warning,
    well,
)


def questions(at: Installation) -> Iterator[Question]:
    yield Question("split of traffic", partial(_taken, at))
    for backend in Backend:
        yield Question(f"backend {backend}", partial(_carried, at, backend))


def _taken(at: Installation) -> Answer:
    try:
        return well(f"deploy takes {choice(_found(at), None)} unless it is told")
    except Refused as error:
        what = "a backend that the cluster carries"
        return missing(str(error), expected=what, do="do so, or no release can be compared")


def _carried(at: Installation, backend: Backend) -> Answer:
    found = _found(at)
    if backend is Backend.CANARY and found.routes and found.gateway_api is None:
        return unknown(
            "KServe says whether it makes routes in settings that are not there or cannot be seen",
            do="ask who administers KServe for enableGatewayApi",
        )
    try:
        choice(found, backend)
    except Refused as error:
        what = "this only where `deploy` is told to take it"
        return warning(str(error), expected=what, do="leave it, unless you want this one")
    return well("can be taken")


def _found(at: Installation) -> Found:
    return at.api.traffic(NAME)
