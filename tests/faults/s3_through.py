"""A pytest plugin: the tests of components, with every call of a face through the proxy.

Before a face does its work for real, each fault lasts once: the call must end with exit code
75, one sentence, in bounded time, and leave nothing that a reader could see. The call for real
then meets the faults in passing, one after the other, and the test's own claims must hold.

`FALAJ_OUTCOMES` names the file that gets a line of JSON an outcome; `FALAJ_FAULTY` names the stage
whose faces it is about. What they stand on, such as a model that was trained, is made undisturbed:
its own stage breaks that.
"""

import contextlib
import functools
import io
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest

from components import face
from components.foundation.storage import Address, ObjectStore, Settings
from pipelines.laptop import seaweedfs, session
from tests.faults import proxy
from tests.faults.proxy import Fault, Plan

LASTING_SECONDS = "0.4"
PASSING_SECONDS = "6"
_BOUND_SECONDS = 30
_EVIDENCE = "/falaj-evidence/lineage/"
_ONLY_LINEAGE = {"gate"}
# Their serving pods read the store too; what lasts, test_serving.py brings upon each of the two.
_WITH_PODS = {"deploy", "roll_out"}


@dataclass(frozen=True)
class Outcome:
    """What became of one call of a component under one fault."""

    component: str
    fault: str
    strength: str
    hits: int
    outcome: str


class Through:
    """The server, the proxy before it, and what has been tried."""

    def __init__(self, direct: Settings, before: proxy.Proxy) -> None:
        self.direct, self.proxy = direct, before
        self.tried: set[tuple[str, Fault]] = set()
        self.inside = False

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        """Call a face: once under each lasting fault that it has not met, then for real."""
        if self.inside:
            return work()
        self.inside = True
        try:
            for fault in Fault:
                if (name, fault) not in self.tried and name not in _WITH_PODS:
                    self._last(name, fault, work)
            return self._pass(name, work)
        finally:
            self.proxy.plan(Plan())
            self.inside = False

    def _last(self, name: str, fault: Fault, work: Callable[[], Any]) -> None:
        before, began = self._visible(), time.monotonic()
        at_writes = fault in {Fault.CUT_REQUEST, Fault.LOST}
        spare = () if name in _ONLY_LINEAGE else (_EVIDENCE,)
        self.proxy.plan(Plan((fault,), lasting=True, at_writes=at_writes, spare=spare))
        said, code = io.StringIO(), 0
        with _patience(LASTING_SECONDS), contextlib.redirect_stderr(said):
            try:
                work()
            except SystemExit as ended:
                code = int(ended.code or 0)
        hits = len(self.proxy.plan(Plan()))
        hits = hits or int(fault is Fault.REFUSED and code == 75)  # nobody heard of it
        if hits:
            self.tried.add((name, fault))
        took, after = time.monotonic() - began, self._visible()
        outcome = _judged(code, hits, said.getvalue(), took)
        if fault is not Fault.LOST and code and before != after:
            outcome = f"left {sorted(after ^ before)[:2]}"
        self._note(Outcome(name, fault, "lasting", hits, outcome))

    def _pass(self, name: str, work: Callable[[], Any]) -> Any:
        self.proxy.plan(Plan(tuple(Fault)))
        result, failed = None, ""
        try:
            with _patience(PASSING_SECONDS):
                result = work()
        except SystemExit as ended:
            failed = f"exit {ended.code}"
            raise
        finally:
            hits = self.proxy.plan(Plan())
            for fault in Fault:
                met = sum(1 for hit, _, _ in hits if hit == fault)
                wrong = failed if failed == "exit 75" else ""
                self._note(Outcome(name, fault, "passing", met, wrong or "went on"))
        return result

    def _visible(self) -> set[tuple[str, str]]:
        """Return what readers can see: commits of tables, and objects that are no data files."""
        store = ObjectStore(self.direct)
        return {
            (str(info.address), info.etag)
            for bucket in session.BUCKETS
            for info in store.list(Address(bucket, ""))
            if _EVIDENCE not in f"/{bucket}/{info.address.key}"
            and not info.address.key.endswith(".parquet")
        }

    def _note(self, outcome: Outcome) -> None:
        if outcome.hits:
            with pathlib.Path(os.environ["FALAJ_OUTCOMES"]).open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")


def _judged(code: int, hits: int, said: str, took: float) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    if not hits:
        return "not met"
    if code == 0:
        return "went on"
    if code != 75:
        return f"exit {code}: {lines[-1:]}"
    if took > _BOUND_SECONDS:
        return f"took {took:.0f} s"
    ours = [line for line in lines if "run" in line and "again" in line]
    return "exit 75" if ours else f"no sentence: {lines[-1:]}"


@contextlib.contextmanager
def _patience(seconds: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FALAJ_STORE_SECONDS", seconds)
        yield


_through: list[Through] = []
_running = seaweedfs.running
_component = face.component


@contextlib.contextmanager
def _proxied(*args: Any, **kwargs: Any) -> Iterator[Settings]:
    with _running(*args, **kwargs) as settings, proxy.before(settings.endpoint) as before:
        _through[:] = [Through(settings, before)]
        yield replace(settings, endpoint=before.endpoint)


def _recorded(family: str) -> Callable[[Callable[..., Any]], Any]:
    decorate = _component(family)

    def component(function: Callable[..., Any]) -> Any:
        made, stage = decorate(function), function.__module__.split(".")[1]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            work = functools.partial(function, *args, **kwargs)
            if not _through or stage != os.environ["FALAJ_FAULTY"]:
                return work()
            return _through[0].call(function.__name__, work)

        made.python_func = call
        return made

    return component


seaweedfs.running = _proxied
face.component = _recorded
