"""The release that serves now: looked up in its channel, verified, opened, and asked."""

import pathlib
import tempfile
from collections.abc import Sequence

from components.evaluation.bless.duel import Contender
from components.evaluation.labels import Labelled, read
from components.evaluation.runtime import OnnxModel
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import unseal
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables


def contender(name: str, model: OnnxModel, rows: Labelled) -> Contender:
    """Score rows with a model."""
    return Contender(name, model.digest, model.score(rows.table))


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
) -> tuple[Labelled, Contender, Contender | None]:
    """Read the rows that both models need, and score them with both.

    Returns:
        The rows; the challenger; the champion, or None if there is none yet.

    Raises:
        UserError: the table lacks a column of either model.
        Refused: the champion's channel or release is not as it was signed.
    """
    pointer = channel.current(model, store=store, keys=keys)
    if pointer is None:
        rows = read(tables, test, challenger.signature, label=label, others=others)
        return rows, contender("the challenger", challenger, rows), None
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "champion"
        unseal(pointer.uri, folder, store=store, keys=keys)
        champion = OnnxModel.open(folder)
        inputs = [tensor.name for tensor in champion.signature.inputs]
        rows = read(tables, test, challenger.signature, label=label, others=[*others, *inputs])
        named = f"champion {pointer.version}"
        return (
            rows,
            contender("the challenger", challenger, rows),
            contender(named, champion, rows),
        )
