"""Ask the predictor, and hold its answers to the version that the features belong to."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from components.foundation.errors import UserError
from components.foundation.signature import Signature
from inference.transport.client import Answer, Call, Client, Failed
from inference.transport.messages import RETRY_SOON, Headers, Rejected

_LENGTH: Final = b"inference-header-content-length"
_BUSY: Final = frozenset({429, 503, 504})  # what passes
_DENIED: Final = frozenset({401, 403})  # the client's token, or ours
_TOLD_HEADERS: Final = frozenset({b"retry-after", b"www-authenticate"})


@dataclass(frozen=True, slots=True)
class Pin:
    """What is expected of the predictor's release; only an unsafe flag allows any.

    Attributes:
        version: of the model; None takes any.
        features: the facts of `trained_with`; None takes any.
    """

    version: str | None
    features: Mapping[str, str] | None = None

    def check(self, got: str) -> None:
        """Refuse another version with 503: a rollout changed one side without the other."""
        if self.version is not None and got != self.version:
            raise Rejected(
                503,
                f"the predictor serves version {got[:100]!r}, the features are for "
                f"{self.version!r}; roll both out together",
                headers=RETRY_SOON,
            )

    def check_features(self, got: Mapping[str, Any]) -> None:
        """Refuse a model with 503 that was trained with other features than those read here."""
        if self.features is None:
            return
        for name, wanted in self.features.items():
            told = str(got.get(name, "nothing"))
            if told != wanted:
                raise Rejected(
                    503,
                    f"the predictor's release says {name} {told[:200]!r}, this transformer reads "
                    f"{wanted!r}; deploy both from one release",
                    headers=RETRY_SOON,
                )


class Predictor:
    """One model of one server."""

    def __init__(
        self, client: Client, *, model: str, pin: Pin, token: pathlib.Path | None = None
    ) -> None:
        """Take the way there.

        Args:
            client: of the predictor's server.
            model: its name there.
            pin: the version that is expected.
            token: a file with our own token, for the metadata alone: a request to infer goes
                with its client's token, never with ours.
        """
        self._client, self.pin, self._token = client, pin, token
        self._path = b"/v2/models/" + model.encode()

    async def metadata(self) -> tuple[str, Signature]:
        """Return the version that is served and its signature.

        Raises:
            Rejected: 502, 503 or 504 where there is no answer, 503 for another version or for
                other features.
        """
        call = Call(b"GET", self._path, self._authorized())
        answer = await self._sent(call, seconds=None)
        if answer.status != 200:
            raise _told(answer, _BUSY)
        said = _object(answer.body)
        match said.get("versions"):
            case [str(version)]:
                self.pin.check(version)
            case _:
                raise Rejected(502, "the predictor does not say which one version it serves")
        parameters = said.get("parameters")
        self.pin.check_features(parameters if isinstance(parameters, dict) else {})
        try:
            return version, Signature.from_dict(said)
        except UserError as error:
            raise Rejected(502, "the predictor describes its model in a way of its own") from error

    async def infer(
        self, body: bytes, *, json_length: int, headers: Headers, seconds: float
    ) -> tuple[str, Answer]:
        """Return the version that answered, for the caller to check, and its answer.

        Raises:
            Rejected: the predictor's own refusal, or 502, 503 or 504 where there is no answer.
        """
        more = (
            (b"content-type", b"application/octet-stream"),
            (_LENGTH, str(json_length).encode()),
        )
        call = Call(b"POST", self._path + b"/infer", (*headers, *more), body)
        answer = await self._sent(call, seconds=seconds)
        if answer.status != 200:
            raise _told(answer, _BUSY | _DENIED)
        version = str(_object(_head(answer)).get("model_version", ""))
        return version, answer

    async def _sent(self, call: Call, *, seconds: float | None) -> Answer:
        try:
            return await self._client.send(call, seconds=seconds)
        except Failed as failed:
            more = RETRY_SOON if failed.status == 503 else ()
            raise Rejected(failed.status, "the predictor did not answer", headers=more) from failed

    def _authorized(self) -> Headers:
        if self._token is None:
            return ()
        try:
            return ((b"authorization", b"Bearer " + self._token.read_bytes().strip()),)
        except OSError as error:
            raise Rejected(503, "the transformer's own token cannot be read") from error


def _told(answer: Answer, told: frozenset[int]) -> Rejected:
    """Say what the client learns of a failure; what it cannot act on is a bad gateway."""
    if answer.status not in told:
        return Rejected(502, f"the predictor answered {answer.status}")
    kept = tuple(header for header in answer.headers if header[0] in _TOLD_HEADERS)
    return Rejected(answer.status, f"the predictor answered {answer.status}", headers=kept)


def _head(answer: Answer) -> bytes:
    length = dict(answer.headers).get(_LENGTH)
    if length is None:
        return answer.body
    if not length.isdigit():
        raise Rejected(502, "the predictor's answer has no length of its JSON")
    return answer.body[: int(length)]


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise Rejected(502, "the predictor's answer is no JSON object")
    return said
