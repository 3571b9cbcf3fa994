"""What the experiment is: a JSON file, read whole or refused.

    {"experiment": "delays-2031-04",
     "variants": [{"name": "a", "url": "http://delays-a:8080", "weight": 90},
                  {"name": "b", "url": "http://delays-b:8080", "weight": 10}]}

The experiment's name is the salt of the split: another name deals everybody anew.
"""

import json
import math
import pathlib
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any, Final, Self

from components.foundation.errors import UserError

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_TOTALS: Final = (1.0, 100.0)
_SHAPE: Final = {"experiment", "variants"}
_VARIANT: Final = {"name", "url", "weight"}
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the servers that requests are split among."""

    name: str
    scheme: str
    host: str
    port: int
    weight: float


@dataclass(frozen=True, slots=True)
class Config:
    """An experiment; its weights sum to 1 or to 100."""

    experiment: str
    variants: tuple[Variant, ...]

    @classmethod
    def read(cls, path: pathlib.Path) -> Self:
        """Read a file.

        Raises:
            UserError: it cannot be read, or does not say an experiment.
        """
        try:
            said = json.loads(path.read_bytes())
        except OSError as error:
            raise _wrong(f"{path}: {error.strerror}; name a file that can be read") from error
        except ValueError as error:
            raise _wrong(f"{path}: is no JSON ({error}); write JSON") from error
        try:
            return cls.parse(said)
        except UserError as error:
            raise _wrong(f"{path}: {error}") from error

    @classmethod
    def parse(cls, said: Any) -> Self:
        """Make an experiment of a document; raises UserError where it does not say one."""
        _check_keys(said, _SHAPE, "the document")
        if not isinstance(said["variants"], list) or not said["variants"]:
            raise _wrong("variants: expected a list of at least one")
        variants = tuple(_variant(one, f"variants[{n}]") for n, one in enumerate(said["variants"]))
        names = [variant.name for variant in variants]
        if len(set(names)) < len(names):
            raise _wrong(f"variants: two of {', '.join(names)} have one name; rename one")
        _check_total([variant.weight for variant in variants])
        return cls(_name(said["experiment"], "experiment"), variants)

    @property
    def weights(self) -> dict[str, float]:
        return {variant.name: variant.weight for variant in self.variants}


def _variant(said: Any, where: str) -> Variant:
    _check_keys(said, _VARIANT, where)
    scheme, host, port = _address(said["url"], f"{where}.url")
    weight = _weight(said["weight"], f"{where}.weight")
    return Variant(_name(said["name"], f"{where}.name"), scheme, host, port, weight)


def _check_keys(said: Any, known: set[str], where: str) -> None:
    got = set(said) if isinstance(said, dict) else None
    if got != known:
        have = "no object" if got is None else ", ".join(sorted(got)) or "nothing"
        raise _wrong(f"{where}: got {have}, expected {', '.join(sorted(known))}")


def _name(said: Any, where: str) -> str:
    if not isinstance(said, str) or not _NAME.fullmatch(said):
        raise _wrong(f"{where}: {said!r} is no name; write a-z, 0-9, - and ., 63 at most")
    return said


def _weight(said: Any, where: str) -> float:
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if not number or not 0 <= said <= _TOTALS[-1]:
        raise _wrong(f"{where}: {said!r} is no weight; write a number from 0 to 100")
    return float(said)


def _check_total(weights: list[float]) -> None:
    total = math.fsum(weights)
    if not any(math.isclose(total, wanted, rel_tol=1e-9) for wanted in _TOTALS):
        raise _wrong(f"variants: the weights sum to {total:g}; make it 1 or 100")


def _address(said: Any, where: str) -> tuple[str, str, int]:
    try:
        url = urllib.parse.urlsplit(said if isinstance(said, str) else "")
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    else:
        bare = url.path in {"", "/"} and not (url.query or url.fragment or "@" in url.netloc)
        if host and bare and url.scheme in _PORTS:
            return url.scheme, host, _PORTS[url.scheme] if port is None else port
    raise _wrong(f"{where}: {said!r} is no server; write http://HOST:PORT or https://HOST:PORT")


def _wrong(message: str) -> UserError:
    return UserError(message, code="router-config")
