"""What a run leaves for a reader: whether all of it is whole, and what it says.

Compared between a killed and an undisturbed run:

- every Delta table in every bucket: schema, and the multiset of rows, all columns;
- the history of every channel, and every sealed release that is let in, by content;
- every verdict that was recorded and that a stage gave, by subject and digest, with the rows
  that went into and out of every step, and those kept back by rule;
- where the endpoint's route leads, and what is in its two slots.

By their nature these differ, and are compared otherwise:

- `falaj-curated/live/*` and the objects it is made from: what pods saw of live traffic. How
  many requests a second brings is chance. Each object is taken in once. Two runs that go on
  from one copy of a folder have the same objects, and are compared in these tables too.
- Verdicts on deployments and rollouts count live requests, and say how they found a slot:
  compared by subject and decision, and those that only say "continue" not at all.
- How many rows were new to an ingestion is of one attempt: the rows that are there then count.
- Lineage and the audit log tell of every attempt, so a killed run has more of them: each event
  parses, and the log's chain holds.
"""

import collections
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from components.foundation.audit import AuditLog
from components.foundation.errors import FalajError
from components.foundation.sealing import channel, release
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Address
from components.foundation.tables import TableRef
from components.foundation.verdict import Decision, Verdict
from pipelines.laptop import session
from tests.end_to_end.runs import MODEL

if TYPE_CHECKING:
    import pyarrow as pa

ALTERED = "one byte altered"  # what examples.flights says of a release it tampers with
_LIVE = "falaj-curated/live/"
_BY_DECISION = ("deploy ", "rollout ")
_PARSED: dict[str, Callable[[str], object]] = {
    ".json": json.loads,
    ".jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
}
_COUNTS = ("rows", "rows_in", "rows_out", "total", "torn", "quarantined", "table", "release")


@dataclass(frozen=True, slots=True)
class State:
    """The end of a run, as values to compare."""

    tables: Mapping[str, str]
    rows: Mapping[str, int]
    channels: Mapping[str, Any]
    releases: Mapping[str, str]
    recorded: frozenset[str]
    given: Mapping[str, int]
    endpoint: Mapping[str, Any]

    def differences(self, other: "State") -> list[str]:
        """Say what another run left otherwise."""
        return [
            line
            for name in (field.name for field in fields(self))
            for line in _different(name, _items(getattr(self, name)), _items(getattr(other, name)))
        ]


def _items(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else dict.fromkeys(value, "there")


def _different(name: str, wanted: dict[str, Any], got: dict[str, Any]) -> Iterator[str]:
    for key in sorted(wanted.keys() | got.keys()):
        if wanted.get(key) != got.get(key):
            yield f"{name}: {key}: {got.get(key)}, undisturbed {wanted.get(key)}"


def look(out: pathlib.Path, *, live: bool = False) -> State:
    """Read all that a finished run left.

    Args:
        out: the run's folder.
        live: read the tables of live traffic too.
    """
    with session.storing(out / "laptop") as laptop:
        refs = [ref for ref in tables(laptop) if live or not _live(ref)]
        contents = {ref.uri: _content(laptop, ref) for ref in refs}
        return State(
            {uri: digest(rows) for uri, rows in contents.items()},
            {uri: rows.num_rows for uri, rows in contents.items()},
            {name: _moves(laptop, name) for name in ("candidate", channel.CHAMPION)},
            {r.uri: str(r.statement.content) for r in _releases(laptop)},
            frozenset(_recorded(laptop)),
            dict(collections.Counter(_given(laptop.folder / "done"))),
            _endpoint(laptop.folder / "plane" / "objects.json"),
        )


def broken(laptop: session.Session) -> tuple[str, list[str]]:
    """Say what was looked at, and what of it a reader would find half written."""
    checks = {
        "tables": _torn_tables,
        "releases": _unsound_releases,
        "channels": _unsound_channels,
        "log entries": _unsound_log,
        "documents": _unsound_documents,
    }
    counts, found = [], []
    for name, check in checks.items():
        looked, wrong = check(laptop)
        counts.append(f"{looked} {name}")
        found += wrong
    return ", ".join(counts), found


def tables(laptop: session.Session) -> list[TableRef]:
    """Find every Delta table in every bucket; one exists from its first commit on."""
    found = {
        (bucket, item.address.key.partition("/_delta_log/")[0])
        for bucket in session.BUCKETS
        for item in laptop.store.list(Address(bucket, ""))
        if "/_delta_log/" in item.address.key and item.address.key.endswith(".json")
    }
    return [TableRef(bucket, name) for bucket, name in sorted(found)]


def _torn_tables(laptop: session.Session) -> tuple[int, list[str]]:
    found = tables(laptop)
    return len(found), [line for ref in found for line in _torn(laptop, ref)]


def _torn(laptop: session.Session, ref: TableRef) -> Iterator[str]:
    """Compare the files that a table lists with the objects that are there."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    sizes = {
        item.address.key: item.size for item in laptop.store.list(Address(ref.bucket, ref.name))
    }
    try:
        opened = DeltaTable(ref.uri, storage_options=laptop.settings.delta_options())
        listed: Any = opened.get_add_actions(flatten=True)
    except DeltaError as error:
        yield f"table {ref.uri}: does not open: {error}"
        return
    paths, wanted = (listed[name].to_pylist() for name in ("path", "size_bytes"))
    for file, size in zip(paths, wanted, strict=True):
        if (got := sizes.get(f"{ref.name}/{file}")) != size:
            yield f"table {ref.uri}: {file} has {got} bytes, {size} are listed"


def _unsound_releases(laptop: session.Session) -> tuple[int, list[str]]:
    """Verify what has a statement, but for the release that the example itself alters."""
    sealed = [r for r in _releases(laptop) if r.statement.facts.get("fault") != ALTERED]
    return len(sealed), _failing(
        [r.uri for r in sealed],
        lambda uri: release.verify(uri, store=laptop.store, keys=laptop.keys),
    )


def _releases(laptop: session.Session) -> Iterator[release.Release]:
    for uri in release.releases(store=laptop.store):
        location = ReleaseUri.parse(uri)
        yield release.read(location, store=laptop.store, keys=laptop.keys)


def _unsound_channels(laptop: session.Session) -> tuple[int, list[str]]:
    names = [
        item.address.key.rpartition("/")[2]
        for item in laptop.store.list(Address("falaj-models", f"{MODEL}/channel/"))
    ]
    return len(names), _failing(names, lambda name: _moves(laptop, name))


def _unsound_log(laptop: session.Session) -> tuple[int, list[str]]:
    log = AuditLog(laptop.store)
    return len(list(log.entries())), _failing(["audit log"], lambda _: log.verify())


def _unsound_documents(laptop: session.Session) -> tuple[int, list[str]]:
    """Parse every JSON object in every bucket, but for Delta's logs and what is encrypted."""
    found = [
        item.address
        for bucket in session.BUCKETS
        for item in laptop.store.list(Address(bucket, ""))
        if pathlib.PurePath(item.address.key).suffix in _PARSED
    ]
    others = ("/_delta_log/", "/files/")
    by_name = {str(a): a for a in found if not any(part in a.key for part in others)}

    def parse(name: str) -> None:
        suffix = pathlib.PurePath(name).suffix
        _PARSED[suffix](laptop.store.get(by_name[name]).decode())

    return len(by_name), _failing(list(by_name), parse)


def _failing(names: list[str], read: Callable[[str], object]) -> list[str]:
    failures = []
    for name in names:
        try:
            read(name)
        except (FalajError, ValueError) as error:
            failures.append(f"{name}: {error}")
    return failures


def _live(ref: TableRef) -> bool:
    return f"{ref.bucket}/{ref.name}".startswith(_LIVE)


def _content(laptop: session.Session, ref: TableRef) -> "pa.Table":
    return laptop.tables.read(ref)


def digest(rows: "pa.Table") -> str:
    """Digest a table's schema and its rows, whatever their order."""
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(rows))
    hashes = frame.hash_rows(1).sort().to_numpy()
    schema = sorted((field.name, str(field.type)) for field in rows.schema)
    return hashlib.sha256(json.dumps(schema).encode() + hashes.tobytes()).hexdigest()[:16]


def _moves(laptop: session.Session, name: str) -> list[str]:
    pointer = channel.current(MODEL, store=laptop.store, keys=laptop.keys, channel=name)
    return (
        [f"{move.serial} {move.uri} {move.content}" for move in pointer.history] if pointer else []
    )


def _recorded(laptop: session.Session) -> Iterator[str]:
    for entry in AuditLog(laptop.store).entries():
        match entry.kind:
            case "verdict" if entry.body["decision"] == Decision.CONTINUE:
                continue  # how often a rollout looks is chance
            case "verdict":
                yield named(Verdict.from_dict(dict(entry.body)))
            case "release":
                yield f"release {entry.subject} {entry.body['content']}"
            case _:
                yield f"{entry.kind} {entry.subject} {entry.body.get('uri')}"


def named(verdict: Verdict) -> str:
    """Name a verdict by what it must be the same in."""
    exact = "" if verdict.subject.startswith(_BY_DECISION) else f" {verdict.digest()}"
    return f"{verdict.subject}: {verdict.decision}{exact}"


def _given(done: pathlib.Path) -> Iterator[str]:
    """Say what each step of each stage gave; without stages that only count clients."""
    for path in sorted(done.glob("*.json")):
        for step, given in json.loads(path.read_text())["result"].get("outputs", {}).items():
            where = f"{path.stem}, {step}"
            if "verdict" in given:
                yield f"{where}: {named(Verdict.from_dict(given['verdict']))}"
            if given.get("decision") == Decision.PROMOTE and "history" in given:
                yield f"{where}: shares {_shares(pathlib.Path(given['history']['path']))}"
            for name in (name for name in _COUNTS if name in given and _lasting(name, given)):
                yield f"{where}: {name} {json.dumps(given[name], sort_keys=True)}"


def _lasting(name: str, given: Mapping[str, Any]) -> bool:
    """Leave out what only one attempt did: of an ingestion, which rows were new to it."""
    return name != "rows" or "total" not in given


def _shares(history: pathlib.Path) -> list[int]:
    """Return the shares of traffic that a candidate went through."""
    return list(dict.fromkeys(point["weight"] for point in json.loads(history.read_text())))


def _endpoint(path: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for body, _ in json.loads(path.read_text())["objects"]:
        name = f"{body['kind']} {body['metadata']['name']}"
        match body["kind"]:
            case "HTTPRoute":
                found[name] = body["spec"]
            case "InferenceService":
                model = body["spec"]["predictor"]["model"]["storageUri"]
                found[name] = (model, body["metadata"].get("annotations", {}))
            case "ConfigMap":
                state = json.loads(body["data"]["state"])
                found[name] = {k: state[k] for k in ("phase", "champion", "candidate", "good")}
    return found
