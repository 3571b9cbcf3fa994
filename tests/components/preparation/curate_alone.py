"""Curate in a process of its own and print its peak memory: for `test_curate_memory`."""

import json
import pathlib
import sys

from components.foundation.engine import Limits
from components.foundation.storage import Settings
from components.foundation.tables import TableRef, Tables
from components.preparation.curate import curation


def main(settings: str, source: str, cache: str, sql: str, contract: str, memory_mb: str) -> None:
    ref = TableRef.parse(source)
    done = curation.work(
        curation.Order(
            inputs={"events": ref},
            sql=sql,
            target=TableRef("falaj-curated", ref.name),
            contracts={"events": contract},
            limits=Limits(int(memory_mb)),
        ),
        Tables(Settings(**json.loads(settings))),
        pathlib.Path(cache),
    )
    print(json.dumps({"out": done.rows_out, "bad": done.quarantined, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """Return this program's own peak; getrusage's is at least what started it had in use."""
    status = pathlib.Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


main(*sys.argv[1:])
