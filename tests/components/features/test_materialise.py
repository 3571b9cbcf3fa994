import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from kfp import dsl

from components.features.materialise import load, readback
from components.features.materialise.component import materialise
from components.features.repository import Repository
from components.foundation.errors import UserError
from components.foundation.storage import Settings
from components.foundation.verdict import Decision, Verdict

END = "2013-01-01T16:00:00Z"


@pytest.fixture
def repository(small: Any, s3: Settings, tmp_path: pathlib.Path) -> Repository:
    environment = {**s3.environment(), "FALAJ_ONLINE_STORE": str(tmp_path / "online.db")}
    return Repository.load(small.package, environment, cache=tmp_path / "cache")


@pytest.fixture
def views(small: Any) -> Any:
    """Let the repository have three views of its table, defined in no order of their names."""
    small.add_view("squalls")
    small.add_view("gales")
    return small


@pytest.fixture
def run(small: Any, repository: Repository, tmp_path: pathlib.Path) -> Callable[..., Any]:
    from components.features.apply_features.apply import apply

    registry = apply(repository).registry

    def run(end: str = END, **arguments: Any) -> Any:
        report = dsl.HTML(uri=str(tmp_path / "report.html"))
        return materialise.python_func(small.package, str(registry), end, report, **arguments)

    return run


def test_what_is_loaded_is_what_is_served(
    small: Any, run: Callable[..., Any], repository: Repository, tmp_path: pathlib.Path
) -> None:
    small.observe(("EWR", 0, 0, 1.0), ("EWR", 2, 2, 2.0), ("EWR", 9, 9, 9.0), ("JFK", 1, 1, None))

    verdict, decision, rows = run()

    online = repository.store().get_online_features(
        features=["weather:temp", "weather:gusts"],
        entity_rows=[{"origin": "EWR"}, {"origin": "JFK"}, {"origin": "LGA"}],
    )
    assert online.to_dict()["temp"] == [2.0, None, None]
    assert online.to_dict()["gusts"] == [1, 3, None]
    assert (decision, rows) == (Decision.ACCEPT, 2)
    assert verdict["evidence"]["compared"] == 2
    assert "read back and all the same" in (tmp_path / "report.html").read_text()


def test_running_again_says_the_same(small: Any, run: Callable[..., Any]) -> None:
    small.observe(("EWR", 0, 0, 1.0))

    assert run()[1:] == run()[1:]


def test_a_load_that_was_killed_is_done_again(
    small: Any, run: Callable[..., Any], repository: Repository
) -> None:
    from feast.feature_view import FeatureViewState

    small.observe(("EWR", 0, 0, 1.0))
    store = repository.store()
    view = store.get_feature_view("weather")
    view.state = FeatureViewState.MATERIALIZING
    store.registry.apply_feature_view(view, store.project)

    assert run()[1] == Decision.ACCEPT


@pytest.mark.parametrize("loaded", range(3))
def test_a_load_killed_between_two_views_is_judged_as_one_that_nobody_killed(
    views: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, loaded: int
) -> None:
    views.observe(("EWR", 0, 0, 1.0))
    undisturbed = Verdict.from_dict(run()[0])
    original, before = load._write, iter(range(loaded))

    def killed(*given: Any) -> None:
        if next(before, None) is None:
            raise KeyboardInterrupt
        original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(load, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            run()

    again = Verdict.from_dict(run()[0])
    assert again.digest() == undisturbed.digest()
    assert [view["view"] for view in again.evidence["views"]] == ["gales", "squalls", "weather"]


def test_a_value_past_its_time_to_live_is_not_loaded(small: Any, run: Callable[..., Any]) -> None:
    small.observe(("EWR", 3, 3, 1.0), ("JFK", -3, -3, 1.0))

    _, _, rows = run()

    assert rows == 1


def test_a_pinned_version_is_loaded(small: Any, run: Callable[..., Any]) -> None:
    pinned = small.observe(("EWR", 3, 3, 1.0))
    small.observe(("JFK", 3, 3, 1.0))

    assert run(tables=[str(pinned)])[2] == 1
    assert run()[2] == 2


def test_a_planted_mismatch_is_refused(
    small: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small.observe(("EWR", 3, 3, 1.0), ("JFK", 3, 3, 2.0))
    original = load._write

    def tampering(store: Any, view: Any, end: Any) -> None:
        import pandas as pd

        original(store, view, end)
        when = pd.Timestamp("2013-01-01T15:30:00Z")
        planted = {"origin": ["EWR"], "seen": [when], "written": [when], "temp": [7.0]}
        store.write_to_online_store("weather", pd.DataFrame({**planted, "gusts": [0]}))

    monkeypatch.setattr(load, "_write", tampering)
    verdict, decision, _ = run()

    assert decision == Decision.REFUSE
    assert verdict["evidence"]["views"][0]["features"] == {"temp": 1}
    assert "weather (1)" in verdict["reason"]


def test_a_load_that_wrote_nothing_is_refused(
    small: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small.observe(("EWR", 3, 3, 1.0), ("JFK", 3, 3, 2.0))
    monkeypatch.setattr(load, "_write", lambda *given: None)

    verdict, decision, _ = run()

    assert decision == Decision.REFUSE
    assert verdict["evidence"]["views"][0]["missing"] == 2


def test_nothing_to_load_is_refused(small: Any, run: Callable[..., Any]) -> None:
    small.observe(("EWR", 9, 9, 1.0))

    verdict, decision, rows = run()

    assert (decision, rows) == (Decision.REFUSE, 0)
    assert verdict["reason"] == "no view has a value to load before that time"


def test_the_time_must_be_one(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("yesterday")

    assert stopped.value.code == UserError.exit_code
    assert "expected ISO 8601" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("offline", "online", "same"),
    [
        (1.0, 1.0, True),
        (0.1, 0.10000000149011612, True),  # a FP32 feature online
        (1.0, 1.1, False),
        (float("nan"), float("nan"), True),
        (float("nan"), None, False),
        (None, None, True),
        (None, 0.0, False),
        (3, 3, True),
        ("a", "b", False),
    ],
)
def test_values_are_compared_by_kind(offline: Any, online: Any, same: bool) -> None:
    assert readback._same(offline, online) is same
