"""Curate in a process of its own and print its peak memory: for `test_curate_memory`."""

import json
import pathlib
import sys

from components.foundation import cost
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
        Tables(Settings.from_environment(json.loads(settings))),
        pathlib.Path(cache),
    )
    peak_mb = cost.own_peak_bytes() / 2**20
    print(json.dumps({"out": done.rows_out, "bad": done.quarantined, "peak_mb": peak_mb}))


main(*sys.argv[1:])
