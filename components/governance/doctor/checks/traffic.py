"""What can split a model's traffic: the backend that `deploy` takes here, and what else may."""

from collections.abc import Iterator

from components.deployment.traffic.choosing import choice
from components.deployment.traffic.interface import Backend
from components.deployment.traffic.probing import Found
from components.foundation.errors import Refused
from components.governance.doctor.checks.gateway import NAME
from components.governance.doctor.interface import Answer, Installation, Question


def questions(at: Installation) -> Iterator[Question]:
    yield Question("split of traffic", _taken)
    yield Question("other backends", _others)


def _taken(at: Installation) -> Answer:
    found = at.api.traffic(NAME)
    try:
        return Answer.well(f"deploy takes {choice(found, None)} unless it is told")
    except Refused as error:
        got, _, do = str(error).partition("; ")
        return Answer.missing(got, expected="a backend, or no release can be compared", do=do)


def _others(at: Installation) -> Answer:
    """Say of what `deploy` does not take by itself whether it may be told to."""
    found = at.api.traffic(NAME)
    first = _refusal(found, None) or choice(found, None)
    others = [one for one in Backend if one is not first]
    return Answer.well("; ".join(f"{one} {_carried(found, one)}" for one in others))


def _carried(found: Found, backend: Backend) -> str:
    if backend is Backend.CANARY and found.routes and found.gateway_api is None:
        return "may be told, but whether KServe makes routes for it cannot be seen"
    why = _refusal(found, backend)
    return f"cannot be told: {why}" if why else "may be told"


def _refusal(found: Found, backend: Backend | None) -> str:
    """Say why a backend cannot be had; empty where it can."""
    try:
        choice(found, backend)
    except Refused as error:
        return str(error).partition("; ")[0].partition(": ")[2]
    return ""
