import pytest

from components.deployment.roll_out import counters
from components.deployment.roll_out.counters import Counter, Metrics, gained, merged, parse
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.statistics.eprocess import Arm


def page(*series: tuple[str, str, str, float]) -> str:
    lines = ["# TYPE inference_requests_total counter"]
    for pod, version, code, value in series:
        labels = f'model="m",version="{version}",code="{code}",pod="{pod}"'
        lines.append(f"inference_requests_total{{{labels}}} {value} 1700000000000")
    return "\n".join(lines) + "\n"


def test_sums_a_version_over_pods_and_codes() -> None:
    before = parse(page(("p1", "v1", "200", 10), ("p2", "v1", "200", 5), ("p3", "v2", "200", 0)))
    now = parse(
        page(
            ("p1", "v1", "200", 30),
            ("p1", "v1", "400", 3),
            ("p2", "v1", "500", 2),
            ("p3", "v2", "503", 1),
        )
    )

    assert gained(before, now, version="v1") == Arm(25, 2)
    assert gained(before, now, version="v2") == Arm(1, 1)


def test_a_counter_that_fell_was_reset() -> None:
    before = parse(page(("p1", "v1", "200", 100)))

    assert gained(before, parse(page(("p1", "v1", "200", 7))), version="v1") == Arm(7, 0)


def test_a_server_not_seen_before_counts_from_now_on() -> None:
    before = parse(page(("p1", "v1", "200", 100)))
    now = parse(page(("p1", "v1", "200", 100), ("p9", "v1", "200", 1_000_000)))

    assert gained(before, now, version="v1") == Arm(0, 0)
    assert gained(now, now, version="v1") == Arm(0, 0)


def test_a_scrape_that_failed_in_between_loses_nothing() -> None:
    first = parse(page(("p1", "v1", "200", 100)))
    kept = merged(first, parse(page()))

    assert gained(kept, parse(page(("p1", "v1", "200", 120))), version="v1") == Arm(20, 0)


def transformed(*series: tuple[str, str, str, float]) -> str:
    return page(*series).replace(Counter.SERVER.value, Counter.TRANSFORMER.value)


def test_a_transformer_is_counted_apart_from_its_server() -> None:
    series = ("p1", "v1", "200", 0)  # the same labels on both
    before = parse(page(series) + transformed(series))
    server = page(("p1", "v1", "200", 40), ("p1", "v1", "500", 1))
    before_it = transformed(("p1", "v1", "200", 40), ("p1", "v1", "502", 1), ("p1", "v1", "504", 7))

    now = parse(server + before_it)

    assert gained(before, now, version="v1") == Arm(41, 1)
    assert gained(before, now, version="v1", counter=Counter.TRANSFORMER) == Arm(48, 8)


def test_a_server_is_not_counted_for_a_transformer_that_nobody_scrapes() -> None:
    before, now = (parse(page(("p1", "v1", "200", count))) for count in (0, 100))

    assert gained(before, now, version="v1", counter=Counter.TRANSFORMER) == Arm(0, 0)


def test_series_of_a_server_are_named_as_older_rollouts_wrote_them() -> None:
    [series] = parse(page(("p1", "v1", "200", 1)))

    assert series == '{"code": "200", "model": "m", "pod": "p1", "version": "v1"}'


def test_refuses_what_are_no_metrics() -> None:
    with pytest.raises(InfrastructureError, match="metrics"):
        parse("inference_requests_total{ 1")


def test_a_source_that_is_down_is_infrastructure() -> None:
    with pytest.raises(InfrastructureError, match="did not answer"):
        Metrics("http://127.0.0.1:9").sample("m")


def test_the_source_must_be_named() -> None:
    with pytest.raises(UserError, match="PROMETHEUS_URL"):
        Metrics.from_environment({}, namespace="team")
    found = counters.Metrics.from_environment({"PROMETHEUS_URL": "http://p/"}, namespace="team")
    assert found == counters.Metrics("http://p", "team")


def test_servers_of_another_namespace_do_not_count() -> None:
    """One release may serve under one name in many namespaces, and Prometheus sees them all."""
    labels = 'model="m",version="1",code="200"'
    page = "".join(
        f"inference_requests_total{{{labels}{namespace}}} {count}\n"
        for namespace, count in (("", 1), (',namespace="team"', 2), (',namespace="other"', 4))
    )

    assert sum(counters.parse(page, namespace="team").values()) == 3
    assert sum(counters.parse(page).values()) == 7
