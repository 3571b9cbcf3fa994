"""The harness computes what it says, reads what the load generators print, and runs."""

import asyncio
import json
import math
import pathlib
import sys
from collections.abc import Sequence

import pytest

from components.foundation import onnx_runtime
from components.foundation.signature import Signature
from inference.server.protocol.open_inference_pb2 import ModelInferRequest
from tests.benchmarks import bench_serving
from tests.benchmarks.serving import arrivals, environments
from tests.benchmarks.serving.arrivals import Answer, Arrivals, Client
from tests.benchmarks.serving.load import read_h2load, read_wrk
from tests.benchmarks.serving.models import COSTLY, TINY, WIDE_IN, Model
from tests.benchmarks.serving.payloads import Form, grpc_message, payload
from tests.benchmarks.serving.report import Goal, Result, Turns, table
from tests.benchmarks.serving.statistics import Sample, percentile
from tests.inference import processes

WRK_LINE = (
    '{"requests": 500, "seconds": 2.0, "refused": 100, "broken": 0, "p50_ms": 1.5, "p99_ms": 9}'
)
H2_TEXT = """
finished in 2.00s, 1500.00 req/s, 1.2MB/s
requests: 3000 total, 3000 started, 3000 done, 3000 succeeded, {failed} failed, 0 errored
status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx
"""


def result(*, ours: Sequence[float], theirs: Sequence[float], less: bool, goal: Goal) -> Result:
    samples = {"falaj": Sample(tuple(ours)), "other": Sample(tuple(theirs))}
    return Result("title", "unit", Turns(samples), less_is_better=less, goals=(goal,))


def test_spread_is_the_whole_range_as_a_share_of_the_median() -> None:
    sample = Sample((8.0, 10.0, 13.0))

    assert (sample.median, sample.spread) == (10.0, 0.5)


def test_ratios_are_taken_round_by_round() -> None:
    slow_third_round = Sample((30.0, 40.0, 3.0)).over(Sample((10.0, 10.0, 1.0)))

    assert slow_third_round.values == (3.0, 4.0, 3.0)
    assert Sample((1.0,)).over(Sample((0.0,))).median == math.inf


def test_samples_of_different_lengths_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Sample((1.0, 2.0)).over(Sample((1.0,)))


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)], ids=str
)
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize(
    ("less", "goal", "met"),
    [
        (False, Goal("other", 5), True),
        (False, Goal("other", 5.1), False),
        (True, Goal("other", 0.2), True),
        (True, Goal("other", 0.21), False),
        (False, Goal("", 50, absolute=True), True),
        (True, Goal("", 50, absolute=True), True),
        (True, Goal("", 49, absolute=True), False),
        (False, Goal("", 51, absolute=True), False),
    ],
    ids=str,
)
def test_goals_are_judged_in_the_direction_that_is_better(
    less: bool, goal: Goal, met: bool
) -> None:
    assert result(ours=[50.0], theirs=[10.0], less=less, goal=goal).met(goal) is met


def test_the_table_says_how_many_times_as_good_and_which_goals_are_missed() -> None:
    lines = list(table([result(ours=[50, 60], theirs=[10, 10], less=False, goal=Goal("other", 9))]))

    [other] = [line for line in lines if line.startswith("  other")]
    assert other.split() == ["other", "10", "10", "10", "0%", "5.50x", "±9%"]
    assert lines[-1] == "  goal missed: at least 9x as good as other"


def test_work_is_told_by_processor_second_so_that_a_taken_core_does_not_count() -> None:
    rates = {"falaj": Sample((50.0, 30.0)), "other": Sample((10.0, 10.0))}
    busy = {"falaj": Sample((1.0, 0.6)), "other": Sample((1.0, 1.0))}

    result = Result("title", "unit", Turns(rates, busy), by_work=True)

    assert result.advantage("other").values == (5, 3)
    assert result.advantage_by_work("other").values == (5, 5)
    assert result.to_dict()["servers"]["other"]["falaj_is_better_by_work"] == 5
    assert "5.00x ±0%" in "".join(table([result]))


def test_the_file_holds_every_value() -> None:
    value = result(ours=[50, 60], theirs=[10, 10], less=False, goal=Goal("other", 5)).to_dict()

    assert json.loads(json.dumps(value))["servers"]["falaj"]["values"] == [50, 60]
    assert value["servers"]["other"]["falaj_is_better"] == 5.5
    assert value["goals"] == [{"beside": "other", "wanted": 5, "met": True}]


def test_refused_requests_are_not_counted_as_answers() -> None:
    assert read_wrk(f"noise\n{WRK_LINE}\n").rate == 200


def test_broken_connections_stop_the_measurement() -> None:
    with pytest.raises(RuntimeError, match="3 connections broke"):
        read_wrk(WRK_LINE.replace('"broken": 0', '"broken": 3'))


def test_calls_over_grpc_are_counted_and_failed_ones_stop_the_measurement() -> None:
    assert read_h2load(H2_TEXT.format(failed=0)).rate == 1500
    with pytest.raises(RuntimeError, match="7 calls failed"):
        read_h2load(H2_TEXT.format(failed=7))


def test_goodput_counts_good_answers_in_time_only() -> None:
    answers = (Answer(200, 0.1), Answer(200, 0.6), Answer(429, 0.01), Answer(0, 30.0))

    arrived = Arrivals(answers, seconds=2.0)

    assert arrived.goodput(deadline=0.5) == 0.5
    assert arrived.statuses() == {0: 1, 200: 2, 429: 1}
    assert arrived.millis(0.5, status=200) == 100


def test_what_had_no_good_answer_in_time_is_lost_and_none_takes_for_ever() -> None:
    arrived = Arrivals((Answer(200, 0.1), Answer(200, 0.9), Answer(429, 0.01), Answer(0, 0.0)), 1.0)

    assert arrived.lost(0.5) == 0.75
    assert arrived.millis(0.99, status=200) == 900
    assert arrived.millis(0.99, status=503) == math.inf


def test_a_ratio_to_nothing_is_left_out() -> None:
    shown = [*table([result(ours=[0.0], theirs=[5.0], less=True, goal=Goal("", 1, absolute=True))])]

    assert not any("inf" in line for line in shown)


def test_arrivals_do_not_wait_for_answers_and_their_times_run_from_when_they_were_due() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def run() -> Arrivals:
        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        client = Client(server.sockets[0].getsockname()[1])
        arrived = await arrivals.arrive(client, arrivals.got("/"), rate=100, seconds=0.3)
        server.close()
        return arrived

    arrived = asyncio.run(run())

    assert len(arrived.answers) > 10
    assert set(arrived.statuses()) == {200}
    assert all(answer.seconds >= 0.3 for answer in arrived.answers)


def test_a_server_that_is_gone_answers_nothing() -> None:
    [port] = processes.free_ports(1)

    assert asyncio.run(Client(port).send(arrivals.got("/"))) == 0


@pytest.mark.parametrize("model", [TINY, WIDE_IN, COSTLY], ids=lambda model: model.name)
def test_models_are_what_their_signatures_say(model: Model, tmp_path: pathlib.Path) -> None:
    model.write(tmp_path)
    signature = Signature.from_dict(json.loads((tmp_path / "signature.json").read_text()))
    session = onnx_runtime.open_session(tmp_path / "model.onnx", threads=1)

    answer = onnx_runtime.predict(session, signature, {"x": model.row(3)})

    assert answer["y"].shape == (3,)


def test_a_binary_request_says_where_its_tensor_begins() -> None:
    sent = payload(TINY, Form.BINARY, rows=2, timeout=0.5)

    length = int(sent.headers["Inference-Header-Content-Length"])
    head = json.loads(sent.body[:length])
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 2 * 16 * 4}
    assert head["parameters"] == {"timeout": 500_000}
    assert sent.body[length:] == TINY.row(2).tobytes()


def test_a_grpc_request_written_by_hand_is_what_a_library_reads() -> None:
    message = grpc_message("tiny", TINY.row(300))

    read = ModelInferRequest.FromString(message[5:])
    assert (read.model_name, read.inputs[0].name, read.inputs[0].datatype) == ("tiny", "x", "FP32")
    assert list(read.inputs[0].shape) == [300, 16]
    assert read.raw_input_contents[0] == TINY.row(300).tobytes()
    assert int.from_bytes(message[1:5], "big") == len(message) - 5


@pytest.mark.parametrize("name", environments.WANTED)
def test_every_peer_comes_from_a_lock_with_hashes(name: str) -> None:
    text = environments.lock_of(name).read_text()

    pinned = [line for line in text.splitlines() if "==" in line]
    assert pinned
    assert all(line.endswith(" \\") for line in pinned), "a pin without a hash"
    assert text.count("--hash=sha256:") >= len(pinned)


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_serving.main(["--only", "small,huge"])

    assert "unknown: huge" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_from_end_to_end(tmp_path: pathlib.Path) -> None:
    done = bench_serving.main(["--quick", "--only", "small", "--out", str(tmp_path)])

    assert done == 0
    written = json.loads((tmp_path / "bench-serving.json").read_text())
    [rates, weights] = written["results"]
    assert rates["servers"].keys() >= {"falaj", "kserve", "mlserver", "bare starlette"}
    assert all(server["median"] > 0 for server in rates["servers"].values())
    assert weights["servers"]["falaj"]["median"] > 10
    assert sys.version.split()[0] == written["machine"]["python"]
