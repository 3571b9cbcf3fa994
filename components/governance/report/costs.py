"""The report's part on cost: what each stage read and wrote, and how much machine that took."""

from collections.abc import Iterator, Sequence

from components.foundation.cost import Cost
from components.foundation.page import Html, exact, fold, table
from components.governance.report.story import Stage, Step
from components.governance.report.words import many

_HEADERS = ("Time, s", "CPU, s", "Peak, MB", "Rows in", "In, MB", "Out, MB")
_MEGABYTE = 1e6
_DEAREST = 10
_HOW = (
    '<p class="soft">Of steps that ran, as the records of their runs have it. Some run side by '
    "side. Peak memory is that of the largest step; the rest are sums.</p>"
)
_Paid = tuple[Step, Cost]


def costs(stages: Sequence[Stage]) -> str:
    """List what stages cost, and folded the steps that cost most; nothing known: nothing."""
    paid = [(stage, steps) for stage in stages if (steps := tuple(_paid(stage)))]
    if not paid:
        return ""
    rows: list[list[object]] = [
        [stage.title, *_figures(steps, stage.seconds)] for stage, steps in paid
    ]
    if len(paid) > 1:
        every = [one for _, steps in paid for one in steps]
        seconds = sum(stage.seconds for stage, _ in paid)
        rows.append([Html("<b>all of these</b>"), *_figures(every, seconds)])
    return table(["Stage", *_HEADERS], rows) + _HOW + _dearest(paid)


def _paid(stage: Stage) -> Iterator[_Paid]:
    """Leave out what nobody measured, as steps whose outputs an earlier run gave."""
    return ((step, step.cost) for step in stage.steps if step.cost)


def _dearest(paid: Sequence[tuple[Stage, Sequence[_Paid]]]) -> str:
    """List the steps that took the processor longest."""
    every = [(stage, *one) for stage, steps in paid for one in steps]
    every.sort(key=lambda one: -one[2].cpu_seconds)
    rows = [
        [step.title, stage.title, *_figures([(step, cost)], step.seconds)]
        for stage, step, cost in every[:_DEAREST]
    ]
    name = f"Of {many(len(every), 'step')}, those that took the processor longest"
    return fold(name, table(["Step", "Stage", *_HEADERS], rows))


def _figures(paid: Sequence[_Paid], seconds: float) -> list[object]:
    costs = [cost for _, cost in paid]
    return [
        exact(round(seconds, 3), digits=1),
        exact(round(sum(one.cpu_seconds for one in costs), 3), digits=1),
        _megabytes(max(one.peak_bytes for one in costs), digits=0),
        exact(sum(one.rows_read for one in costs)),
        _megabytes(sum(one.bytes_read for one in costs), digits=1),
        _megabytes(sum(one.bytes_written for one in costs), digits=1),
    ]


def _megabytes(count: int, *, digits: int) -> Html:
    """Show bytes as megabytes, and as they were counted for a program that compares."""
    return Html(f'<data value="{count}">{count / _MEGABYTE:,.{digits}f}</data>')
