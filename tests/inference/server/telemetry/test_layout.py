from inference.server.telemetry import layout
from inference.server.telemetry.layout import Shed


def test_no_cell_is_two_things() -> None:
    most = layout.score_histogram(tuple(float(n) for n in range(layout.MAX_EDGES)))
    histograms = [layout.SECONDS, *layout.PHASES, layout.BATCH_ROWS, layout.BATCH_REQUESTS, most]
    taken = [
        layout.GENERATION,
        *range(layout.CODES, layout.CODES + 500),
        *(cell for each in histograms for cell in range(each.at, each.end)),
        *(layout.SHED + reason for reason in Shed),
        layout.DROPPED,
        layout.MISSING,
    ]

    assert sorted(taken) == list(range(layout.SIZE))
