"""The release that serves now: looked up in its channel, verified, opened, and asked."""

import pathlib
import tempfile
from collections.abc import Sequence

from components.evaluation.bless.duel import Contender
from components.evaluation.labels import Labelled, read
from components.evaluation.runtime import OnnxModel
from components.foundation.errors import UserError
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import unseal
from components.foundation.statistics.task import Task
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables


def contender(name: str, model: OnnxModel, rows: Labelled) -> Contender:
    """Score rows with a model."""
    return Contender(name, model.digest, model.score(rows.table), model.band)


def meet(
    challenger: OnnxModel,
    test: TableRef,
    *,
    label: str,
    others: Sequence[str],
    model: str,
    tables: Tables,
    store: ObjectStore,
    keys: KeyRing,
    task: Task = Task.CLASSIFICATION,
) -> tuple[Labelled, Contender, Contender | None]:
    """Read the rows that both models need, and score them with both.

    Returns:
        The rows; the challenger; the champion, or None if there is none yet.

    Raises:
        UserError: the table lacks a column of either model, or they are of different tasks.
        Refused: the champion's channel or release is not as it was signed.
    """
    pointer = channel.current(model, store=store, keys=keys)
    if pointer is None:
        rows = read(tables, test, challenger.signature, label=label, others=others, task=task)
        return rows, contender("the challenger", challenger, rows), None
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "champion"
        unseal(pointer.uri, folder, store=store, keys=keys)
        champion = OnnxModel.open(folder)
        others = [*others, *(tensor.name for tensor in champion.signature.inputs)]
        rows = read(tables, test, challenger.signature, label=label, others=others, task=task)
        _same_answer(challenger, champion, pointer.version)
        named = f"champion {pointer.version}"
        return (
            rows,
            contender("the challenger", challenger, rows),
            contender(named, champion, rows),
        )


def _same_answer(challenger: OnnxModel, champion: OnnxModel, version: str) -> None:
    ours, theirs = (model.signature.outputs[0].name for model in (challenger, champion))
    if ours != theirs:
        raise UserError(
            f"the challenger gives {ours!r}, champion {version} {theirs!r}; models of different "
            "tasks cannot be compared: give the new model a name of its own",
            code="task-unknown",
        )
