"""The learning curve as a page."""

from components.foundation import svg
from components.foundation.page import number, page, table
from components.training.loop import History


def render(title: str, history: History, *, rows: int) -> str:
    """Draw training loss and validation log loss by epoch, the best one marked."""
    numbers = [epoch.number for epoch in history.epochs]
    best = history.best
    chart = svg.line_chart(
        [
            svg.Series("training loss", [epoch.loss for epoch in history.epochs]),
            svg.Series("validation log loss", [epoch.log_loss for epoch in history.epochs]),
        ],
        title="Loss by epoch",
        x=numbers,
        x_label="epoch",
        marks=[svg.Mark(best.number, "best")],
    )
    rows_by_epoch = table(
        ["epoch", "training loss", "validation log loss", "validation AUC", "seconds"],
        [[e.number, e.loss, e.log_loss, e.auc, e.seconds] for e in history.epochs],
    )
    words = (
        f"<p>{number(rows)} rows, {len(numbers)} epochs, "
        f"{number(round(history.throughput(rows)))} rows a second. "
        f"The weights are those of epoch {best.number}.</p>"
    )
    return page(title, words + chart + rows_by_epoch)
