"""The example's data and model work as somebody would write it in an afternoon.

One process, sqlite3, urllib, DuckDB, plain torch and Keras loops, ONNX Runtime, numpy; Parquet
files in a folder. No versions, no quarantine tables, no evidence, no gates: that difference is
what the benchmark measures. The SQL of curated tables and the functions that build models are
the project's own, as they are the user's part in both.
"""

import contextlib
import importlib
import json
import pathlib
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.foundation.signature import Signature
from components.training import data
from components.training.objective import Loss
from components.training.spec import EntryPoint, Spec
from examples.flights import weather_service
from pipelines.project import Estimator, Project

_RESAMPLES = 200
_BATCH = 2048
_SEED = 7
_BINS = 20
_CAST = {"scheduled_departure": "TIMESTAMPTZ", "scheduled_arrival": "TIMESTAMPTZ"}
_CAST |= {"known_at": "TIMESTAMPTZ", "cancelled": "BOOLEAN"}

# What breaks an error rule of a contract; those rows stay out of curated tables.
_BROKEN = {
    "flights": {
        "departure_time": "departure_time NOT BETWEEN 0 AND 2359",
        "carrier": "carrier NOT IN ('9E','AA','AS','B6','DL','EV','F9','FL','HA','MQ','OO','UA',"
        "'US','VX','WN','YV')",
        "arrives": "scheduled_arrival <= scheduled_departure",
        "distance": "scheduled_arrival > scheduled_departure AND distance > "
        "9.0 * date_diff('minute', scheduled_departure, scheduled_arrival)",
        "range": "distance NOT BETWEEN 10 AND 5000 OR scheduled_departure < '2013-01-01' OR "
        "scheduled_departure > '2014-01-02'",
        "origin": "origin NOT IN ('EWR','JFK','LGA') OR NOT regexp_matches(dest, '^[A-Z]{3}$')",
        "key": "row_number() OVER (PARTITION BY id ORDER BY seq) > 1",
    },
    "arrivals": {
        "dep_delay": "dep_delay NOT BETWEEN -120 AND 2880",
        "arr_delay": "arr_delay NOT BETWEEN -180 AND 2880",
        "cancelled": "cancelled AND arr_delay IS NOT NULL",
        "key": "row_number() OVER (PARTITION BY flight_id ORDER BY seq) > 1",
    },
    "weather": {
        "temp": "temp NOT BETWEEN -40 AND 130",
        "humid": "humid NOT BETWEEN 0 AND 100",
        "wind_speed": "wind_speed NOT BETWEEN 0 AND 150",
        "precip": "precip NOT BETWEEN 0 AND 5",
        "pressure": "pressure NOT BETWEEN 900 AND 1100",
        "visib": "visib NOT BETWEEN 0 AND 10",
        "origin": "origin NOT IN ('EWR','JFK','LGA')",
        "key": "row_number() OVER (PARTITION BY origin, time ORDER BY id) > 1",
    },
    "planes": {
        "tailnum": "NOT regexp_matches(tailnum, '^N[0-9A-Z]+$')",
        "seats": "TRY_CAST(seats AS BIGINT) NOT BETWEEN 1 AND 900",
        "engines": "TRY_CAST(engines AS BIGINT) NOT BETWEEN 1 AND 4",
        "key": "row_number() OVER (PARTITION BY tailnum) > 1",
    },
}
_JOINED = """
SELECT e.* , w.* EXCLUDE (origin, event_timestamp), p.* EXCLUDE (tailnum, event_timestamp),
  c.carrier_late_rate, c.carrier_late_excess, r.route_late_rate, r.route_late_excess
FROM entities e
ASOF LEFT JOIN curated_weather w
  ON w.origin = e.origin AND w.event_timestamp <= e.event_timestamp
ASOF LEFT JOIN curated_planes p
  ON p.tailnum = e.tailnum AND p.event_timestamp <= e.event_timestamp
ASOF LEFT JOIN curated_carrier_history c
  ON c.carrier = e.carrier AND c.event_timestamp <= e.event_timestamp
ASOF LEFT JOIN curated_route_history r
  ON r.route = e.route AND r.event_timestamp <= e.event_timestamp
"""


@dataclass
class ByHand:
    """A folder of Parquet files, and what each stage found.

    Attributes:
        database: the airline's, as the example made it.
        landing: folder with the CSV files of planes and airports.
        found: numbers that the suite must find too.
    """

    folder: pathlib.Path
    database: pathlib.Path
    landing: pathlib.Path
    project: Project
    found: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(ImportError):  # it crashes when TensorFlow is there first
            importlib.import_module("triton")
        self._db = duckdb.connect()
        self._db.execute("SET TimeZone = 'UTC'")
        self._model: tuple[Any, Signature] | None = None
        self._profile: dict[str, tuple[Any, Any]] = {}

    def prepare(self, month: int) -> None:
        """Ingest, count what breaks the contracts, and curate."""
        self._ingest(month)
        for table in ("flights", "arrivals", "weather", "planes"):
            self._check(table)
        for name, curated in self.project.curated.items():
            made = self._db.sql(_aliased(self.project.text(curated.sql), curated.reads))
            made.write_parquet(str(self.folder / f"curated-{name}.parquet"))
            self._view(f"curated_{name}", f"curated-{name}")

    def training_set(self) -> None:
        """Join features as they were known, and split by time."""
        self._join(self.project.training_where, "training")
        first, second = self.project.split.boundaries
        for part, when in (
            ("train", f"scheduled < '{first}'"),
            ("validation", f"scheduled >= '{first}' AND scheduled < '{second}'"),
            ("test", f"scheduled >= '{second}'"),
        ):
            rows = self._db.sql(f"SELECT * FROM training WHERE {when}")
            rows.write_parquet(str(self.folder / f"{part}.parquet"))
            self._count(part, part)

    def train(self, framework: str) -> None:
        """Train, export, evaluate, and compare with the model before it."""
        estimator = getattr(self.project.model, framework)
        train, validation = self._rows("train"), self._rows("validation")
        signature = data.signature(train, self.project.model.inputs)
        rows, held = (self._labelled(table, signature) for table in (train, validation))
        spec = Spec.of(signature, rows, Loss.LOG_LOSS)
        path = self.folder / f"{framework}.onnx"
        fit = _torch if framework == "torch" else _keras
        fit(estimator, spec, rows, held, path)
        self._evaluate(framework, path, signature)

    def score(self, month: int) -> None:
        """Score a month's flights with the newest model."""
        self.prepare(month)
        begins, ends = _month(month), _month(month + 1)
        self._join(f"scheduled >= '{begins}' AND scheduled < '{ends}'", "scoring")
        assert self._model is not None
        session, signature = self._model
        table = pq.read_table(self.folder / "scoring.parquet")
        table = table.append_column("score", pa.array(_scores(session, signature, table)))
        pq.write_table(table, self.folder / f"scored-{month}.parquet")
        self.found[f"scored {month}"] = table.num_rows

    def monitor(self, month: int) -> None:
        """Compare a month with training; measure the months whose labels have come."""
        window = pq.read_table(self.folder / f"scored-{month}.parquet")
        for name, (edges, expected) in self._profile.items():
            counted = np.histogram(_floats(window, name), edges)[0] + 0.5
            share = counted / counted.sum()
            self.found[f"psi {name} {month}"] = float(
                np.sum((share - expected) * np.log(share / expected))
            )
        labels = self._db.sql("SELECT id AS flight_id, label FROM curated_labels").to_arrow_table()
        for known in range(7, month):
            scored = pq.read_table(self.folder / f"scored-{known}.parquet")
            joined = scored.join(labels, "flight_id", join_type="inner")
            _intervals(_floats(joined, "label"), _floats(joined, "score"), _groups(joined))

    def _ingest(self, month: int) -> None:
        with contextlib.closing(sqlite3.connect(self.database)) as source:
            for table in ("flights", "arrivals"):
                self._append(table, _fetch(source, table, self._last(table)))
        with weather_service.running(month) as url:
            rows = _pages(f"{url}{weather_service.PATH}", self._last("weather"))
        if rows:
            self._append("weather", pa.Table.from_pylist(rows))
        for name in ("planes", "airports"):
            files = str(self.landing / name / "*.csv")
            read = f"read_csv('{files}', all_varchar = true, ignore_errors = true)"
            self._db.sql(f"SELECT * FROM {read}").write_parquet(
                str(self.folder / f"raw-{name}-0.parquet")
            )
            self._view(f"raw_{name}", f"raw-{name}-*")

    def _last(self, table: str) -> int:
        key = "id" if table == "weather" else "seq"
        if not list(self.folder.glob(f"raw-{table}-*.parquet")):
            return 0
        return int(self._one(f"SELECT max({key}) FROM raw_{table}"))

    def _append(self, table: str, rows: pa.Table) -> None:
        place = self.folder / f"raw-{table}-{self._last(table)}.parquet"
        names = rows.column_names
        cast = ", ".join(
            f"CAST({name} AS {_CAST[name]}) AS {name}" if name in _CAST else name for name in names
        )
        if rows.num_rows:
            self._db.sql(f"SELECT {cast} FROM rows").write_parquet(str(place))
        self._view(f"raw_{table}", f"raw-{table}-*")

    def _check(self, table: str) -> None:
        """Count broken rules in one pass, and keep the rows that break none."""
        rules = _BROKEN[table]
        flags = ", ".join(f"coalesce({sql}, false) AS {name}_" for name, sql in rules.items())
        counts = ", ".join(f"count(*) FILTER ({name}_)" for name in rules)
        self._db.sql(f"SELECT {counts} FROM (SELECT {flags} FROM raw_{table})").fetchall()
        listed = ", ".join(f"{name}_" for name in rules)
        good = " AND ".join(f"NOT {name}_" for name in rules)
        self._db.execute(
            f"CREATE OR REPLACE TABLE good_{table} AS SELECT * EXCLUDE ({listed}) "
            f"FROM (SELECT *, {flags} FROM raw_{table}) WHERE {good}"
        )
        self._count(f"raw {table}", f"raw-{table}-*")

    def _join(self, where: str, name: str) -> None:
        named = ", ".join(self.project.features.columns)
        label = f", {self.project.model.label}" if name == "training" else ""
        self._db.execute(
            f"CREATE OR REPLACE TEMP VIEW entities AS SELECT {named}{label} FROM curated_flights "
            f"WHERE {where}"
        )
        self._db.sql(_JOINED).write_parquet(str(self.folder / f"{name}.parquet"))
        self._view(name, name)
        self._count(name, name)

    def _evaluate(self, name: str, path: pathlib.Path, signature: Signature) -> None:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path))
        test = self._rows("test")
        labels = _floats(test, self.project.model.label)
        scores = _scores(session, signature, test)
        self.found[f"auc {name}"] = _auc(labels, scores)
        for _ in ("evaluate", "compare"):
            _intervals(labels, scores, _groups(test))
        self._model = (session, signature)
        scored = {**{n: _floats(test, n) for n in self.project.model.inputs}, "score": scores}
        self._profile = {n: _described(values) for n, values in scored.items()}

    def _labelled(self, table: pa.Table, signature: Signature) -> data.Rows:
        return data.labelled(table, signature, label=self.project.model.label)

    def _rows(self, part: str) -> pa.Table:
        names = data.columns(
            pq.read_schema(self.folder / f"{part}.parquet"),
            self.project.model.inputs,
            self.project.model.label,
        )
        return pq.read_table(self.folder / f"{part}.parquet", columns=[*names, "scheduled"])

    def _view(self, name: str, files: str) -> None:
        self._db.execute(
            f"CREATE OR REPLACE VIEW {name} AS FROM read_parquet('{self.folder / files}.parquet')"
        )

    def _count(self, name: str, files: str) -> None:
        parts = self.folder.glob(f"{files}.parquet")
        self.found[name] = sum(pq.read_metadata(path).num_rows for path in parts)

    def _one(self, query: str) -> Any:
        (row,) = self._db.sql(query).fetchall()
        return row[0]


def _aliased(sql: str, reads: list[str]) -> str:
    """Point a project's SELECT at our tables: checked raw ones, or curated ones."""
    tables = []
    for source in reads:
        kind, _, name = source.partition("/")
        ours = f"curated_{name}" if kind == "curated" else f"good_{name}"
        tables.append(f"{name} AS (FROM {'raw_airports' if name == 'airports' else ours})")
    body = sql.strip().rstrip(";")
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    body = "\n".join(lines).strip()
    if body.upper().startswith("WITH "):
        return f"WITH {', '.join(tables)}, {body[5:]}"
    return f"WITH {', '.join(tables)} {body}"


def _fetch(source: sqlite3.Connection, table: str, last: int) -> pa.Table:
    cursor = source.execute(f"SELECT * FROM {table} WHERE seq > ? ORDER BY seq", (last,))
    names = [column[0] for column in cursor.description]
    columns = list(zip(*cursor.fetchall(), strict=True)) or [() for _ in names]
    return pa.table(dict(zip(names, map(list, columns), strict=True)))


def _pages(url: str, since: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for page in range(1, 1000):
        found = _page(f"{url}?since={since}&page={page}")
        if not found:
            break
        rows += found
    return rows


def _page(url: str) -> list[dict[str, Any]]:
    for pause in (0.2, 0.4, 0.8, 1.6):
        try:
            with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own, over loopback
                items: list[dict[str, Any]] = json.load(answer)["items"]
                return items
        except urllib.error.HTTPError as busy:
            time.sleep(float(busy.headers.get("Retry-After") or pause))
    raise RuntimeError(f"{url} stays busy")


def _torch(
    estimator: Estimator, spec: Spec, rows: data.Rows, held: data.Rows, path: pathlib.Path
) -> None:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    model = EntryPoint.load(estimator.entry_point).build(spec, estimator.parameters)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=estimator.learning_rate, weight_decay=estimator.weight_decay
    )
    inputs = {name: torch.from_numpy(array) for name, array in rows.inputs.items()}
    labels = torch.from_numpy(rows.labels)
    for _ in range(estimator.epochs):
        model.train()
        order = torch.randperm(len(labels))
        for start in range(0, len(labels), _BATCH):
            batch = order[start : start + _BATCH]
            logits = model(**{name: values[batch] for name, values in inputs.items()})
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        model.eval()
        with torch.no_grad():
            scores = model(**{name: torch.from_numpy(a) for name, a in held.inputs.items()})
        _auc(held.labels, scores.numpy())

    class Served(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
            named = dict(zip((t.name for t in spec.signature.inputs), arrays, strict=True))
            return torch.sigmoid(self.model(**named))

    some = tuple(torch.from_numpy(rows.inputs[t.name][:2]) for t in spec.signature.inputs)
    batch_size = torch.export.Dim("batch", min=1)
    shapes = {"arrays": tuple({0: batch_size} for _ in some)}
    program = torch.onnx.export(
        Served().eval(),
        some,
        input_names=[t.name for t in spec.signature.inputs],
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(str(path))


def _keras(
    estimator: Estimator, spec: Spec, rows: data.Rows, held: data.Rows, path: pathlib.Path
) -> None:
    import keras
    import tensorflow as tf
    import tf2onnx

    tf.config.threading.set_intra_op_parallelism_threads(1)
    keras.utils.set_random_seed(_SEED)
    model = EntryPoint.load(estimator.entry_point).build(spec, estimator.parameters)
    model.compile(
        keras.optimizers.AdamW(estimator.learning_rate, weight_decay=estimator.weight_decay),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    model.fit(
        rows.inputs,
        rows.labels,
        batch_size=_BATCH,
        epochs=estimator.epochs,
        validation_data=(held.inputs, held.labels),
        verbose=0,
    )
    names = [tensor.name for tensor in spec.signature.inputs]
    kinds = [tf.TensorSpec((None,), t.dtype.name, name=t.name) for t in spec.signature.inputs]
    serve = tf.function(lambda **named: tf.sigmoid(model(named))).get_concrete_function(
        **dict(zip(names, kinds, strict=True))
    )

    def served(*arrays: Any) -> Any:
        # tf2onnx would take constants that the model captured for inputs.
        captured = serve.captured_inputs
        serve.set_external_captures(
            [one if one.dtype == tf.resource else tf.constant(one.numpy()) for one in captured]
        )
        return serve(**dict(zip(names, arrays, strict=True)))

    proto, _ = tf2onnx.convert.from_function(tf.function(served), input_signature=kinds)
    path.write_bytes(proto.SerializeToString())


def _scores(session: Any, signature: Signature, table: pa.Table) -> Any:
    fed = signature.feed(table)
    names = [one.name for one in session.get_inputs()]
    ordered = dict(zip(names, (fed[t.name] for t in signature.inputs), strict=True))
    return session.run(None, ordered)[0].reshape(-1)


def _floats(table: pa.Table, name: str) -> Any:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)


def _groups(table: pa.Table) -> Any:
    """Number the hours: rows of one hour are resampled together."""
    hours = table["scheduled"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() // 3_600_000_000
    return np.unique(hours, return_inverse=True)[1]


def _auc(labels: Any, scores: Any, weights: Any = None) -> float:
    weights = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    good, weight = labels[order] == 1, weights[order]
    below = np.cumsum(weight * ~good)
    total = (weight * good).sum() * (weight * ~good).sum()
    return float((weight * good * below).sum() / total)


def _intervals(labels: Any, scores: Any, groups: Any) -> Mapping[str, Any]:
    """Resample groups; return percentiles of the log loss and of the AUC."""
    random = np.random.default_rng(_SEED)
    losses = -np.log(np.clip(np.where(labels == 1, scores, 1 - scores), 1e-7, 1))
    count = groups.max() + 1
    found = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(random.integers(0, count, count), minlength=count)[groups]
        found.append((np.average(losses, weights=weights), _auc(labels, scores, weights)))
    return dict(zip(("log_loss", "auc"), np.percentile(found, [2.5, 97.5], axis=0).T, strict=True))


def _described(values: Any) -> tuple[Any, Any]:
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _BINS + 1)))
    edges = np.concatenate([[-np.inf], edges[1:-1], [np.inf]])
    counted = np.histogram(values, edges)[0] + 0.5
    return edges, counted / counted.sum()


def _month(month: int) -> str:
    return f"{2013 + (month - 1) // 12}-{(month - 1) % 12 + 1:02}-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a stage took: seconds by the clock, and of the processor, which noise moves less."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


@contextlib.contextmanager
def timed(taken: dict[str, Taken], stage: str) -> Iterator[None]:
    began, cpu = time.monotonic(), time.process_time()
    yield
    spent = Taken(time.monotonic() - began, time.process_time() - cpu)
    taken[stage] = taken.get(stage, Taken()) + spent
