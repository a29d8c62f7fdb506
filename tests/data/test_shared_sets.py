"""Real data sets, each read by one call as the documents show it; skipped where they are not there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from recurra.data.dataset import Dataset, classes
from recurra.data.reading import read
from recurra.ragged import Ragged
from shared import shared_data


def of(folder: str, files: Any = None, **options: Any) -> Dataset:
    place = shared_data(folder)
    return read(
        [place / name for name in files] if isinstance(files, list) else place / (files or ""), **options
    )


def parts(made: Dataset) -> dict[str, int]:
    assert made.split is not None
    return dict(Counter(made.split.tolist()))


def steps(made: Dataset) -> Ragged:
    assert isinstance(made.inputs, Ragged)
    return made.inputs


def test_mr_polarity() -> None:
    made = of("mr_polarity", encoding="latin-1")
    assert Counter(made.targets) == {"pos": 5331, "neg": 5331}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("binary", (6920, 872, 1821, 2)), ("fine", (8544, 1101, 2210, 5))],
    ids=["binary", "fine"],
)
def test_sst(name: str, sizes: tuple[int, ...]) -> None:
    files = [f"stsa.{name}.{part}.gz" for part in ("train", "dev", "test")]
    made = of("sst", files, target=0, input=1, separator=" ")
    assert parts(made) == {"train": sizes[0], "validation": sizes[1], "test": sizes[2]}
    assert len(classes(made.targets)) == sizes[3]


def test_banking77() -> None:
    made = of("banking77")
    assert parts(made) == {"train": 10003, "test": 3080}
    assert len(classes(made.targets)) == 77
    assert sum("\n" in text.strip() for text in made.part("train").inputs) == 1 or any(
        "\n" in t for t in made.inputs
    )


def test_ag_news() -> None:
    assert Counter(of("ag_news_5k", "test.csv.gz", target=0, input=[1, 2]).targets) == dict.fromkeys(
        "1234", 1900
    )
    assert Counter(of("ag_news_5k", "train_subset.csv.gz", target=1, input=0).targets)["2"] == 1281


def test_imdb() -> None:
    made = of("imdb_10k")
    assert parts(made) == {"train": 5000, "test": 5000}
    assert Counter(zip(made.targets, made.split.tolist(), strict=True))[("pos", "test")] == 2500


def test_names() -> None:
    made = of("names", "names")
    assert len(made) == 20050
    assert Counter(made.targets).most_common(1) == [("Russian", 9384)]


def test_japanese_vowels() -> None:
    made = of("uea_japanesevowels")
    assert parts(made) == {"train": 270, "test": 370}
    assert (steps(made).lengths.min(), steps(made).lengths.max()) == (7, 29)
    assert len(made.features) == 12


def test_basic_motions_and_covid() -> None:
    assert steps(of("uea_basicmotions")).values.shape == (8000, 6)
    made = of("uea_covid3month")
    assert parts(made) == {"train": 140, "test": 61}
    assert made.targets.dtype == np.float64


def test_ucr() -> None:
    made = of("ucr_univariate", ["ItalyPowerDemand_TRAIN.ts.gz", "ItalyPowerDemand_TEST.ts.gz"])
    assert parts(made) == {"train": 67, "test": 1029}
    assert set(steps(made).lengths.tolist()) == {24}


def test_uci_har() -> None:
    made = of("uci_har_subset", input="Inertial_Signals/*", target="y_*")
    assert parts(made) == {"train": 2400, "test": 950}
    assert len(made.features) == 9
    assert set(steps(made).lengths.tolist()) == {128}
    assert classes(made.targets) == list("123456")


def test_msr_action3d() -> None:
    pattern = r"a(?P<target>\d+)_s(?P<subject>\d+)_e(?P<episode>\d+)"
    made = of("msr_action3d", "msraction3d.tar.gz", pattern=pattern, rows_per_step=20)
    assert (len(made), len(classes(made.targets)), len(set(made.columns["subject"]))) == (567, 20, 10)
    assert (steps(made).lengths.min(), steps(made).lengths.max(), steps(made).values.shape[1]) == (
        13,
        255,
        80,
    )


def test_movielens_has_one_row_that_cannot_be_read() -> None:
    made = of(
        "ml_latest_small",
        "ratings.csv.gz",
        sequence_id="userId",
        time="timestamp",
        input=["movieId", "rating"],
        categories="movieId",
        bad_rows="drop",
    )
    assert (len(made), len(steps(made).values), made.features) == (610, 100_835, ("rating",))
    assert made.notes[0].startswith("1 of 100836 rows cannot be read")


def test_yoochoose() -> None:
    files = [f"yoochoose-clicks-100k_{part}.txt.gz" for part in ("train_full", "test")]
    made = of(
        "yoochoose_100k", files, sequence_id="SessionId", time="Time", input="ItemId", categories="ItemId"
    )
    assert parts(made) == {"train": 17794, "test": 3416}
    assert (made.kind, len(steps(made).values)) == ("events", 70278 + 13568)


def test_nab() -> None:
    made = of("nab", "NAB.tar.gz", pattern=r"data/(?P<group>\w+)/.*\.csv", time="timestamp", input="value")
    assert (len(made), len(steps(made).values)) == (58, 365_558)
    assert len(set(made.columns["group"])) == 7


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("AirPassengers.csv", {"time": "Month"}, 144),
        ("monthly-sunspots.csv", {"time": "Month"}, 2820),
        ("ausbeer.csv", {"time": "date", "input": "Y"}, 211),
        ("temps.csv", {"time": "Date"}, 3650),
        ("us_gasoline.csv", {"time": "Week"}, 1578),
        ("ILINet.csv", {"time": "DATE"}, 1301),
        ("taylor.csv", {"rows": "steps"}, 4032),
        ("heart_rate.csv", {"rows": "steps"}, 1800),
        ("gasrate_co2.csv", {"rows": "steps"}, 296),
        ("australian_tourism.csv", {"rows": "steps"}, 36),
    ],
)
def test_classic_series(name: str, options: dict[str, Any], rows: int) -> None:
    made = of("classic_series", name, **options)
    assert steps(made).lengths.tolist() == [rows]
    if "time" in options:
        assert np.all(np.diff(steps(made).columns["time"]) > 0)


def test_m4_rows_end_where_their_cells_do() -> None:
    made = of("m4_hourly_weekly", "Weekly-train.csv.gz", input="1:")
    assert (len(made), steps(made).lengths.min(), steps(made).lengths.max()) == (359, 80, 2597)
    assert made.columns["V1"][0] == "W1"


def test_telemetry_and_transformers() -> None:
    made = of("smap_msl", "SMAP.tar.gz", pattern=r"train/(?P<channel>.*)\.npy")
    assert (len(made), steps(made).values.shape) == (54, (138_004, 25))
    assert steps(of("ett", "ETTh1.csv.gz", time="date")).values.shape == (17_420, 7)
