"""Which path means what, who may ask it, and by which method."""

import enum
import functools
from dataclasses import dataclass

from inference.server.security.scopes import Verb as Allowed
from inference.transport.messages import Rejected


class Verb(enum.Enum):
    """What can be asked."""

    LIVE = enum.auto()
    READY = enum.auto()
    SERVER = enum.auto()
    MODELS = enum.auto()
    INDEX = enum.auto()
    MODEL = enum.auto()
    MODEL_READY = enum.auto()
    INFER = enum.auto()
    V1_MODELS = enum.auto()
    V1_MODEL = enum.auto()
    V1_PREDICT = enum.auto()
    METRICS = enum.auto()

    @property
    def allowed_by(self) -> Allowed | None:
        """What a token must allow; health is open, for a kubelet brings no token."""
        match self:
            case Verb.LIVE | Verb.READY | Verb.MODEL_READY:
                return None
            case Verb.INFER | Verb.V1_PREDICT:
                return Allowed.INFER
            case Verb.METRICS:
                return Allowed.METRICS
        return Allowed.METADATA

    @property
    def method(self) -> str:
        return "POST" if self in {Verb.INDEX, Verb.INFER, Verb.V1_PREDICT} else "GET"


@dataclass(frozen=True, slots=True)
class Route:
    """A verb, and the model and version that the path names."""

    verb: Verb
    model: str = ""
    version: str = ""


@functools.lru_cache(maxsize=256)
def route(path: str) -> Route:
    """Read a path; raises Rejected 404 for one that there is not."""
    match path.split("/")[1:]:
        case ["v2"]:
            return Route(Verb.SERVER)
        case ["v2", "health", "live"]:
            return Route(Verb.LIVE)
        case ["v2", "health", "ready"]:
            return Route(Verb.READY)
        case ["v2", "models"]:
            return Route(Verb.MODELS)
        case ["v2", "repository", "index"]:
            return Route(Verb.INDEX)
        case ["v2", "models", model, "versions", version, *verb] if model and version:
            return Route(_model_verb(verb), model, version)
        case ["v2", "models", model, *verb] if model:
            return Route(_model_verb(verb), model)
        case ["v1", "models"]:
            return Route(Verb.V1_MODELS)
        case ["v1", "models", named] if named:
            return _v1(named)
        case ["metrics"]:
            return Route(Verb.METRICS)
    raise _no_path()


def _model_verb(verb: list[str]) -> Verb:
    match verb:
        case []:
            return Verb.MODEL
        case ["ready"]:
            return Verb.MODEL_READY
        case ["infer"]:
            return Verb.INFER
    raise _no_path()


def _v1(named: str) -> Route:
    model, colon, verb = named.partition(":")
    if not colon:
        return Route(Verb.V1_MODEL, model)
    if verb == "predict" and model:
        return Route(Verb.V1_PREDICT, model)
    raise _no_path()


def _no_path() -> Rejected:
    return Rejected(404, "no such path; see /v2")
