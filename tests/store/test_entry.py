"""What may be issued, and the rows that it becomes."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gnomon.errors import Invalid
from gnomon.forecast.calibration import chance_above
from gnomon.forecast.forecast import LEVELS
from gnomon.store.blocks import decode
from gnomon.store.chain import array_digest
from gnomon.store.entry import Entry, check, prepare
from gnomon.store.tables import forecasts

LATE_NS = 2 * 10**18


def prepared(entry: Entry, **changes: Any) -> Any:
    options: dict[str, Any] = {"lane": "live", "variant": "", "issued_at_ns": LATE_NS, "code_version": "1.2"} | changes
    return prepare(check(entry, issued_at_ns=LATE_NS), **options)


def spoilt(array: np.ndarray, value: float, at: tuple[int, ...]) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


def test_a_row_holds_every_column_but_those_of_the_chain(make: SimpleNamespace) -> None:
    row = prepared(make.entry(3)).row
    assert row.keys() == {column.name for column in forecasts.c} - {"id", "seq", "prev_hash", "row_hash"}


def test_the_chance_of_a_rise_is_read_from_the_curve_that_is_served(make: SimpleNamespace) -> None:
    raw = make.entry(3).forecast
    calibrated = np.sort(raw.quantiles * 1.01, axis=1)
    row = prepared(replace(make.entry(3), calibrated=calibrated, calibration_id=1)).row
    assert json.loads(row["p_up"]) == chance_above(calibrated, raw.levels, raw.base_price).tolist()
    assert json.loads(row["p_up"]) != raw.p_up.tolist()


def test_a_row_says_what_the_forecast_said(make: SimpleNamespace) -> None:
    entry = make.entry(3, params={"revision": "abc", "n": 1}, warnings=("one",), crossings=2, n_paths=9)
    one, row = entry.forecast, prepared(entry).row
    assert (row["instrument"], row["timeframe"], row["basis"]) == ("binance:BTCUSDT", "1h", "raw")
    assert (row["revision"], json.loads(row["params"])) == ("abc", {"n": 1, "revision": "abc"})
    assert (row["crossings"], row["n_paths"], json.loads(row["warnings"])) == (2, 9, ["one"])
    assert np.frombuffer(row["target_close"], "<i8").tolist() == one.target_close_ns.tolist()
    assert np.frombuffer(row["target_open"], "<i8").tolist() == one.target_open_ns.tolist()
    assert json.loads(row["p10"]) == one.at_level(0.1).tolist()
    assert json.loads(row["p50"]) == one.at_level(0.5).tolist()
    assert json.loads(row["p90"]) == one.at_level(0.9).tolist()
    assert json.loads(row["p_up"]) == one.p_up.tolist()
    assert tuple(json.loads(row["levels"])) == LEVELS
    assert (row["calibrated_digest"], row["paths_digest"], row["bars_digest"]) == ("", "", "")


def test_what_is_served_is_calibrated_where_there_is_a_calibration(make: SimpleNamespace) -> None:
    entry = make.entry(3, calibrated=True)
    made = prepared(entry)
    assert json.loads(made.row["p50"]) == (entry.forecast.at_level(0.5) * 1.001).tolist()
    assert made.row["calibration_id"] == 7
    for kind, values in (("raw", entry.forecast.quantiles), ("calibrated", entry.calibrated)):
        block = dict(made.blocks)[kind]
        found = decode(block.dtype, block.shape, block.payload)
        np.testing.assert_array_equal(found, values.astype(np.float32))
        assert made.row[f"{kind}_digest"] == array_digest(found)


def test_paths_are_stored_as_closes(make: SimpleNamespace) -> None:
    whole = np.random.default_rng(0).uniform(1, 2, (4, 24, 6))
    made, same = prepared(make.entry(1, paths=whole)), prepared(make.entry(1, paths=whole[:, :, 3]))
    assert made.paths == same.paths
    assert decode(made.paths.dtype, made.paths.shape, made.paths.payload).shape == (4, 24)


FAULTS: dict[str, Any] = {
    "nan": lambda f: {"quantiles": spoilt(f.quantiles, np.nan, (2, 3))},
    "first nan": lambda f: {"quantiles": spoilt(f.quantiles, np.nan, (0, 0))},
    "infinity": lambda f: {"quantiles": spoilt(f.quantiles, np.inf, (2, 12))},
    "minus infinity": lambda f: {"quantiles": spoilt(f.quantiles, -np.inf, (2, 0))},
    "zero": lambda f: {"quantiles": spoilt(f.quantiles, 0.0, (2, 0))},
    "beyond float32": lambda f: {"quantiles": spoilt(f.quantiles, 1e39, (2, 12))},
    "below float32": lambda f: {"quantiles": spoilt(f.quantiles, 1e-46, (2, 0))},
    "paths beyond float32": lambda _: {"paths": np.full((3, 24), 1e39)},
    "unsorted": lambda f: {"quantiles": f.quantiles[:, ::-1]},
    "steps": lambda f: {"quantiles": f.quantiles[:-1]},
    "level count": lambda f: {"quantiles": f.quantiles[:, :-1]},
    "levels fall": lambda f: {"levels": f.levels[::-1]},
    "level out of range": lambda f: {"levels": (0.0, *f.levels[1:])},
    "no median": lambda f: {"levels": tuple(x for x in f.levels if x != 0.5), "quantiles": f.quantiles[:, :-1]},
    "p_up": lambda f: {"p_up": spoilt(f.p_up, 1.1, (0,))},
    "p_up nan": lambda f: {"p_up": spoilt(f.p_up, np.nan, (0,))},
    "p_up length": lambda f: {"p_up": f.p_up[:-1]},
    "base": lambda _: {"base_price": 0.0},
    "base nan": lambda _: {"base_price": float("nan")},
    "base infinite": lambda _: {"base_price": float("inf")},
    "target before the cutoff": lambda f: {"target_open_ns": f.target_open_ns - 1},
    "targets stand still": lambda f: {"target_close_ns": np.full_like(f.target_close_ns, LATE_NS)},
    "no step": lambda f: {
        "quantiles": f.quantiles[:0],
        "p_up": f.p_up[:0],
        "target_open_ns": f.target_open_ns[:0],
        "target_close_ns": f.target_close_ns[:0],
    },
    "paths": lambda _: {"paths": np.ones((3, 23))},
    "paths nan": lambda _: {"paths": np.full((3, 24), np.nan)},
    "no path": lambda _: {"paths": np.ones((0, 24))},
    "five fields": lambda _: {"paths": np.ones((3, 24, 5))},
    "seed": lambda _: {"seed": 2**63},
    "nul": lambda _: {"forecaster": "a\0b"},
    "cutoff after as_of": lambda f: {
        "data_cutoff_ns": f.data_cutoff_ns + 10,
        "target_open_ns": f.target_open_ns + 10,
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_forecast_that_breaks_a_rule_is_not_issued(make: SimpleNamespace, fault: str) -> None:
    entry = make.entry(1)
    broken = replace(entry, forecast=replace(entry.forecast, **FAULTS[fault](entry.forecast)))
    check(entry, issued_at_ns=LATE_NS)
    with pytest.raises(Invalid) as refusal:
        check(broken, issued_at_ns=LATE_NS)
    assert refusal.value.detail["rule"]


def test_a_calibrated_curve_is_checked_like_the_raw_one(make: SimpleNamespace) -> None:
    entry = make.entry(1, calibrated=True)
    for calibrated in (entry.calibrated[:, ::-1], entry.calibrated[:-1], -entry.calibrated):
        with pytest.raises(Invalid):
            check(replace(entry, calibrated=calibrated), issued_at_ns=LATE_NS)


def test_nothing_is_issued_before_it_was_asked_for(make: SimpleNamespace) -> None:
    entry = make.entry(1)
    check(entry, issued_at_ns=entry.as_of_ns)
    with pytest.raises(Invalid, match="data_cutoff <= as_of <= issued_at"):
        check(entry, issued_at_ns=entry.as_of_ns - 1)


def test_parameters_that_json_cannot_hold_are_refused(make: SimpleNamespace) -> None:
    with pytest.raises(Invalid, match="JSON"):
        prepared(make.entry(1, params={"x": float("nan")}))
