"""What a step costs is what it took, read and wrote."""

import pathlib
import subprocess
import sys
import threading

import pyarrow as pa
import pytest

from components.foundation import cost
from components.foundation.cost import Amount, Cost
from components.foundation.tables import TableRef, Tables

ROWS = pa.table({"id": list(range(1000))})


def test_a_cost_survives_its_dictionary() -> None:
    paid = Cost(1.5, 0.5, 2**20, 3, 4, 5, 6)

    assert Cost.from_dict(paid.to_dict()) == paid


def test_a_table_counts_its_rows_and_files_when_read_and_written(
    tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    with cost.metered() as meter:
        ref = tables.replace(TableRef("falaj-raw", unique), ROWS)
        files = tables.files(ref, tmp_path)
        tables.read(ref)

    size = sum(path.stat().st_size for path in files.paths)
    assert meter.written == {str(ref): Amount(1000, size)}
    assert meter.read == {str(ref): Amount(2000, 2 * size)}, "it was read twice"


def test_an_append_counts_what_it_adds_alone(tables: Tables, unique: str) -> None:
    ref = tables.replace(TableRef("falaj-raw", unique), ROWS)

    with cost.metered() as meter:
        tables.append(ref, ROWS.slice(0, 10), transactions={"source": 1})

    assert [amount.rows for amount in meter.written.values()] == [10]


def test_threads_note_to_the_block_they_run_in() -> None:
    with cost.metered() as meter:
        thread = threading.Thread(target=cost.reads, args=("s3://b/t@1",), kwargs={"rows": 3})
        thread.start()
        thread.join()
        cost.reads("s3://b/t@1", rows=4)

    assert meter.cost().rows_read == 7


def test_outside_of_a_block_nothing_is_noted() -> None:
    with cost.metered() as meter:
        pass
    cost.writes("s3://b/t@1", rows=3)

    assert meter.cost().rows_written == 0


def test_processor_and_memory_of_a_program_it_ran_count() -> None:
    program = "import time; x = bytearray(300 * 2**20); t = time.process_time()\n"
    program += "while time.process_time() - t < 0.2: pass"

    with cost.metered() as meter:
        subprocess.run([sys.executable, "-c", program], check=True)
        paid = meter.cost()

    assert paid.cpu_seconds >= 0.2
    assert paid.peak_bytes >= 300 * 2**20
    assert paid.seconds > 0


def test_the_peak_is_of_the_block_and_not_of_what_came_before() -> None:
    before = _used(300)

    with cost.metered() as meter:
        _used(50)
        paid = meter.cost()

    assert before > 300 * 2**20
    assert paid.peak_bytes < before - 200 * 2**20


def test_an_outer_block_keeps_its_peak_when_an_inner_one_begins() -> None:
    with cost.metered() as outer:
        _used(300)
        with cost.metered() as inner:
            _used(50)
            within = inner.cost()

    assert outer.cost().peak_bytes >= within.peak_bytes + 200 * 2**20


def test_a_program_does_not_pay_for_what_started_it() -> None:
    peak = "from components.foundation import cost; print(cost.own_peak_bytes())"
    held = bytearray(b"x") * (300 * 2**20)

    told = subprocess.run([sys.executable, "-c", peak], check=True, capture_output=True, text=True)

    assert int(told.stdout) < len(held)


def test_a_program_that_ran_before_the_block_does_not_count() -> None:
    with cost.metered() as meter:
        ours = meter.cost().peak_bytes  # whatever other tests left in this process
    large = ours + 600 * 2**20
    subprocess.run([sys.executable, "-c", f"bytearray(b'x') * {large}"], check=True)

    with cost.metered() as meter:
        subprocess.run([sys.executable, "-c", ""], check=True)
        paid = meter.cost()

    assert paid.peak_bytes < large


@pytest.mark.parametrize("status", [None, "Name:\tpython\n"], ids=["no file", "no such line"])
def test_where_no_proc_tells_the_system_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, status: str | None
) -> None:
    monkeypatch.setattr(cost, "_STATUS", tmp_path / "status")
    if status:
        cost._STATUS.write_text(status)
    monkeypatch.setattr(cost, "_CLEAR", tmp_path / "none" / "clear_refs")
    used = _used(50)

    with cost.metered() as meter:
        paid = meter.cost()

    assert paid.peak_bytes >= used


def _used(megabytes: int) -> int:
    """Use memory and give it back; return the most that was in use."""
    held = bytearray(b"x") * (megabytes * 2**20)
    peak = cost.own_peak_bytes()
    del held
    return peak
