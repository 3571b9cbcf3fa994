from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.errors import UserError
from components.training import data
from components.training.spec import EntryPoint, Spec, your_code

Make = Callable[[int, int], pa.Table]
Write = Callable[[str], str]


@pytest.fixture
def spec(rows: Make) -> Spec:
    table = rows(300, 1)
    signature = data.signature(table, ["wind", "carrier_code"])
    return Spec.of(signature, data.labelled(table, signature, label="late"))


def test_columns_are_described_without_their_missing_values(rows: Make, spec: Spec) -> None:
    table = rows(300, 1)
    known = table.filter(table.column("late").is_valid())
    values = known.column("wind").to_numpy()
    wind, carrier = spec.columns

    assert wind.mean == pytest.approx(np.nanmean(values), rel=1e-5)
    assert wind.deviation == pytest.approx(np.nanstd(values), rel=1e-5)
    assert (wind.integer, wind.size) == (False, 0)
    assert (carrier.integer, carrier.size) == (True, 6)


def test_a_column_that_is_always_missing_does_no_harm() -> None:
    table = pa.table({"x": pa.array([np.nan] * 4), "late": [0, 1, 0, 1]})
    signature = data.signature(table, ["x"])
    (column,) = Spec.of(signature, data.labelled(table, signature, label="late")).columns

    assert (column.mean, column.deviation) == (0.0, 1.0)


def test_the_function_gets_spec_and_parameters(user_code: Write, spec: Spec) -> None:
    module = user_code("def build(spec, *, hidden=8, rate=0.1): return spec, hidden, rate")
    entry = EntryPoint.load(f"{module}:build")

    assert entry.build(spec, {"hidden": 64.0, "rate": 1.0}) == (spec, 64, 1.0)
    assert type(entry.build(spec, {"hidden": 64.0})[1]) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_colon", "expected package.module:function"),
        (":build", "expected package.module:function"),
        ("no_such_module_at_all:build", "your code failed.*No module named"),
        ("examples.flights.models.faulty:trunkate", "did you mean 'truncate'"),
    ],
    ids=["colon", "module", "import", "function"],
)
def test_refuses_an_entry_point_that_is_not_there(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        EntryPoint.load(text)


def test_says_whose_code_failed(user_code: Write, spec: Spec) -> None:
    module = user_code("def build(spec): return {}['carriers']")

    with pytest.raises(UserError, match=rf"your code failed: {module}:build: KeyError: 'carriers'"):
        EntryPoint.load(f"{module}:build").build(spec, {})


def test_refuses_a_parameter_the_function_does_not_take(user_code: Write, spec: Spec) -> None:
    module = user_code("def build(spec, *, hidden=8): return None")

    with pytest.raises(UserError, match="'hiden'; did you mean 'hidden'"):
        EntryPoint.load(f"{module}:build").build(spec, {"hiden": 3})


def test_code_that_sees_rows_is_placed_and_not_quoted() -> None:
    with pytest.raises(UserError) as caught, your_code("m:build", sees_rows=True):
        raise ValueError("no embedding for Maryam-784-1990")

    assert "Maryam" not in str(caught.value)
    assert "m:build: ValueError in test_code_that_sees_rows" in str(caught.value)
