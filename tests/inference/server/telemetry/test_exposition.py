"""The page says what the documentation says, and counts as numpy does."""

import pathlib
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from components.foundation.signature import Array
from inference.server.telemetry import layout
from inference.server.telemetry.board import Board
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.metrics import Metrics, Phase
from inference.transport.tls import Certificates
from tests.inference.transport.pki import Authority

DOCUMENT = pathlib.Path(__file__).parents[4] / "docs" / "serving.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<labels>[\w, ]*) \| .+ \|$", re.MULTILINE)
SCORES = (-1.5, 0.0, 0.25, 0.5, 2.0)


def samples(page: Page) -> Iterator[tuple[str, Sample]]:
    """Return every sample with the name that its series are known by."""
    for family in text_string_to_metric_families(page.text()[0].decode()):
        for sample in family.samples:
            yield family.name if family.type == "histogram" else sample.name, sample


def documented() -> Mapping[str, frozenset[str]]:
    rows = ROW.finditer(DOCUMENT.read_text())
    return {row["name"]: frozenset(filter(None, row["labels"].split(", "))) for row in rows}


def test_the_page_shows_the_series_that_are_documented_and_no_others(
    tmp_path: pathlib.Path,
) -> None:
    board = Board(workers=1)
    board.enter(0)
    Metrics(board, 0, "delays", "7", "a", SCORES)
    certificates = Certificates(*Authority("ours").issue("server").write(tmp_path))

    shown = dict[str, frozenset[str]]()
    for name, sample in samples(Page(board, "delays", "a", certificates)):
        labels = frozenset(sample.labels) - {"le"}
        assert shown.setdefault(name, labels) == labels

    assert shown == documented()
    assert len(shown) > 15


def test_a_certificate_that_is_not_there_does_not_expire() -> None:
    names = {name for name, _ in samples(Page(Board(workers=1), "delays", "a"))}

    assert "tls_certificate_expiry_timestamp_seconds" not in names
    assert "inference_workers" in names


Count = Callable[[Metrics, float], None]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "edges", "count"),
    [
        pytest.param(
            "inference_request_seconds",
            layout.REQUEST_EDGES,
            lambda metrics, value: metrics.answered(200, seconds=value),
            id="requests",
        ),
        *(
            pytest.param(
                "inference_phase_seconds",
                layout.PHASE_EDGES,
                lambda metrics, value, phase=phase: metrics.phase(phase, value),
                id=phase.name.lower(),
            )
            for phase in Phase
        ),
        pytest.param(
            "inference_batch_rows",
            layout.ROW_EDGES,
            lambda metrics, value: metrics.batch(value, requests=1),
            id="rows",
        ),
        pytest.param(
            "inference_batch_requests",
            layout.REQUESTS_EDGES,
            lambda metrics, value: metrics.batch(1, requests=value),
            id="batches",
        ),
        pytest.param(
            "inference_score",
            SCORES,
            lambda metrics, value: metrics.scores(np.array([value])),
            id="scores one by one",
        ),
        pytest.param("inference_score", SCORES, None, id="scores of a batch"),
    ],
)
def test_histograms_agree_with_numpy(
    name: str, edges: tuple[float, ...], count: Count | None, seed: int
) -> None:
    values = _around(np.array(edges), np.random.default_rng(seed))
    board = Board(workers=2)
    workers = [Metrics(board, worker, "delays", "7", "a", SCORES) for worker in (0, 1)]

    for place, half in enumerate((values[::2], values[1::2])):
        if count is None:
            workers[place].scores(half)
        else:
            for value in half.tolist():
                count(workers[place], value)

    buckets, total = _read(Page(board, "delays", "a"), name, size=len(values))
    upto = [int(np.count_nonzero(values <= edge)) for edge in (*edges, np.inf)]
    assert buckets == upto
    assert total is None or total == pytest.approx(float(values.sum()))
    by_numpy, _ = np.histogram(-values, bins=[-np.inf, *(-np.array(edges))[::-1], np.inf])
    assert np.diff([0, *buckets]).tolist() == by_numpy[::-1].tolist()


def _around(edges: Array, chance: np.random.Generator) -> Array:
    """Return random values, some of which lie on the edges and just beside them."""
    spread = chance.normal(0, np.abs(edges).max() or 1, 400)
    spread = spread if edges.min() < 0 else np.abs(spread)
    near = [edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)]
    values = np.concatenate([spread, *near])
    chance.shuffle(values)
    return values


def _read(page: Page, name: str, *, size: int) -> tuple[list[int], float | None]:
    """Return the buckets and the sum, if it is told, of the histogram with so many counts."""
    found = [sample for shown, sample in samples(page) if shown == name]
    [phase] = {s.labels.get("phase") for s in found if _is_all(s) and s.value == size}
    own = [sample for sample in found if sample.labels.get("phase") == phase]
    sums = [sample.value for sample in own if sample.name.endswith("_sum")]
    return [int(s.value) for s in own if s.name.endswith("_bucket")], next(iter(sums), None)


def _is_all(sample: Sample) -> bool:
    return sample.labels.get("le") == "+Inf"
