"""A rollout by the metrics of a real Prometheus, which scrapes our real servers.

Requests that fail while weights move are counted, and told where a test fails.
"""

import contextlib
import json
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from kfp import dsl

from components.deployment.roll_out.component import roll_out
from components.foundation.kubernetes import resources
from components.foundation.sealing.release import Release
from tests.components.deployment import test_end_to_end as end_to_end
from tests.components.deployment.test_end_to_end import Site, deployed, traffic
from tests.monitoring import prometheus
from tests.monitoring.prometheus import Prometheus, Target

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
site = end_to_end.site


class Slots(Target):
    """The servers of a model's slots, as a file tells; it changes while Prometheus runs."""

    def config(self) -> Mapping[str, Any]:
        found = [{"files": [self.pod], "refresh_interval": "1s"}]
        return {"job_name": "slots", "file_sd_configs": found}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("found") / "slots.json"


@pytest.fixture
def running() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def stop(running: contextlib.ExitStack) -> Callable[[], None]:
    """What stops Prometheus before the test ends."""
    return running.close


@pytest.fixture
def scraped(
    site: Site,
    found: pathlib.Path,
    running: contextlib.ExitStack,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Prometheus:
    """A Prometheus that finds the servers which run, for steps that ask no other."""
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    found.write_text("[]")
    scraping = running.enter_context(prometheus.scraping(tmp_path, [Slots(0, str(found))]))
    monkeypatch.setenv("PROMETHEUS_URL", str(scraping.client.base_url))
    return scraping


@pytest.fixture(scope="module")
def champion(site: Site) -> Release:
    return site.seal("first", slope=1.0)


def waits(site: Site, found: pathlib.Path, scraped: Prometheus, *releases: Release) -> None:
    """Deploy releases one after the other, and let Prometheus see both servers."""
    for release in releases:
        assert deployed(site, release).decision == "accept"
    services = [f"{site.model}-{slot}" for slot in ("a", "b")]
    there = [site.cluster.get(resources.INFERENCE_SERVICE, name) for name in services]
    targets = [urlsplit(one["status"]["address"]["url"]).netloc for one in there]
    found.write_text(json.dumps([{"targets": [one]} for one in targets]))
    deadline = time.monotonic() + 60
    while len(scraped.query("up == 1")) < 2:
        assert time.monotonic() < deadline, scraped.query("up")
        time.sleep(0.2)


def rolled_out(site: Site, folder: pathlib.Path, **how: Any) -> tuple[dict[str, Any], str]:
    settings = {"steps": [20, 50], "min_requests": 60, "interval_s": 1.2, "bake_s": 2.0, **how}
    return roll_out.python_func(  # type: ignore[no-any-return]  # as kfp calls it
        model_name=site.model,
        report=dsl.HTML(uri=str(folder / "out" / "report.html")),
        history=dsl.Artifact(uri=str(folder / "out" / "history.json")),
        **settings,
    )


def test_errors_that_prometheus_counts_roll_a_release_back(
    site: Site,
    champion: Release,
    found: pathlib.Path,
    scraped: Prometheus,
    tmp_path: pathlib.Path,
) -> None:
    waits(site, found, scraped, champion, site.seal("faulty", slope=3.0, hours=18))

    with traffic(site) as answers:
        verdict, decision = rolled_out(site, tmp_path, max_seconds=90.0)
        decided = len(answers)
        time.sleep(1)

    harmed = Counter(status for status, _ in answers)
    print(f"rollback by Prometheus: {dict(harmed)} of {len(answers)} requests")
    assert decision == "roll back", verdict
    assert {status for status, _ in answers[decided + 2 :]} == {200}
    assert harmed[500] == len(answers) - harmed[200]
    assert harmed[500] < 0.1 * len(answers)


def test_a_release_is_held_while_prometheus_is_stopped_and_then_given_up(
    site: Site,
    champion: Release,
    found: pathlib.Path,
    scraped: Prometheus,
    stop: Callable[[], None],
    tmp_path: pathlib.Path,
) -> None:
    waits(site, found, scraped, champion, site.seal("unseen", slope=1.5))
    soon = threading.Timer(5, stop)

    with traffic(site) as answers:
        soon.start()
        verdict, decision = rolled_out(site, tmp_path, max_seconds=12.0, min_requests=10**6)

    assert decision == "inconclusive", verdict
    seen = verdict["evidence"]["candidate_requests"]
    assert 0 < seen < sum(version != champion.version for _, version in answers)
    assert {status for status, _ in answers} == {200}


def test_a_release_that_prometheus_sees_do_well_is_promoted(
    site: Site,
    champion: Release,
    found: pathlib.Path,
    scraped: Prometheus,
    tmp_path: pathlib.Path,
) -> None:
    better = site.seal("better", slope=2.0)
    waits(site, found, scraped, champion, better)

    with traffic(site) as answers:
        verdict, decision = rolled_out(site, tmp_path, max_seconds=90.0)

    assert decision == "promote", verdict
    assert {status for status, _ in answers} == {200}
    assert answers[-1] == (200, better.version)
