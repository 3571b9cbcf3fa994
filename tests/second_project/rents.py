"""Rents of homes in Abu Dhabi, made up: how much of them can be known is known."""

import datetime
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DISTRICTS = {
    "Al Reem Island": 950.0,
    "Al Raha Beach": 900.0,
    "Khalifa City": 620.0,
    "Mohamed bin Zayed City": 560.0,
    "Al Khalidiyah": 780.0,
    "Saadiyat Island": 1250.0,
    "Musaffah": 430.0,
    "Yas Island": 1000.0,
}
NOISE = 9000.0  # dirhams a year: what nothing in the data explains
A_MONTH = 500
FIRST = datetime.date(2023, 1, 1)
DRIFTS = "2024-12"  # larger homes, and everything a fifth dearer


def month(name: str, *, known: bool) -> pa.Table:
    """Return the homes listed in a month such as 2024-11; rents only if they are known."""
    year, number = map(int, name.split("-"))
    random = np.random.default_rng([year, number])
    district = random.choice(list(DISTRICTS), A_MONTH)
    drifted = name >= DRIFTS
    area = np.round(random.gamma(9, 14 if drifted else 11, A_MONTH) + 25, 1)
    sea_view = random.random(A_MONTH) < 0.25
    bedrooms = np.clip((area / 45).astype(np.int64), 0, 6)
    floor = random.integers(0, 40, A_MONTH)
    truth = worth(district, area, sea_view, floor) * (1.2 if drifted else 1.0)
    rent = np.round(truth + random.normal(0, NOISE, A_MONTH))
    area = np.where(random.random(A_MONTH) < 0.003, area * 10.764, area)  # square feet
    first = datetime.date(year, number, 1)
    days = random.integers(0, 28, A_MONTH)
    return pa.table(
        {
            "home": [f"AUH-{random.integers(2**32):08x}" for _ in range(A_MONTH)],
            "district": pa.array(district),
            "listed": pa.array([first + datetime.timedelta(days=int(d)) for d in days]),
            "area": pa.array(area),
            "bedrooms": pa.array(bedrooms),
            "floor": pa.array(floor),
            "sea_view": pa.array(sea_view),
            "rent": pa.array(np.maximum(rent, 12000), mask=np.full(A_MONTH, not known)),
        }
    )


def worth(
    district: np.ndarray, area: np.ndarray, sea_view: np.ndarray, floor: np.ndarray
) -> np.ndarray:
    """Return what a home lets for, but for luck; a view is worth more in a large home."""
    metre = np.array([DISTRICTS[name] for name in district])
    value: np.ndarray = 20_000 + metre * area + 180 * area * sea_view + 250 * floor
    return value


def ceiling(names: list[str]) -> float:
    """Return the R2 of one who knows all but luck: no model can expect more."""
    rents = np.concatenate([month(n, known=True).column("rent").to_numpy() for n in names])
    return float(1 - NOISE**2 / rents.var())


def write(folder: pathlib.Path, *, until: str, known_until: str) -> None:
    """Write an object a month, from the first to before `until`."""
    folder.mkdir(exist_ok=True)
    moment = FIRST
    while (name := moment.isoformat()[:7]) < until:
        pq.write_table(month(name, known=name < known_until), folder / f"{name}.parquet")
        moment = (moment + datetime.timedelta(days=31)).replace(day=1)
