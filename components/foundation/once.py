"""Tables that are a function of their inputs: written once, then recognised."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from components.foundation.delta import UNANSWERED
from components.foundation.digests import Digest
from components.foundation.errors import InfrastructureError
from components.foundation.tables import TableRef, Tables

if TYPE_CHECKING:
    import pyarrow as pa

_APP = "falaj:recipe"  # its transaction version is the recipe of the newest content


def replace(
    tables: Tables,
    target: TableRef,
    recipe: Digest,
    rows: Callable[[], AbstractContextManager["pa.RecordBatchReader"]],
    *,
    ordered: bool = False,
) -> TableRef:
    """Replace a table by what a recipe makes, unless it holds exactly that already.

    Args:
        tables: where tables are.
        target: the table; its version is ignored.
        recipe: a digest of everything that the rows are a function of.
        rows: opens the stream of rows; not called when there is nothing to do.
        ordered: the rows come in the order of their content; readers need not sort them.
    """
    before = tables.newest(target)
    if before and tables.transaction(before, _APP) == _number(recipe):
        return before
    write = tables.replace if before else tables.create
    for pause in tables.settings.patience.pauses():
        try:
            with rows() as stream:
                at, position = before or target.at(None), {_APP: _number(recipe)}
                return write(at, stream, transactions=position, ordered=ordered)
        except InfrastructureError as error:
            last = error
            made = tables.newest(target)
            if made and tables.transaction(made, _APP) == _number(recipe):  # by another, or by us
                return made
            if error.code != UNANSWERED:
                raise
        time.sleep(pause)
    raise last


def _number(recipe: Digest) -> int:
    """Fold a digest into the 63 bits of a transaction version."""
    return int(recipe.hex[:15], 16)
