"""`falaj residency ledger`: what went abroad, on which recorded basis."""

import argparse
import contextlib
import datetime
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipelines.commands import options, texts
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.foundation.storage import ObjectStore
    from pipelines.commands.options import Verbs

_EXAMPLES = (
    "falaj residency ledger --state out/laptop",
    "falaj residency ledger --profiles profiles.yaml --audit-log /var/log/kubernetes/audit.log",
)


def add(verbs: "Verbs") -> None:
    what = "print the transfers abroad, with the basis of each"
    parser = options.verb(verbs, "ledger", what, *_EXAMPLES)
    state = "a laptop's data; without it, the store that the environment names"
    parser.add_argument("--state", type=pathlib.Path, metavar="FOLDER", help=state)
    profiles = "ResidencyProfiles as they are now, with their bases"
    many: dict[str, Any] = {"action": "append", "type": pathlib.Path, "default": []}
    parser.add_argument("--profiles", metavar="PATH", help=profiles, **many)
    log = "first take in what an API server's audit log tells"
    parser.add_argument("--audit-log", metavar="FILE", help=log, **many)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Take in what audit logs tell, then print every line."""
    from components.foundation.audit import AuditLog
    from components.governance.attest_residency import ledger

    known = _known(arguments.profiles)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    with _store(arguments.state) as store:
        log = AuditLog(store)
        for _, text in texts.read(arguments.audit_log):
            ledger.note(log, ledger.of_audit_lines(text.splitlines(), known))
        lines = list(ledger.read(log, known, on=today))
    for line in lines:
        say(line)
    say(f"{len(lines)} transfers, {sum(bool(line.lapsed) for line in lines)} of them lapsed")
    return 0


def _known(paths: list[pathlib.Path]) -> Mapping[str, Mapping[str, Any]]:
    from components.governance.residency import reading

    return reading.Laws.of(reading.read(texts.read(paths))).known


@contextlib.contextmanager
def _store(state: pathlib.Path | None) -> "Iterator[ObjectStore]":
    from components.foundation.storage import ObjectStore, Settings
    from pipelines.laptop import session

    if state is None:
        yield ObjectStore(Settings.from_environment(os.environ))
        return
    with session.storing(state) as laptop:
        yield laptop.store
