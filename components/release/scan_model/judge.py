"""The verdict on a scanned folder, with what was counted as its evidence."""

import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from components.foundation import digests
from components.foundation.verdict import Decision, Verdict
from components.release.scan_model import scanners
from components.release.scan_model.declared import Declared
from components.release.scan_model.finding import Finding
from components.release.scan_model.limits import DEFAULT, Limits
from components.release.scan_model.scan import Scan, scan

_SHOWN: Final = 50  # findings of a verdict; the report has them all
_COUNTED: Final = ("operators", "tensors", "pickles", "opcodes", "programs", "bytes")


def judge(
    folder: pathlib.Path,
    declared: Declared,
    *,
    programs: dict[str, pathlib.Path] | None = None,
    limits: Limits = DEFAULT,
) -> tuple[Verdict, Scan]:
    """Scan a folder and say whether it may be sealed.

    Args:
        folder: of the model.
        declared: what the model says of itself.
        programs: other scanners, by name, and where they are.
        limits: how much is read.
    """
    programs = programs or {}
    found = scan(folder, declared, limits)
    found.findings += scanners.findings(folder, found.pickled, programs)
    refused = found.refused
    decision = Decision.REFUSE if refused else Decision.ACCEPT
    evidence = _evidence(found, sorted(programs))
    return Verdict("scan", decision, _reason(found), evidence, judged=_digest(found)), found


def _digest(found: Scan) -> str:
    """Digest the plain files; a folder with links has no digest that says what it is."""
    plain = {name: str(digests.of_file(found.folder / name)) for name in found.files}
    return str(digests.of_json(plain))


def _reason(found: Scan) -> str:
    refused = found.refused
    if not refused:
        return f"{len(found.files)} files, each of a kind that only computes"
    first = refused[0]
    files = len({finding.file for finding in refused})
    others = f" (and {len(refused) - 1} more findings, {files} files)" if len(refused) > 1 else ""
    return f"{first.file}: {first.rule}: {first.says}{others}"


def _evidence(found: Scan, ran: Iterable[str]) -> dict[str, Any]:
    return {
        "files": len(found.files),
        **{name: found.counts[name] for name in _COUNTED},
        "kinds": dict(sorted(Counter(map(str, found.files.values())).items())),
        "refused": len(found.refused),
        "notes": len(found.notes),
        "findings": _dicts(found.refused[:_SHOWN]),
        "scanners": ["opcodes", *ran],
        "provenance": {**found.declared.provenance, "tables": list(found.declared.tables)},
        "declared": {
            "pickles": {name: sorted(v) for name, v in sorted(found.declared.pickles.items())},
            "domains": sorted(found.declared.domains),
        },
    }


def _dicts(findings: Iterable[Finding]) -> list[dict[str, str]]:
    return [finding.to_dict() for finding in findings]
