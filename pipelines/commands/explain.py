"""`falaj explain`: why a verdict was given, in words."""

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from components.foundation.errors import UserError, nearest
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.foundation.audit import Entry
    from components.foundation.verdict import Verdict
    from pipelines.commands.options import Verbs
    from pipelines.records import Records

_SHORTEST = 4  # characters of a digest


def add(verbs: "Verbs") -> None:
    shown = ("falaj explain 'contract flights'", "falaj explain sha256:3fa9c1", "falaj explain")
    parser = options.verb(verbs, "explain", "say why a verdict was given", *shown)
    what = "its subject (the newest of it is told), or the start of its digest; none: list them"
    parser.add_argument("verdict", nargs="?", default="", help=what)
    options.state(parser)
    parser.add_argument("--log", choices=("text", "json"), default="text", help="json: as stored")
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Find a verdict in the audit log and say it in words."""
    from components.foundation.audit import AuditLog
    from pipelines.laptop import session
    from pipelines.records import Records

    with session.storing(arguments.state) as laptop:
        entries = [entry for entry in AuditLog(laptop.store).entries() if entry.kind == "verdict"]
    if not arguments.verdict:
        _list(entries)
        return 0
    entry = find(arguments.verdict, entries)
    if arguments.log == "json":
        print(json.dumps({"entry": entry.number, "digest": _digest(entry), **entry.body}))
        return 0
    for line in _told(entry, Records(arguments.state / "runs")):
        say(line)
    return 0


def find(wanted: str, entries: Sequence["Entry"]) -> "Entry":
    """Return the newest verdict of a subject, or the one with a digest that begins so.

    Raises:
        UserError: there is none; the nearest subject is named.
    """
    subjects = {entry.subject: entry for entry in entries}  # the newest of each
    if wanted in subjects:
        return subjects[wanted]
    hexadecimal = wanted.removeprefix("sha256:").lower()
    if len(hexadecimal) >= _SHORTEST:
        for entry in reversed(entries):
            if _digest(entry).removeprefix("sha256:").startswith(hexadecimal):
                return entry
    known = sorted(subjects)
    hint = nearest(wanted, known) if known else "none was given yet; `make run` gives some"
    raise UserError(f"verdict {wanted!r}: there is none; {hint}", code="verdict-unknown")


def _list(entries: Iterable["Entry"]) -> None:
    newest = {entry.subject: entry for entry in entries}
    for subject, entry in sorted(newest.items()):
        say(f"{_digest(entry)[:19]}  {entry.body['decision']:<12}  {subject}")


def _verdict(entry: "Entry") -> "Verdict":
    from components.foundation.verdict import Verdict

    return Verdict.from_dict(dict(entry.body))


def _digest(entry: "Entry") -> str:
    return str(_verdict(entry).digest())


def _told(entry: "Entry", records: "Records") -> Iterable[str]:
    from pipelines import explanation

    verdict = _verdict(entry)
    stopped = "" if verdict.passes else " (no gate lets it through)"
    yield f"{verdict.subject}: {verdict.decision}{stopped}"
    yield f"  because   {verdict.reason}"
    head = "  evidence  "
    for line in explanation.evidence(verdict):
        yield f"{head}{line}"
        head = " " * len(head)
    for name, value in verdict.measured.items():
        yield f"  measured  {name.replace('_', ' ')}: {value:g}"
    yield f"  judged    {verdict.judged or 'what the subject names'}"
    yield f"  when      {verdict.time}"
    yield f"  entry     {entry.number} of the audit log"
    yield f"  digest    {_digest(entry)}"
    yield f"  run       {_run(verdict, records)}"


def _run(verdict: "Verdict", records: "Records") -> str:
    """Name the run and the step that gave a verdict: the same judgement at the same time."""
    for run in reversed(records.runs.list()):
        for step in run.steps:
            given = step.outputs.get("verdict") or {}
            same = (given.get("subject"), given.get("time")) == (verdict.subject, verdict.time)
            if same and not step.cached:
                return f"{run.run_id}, step {step.title}"
    return "no record of it here"
