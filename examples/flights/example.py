"""The worked example as a story: the same components and pipelines that a cluster runs."""

import contextlib
import json
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from components.foundation.errors import Refused
from components.foundation.sealing import channel
from components.foundation.sealing.paths import ADDED
from components.foundation.sealing.release import read_file, seal, unseal, verify
from components.foundation.signature import Signature
from components.foundation.storage import Address
from components.foundation.tables import TableRef
from components.governance.report.story import Pace
from examples.flights import weather_service, world
from examples.flights.forgeries import Forger, check, remove
from examples.flights.models import faulty
from pipelines import compiled
from pipelines.laptop.runner import LocalRunner, Run
from pipelines.laptop.session import Session, host
from pipelines.laptop.traffic import Traffic, requests
from pipelines.place import Place
from pipelines.plain import plain
from pipelines.project import Project, load

YEAR = 2013
TRAIN_MONTHS = 6
CANARY_MONTH = 7
_FLIGHTS = 6000  # of the canary's month are asked about, over and over
_ROLLOUT = {"min_requests": 150, "interval_s": 0.5, "bake_s": 2.0, "max_seconds": 120.0}


@dataclass
class Example:
    """Everything the example does, stage by stage; each returns what the report shows."""

    laptop: Session
    runner: LocalRunner
    place: Place

    @cached_property
    def project(self) -> Project:
        return load(pathlib.Path(__file__).parent)

    @property
    def database(self) -> pathlib.Path:
        return self.laptop.folder / "airline.db"

    def set_up_sources(self) -> dict[str, Any]:
        """Put the data where an enterprise has it: SQL, objects, REST."""
        rows = world.advance(self.database, upto_month=CANARY_MONTH)
        files = world.upload_landing(self.laptop.store)
        return {"rows": rows, "files": files}

    def train(self, framework: str) -> dict[str, Any]:
        """Train, judge and seal a candidate with one framework."""
        with weather_service.running(month=TRAIN_MONTHS) as url:
            as_of = f"{YEAR}-{TRAIN_MONTHS + 1:02}-01T12:00:00Z"
            arguments = {**self._sources(url), "as_of": as_of, "until": as_of}
            run = self._run(f"training-{framework}", arguments)
        pointer = channel.current(
            self.project.model.name,
            store=self.laptop.store,
            keys=self.laptop.keys,
            channel="candidate",
        )
        if pointer is None:
            raise Refused(
                "the training pipeline ended without a candidate", code="example-incomplete"
            )
        return {**_told(run), "release": pointer.uri}

    def deploy_first(self, release: str) -> dict[str, Any]:
        """Put the first release behind the endpoint; there is nothing to compare it with."""
        return _told(self._run("deployment", {"release": release, **_ROLLOUT}))

    def score(self, month: int) -> dict[str, Any]:
        """Let a month happen, then score its flights with the champion."""
        world.advance(self.database, upto_month=month)
        with weather_service.running(month=month) as url:
            where = f"scheduled >= {_instant(month)} AND scheduled < {_instant(month + 1)}"
            window = {"where": where, "window": f"{YEAR}-{month:02}"}
            run = self._run("batch-inference", {**self._sources(url), **window})
        return _told(run)

    def monitor(self, month: int) -> dict[str, Any]:
        """Compare a month with training; measure the months whose labels have come."""
        window = {"since": _first_of(month), "until": _first_of(month + 1)}
        return {**_told(self._run("monitoring", window)), "month": _first_of(month)[:7]}

    def collect(self) -> dict[str, Any]:
        """Bring what the endpoint's pods observed into one table."""
        return _told(self._run("collection", {}))

    def monitor_live(self) -> dict[str, Any]:
        """Judge the endpoint by what its pods observed under month-7 traffic."""
        seen = {"observations": f"s3://falaj-curated/live/{self.project.model.name}@latest"}
        return {**_told(self._run("monitoring", seen)), "month": "live"}

    def roll_out(self, release: str, *, rows: str) -> dict[str, Any]:
        """Deploy beside the champion under month-7 traffic and let the judge decide."""
        model = self.project.model.name
        with Traffic(self.laptop.gateway, model, host(model), self._bodies(rows)) as traffic:
            run, refusal = self._attempt({"release": release, **_ROLLOUT})
            decided = time.time()
            time.sleep(1.0)  # errors that came after the decision would be seen here
        return {
            **_told(run),
            "release": release,
            "refusal": refusal,
            "answers": traffic.statuses(),
            "after_decision": traffic.statuses(since=decided),
            "latency_ms": traffic.latency_ms(),
        }

    def make_faulty(self, release: str) -> str:
        """Seal a candidate that fails on carriers it has never heard of."""
        with self._opened(release) as folder:
            faulty.truncate(folder, folder)
            return self._seal(folder, {"made from": release, "fault": "carriers cut off"})

    def make_tampered(self, release: str) -> str:
        """Seal a good candidate, then alter one byte of it in the object store."""
        with self._opened(release) as folder:
            uri = self._seal(folder, {"made from": release, "fault": "one byte altered"})
        with contextlib.suppress(Refused):  # refused already: an earlier run altered it
            verify(uri, store=self.laptop.store, keys=self.laptop.keys)
            target = Address.parse(uri.removeprefix("sealed+")) / "files" / "model.onnx"
            data = bytearray(self.laptop.store.get(target))
            data[len(data) // 2] ^= 1
            self.laptop.store.put(target, bytes(data))
        return uri

    def try_forgeries(self, first: str, better: str) -> dict[str, Any]:
        """Try what a thief of the bucket could; raises Refused if anything gets through."""
        forger = Forger(self.laptop, self.project.model.name)
        tampered = self.make_tampered(better)
        attempts = check([*forger.attempts(older=first, newer=better, tampered=tampered)])
        refused = {attempt.what: attempt.refused for attempt in attempts}
        return {"forgeries": refused, "pace": asdict(self._pace(better))}

    def _pace(self, release: str) -> Pace:
        """Seal what a release holds under a name of its own and open it; nothing stays."""
        model, store, keys = f"{self.project.model.name}-timed", self.laptop.store, self.laptop.keys
        remove(model, store)  # what somebody who was killed left
        with self._opened(release) as folder:
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            began = time.perf_counter()
            uri = seal(folder, model=model, facts={}, store=store, keys=keys).uri
            sealed = time.perf_counter()
            unseal(uri, folder / "again", store=store, keys=keys)
            opened = time.perf_counter()
        remove(model, store)
        return Pace(len(sizes), sum(sizes), sealed - began, opened - sealed)

    def _seal(self, folder: pathlib.Path, facts: Mapping[str, Any]) -> str:
        model, store = self.project.model.name, self.laptop.store
        return seal(folder, model=model, facts=facts, store=store, keys=self.laptop.keys).uri

    @contextlib.contextmanager
    def _opened(self, release: str) -> Iterator[pathlib.Path]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / "release"
            unseal(release, folder, store=self.laptop.store, keys=self.laptop.keys)
            for name in ADDED:  # by the opener; a release brings its own
                (folder / name).unlink()
            yield folder

    def _attempt(self, arguments: Mapping[str, Any]) -> tuple[Run, str]:
        """Run the deployment; a refusal is an outcome here, not the end."""
        try:
            return self._run("deployment", arguments), ""
        except Refused as refusal:
            if self.runner.last is None:
                raise
            return self.runner.last, str(refusal)

    def _bodies(self, rows: str) -> list[bytes]:
        table = self.laptop.tables.read(TableRef.parse(rows))
        signature = Signature.from_dict(self._champion_signature())
        return requests(table.slice(0, _FLIGHTS), signature, id_column=self.project.model.id)

    def _pointer(self, name: str) -> channel.Pointer | None:
        model, laptop = self.project.model.name, self.laptop
        return channel.current(model, store=laptop.store, keys=laptop.keys, channel=name)

    def _champion_signature(self) -> dict[str, Any]:
        pointer = channel.current(
            self.project.model.name, store=self.laptop.store, keys=self.laptop.keys
        )
        if pointer is None:
            raise Refused("there is no champion to send traffic to", code="example-incomplete")
        text = read_file(
            pointer.uri, "signature.json", store=self.laptop.store, keys=self.laptop.keys
        )
        signature: dict[str, Any] = json.loads(text)
        return signature

    def _run(self, name: str, arguments: Mapping[str, Any]) -> Run:
        return self.runner.run(compiled.pipeline(name, self.project, self.place), arguments)

    def _sources(self, weather_url: str) -> dict[str, str]:
        return {"sql_connection": f"sqlite:///{self.database}", "rest_url": weather_url}


def _instant(month: int) -> str:
    return f"TIMESTAMPTZ '{_first_of(month)} 00:00:00+00'"


def _first_of(month: int) -> str:
    return f"{YEAR + (month - 1) // 12}-{(month - 1) % 12 + 1:02}-01"


def _told(run: Run) -> dict[str, Any]:
    """Reduce a run to JSON: which it was, and what each step gave."""
    steps = [
        {"name": s.name, "title": s.title, "seconds": s.seconds, "cached": s.cached}
        for s in run.steps
    ]
    outputs = plain(run.outputs)
    return {"run": run.id, "outputs": outputs, "steps": steps, "seconds": run.seconds}
