"""Names are read from expressions as Prometheus reads them."""

import pytest

from tests.monitoring.promql import metrics


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ("falaj:slow:ratio1h > 14.4 * scalar(falaj:slow:budget)",
         {"falaj:slow:ratio1h", "falaj:slow:budget"}),
        ('sum by (namespace, model) (rate(a_total{code=~"5..|x{y}"}[5m]))', {"a_total"}),
        ("a / on (x) group_left (y) b unless on () c", {"a", "b", "c"}),
        ("a offset 1w and b > bool 1e3", {"a", "b"}),
        ("histogram_quantile(0.9, sum(rate(h_bucket[$__rate_interval])) by (le))", {"h_bucket"}),
        ("time() - max (start_seconds)", {"start_seconds"}),
        ('label_replace(a, "b", "$1", "c", "d")', {"a"}),
    ],
)  # fmt: skip
def test_names_are_those_of_series(expression: str, names: set[str]) -> None:
    assert metrics(expression) == names
