"""The learning curve as a page."""

from components.foundation import svg
from components.foundation.page import number, page, table
from components.foundation.statistics.task import Task, yardstick
from components.training.loop import History


def render(title: str, history: History, *, rows: int) -> str:
    """Draw training and validation loss by epoch, the best one marked; metrics as a table."""
    numbers = [epoch.number for epoch in history.epochs]
    best = history.best
    chart = svg.line_chart(
        [
            svg.Series("training loss", [epoch.loss for epoch in history.epochs]),
            svg.Series("validation loss", [epoch.validation for epoch in history.epochs]),
        ],
        title="Loss by epoch",
        x=numbers,
        x_label="epoch",
        marks=[svg.Mark(best.number, "best")],
    )
    rows_by_epoch = table(
        ["epoch", "training loss", "validation loss", *map(_title, best.metrics), "seconds"],
        [[e.number, e.loss, e.validation, *e.metrics.values(), e.seconds] for e in history.epochs],
    )
    words = (
        f"<p>{number(rows)} rows, {len(numbers)} epochs, "
        f"{number(round(history.throughput(rows)))} rows a second. "
        f"The weights are those of epoch {best.number}.</p>"
    )
    return page(title, words + chart + rows_by_epoch)


def _title(metric: str) -> str:
    known = {name: one.title for task in Task for name, one in yardstick(task).metrics.items()}
    return f"validation {known[metric]}"
