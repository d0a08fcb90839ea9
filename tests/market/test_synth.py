"""Synthetic markets: determinism, the prefix property, sound bars and the traits each kind promises."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions, always
from gnomon.market.candles import Candles
from gnomon.market.dataset import gaps, off_schedule, series_digest
from gnomon.market.instrument import Instrument, Split
from gnomon.market.synth import KINDS, START_PRICES, _smooth, synthetic_candles, synthetic_market, synthetic_trades
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

FIRST_NS = parse_instant("2024-03-01")
HOUR, DAY = Timeframe.parse("1h"), Timeframe.parse("1d")
SYMBOLS = ["BTCUSDT", "XRPUSDT", "EURUSD", "USDJPY", "GOLD", "SPY"]
GOLDEN_CLOSES = [6019789, 5996161, 6103931, 5675694]
symbols, kinds = st.sampled_from(SYMBOLS), st.sampled_from(KINDS)


def instrument(symbol: str) -> Instrument:
    return shipped_instruments().find(symbol)


def sessions_of(symbol: str) -> Sessions:
    return load_sessions(instrument(symbol).calendar)


def candles(symbol: str, days: float, timeframe: Timeframe = HOUR, **chosen: object) -> Candles:
    until_ns = FIRST_NS + int(days * DAY_NS)
    given_ = {"seed": 1} | chosen
    return synthetic_candles(instrument(symbol), sessions_of(symbol), timeframe, FIRST_NS, until_ns, **given_)  # type: ignore[arg-type]  # options of the test


def log_returns(bars: Candles) -> np.ndarray:
    return np.diff(np.log(bars.ohlcva()[:, 3]))


def autocorrelation(values: np.ndarray) -> float:
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


# --- identity ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(symbols, kinds, st.integers(0, 5), st.sampled_from(["5m", "1h", "1d"]), st.integers(4, 40), st.integers(1, 60))
def test_a_longer_span_begins_with_the_same_bars(
    symbol: str, kind: str, seed: int, timeframe: str, days: int, more: int
) -> None:
    parsed = Timeframe.parse(timeframe)
    short, long = (candles(symbol, n, parsed, kind=kind, seed=seed) for n in (days, days + more))
    assert series_digest(long.take(slice(0, len(short)))) == series_digest(short)


def test_the_same_identity_gives_the_same_bars_on_every_machine_and_day() -> None:
    bars = candles("BTCUSDT", 30, kind="trend", seed=7)
    assert bars.close[[0, 1, 100, -1]].tolist() == GOLDEN_CLOSES


def test_a_series_does_not_depend_on_what_is_generated_beside_it() -> None:
    all_six = [instrument(symbol) for symbol in SYMBOLS]
    calendars = {one.calendar: load_sessions(one.calendar) for one in all_six}
    until_ns = FIRST_NS + 20 * DAY_NS
    together = synthetic_market(all_six, calendars, HOUR, FIRST_NS, until_ns, seed=3)
    alone = [synthetic_market([one], calendars, HOUR, FIRST_NS, until_ns, seed=3)[0] for one in reversed(all_six)]
    assert [series_digest(one) for one in together] == [series_digest(one) for one in reversed(alone)]


def test_seed_instrument_timeframe_and_kind_are_each_part_of_the_identity() -> None:
    base = candles("EURUSD", 20, kind="walk", seed=1)
    assert series_digest(base) == series_digest(candles("EURUSD", 20, kind="walk", seed=1))
    other_seed, other_kind = candles("EURUSD", 20, kind="walk", seed=2), candles("EURUSD", 20, kind="jump", seed=1)
    moves = [np.diff(one.close)[:300] for one in (base, other_seed, candles("GBPUSD", 20, kind="walk", seed=1))]
    assert np.abs(np.corrcoef(moves)[np.triu_indices(3, 1)]).max() < 0.2
    assert not np.array_equal(base.close, other_kind.close)


# --- soundness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("timeframe", ["1m", "1h", "4h", "1d", "1w", "1mo"])
def test_bars_are_sound_and_all_of_the_schedule(symbol: str, timeframe: str) -> None:
    parsed = Timeframe.parse(timeframe)
    bars = candles(symbol, {"1m": 4, "1h": 60, "4h": 60}.get(timeframe, 900), parsed, kind="jump").check()
    assert gaps(bars, sessions_of(symbol)) == []
    assert not len(off_schedule(bars, sessions_of(symbol)))
    assert np.array_equal(bars.knowable_ns, bars.close_ns)
    assert (bars.low * bars.volume <= bars.amount).all()
    assert (bars.amount <= bars.high * bars.volume).all()
    assert (bars.volume > 0).all()
    assert bars.ohlcva()[:, 5] == pytest.approx(bars.amount * float(bars.tick.step) * float(bars.lot.step), rel=1e-12)


def test_a_bar_opens_where_the_last_one_closed_unless_the_market_was_closed() -> None:
    for symbol in ("BTCUSDT", "SPY", "EURUSD"):
        bars = candles(symbol, 90)
        continuous = bars.open_ns[1:] == bars.close_ns[:-1]
        assert np.array_equal(bars.open[1:][continuous], bars.close[:-1][continuous])
        jumped = (bars.open[1:] != bars.close[:-1])[~continuous]
        assert not len(jumped) or jumped.mean() > 0.9


@pytest.mark.parametrize("symbol", START_PRICES)
def test_every_shipped_instrument_starts_at_a_sensible_price(symbol: str) -> None:
    bars = candles(symbol, 30)
    assert bars.ohlcva()[0, 0] == pytest.approx(START_PRICES[symbol], rel=0.001)
    assert 0.3 < bars.ohlcva()[-1, 3] / START_PRICES[symbol] < 3


def test_an_instrument_of_ones_own_starts_far_from_its_tick() -> None:
    own = Instrument.from_row(
        {"symbol": "X", "venue": "v", "asset_class": "equity", "calendar": "always", "tick": 5, "lot": 1}
    )
    bars = synthetic_candles(own, always(19_000, 19_100), HOUR, 19_000 * DAY_NS, 19_050 * DAY_NS, seed=1)
    assert bars.check().open[0] == 1000


# --- traits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "annual"), [("BTCUSDT", 0.60), ("EURUSD", 0.08), ("GOLD", 0.25), ("SPY", 0.28), ("AAPL", 0.28)]
)
@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_volatility_is_that_of_the_class(symbol: str, annual: float, timeframe: str) -> None:
    bars = [candles(symbol, 360, Timeframe.parse(timeframe), seed=seed) for seed in range(4)]
    variance = np.mean([np.sum(log_returns(one) ** 2) for one in bars]) / (360 / 365.25)
    assert annual * 0.75 < np.sqrt(variance) < annual * 1.4


@pytest.mark.parametrize("kind", KINDS)
def test_volatility_clusters(kind: str) -> None:
    sizes = [autocorrelation(np.abs(log_returns(candles("BTCUSDT", 400, kind=kind, seed=seed)))) for seed in range(3)]
    assert min(sizes) > 0.08


def test_trends_persist_and_pulls_revert() -> None:
    def lag_one(kind: str) -> float:
        return float(
            np.mean([autocorrelation(log_returns(candles("XRPUSDT", 400, kind=kind, seed=s))) for s in range(5)])
        )

    assert lag_one("trend") > 0.025
    assert lag_one("revert") < -0.02
    assert abs(lag_one("walk")) < 0.025


def test_pulls_keep_the_price_nearer() -> None:
    def spread(kind: str) -> float:
        return float(np.std([np.log(candles("EURUSD", 300, kind=kind, seed=s).close[-1] / 109_000) for s in range(8)]))

    assert spread("revert") < 0.6 * spread("walk") < spread("walk") < spread("trend")


def test_jumps_fatten_the_tails() -> None:
    def kurtosis(kind: str) -> float:
        r = log_returns(candles("BTCUSDT", 400, kind=kind, seed=3))
        return float(np.mean((r - r.mean()) ** 4) / r.var() ** 2)

    assert kurtosis("jump") > kurtosis("walk") + 2


def test_volume_has_a_profile_of_the_day() -> None:
    share, coin = candles("SPY", 250), candles("BTCUSDT", 250)
    by_bar = [share.volume[share.open_ns % DAY_NS // HOUR_NS == hour].mean() for hour in (14, 17)]
    assert by_bar[0] > 1.2 * by_bar[1], "more at the open than at noon"
    by_hour = [coin.volume[coin.open_ns % DAY_NS // HOUR_NS == hour].mean() for hour in (14, 3)]
    assert by_hour[0] > 1.5 * by_hour[1], "more when London and New York are awake"


def test_raw_prices_fall_at_a_split_and_volumes_grow() -> None:
    nvda = instrument("NVDA")
    (split,) = (one for one in nvda.splits if one.effective_ns > FIRST_NS)
    assert split == Split(parse_instant("2024-06-10"), 10, 1)
    bars = candles("NVDA", 200, DAY)
    first = int(np.searchsorted(bars.open_ns, split.effective_ns))
    assert 7 < bars.close[first - 1] / bars.open[first] < 14
    assert 4 < np.median(bars.volume[first:]) / np.median(bars.volume[:first]) < 25
    smooth = np.append(log_returns(bars.take(slice(0, first))), log_returns(bars.take(slice(first, None))))
    assert np.abs(smooth).max() < 0.3


def test_one_slow_loop_smooths_like_the_shifted_sums() -> None:
    noise = np.random.default_rng(1).standard_normal(777)
    slow = [noise[0]]
    for value in noise[1:]:
        slow.append(0.97 * slow[-1] + np.sqrt(1 - 0.97**2) * value)
    assert _smooth(noise, 0.97) == pytest.approx(np.array(slow), rel=1e-12, abs=1e-12)
    assert len(_smooth(noise[:0], 0.5)) == 0


def test_twenty_three_times_four_thousand_bars_are_quick() -> None:
    shipped = [one for one in shipped_instruments() if one.forecast]
    calendars = {one.calendar: load_sessions(one.calendar) for one in shipped}
    until_ns = FIRST_NS + 4_000 * HOUR_NS
    began = process_time()
    market = synthetic_market(shipped, calendars, HOUR, FIRST_NS, until_ns, seed=5)
    assert process_time() - began < 2.0
    assert [one.instrument for one in market] == [one.id for one in shipped]
    assert len(market[0]) == 4_000


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_an_unknown_kind_and_an_empty_span_are_refused() -> None:
    with pytest.raises(Invalid, match="no kind 'crash'") as caught:
        candles("SPY", 30, kind="crash")
    assert "trend" in caught.value.hint
    with pytest.raises(Invalid, match="has no bar of 1h"):
        candles("SPY", 0.1)
    with pytest.raises(Invalid, match="is closed from"):
        synthetic_trades(instrument("SPY"), sessions_of("SPY"), FIRST_NS, FIRST_NS + HOUR_NS, seed=1)
    with pytest.raises(Invalid, match="mean_gap_ns is 0"):
        synthetic_trades(instrument("SPY"), sessions_of("SPY"), FIRST_NS, FIRST_NS + DAY_NS, seed=1, mean_gap_ns=0)


# --- prints -----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(symbols, st.integers(0, 3), st.integers(16 * 60, 3_000), st.integers(0, 3_000), st.integers(-12, 60))
def test_prints_are_in_order_within_open_hours_and_begin_alike(
    symbol: str, seed: int, span_minutes: int, more_minutes: int, gap_exponent: int
) -> None:
    gap_ns = int(20 * SECOND_NS * 1.05**gap_exponent)
    until_ns = FIRST_NS + span_minutes * MINUTE_NS
    sessions = sessions_of(symbol)
    short, long = (
        synthetic_trades(instrument(symbol), sessions, FIRST_NS, last_ns, seed=seed, mean_gap_ns=gap_ns).check()
        for last_ns in (until_ns, until_ns + more_minutes * MINUTE_NS)
    )
    assert series_digest(long.take(slice(0, len(short)))) == series_digest(short)
    assert not (long.time_ns[len(short) :] < until_ns - 1_000_000).any()
    assert (long.time_ns >= FIRST_NS).all()
    assert (short.time_ns < until_ns).all()
    index = np.searchsorted(sessions.open_ns, long.time_ns, side="right") - 1
    assert (long.time_ns < sessions.close_ns[index]).all()
    assert (long.received_ns > long.time_ns).all()
    assert (np.diff(long.received_ns) >= 0).all()
    assert np.array_equal(long.id, 1 + np.arange(len(long)))
    assert (long.size > 0).all()
    assert set(np.unique(long.side)) <= {-1, 1}


def test_prints_come_at_the_asked_pace_in_bursts_with_persistent_sides() -> None:
    trades = synthetic_trades(instrument("BTCUSDT"), sessions_of("BTCUSDT"), FIRST_NS, FIRST_NS + 2 * DAY_NS, seed=4)
    gaps_ns = np.diff(trades.time_ns)
    assert 1.6 * SECOND_NS < gaps_ns.mean() < 2.5 * SECOND_NS
    assert 0.25 < (gaps_ns == 0).mean() < 0.35
    assert autocorrelation(trades.side.astype(float)) > 0.3
    assert abs(trades.side.mean()) < 0.05
    same = gaps_ns == 0
    assert (trades.side[1:][same] == trades.side[:-1][same]).mean() > 0.99
    bounce = np.diff(trades.price)[~same]
    turned = trades.side[1:][~same] != trades.side[:-1][~same]
    assert (bounce * trades.side[1:][~same])[turned].mean() > 0, "buyers pay the ask, sellers get the bid"
