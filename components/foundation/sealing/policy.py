"""Which releases may be opened here: who may sign what, and what is expected.

    format: 1
    minimum_format: 2
    models:
      - name: fraud-*                 shell pattern; the first that fits decides
        signers: ["9f86d081884c7d65"] ids of verifiers of the ring (falaj keys list)
        versions: [3fa9c1d2e4b5]      only these; any, where it is left out
        channels: [champion]          where it has to be, now or just before
        max_channel_age_days: 30      how long ago that may have been signed

A release that no entry fits is refused.
"""

import datetime
import fnmatch
import pathlib
import re
from dataclasses import dataclass
from typing import Any, Self

import yaml

from components.foundation.errors import Refused, UserError
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import FORMAT
from components.foundation.storage import ObjectStore

_SIGNER = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is expected of the releases of some models."""

    name: str
    signers: tuple[str, ...]
    versions: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    max_channel_age_days: int | None = None

    @classmethod
    def parse(cls, value: dict[str, Any]) -> Self:
        """Read an entry; raises ValueError or TypeError for any other."""
        lists: dict[str, Any] = {
            member: _texts(value[member])
            for member in ("signers", "versions", "channels")
            if member in value
        }
        rule = cls(**(value | lists))
        if not isinstance(value["name"], str) or not rule.name or not rule.signers:
            raise ValueError("an entry needs a name and signers")
        if not all(_SIGNER.fullmatch(signer) for signer in rule.signers):
            raise ValueError("a signer is the id of a verifier, 16 hex digits or more of its 64")
        days = rule.max_channel_age_days
        if days is not None and (type(days) is not int or days < 1 or not rule.channels):
            raise ValueError(
                "max_channel_age_days is a number of days, for channels that are named"
            )
        return rule

    @property
    def max_age(self) -> datetime.timedelta | None:
        days = self.max_channel_age_days
        return None if days is None else datetime.timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be opened at one place."""

    rules: tuple[Rule, ...]
    minimum_format: int = FORMAT
    where: str = "policy"

    @classmethod
    def read(cls, path: pathlib.Path) -> Self:
        """Read a policy.

        Raises:
            UserError: there is none, or it is not of this form.
        """
        try:
            value = yaml.load(path.read_bytes(), _Once)  # noqa: S506 - a safe loader
            if value.pop("format") != 1:
                raise ValueError("is of another format")
            rules = tuple(Rule.parse(entry) for entry in value.pop("models"))
            policy = cls(rules, where=str(path), **value)
            if type(policy.minimum_format) is not int:
                raise ValueError("minimum_format is no number")
        except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: is no policy: {error}; expected format 1, minimum_format and models "
                "(name, signers, versions, channels, max_channel_age_days); write it as "
                "docs/sealing.md shows",
                code="policy-malformed",
            ) from error
        return policy

    def check(self, release: Release, *, store: ObjectStore | None, keys: KeyRing) -> None:
        """Refuse a sound release that is not expected here.

        Args:
            release: of which the signature holds.
            store: where channels lie; None where there are none, as for files in a folder.
            keys: who signs channels.

        Raises:
            Refused: no entry fits it, or the one that does expects another.
        """
        if self.minimum_format > FORMAT:
            raise self._refused(release, "format", str(FORMAT), f"at least {self.minimum_format}")
        rule = next((r for r in self.rules if fnmatch.fnmatchcase(release.model, r.name)), None)
        if rule is None:
            names = ", ".join(rule.name for rule in self.rules) or "no model"
            raise self._refused(release, "model", release.model, names)
        if not release.signer.startswith(rule.signers):
            wanted = ", ".join(signer[:16] for signer in rule.signers)
            raise self._refused(release, "signer", release.signer[:16], wanted)
        if rule.versions and release.version not in rule.versions:
            raise self._refused(release, "version", release.version, ", ".join(rule.versions))
        if rule.channels:
            self._check_channels(release, rule, store, keys)

    def _check_channels(
        self, release: Release, rule: Rule, store: ObjectStore | None, keys: KeyRing
    ) -> None:
        """Refuse what no channel points at, nor did before its last move: the way back."""
        there: list[str] = []
        for name in rule.channels:
            if store is None:
                break
            pointer = channel.current(
                release.model, store=store, keys=keys, channel=name, max_age=rule.max_age
            )
            if pointer is not None:
                there += [move.uri for move in pointer.history[:2]]
        if release.uri not in there:
            wanted = f"what {' or '.join(rule.channels)} points at: {', '.join(there) or 'nothing'}"
            raise self._refused(release, "place", "in none of its channels", wanted)

    def _refused(self, release: Release, what: str, got: str, wanted: str) -> Refused:
        return Refused(
            f"release {release.uri}: its {what} is {got}, {self.where} expects {wanted}; name "
            "another release, or have the policy changed by who owns it",
            code="policy-refused",
        )


def _texts(value: Any) -> tuple[str, ...]:
    """Read a list; an empty one is refused, as it could be taken for none or for any."""
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{value!r:.60} is no list of names in quotes")
    return tuple(value)


class _Once(yaml.SafeLoader):
    """Refuse a member that is there twice: of two rules the reader would see one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        value = super().construct_mapping(node, deep=deep)
        if len(value) != len(node.value):
            raise ValueError(f"a member is there twice among {', '.join(map(str, value))}")
        return value
