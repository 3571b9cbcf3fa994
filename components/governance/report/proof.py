"""The report's part for an auditor: releases, residency, the audit log, every verdict and table."""

from collections.abc import Iterator, Sequence
from html import escape

from components.foundation.page import Html, badge, decided, evidence, exact, facts, judged, table
from components.governance.report.story import Audit, Forgery, Judged, Pace, Release, Story
from components.governance.report.words import Links, anchor, many


def releases(rows: Sequence[Release], links: Links) -> str:
    """Show each release: what became of it, digests, who signed it, and what it was made of."""
    shown = "".join(f"<div>{_release(one, links)}</div>" for one in rows)
    return f'<div class="pair">{shown}</div>' if shown else ""


def forgeries(rows: Sequence[Forgery]) -> str:
    """Show what was tried against the releases, and what was said to it."""
    shown = [[one.what, one.refused] for one in rows]
    return table(["Tried", "Refused because"], shown, stacked=True) if shown else ""


def pace(taken: Pace | None) -> str:
    """Say how fast a release of this job was sealed and opened, and how many bytes."""
    if taken is None:
        return ""
    return (
        f"<p>{many(taken.files, 'file')} of {taken.bytes:,} bytes: sealed into the object "
        f"store in {_rated(taken.bytes, taken.sealed_seconds)}, verified and opened in "
        f"{_rated(taken.bytes, taken.opened_seconds)}.</p>"
    )


def _rated(size: int, seconds: float) -> str:
    return f"{seconds:.3f} s ({size / 1e6 / seconds:.1f} MB/s)"


def residency(rows: Sequence[Judged], links: Links) -> str:
    """Show where bytes may lie, how that is known, and under which law."""
    return "".join(_attested(one, links) for one in rows)


def audit(log: Audit | None) -> str:
    """Say how far the log goes, with which digest, and what was held against it."""
    if log is None:
        return ""
    return (
        f"<p>Every link of the audit log's {many(log.entries, 'entry', 'entries')} holds. "
        f"{many(log.checked, 'verdict')} of this job "
        f"{'was' if log.checked == 1 else 'were'} compared with "
        f"the log; each has the digest that its entry holds.</p>"
        f'<p class="soft">Head of the log: <code>{escape(log.head)}</code></p>'
    )


def verdicts(rows: Sequence[Judged]) -> str:
    """Show every verdict where links to it lead: why, on which evidence, with which digest."""
    return "".join(map(_verdict, rows))


def tables(story: Story, links: Links) -> str:
    """List every version of every table where links to it lead."""
    rows = [
        [
            Html(f'<code id="{anchor(one.ref)}">{escape(one.ref)}</code>'),
            exact(one.rows),
            one.step,
            Html(f"<code>{escape(one.run)}</code>"),
            Html(", ".join(links.any(ref).text for ref in one.sources)),
        ]
        for one in story.tables
    ]
    return table(["Version", "Rows", "By", "Run", "From"], rows, stacked=True) if rows else ""


def _release(one: Release, links: Links) -> str:
    good = {"champion": True, "rolled back": False, "never started": False}.get(one.fate)
    if one.problem:
        state = f"{badge('does not verify', good=False)} {escape(one.problem)}"
    else:
        state = f"{badge('verified', good=True)} every byte is what was signed"
    known: list[tuple[str, object]] = [
        ("address", Html(f"<code>{escape(one.uri)}</code>")),
        ("content", Html(f"<code>{escape(one.digest)}</code>")),
        ("statement", Html(f"<code>{escape(one.statement)}</code>")),
        ("signed by key", Html(f"<code>{escape(one.signer)}</code>")),
        ("checked now", Html(state)),
        ("made by", Html(_made_by(one, links))),
        ("of", Html(", ".join(links.table(ref).text for ref in one.tables))),
        ("sealed", f"entry {one.entry} of the audit log" if one.entry else "by hand, not logged"),
    ]
    return (
        f'<h3 id="{anchor(one.uri)}">{escape(one.model)} {escape(one.version)} '
        f"{badge(one.fate, good=good)}</h3>" + facts(pair for pair in known if pair[1] != Html(""))
    )


def _made_by(one: Release, links: Links) -> str:
    if one.made_by.startswith("sealed+"):
        return f"hand, from {links.release(one.made_by).text}"
    return f"<code>{escape(one.made_by)}</code>"


def _attested(one: Judged, links: Links) -> str:
    found = one.verdict.evidence
    basis = " · ".join(str(found[n]) for n in ("legal_basis", "legal_status") if found.get(n))
    head = judged(one.verdict, basis, title=one.verdict.subject, more=links.entry(one.entry))
    return head + facts(_known(found))


def _known(found: dict[str, object]) -> Iterator[tuple[str, str]]:
    names = {
        "looked_up": "in the registry",
        "declared": "declared",
        "not_attested": "not attested",
    }
    for key, name in names.items():
        match found.get(key):
            case list(texts):
                yield from ((name, str(text)) for text in texts)


def _verdict(one: Judged) -> str:
    verdict = one.verdict
    known: list[tuple[str, object]] = [
        ("digest", Html(f"<code>{escape(str(verdict.digest()))}</code>")),
        ("judged", Html(f"<code>{escape(verdict.judged)}</code>")),
        ("time", verdict.time),
        ("given by", f"{one.step}, {one.stage}" if one.stage else one.step),
        ("run", Html(f"<code>{escape(one.run)}</code>")),
    ]
    below = facts(known)
    shown = evidence({**verdict.evidence, **verdict.measured})
    return (
        f'<details class="entry" id="entry-{one.entry}"><summary><i>{one.entry or ""}</i> '
        f"{decided(verdict.decision).text} <b>{escape(verdict.subject)}</b> "
        f"{escape(verdict.reason)}</summary>{below}{shown}</details>"
    )
