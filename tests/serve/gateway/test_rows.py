"""Rows of JSON: every field of what is stored, instants as text, no NaN."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe, iso
from gnomon.serve.gateway.answers import Candle, ForecastRow, ScoreRow
from gnomon.serve.gateway.roster import Listed
from gnomon.serve.gateway.rows import candle_rows, forecast_row, forecaster_row, instrument_row, iso_each, score_row
from gnomon.store.forecasts import StoredForecast
from gnomon.store.tables import scores
from gnomon.units import SECOND_NS


@given(st.lists(st.integers(-(10**18), 10**18)), st.booleans())
def test_instants_are_written_as_one_alone_is(instants_ns: list[int], whole: bool) -> None:
    given_ns = [one - one % SECOND_NS if whole else one for one in instants_ns]
    assert iso_each(given_ns) == [iso(one) for one in given_ns]


def test_a_forecast_row_has_everything_but_digests(world: Any) -> None:
    stored = world.ledger.get(world.issue())
    row = forecast_row(stored, "BTCUSDT")
    kept = {one.name.removesuffix("_ns") for one in fields(StoredForecast) if not one.name.endswith("_digest")}
    assert set(row) == kept - {"target_open", "target_close"} | {"symbol", "target_timestamps"}
    ForecastRow.model_validate(row)


def test_a_score_row_has_the_columns_of_the_table_and_null_for_what_has_no_figure() -> None:
    columns = {one.name: float("nan") for one in scores.c if one.name != "realised_revision"}
    mine = {"forecast_id": 1, "step": 2, "stage": 1, "target_close": 0, "void_reason": "late"}
    mine |= {"realised_at": 0, "scored_at": 0}
    whose = {"instrument": "a:B", "timeframe": "1h", "forecaster": "x", "version": "1", "data_cutoff": 0}
    row = score_row({**whose, **columns, **mine}, "B")
    assert (row["stage"], row["target_close"], row["crps"]) == ("calibrated", "1970-01-01T00:00:00Z", None)
    ScoreRow.model_validate(row)


def test_candles_are_values_with_their_times(world: Any) -> None:
    world.import_bars(bars=5)
    key = ("binance:BTCUSDT", Timeframe.parse("1h"), "raw")
    bars, values = world.market.tape([key]).as_of(world.clock.now_ns()).ohlcva(*key)
    rows = candle_rows(bars, values)
    assert [row["close"] for row in rows] == (np.asarray(bars.close) * 0.01).round(2).tolist()
    assert rows[-1]["close_time"] == "2024-05-01T12:00:00Z"
    Candle.model_validate(rows[0])


def test_a_forecaster_without_issues_says_so() -> None:
    row = forecaster_row("x", Listed("model", "It is.", "bars"), [])
    assert (row["issued"], row["timeframes"], row["newest_issued_at"]) == (0, [], None)


def test_an_instrument_shows_its_sources_as_lists(world: Any) -> None:
    row = instrument_row(world.instruments.find("USDJPY"), [], [])
    assert row["sources"]["yahoo"] == ["USDJPY=X", "JPY=X"]
