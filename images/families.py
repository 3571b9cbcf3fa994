"""What each image holds, in the words of setup.cfg: extras, and single requirements."""

import configparser
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[1]
LOCKS = ROOT / "requirements"
OURS = "falaj"

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_OWN_EXTRAS = re.compile(rf"{OURS}\[(.*)\]")


@dataclass(frozen=True, slots=True)
class Family:
    """One image family.

    Attributes:
        runs_steps: it holds what every pipeline step needs (kfp among it).
        extras: extras of setup.cfg.
        only: single requirements, bounded as setup.cfg bounds them anywhere.
    """

    runs_steps: bool = False
    extras: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


# Serving pods hold no client of Kubernetes, and no more than they import: they name it. The server
# of programs needs their framework, so it lies in the images that trained them.
FAMILIES = {
    "data": Family(runs_steps=True, extras=("awskms", "features", "hashivault", "pkcs11")),
    "torch": Family(runs_steps=True, extras=("awskms", "hashivault", "pkcs11", "torch", "serving")),
    "tensorflow": Family(
        runs_steps=True, extras=("awskms", "hashivault", "pkcs11", "tensorflow", "serving")
    ),
    "release": Family(
        runs_steps=True, extras=("awskms", "data", "hashivault", "pkcs11", "scan", "serving")
    ),
    "serving": Family(extras=("serving",), only=("cryptography", "numpy")),
    "initializer": Family(
        only=(
            *("blake3", "botocore", "cryptography", "hvac", "obstore", "python-pkcs11"),
            *("pyyaml", "requests"),
        )
    ),
    "transformer": Family(
        only=(
            *("blake3", "cryptography", "deltalake", "feast", "grpcio", "httptools", "numpy"),
            *("obstore", "orjson", "pandas", "prometheus-client", "pyarrow", "pyjwt"),
            *("pysimdjson", "pyyaml", "uvloop"),
        )
    ),
}
BUILDERS = ("setuptools", "wheel")  # what builds the few packages that come as source only


def name_of(requirement: str) -> str:
    """Return the normalised name of a requirement or of a line of a lock."""
    found = _NAME.match(requirement)
    if not found:
        raise ValueError(f"{requirement!r} does not start with a package's name")
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@dataclass(frozen=True, slots=True)
class Declared:
    """The requirements that setup.cfg declares: everywhere, and by extra."""

    base: tuple[str, ...]
    extras: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: pathlib.Path = ROOT / "setup.cfg") -> "Declared":
        parser = configparser.ConfigParser()
        parser.read_string(path.read_text())
        extras = {name: _lines(text) for name, text in parser["options.extras_require"].items()}
        return cls(_lines(parser["options"]["install_requires"]), extras)

    def of(self, family: Family) -> list[str]:
        """Return every requirement of a family, our own extras expanded."""
        wanted = {*(self.base if family.runs_steps else ())}
        for extra in family.extras:
            wanted.update(self._extra(extra))
        return sorted(wanted | {self._single(name) for name in family.only})

    def _extra(self, extra: str) -> Iterator[str]:
        for requirement in self.extras[extra]:
            if own := _OWN_EXTRAS.fullmatch(requirement):
                for name in own[1].split(","):
                    yield from self._extra(name)
            else:
                yield requirement

    def _single(self, name: str) -> str:
        every = [*self.base, *(line for extra in self.extras for line in self._extra(extra))]
        for requirement in every:
            if name_of(requirement) == name:
                return requirement
        raise ValueError(f"{name}: setup.cfg does not declare it; add it there first")


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line.strip())
