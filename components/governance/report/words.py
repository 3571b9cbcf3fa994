"""The few words, marks and links that every section of the report shares."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from html import escape

from components.foundation.page import Html, exact, number
from components.foundation.statistics.task import Task, yardstick
from components.foundation.verdict import Decision
from components.governance.report.story import Story

_METRICS = {name: one for task in Task for name, one in yardstick(task).metrics.items()}


@dataclass(frozen=True)
class Links:
    """Where on the page the evidence stands; what is not there is not linked."""

    story: Story

    @cached_property
    def _entries(self) -> set[int]:
        return {judged.entry for judged in self.story.verdicts if judged.entry}

    @cached_property
    def _tables(self) -> set[str]:
        return {table.ref for table in self.story.tables}

    @cached_property
    def _releases(self) -> set[str]:
        return {release.uri for release in self.story.releases}

    def entry(self, entry: int, text: Html | str = "") -> Html:
        """Link to a verdict by its entry in the audit log."""
        shown = text or (f"entry {entry}" if entry else "")
        return _link(f"entry-{entry}", shown, there=entry in self._entries)

    def table(self, ref: str, text: Html | str = "") -> Html:
        """Link to a version of a table."""
        return _link(anchor(ref), text or brief(ref), there=ref in self._tables)

    def release(self, uri: str, text: Html | str = "") -> Html:
        """Link to a release."""
        return _link(anchor(uri), text or brief(uri), there=uri in self._releases)

    def any(self, ref: str, text: Html | str = "") -> Html:
        """Link to whatever a reference names."""
        return self.release(ref, text) if ref in self._releases else self.table(ref, text)


def _link(to: str, text: Html | str, *, there: bool) -> Html:
    shown = text.text if isinstance(text, Html) else f"<bdi>{escape(text)}</bdi>"
    return Html(f'<a href="#{to}">{shown}</a>' if there else shown)


def anchor(name: str) -> str:
    """Return where a table or a release stands on the page, whatever letters it is named with."""
    return f"x{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def brief(ref: str) -> str:
    """Name a table by its layer and name, a release by model and version; others as they are."""
    if ref.startswith("sealed+s3://"):
        return ref.removeprefix("sealed+s3://").partition("/")[2]
    return ref.removeprefix("s3://").removeprefix("falaj-")


def metric(name: str) -> str:
    """Call a metric as people do."""
    return _METRICS[name].title if name in _METRICS else name.replace("_", " ")


def past(decision: Decision) -> str:
    """Say of a candidate what was decided of it."""
    words = {Decision.ROLL_BACK: "rolled back", Decision.REFUSE: "refused"}
    return words.get(decision, str(decision))


def is_better_low(name: str) -> bool:
    """Say whether less of a metric is better."""
    return name in _METRICS and _METRICS[name].better < 0


def duration(seconds: float) -> str:
    """Write seconds as people say them; `duration(90) == "1 min 30 s"`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def short(digest: str) -> str:
    """Show the first digits of a digest, and all of it on pressing."""
    if not digest:
        return ""
    name = digest.removeprefix("sha256:")
    return f'<code class="id" title="{escape(digest)}">{escape(name[:12])}</code>'


def interval(value: float, low: float | None, high: float | None) -> Html:
    """Show a number with its interval."""
    shown = exact(value).text
    if low is None or high is None:
        return Html(shown)
    return Html(f"{shown} [{number(low)}, {number(high)}]")


def percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 3)


def many(count: int, one: str, more: str = "") -> str:
    """Count things in words; `many(1, "row") == "1 row"`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
