import datetime
import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.preparation.profile import observed
from components.preparation.profile.columns import Categorical, Moments, Numeric, fit
from components.preparation.profile.component import profile
from components.preparation.profile.profile import Profile

RANDOM = np.random.default_rng(7)
DELAYS = RANDOM.gamma(2, 20, 5000)
ROWS = pa.table(
    {
        "delay": pa.array(DELAYS, mask=np.arange(5000) % 50 == 0),
        "month": pa.array(RANDOM.integers(1, 13, 5000)),
        "rain": pa.array(np.where(RANDOM.random(5000) < 0.8, 0.0, DELAYS / 100)),
        "carrier": pa.array(RANDOM.choice(["EY", "EK", "G9"], 5000)),
        "late": pa.array(DELAYS > 40),
    }
)
NAMES = ROWS.column_names


def described(rows: pa.Table = ROWS) -> Profile:
    return Profile.shaped(ROWS, NAMES).update(rows)


def counts(made: Profile, name: str) -> tuple[tuple[int, ...], int]:
    column = made.columns[name]
    return column.counts, column.nulls


def test_counts_every_row_of_every_column_once() -> None:
    made = described()

    assert {column.rows for column in made.columns.values()} == {5000}
    assert made.columns["delay"].nulls == 100


def test_parts_add_up_to_the_whole() -> None:
    parts = described(ROWS.slice(0, 1)) + described(ROWS.slice(1, 1999)) + described(ROWS[2000:])

    whole = described().to_dict()
    added = parts.to_dict()
    for name in ("delay", "rain"):
        for moment in ("mean", "squares"):
            assert added["columns"][name].pop(moment) == pytest.approx(
                whole["columns"][name].pop(moment)
            )
    assert added == whole


def test_a_profile_round_trips_through_its_file(tmp_path: pathlib.Path) -> None:
    made = described()

    made.write(tmp_path / "deep" / "profile.json")

    assert Profile.read(tmp_path / "deep" / "profile.json") == made
    assert (tmp_path / "deep" / "profile.json").stat().st_size < 5 * 2500


def test_bins_hold_about_equal_shares() -> None:
    delay = described().columns["delay"]

    assert isinstance(delay, Numeric)
    assert len(delay.counts) == 20
    assert min(delay.counts) > 0.04 * 4900
    assert delay.moments.mean == pytest.approx(40, rel=0.05)
    assert delay.moments.squares / delay.moments.rows == pytest.approx(28**2, rel=0.2)


def test_a_very_common_value_has_a_bin_of_its_own() -> None:
    rain = described().columns["rain"]

    assert isinstance(rain, Numeric)
    assert max(rain.counts) == int((ROWS["rain"].to_numpy() == 0).sum())


def test_a_constant_that_moves_leaves_its_bin() -> None:
    constant = fit(pa.array([0.5] * 100))

    assert isinstance(constant, Numeric)
    assert constant.update(pa.array([0.5, 0.4, 0.6, -9.0])).counts == (2, 1, 1)


def test_the_same_value_in_float32_falls_in_the_same_bin() -> None:
    cents = np.round(RANDOM.gamma(2, 20, 5000), 1)
    shape = fit(pa.array(cents))

    assert (
        shape.update(pa.array(cents)).counts
        == shape.update(pa.array(cents.astype(np.float32))).counts
    )


def test_tells_of_nobody() -> None:
    """No extreme value, no value of a single row, no rare text is in the file."""
    values = np.append(RANDOM.normal(size=999), [12345.678])
    people = pa.table(
        {"pay": pa.array(values), "name": ["common"] * 990 + [f"person {i}" for i in range(10)]}
    )

    text = json.dumps(Profile.shaped(people, people.column_names).update(people).to_dict())

    assert "12345" not in text
    assert "person" not in text
    assert not [edge for edge in json.loads(text)["columns"]["pay"]["edges"] if edge in values]


@pytest.mark.parametrize(
    ("values", "level"),
    [
        pytest.param(pa.array([3] * 20), "3", id="integer"),
        pytest.param(pa.array([3.0] * 20), "3", id="whole double"),
        pytest.param(pa.array(["3"] * 20), "3", id="text"),
        pytest.param(pa.array([True] * 20), "true", id="boolean"),
    ],
)
def test_few_values_are_levels_whatever_their_type(values: pa.Array, level: str) -> None:  # type: ignore[type-arg] # any
    assert fit(values).update(values) == Categorical((level,), (20,))


def test_new_values_are_other_and_nan_is_null() -> None:
    levels = fit(pa.array(["a"] * 20))
    bins = fit(pa.array(RANDOM.normal(size=100)))

    assert levels.update(pa.array(["a", "b", None])) == Categorical(("a",), (1,), 1, 1)
    assert bins.update(pa.array([0.0, float("nan"), float("inf"), None])).nulls == 3


def test_moments_do_not_cancel_far_from_zero() -> None:
    values = 1e9 + RANDOM.normal(size=1000)

    both = Moments.of(values[:300]) + Moments.of(values[300:])

    assert both.squares / both.rows == pytest.approx(float(values.var()), rel=1e-6)


def test_refuses_to_add_what_has_another_shape() -> None:
    other = Profile.shaped(ROWS.slice(0, 500), NAMES).update(ROWS)

    with pytest.raises(UserError, match="use one reference"):
        described() + other


def test_refuses_columns_it_cannot_describe() -> None:
    rows = pa.table({"when": pa.array([0], pa.timestamp("us"))})

    with pytest.raises(UserError, match="no such column 'delays'; did you mean 'delay'"):
        Profile.shaped(ROWS, ["delays"])
    with pytest.raises(UserError, match="column 'when': a column of type timestamp"):
        Profile.shaped(rows, ["when"])


class TestTables:
    @pytest.fixture
    def observations(self, tables: Tables, unique: str) -> TableRef:
        """The same rows as observations: features as JSON, a score, a date partition."""
        listed = [
            {k: v for k, v in row.items() if k != "late"} | {"code": f"0{row['month']}"}
            for row in ROWS.to_pylist()
        ]
        first = datetime.date(2013, 7, 1)
        days = [first + datetime.timedelta(days=i % 31) for i in range(5000)]
        rows = pa.table(
            {
                "date": pa.array(days, pa.date32()),
                "score": pa.array(RANDOM.random(5000)),
                "features": list(map(json.dumps, listed)),
            }
        )
        ref = TableRef("falaj-curated", unique)
        return tables.append(ref, rows, by=["date"], transactions={})

    def test_features_in_json_have_the_profile_of_plain_columns(
        self, tables: Tables, observations: TableRef, unique: str, tmp_path: pathlib.Path
    ) -> None:
        names = ["delay", "month", "rain", "carrier"]
        plain = tables.replace(TableRef("falaj-curated", f"{unique}p"), ROWS)

        reference = observed.profile(tables.files(plain, tmp_path), names)
        same = observed.profile(tables.files(observations, tmp_path), names, reference=reference)
        alone = observed.profile(tables.files(observations, tmp_path), names)

        assert same.to_dict()["rows"] == 5000
        for name in names:
            assert counts(same, name) == counts(reference, name) == counts(alone, name)

    def test_codes_that_look_like_numbers_stay_texts(
        self, tables: Tables, observations: TableRef, tmp_path: pathlib.Path
    ) -> None:
        files = tables.files(observations, tmp_path)

        first = observed.profile(files, ["code"])
        again = observed.profile(files, ["code"], reference=first)

        assert again == first
        assert isinstance(first.columns["code"], Categorical)
        assert "01" in first.columns["code"].levels

    def test_a_window_is_half_open(
        self, tables: Tables, observations: TableRef, tmp_path: pathlib.Path
    ) -> None:
        files = tables.files(observations, tmp_path)
        window = observed.Rows(since="2013-07-01", until="2013-07-03", where="score >= 0")

        assert observed.profile(files, ["score"], rows=window).rows == 324

    @pytest.mark.parametrize(
        ("names", "rows", "says"),
        [
            (["speed"], observed.Rows(), "no row has a feature 'speed'"),
            ([], observed.Rows(), "no columns are named"),
            (["score"], observed.Rows(where="scor > 1"), "did you mean 'score'"),
            (["score"], observed.Rows(by="day", since="2013-01-01"), "no column 'day' to go by"),
            (["score"], observed.Rows(since="2014-01-01"), "no rows to learn bins from"),
        ],
    )
    def test_refuses_what_is_not_there(
        self,
        tables: Tables,
        observations: TableRef,
        tmp_path: pathlib.Path,
        names: list[str],
        rows: observed.Rows,
        says: str,
    ) -> None:
        with pytest.raises(UserError, match=says):
            observed.profile(tables.files(observations, tmp_path), names, rows=rows)

    @pytest.mark.usefixtures("environment")
    def test_the_face_keeps_the_bins_of_a_reference(
        self, observations: TableRef, tmp_path: pathlib.Path
    ) -> None:
        first = dsl.Artifact(uri=str(tmp_path / "a" / "first"))
        again = dsl.Artifact(uri=str(tmp_path / "again"))

        rows = profile.python_func(str(observations), ["score", "delay"], first)
        profile.python_func(str(observations), [], again, reference=first, until="2013-07-02")

        assert rows == first.metadata["rows"] == 5000
        made = [Profile.read(pathlib.Path(one.path)) for one in (first, again)]
        assert made[0].blank() == made[1].blank()
        assert made[1].rows == 162
