"""The page and the JSON of a scan."""

from typing import Any

from components.foundation.page import Html, badge, facts, fold, judged, page, table, tiles
from components.foundation.verdict import Verdict
from components.release.scan_model.finding import Finding
from components.release.scan_model.scan import Scan

_COUNTS = (
    ("files", "files"),
    ("bytes", "bytes"),
    ("operators", "operators"),
    ("tensors", "tensors"),
    ("pickles", "pickles"),
    ("refused", "findings that refuse"),
)


def to_dict(verdict: Verdict, scan: Scan) -> dict[str, Any]:
    """Return all that was found, for a program."""
    return {
        "verdict": verdict.to_dict(),
        "files": {name: str(kind) for name, kind in sorted(scan.files.items())},
        "findings": [finding.to_dict() for finding in (*scan.refused, *scan.notes)],
    }


def render(verdict: Verdict, scan: Scan) -> str:
    """Make the page: the decision, the findings by file, what every file is."""
    found = verdict.evidence
    body = (
        judged(verdict, verdict.judged, verdict.time)
        + tiles((found[name], says) for name, says in _COUNTS)
        + _findings(scan)
        + facts(_said(found))
        + fold(
            f"All {len(scan.files)} files",
            table(["file", "is"], sorted((name, str(kind)) for name, kind in scan.files.items())),
        )
    )
    return page("Scan of a model", body)


def _findings(scan: Scan) -> str:
    rows = [_row(finding) for finding in (*scan.refused, *scan.notes)]
    return table(["file", "rule", "decision", "what was found"], rows, stacked=True) if rows else ""


def _row(finding: Finding) -> list[object]:
    word = badge("refused", good=False) if finding.refuses else badge("noted")
    return [finding.file, str(finding.rule), Html(word), finding.says]


def _said(found: dict[str, Any]) -> list[tuple[str, object]]:
    said = found["provenance"]
    lines: list[tuple[str, object]] = [
        (name.replace("_", " "), said[name] or None) for name in ("licence", "source", "trained_by")
    ]
    lines.append(("tables", ", ".join(said["tables"]) or None))
    return [*lines, ("scanners", ", ".join(found["scanners"]))]
