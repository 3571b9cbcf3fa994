"""Faults planted in the data, the same for the same seed, and how many there are.

Every month has the same few; the shifted unit is one carrier's in one week of March. No row
has two faults, so what quarantine counts by rule can be compared with `planted`.
"""

import datetime
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

SEED = 2013
A_MONTH = {"duplicate": 3, "backwards": 2, "impossible time": 2, "unknown carrier": 4}
UNKNOWN_CARRIER = "??"
IMPOSSIBLE_TIME = 2575  # a local time of day, HHMM
KM_CARRIER = "VX"  # flies only far, so its kilometres are too fast for miles
KM_WEEK = (datetime.datetime(2013, 3, 11), datetime.datetime(2013, 3, 18))
KM_MONTH = 3
KM_FLIGHTS = 69
KM_A_MILE = 1.609344
TORN = {"planes": 5, "airports": 3}


@dataclass(frozen=True, slots=True)
class Planted:
    """How many rows of the flights table have each fault."""

    duplicates: int
    backwards: int
    impossible_times: int
    unknown_carriers: int
    kilometres: int

    @property
    def total(self) -> int:
        return (
            self.duplicates
            + self.backwards
            + self.impossible_times
            + self.unknown_carriers
            + self.kilometres
        )


def planted(upto_month: int) -> Planted:
    """Return how many faults the flights of months 1 to `upto_month` have."""
    return Planted(
        duplicates=A_MONTH["duplicate"] * upto_month,
        backwards=A_MONTH["backwards"] * upto_month,
        impossible_times=A_MONTH["impossible time"] * upto_month,
        unknown_carriers=A_MONTH["unknown carrier"] * upto_month,
        kilometres=KM_FLIGHTS if upto_month >= KM_MONTH else 0,
    )


def plant(flights: "pl.DataFrame", *, seed: int = SEED) -> "pl.DataFrame":
    """Spoil a few flights; duplicates follow the row they repeat."""
    import polars as pl

    chosen = _choose(flights, seed)
    departure, arrival = pl.col("scheduled_departure"), pl.col("scheduled_arrival")
    kilometres = (pl.col("carrier") == KM_CARRIER) & departure.is_between(*KM_WEEK, closed="left")
    spoiled = flights.with_columns(
        distance=pl.when(kilometres)
        .then(pl.col("distance") * KM_A_MILE)
        .otherwise(pl.col("distance")),
        scheduled_arrival=pl.when(_among(chosen["backwards"]))
        .then(departure - (arrival - departure))
        .otherwise(arrival),
        departure_time=pl.when(_among(chosen["impossible time"]))
        .then(IMPOSSIBLE_TIME)
        .otherwise(pl.col("departure_time")),
        carrier=pl.when(_among(chosen["unknown carrier"]))
        .then(pl.lit(UNKNOWN_CARRIER))
        .otherwise(pl.col("carrier")),
    )
    return pl.concat([spoiled, spoiled.filter(_among(chosen["duplicate"]))]).sort(
        "id", maintain_order=True
    )


def tear(csv: str, *, lines: int, seed: int = SEED) -> str:
    """Cut some lines of a CSV in two, between fields; the header stays whole."""
    header, *rows = csv.splitlines()
    numbers = random.Random(seed).sample(range(len(rows)), lines)  # noqa: S311 - no secret
    for number in numbers:
        rows[number] = rows[number].rpartition(",")[0].rpartition(",")[0]
    return "\n".join([header, *rows, ""])


def _choose(flights: "pl.DataFrame", seed: int) -> dict[str, set[int]]:
    """Draw disjoint sets of flight ids, month by month, so a month's faults never change."""
    chosen: dict[str, set[int]] = {kind: set() for kind in A_MONTH}
    candidates = flights.filter(carrier=KM_CARRIER).select("id").to_series()
    eligible = flights.filter(~flights["id"].is_in(candidates.implode()))
    for (month,), rows in eligible.group_by(["month"], maintain_order=True):
        draw = random.Random(f"{seed}/{month}")  # noqa: S311 - no secret
        drawn = iter(draw.sample(rows["id"].to_list(), sum(A_MONTH.values())))
        for kind, count in A_MONTH.items():
            chosen[kind].update(next(drawn) for _ in range(count))
    return chosen


def _among(ids: set[int]) -> "pl.Expr":
    import polars as pl

    return pl.col("id").is_in(sorted(ids))
