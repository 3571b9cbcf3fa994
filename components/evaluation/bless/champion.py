"""The release that serves now: looked up in its channel, verified, opened, and asked."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from components.evaluation.bless.duel import Contender
from components.evaluation.labels import Labelled, Truth, read
from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import unseal
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables


def contender(name: str, model: ServedModel, rows: Labelled) -> Contender:
    """Score rows with a model."""
    return Contender(name, model.digest, model.score(rows.table), model.band)


@dataclass(frozen=True, slots=True)
class Champion:
    """The model that serves now, opened, and the version of its release."""

    version: str
    model: ServedModel

    def __str__(self) -> str:
        return f"champion {self.version}"


@dataclass(frozen=True, slots=True)
class Seat:
    """A model's champion channel, and the key ring that verifies and opens what it names."""

    model: str
    store: ObjectStore
    keys: KeyRing

    @contextlib.contextmanager
    def champion(self) -> Iterator[Champion | None]:
        """Open who holds it, for as long as the block lasts; None while nobody does yet.

        Raises:
            Refused: the channel or the release is not as it was signed.
        """
        pointer = channel.current(self.model, store=self.store, keys=self.keys)
        if pointer is None:
            yield None
            return
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / "champion"
            unseal(pointer.uri, folder, store=self.store, keys=self.keys)
            yield Champion(pointer.version, ServedModel.open(folder))


def meet(
    challenger: ServedModel, test: TableRef, seat: Seat, *, truth: Truth, tables: Tables
) -> tuple[Labelled, Contender, Contender | None]:
    """Read the rows that both models need, and score them with both.

    Returns:
        The rows; the challenger; the champion, or None if there is none yet.

    Raises:
        UserError: the table lacks a column of either model, or they are of different tasks.
        Refused: the champion's channel or release is not as it was signed.
    """
    with seat.champion() as champion:
        if champion is None:
            rows = read(tables, test, challenger.signature, truth)
            return rows, contender("the challenger", challenger, rows), None
        inputs = [tensor.name for tensor in champion.model.signature.inputs]
        rows = read(tables, test, challenger.signature, truth.with_columns(inputs))
        _same_answer(challenger, champion)
        ours = contender("the challenger", challenger, rows)
        return rows, ours, contender(str(champion), champion.model, rows)


def _same_answer(challenger: ServedModel, champion: Champion) -> None:
    ours, theirs = (model.signature.outputs[0].name for model in (challenger, champion.model))
    if ours != theirs:
        raise UserError(
            f"the challenger gives {ours!r}, {champion} {theirs!r}; models of different "
            "tasks cannot be compared: give the new model a name of its own",
            code="task-unknown",
        )
