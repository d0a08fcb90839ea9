"""Each baseline beside its formula, transcribed literally with plain loops; then what the formulas promise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist, fmean, pvariance

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon import chance
from gnomon.clock import parse_instant
from gnomon.errors import Invalid
from gnomon.forecast import catalog
from gnomon.forecast.baselines.paths import DEAD, filtered
from gnomon.forecast.forecast import LEVELS, Context
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS, HOUR_NS

NORMAL = NormalDist()
CLOSED = ("ewma", "drift", "momentum", "seasonal")
DRAWN = ("fhs", "bootstrap")


# --- the formulas, slowly -------------------------------------------------------------------------------------------


def returns_slowly(context: Context, count: int) -> list[float]:
    closes = [float(close) for close in context.bars[:, 3]]
    returns = [math.log(closes[row] / closes[row - 1]) for row in range(1, len(closes))]
    return returns[-count:]


def decay_slowly(context: Context) -> float:
    return 0.97 if context.timeframe.nominal_ns < DAY_NS else 0.94


def floor_slowly(context: Context) -> float:
    return (context.tick / (2 * float(context.bars[-1, 3]))) ** 2


def variance_slowly(context: Context, returns: Sequence[float]) -> float:
    """v = Σ λ^k r²_{T−k} / Σ λ^k, k from 0; v ≥ (tick / (2 c_T))²."""
    fade, above, below = decay_slowly(context), 0.0, 0.0
    for k in range(len(returns)):
        above += fade**k * returns[len(returns) - 1 - k] ** 2
        below += fade**k
    return max(above / below, floor_slowly(context))


def slot_slowly(context: Context, bar: int) -> int:
    local_hours = int(context.local_ns[bar]) // HOUR_NS + 72  # since a Monday
    return local_hours % 168 if context.timeframe.nominal_ns < DAY_NS else (local_hours // 24) % 7


def ewma_slowly(context: Context, h: int) -> tuple[float, float]:
    return 0.0, math.sqrt(variance_slowly(context, returns_slowly(context, 500)) * h)


def drift_slowly(context: Context, h: int) -> tuple[float, float]:
    returns = returns_slowly(context, 500)
    n = min(250, len(returns))
    variance = variance_slowly(context, returns)
    return h * sum(returns[-n:]) / n, math.sqrt(variance * h * (1 + h / n))


def momentum_slowly(context: Context, h: int) -> tuple[float, float]:
    back = min(context.five_session_bars, len(context.bars) - 1)
    change = math.log(context.bars[-1, 3] / context.bars[-1 - back, 3])
    return 0.1 * change * min(1, h / back), ewma_slowly(context, h)[1]


def seasonal_slowly(context: Context, h: int) -> tuple[float, float]:
    returns = returns_slowly(context, 2000)
    bars = len(context.bars)
    slots = [slot_slowly(context, bars - len(returns) + row) for row in range(len(returns))]
    average = fmean(r * r for r in returns)
    profile = []
    for slot in range(168 if context.timeframe.nominal_ns < DAY_NS else 7):
        squares = [r * r for r, at in zip(returns, slots, strict=True) if at == slot]
        share = len(squares) * (fmean(squares) / average if average else 1.0) if squares else 0.0
        profile.append((share + 20) / (len(squares) + 20))
    level = fmean(profile)
    profile = [g / level for g in profile]
    scaled = [r / math.sqrt(profile[at]) for r, at in zip(returns, slots, strict=True)]
    ahead = sum(profile[slot_slowly(context, bars + j)] for j in range(h))
    return 0.0, math.sqrt(variance_slowly(context, scaled[-500:]) * ahead)


SLOWLY = {"ewma": ewma_slowly, "drift": drift_slowly, "momentum": momentum_slowly, "seasonal": seasonal_slowly}


def draws_slowly(name: str, context: Context, seed: int, rows: int, count: int) -> list[list[int]]:
    """The indices of a baseline: each 64-bit word gives two, the lower half first, scaled by a 32 x 32 bit product."""
    version = catalog.forecaster(name).version
    key = (context.instrument, str(context.timeframe), context.data_cutoff_ns)
    bits = chance.generator(seed, name, version, *key).bit_generator
    words = [int(word) for word in bits.random_raw(rows * 1000)]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    indices = [(half * count) >> 32 for half in halves]
    return [indices[row * 2000 : (row + 1) * 2000] for row in range(rows)]


def fhs_slowly(context: Context, horizon: int, seed: int) -> list[list[float]]:
    """Prices (path, step)."""
    returns, fade, floor = returns_slowly(context, 1000), decay_slowly(context), floor_slowly(context)
    variances = [pvariance(returns[:50])]
    for r in returns:
        variances.append(fade * variances[-1] + (1 - fade) * r * r)
    variances = [max(v, floor) for v in variances]
    skipped = min(50, len(returns) // 2)
    residuals = [r / math.sqrt(v) for r, v in zip(returns, variances, strict=False)][skipped:]
    centred = [e - fmean(residuals) for e in residuals]
    residuals = [e / math.sqrt(pvariance(centred)) for e in centred]
    draws = draws_slowly("fhs", context, seed, horizon, len(residuals))
    paths = []
    for path in range(2000):
        v, total, prices = variances[-1], 0.0, []
        for step in range(horizon):
            x = math.sqrt(v) * residuals[draws[step][path]]
            v = fade * v + (1 - fade) * x * x
            total += x
            prices.append(context.base_price * math.exp(total))
        paths.append(prices)
    return paths


def bootstrap_slowly(context: Context, horizon: int, seed: int) -> list[list[float]]:
    """Prices (path, step)."""
    returns = returns_slowly(context, 1000)
    centred = [r - fmean(returns) for r in returns]
    draws = draws_slowly("bootstrap", context, seed, math.ceil(horizon / 10), len(returns))
    paths = []
    for path in range(2000):
        total, prices = 0.0, []
        for step in range(horizon):
            total += centred[(draws[step // 10][path] + step % 10) % len(returns)]
            prices.append(context.base_price * math.exp(total))
        paths.append(prices)
    return paths


def quantile_slowly(samples: Sequence[float], level: float) -> float:
    """Rank (n + 1)τ, linear."""
    ordered = sorted(samples)
    rank = min(max((len(ordered) + 1) * level, 1), len(ordered))
    below = math.floor(rank)
    above = min(below + 1, len(ordered))
    return ordered[below - 1] + (rank - below) * (ordered[above - 1] - ordered[below - 1])


# --- ours equal them ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(make_context) -> list[Context]:
    short = make_context(50, seed=1)
    days = make_context(700, seed=5, timeframe="1d", tick=0.01)
    return [
        short,
        make_context(180, seed=2),
        make_context(2300, seed=3),
        make_context(2048, seed=4, timeframe="15m"),
        days,
        make_context(90, seed=6, timeframe="1w"),
        make_context(400, seed=7, local_ns=make_context(400, seed=7).local_ns - 5 * HOUR_NS),
        make_context(closes=[1.0] * 300, tick=1e-3),
        make_context(closes=[1.0] * 298 + [1.001, 1.0], tick=1e-2),  # moves by less than its floor
    ]


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_form_equals_its_formula(name, several):
    for context, forecast in zip(several, catalog.forecaster(name).predict(several, 120), strict=True):
        for h in (1, 2, 7, 24, 119, 120):
            mean, deviation = SLOWLY[name](context, h)
            expected = [context.base_price * math.exp(mean + NORMAL.inv_cdf(level) * deviation) for level in LEVELS]
            assert forecast.quantiles[h - 1] == pytest.approx(expected, rel=1e-12)
            assert forecast.p_up[h - 1] == pytest.approx(0.5 * math.erfc(-mean / deviation / math.sqrt(2)), rel=1e-11)


@pytest.mark.parametrize("name, slowly", [("fhs", fhs_slowly), ("bootstrap", bootstrap_slowly)])
@pytest.mark.parametrize("chosen", [0, 1, 2, 4])
def test_a_path_method_equals_its_slow_loop(name, slowly, chosen, several):
    context, horizon = several[chosen], 23
    (forecast,) = catalog.forecaster(name).predict([context], horizon, seed=6)
    paths = slowly(context, horizon, 6)
    assert forecast.n_paths == len(paths) == 2000
    assert forecast.paths == pytest.approx(np.array(paths)[::66][:30], rel=1e-12)
    for step in range(horizon):
        prices = [path[step] for path in paths]
        expected = [quantile_slowly(prices, level) for level in LEVELS]
        assert forecast.quantiles[step] == pytest.approx(expected, rel=1e-12)
        ups = sum(1.0 if price > context.base_price else 0.5 if price == context.base_price else 0 for price in prices)
        assert forecast.p_up[step] == pytest.approx(ups / 2000, abs=1e-12)


@given(st.lists(st.floats(-0.5, 0.5), min_size=49, max_size=1000), st.sampled_from([0.94, 0.97]))
@settings(max_examples=50, deadline=None)
def test_the_unrolled_filter_equals_its_recursion(returns, fade):
    expected = [float(np.var(returns[:50]))]
    for r in returns:
        expected.append(fade * expected[-1] + (1 - fade) * r * r)
    assert filtered(np.array(returns), fade) == pytest.approx(np.array(expected), rel=1e-11, abs=1e-300)


# --- what the formulas promise --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalog.BASELINES)
def test_a_shorter_horizon_gives_the_first_steps_of_a_longer_one(name, several):
    far, near = (catalog.forecaster(name).predict(several, horizon, seed=1) for horizon in (120, 24))
    for long, short in zip(far, near, strict=True):
        assert np.array_equal(short.quantiles, long.quantiles[:24])
        assert np.array_equal(short.p_up, long.p_up[:24])
        assert short.paths is None or np.array_equal(short.paths, long.paths[:, :24])


@pytest.mark.parametrize("name", catalog.BASELINES)
@pytest.mark.parametrize("factor", [10.0, 1e-5, 4.0])
def test_prices_in_another_unit_give_the_same_forecast_in_that_unit(name, factor, several):
    scaled = [
        replace(context, bars=context.bars * np.array([factor] * 4 + [1, factor]), tick=context.tick * factor)
        for context in several
    ]
    ours, theirs = (catalog.forecaster(name).predict(contexts, 24, seed=2) for contexts in (several, scaled))
    for here, there in zip(ours, theirs, strict=True):
        assert there.quantiles == pytest.approx(here.quantiles * factor, rel=1e-10)
        assert there.p_up == pytest.approx(here.p_up, abs=1e-9)


@pytest.mark.parametrize("name", CLOSED)
def test_the_level_of_p_up_lies_at_the_base_price(name, several):
    for context in several:
        p_up = catalog.forecaster(name).predict([context], 24)[0].p_up
        for step in (0, 23):
            level = 1 - float(p_up[step])
            (forecast,) = catalog.forecaster(name).predict([context], 24, levels=(level,))
            assert forecast.quantiles[step, 0] == pytest.approx(context.base_price, rel=1e-12)


@pytest.mark.parametrize("name", ["ewma", "seasonal"])
def test_without_a_drift_up_and_down_are_even(name, several):
    for forecast in catalog.forecaster(name).predict(several, 24):
        assert (forecast.p_up == 0.5).all()
        assert (forecast.at_level(0.5) == forecast.base_price).all()


def test_the_width_of_a_dead_series_is_half_a_tick_a_bar(make_context):
    context = make_context(closes=[2.0] * 200, tick=0.01)
    z = NORMAL.inv_cdf(0.9)
    for name in CLOSED:
        (forecast,) = catalog.forecaster(name).predict([context], 16)
        extra = 1 + np.arange(1, 17) / 199 if name == "drift" else 1.0  # the drift's own error
        expected = 2.0 * np.exp(z * 0.01 / (2 * 2.0) * np.sqrt(np.arange(1, 17) * extra))
        assert forecast.at_level(0.9) == pytest.approx(expected, rel=1e-12)
    for name in DRAWN:
        (forecast,) = catalog.forecaster(name).predict([context], 16)
        expected = 2.0 * np.exp(z * 0.01 / (2 * 2.0) * np.sqrt(np.arange(1, 17)))
        assert np.log(forecast.at_level(0.9) / 2) == pytest.approx(np.log(expected / 2), rel=0.15)  # 2,000 paths
        assert forecast.warnings == (DEAD,)


def test_a_series_that_died_lately_draws_normal_steps(make_context):
    """Its early returns vary enough, but no residual does."""
    closes = [2.0, 2.2] * 25 + [2.0] * 400
    (forecast,) = catalog.forecaster("fhs").predict([make_context(closes=closes, tick=0.01)], 24)
    assert forecast.warnings == (DEAD,)
    assert (forecast.at_level(0.9) > forecast.at_level(0.1)).all()


@pytest.mark.parametrize("name", catalog.BASELINES)
def test_a_series_that_grows_evenly_is_answered(name, make_context):
    context = make_context(closes=(1.001 ** np.arange(300)).tolist(), tick=1e-6)
    (forecast,) = catalog.forecaster(name).predict([context], 24)
    assert (forecast.at_level(0.9) > forecast.at_level(0.1)).all()
    assert forecast.warnings == ((DEAD,) if name in DRAWN else ())


def test_returns_too_wild_for_float64_are_refused(make_context):
    context = make_context(closes=[1e-90, 1e90] * 100, tick=1e-95)
    for name in CLOSED + DRAWN:
        with pytest.raises(Invalid, match="spread prices beyond float64"):
            catalog.forecaster(name).predict([make_context(), context], 120)


def test_momentum_says_when_five_sessions_are_not_there(several):
    forecasts = catalog.forecaster("momentum").predict(several[:3], 24)
    assert forecasts[0].warnings == ("momentum over 49 bars: the context is shorter than five sessions (120 bars)",)
    assert forecasts[2].warnings == ()


def test_a_seasonal_profile_widens_the_steps_of_its_loud_hours(make_context):
    """Returns ten times as large between 14 and 15 UTC: that step alone widens the band."""
    context = make_context(1500, 48)
    hours = (context.local_ns // HOUR_NS) % 24
    rng = np.random.default_rng(3)
    returns = rng.normal(0, 0.002, 1500) * np.where(hours[:1500] == 14, 10.0, 1.0)
    loud = replace(context, bars=np.repeat(100 * np.exp(np.cumsum(returns))[:, None], 6, axis=1))
    (forecast,) = catalog.forecaster("seasonal").predict([loud], 48)
    added = np.diff(np.log(forecast.at_level(0.9) / forecast.base_price) ** 2, prepend=0.0)
    step_hours = hours[1500:]
    assert added[step_hours == 14].min() > 4 * added[step_hours != 14].max()


@pytest.mark.slow
def test_slots_follow_the_clock_on_the_wall_through_a_change_of_hours():
    """New York's open is 9:30 in winter and in summer: one slot a weekday, whatever UTC says."""
    sessions = load_sessions("nyse")
    first = int(np.searchsorted(sessions.open_ns, parse_instant("2024-02-26")))  # the clocks change on 10 March
    local_ns = sessions.local_ns(sessions.open_ns[first : first + 20])
    assert len(set((local_ns % DAY_NS).tolist())) == 1
    assert len(set((sessions.open_ns[first : first + 20] % DAY_NS).tolist())) == 2


@given(
    ticks=st.lists(st.integers(1, 10_000), min_size=50, max_size=120),
    repeats=st.integers(1, 12),
    seed=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("name", catalog.BASELINES)
def test_any_series_on_a_tick_grid_is_answered_in_order(name, make_context, ticks, repeats, seed):
    closes = np.repeat(np.array(ticks) * 0.01, repeats)
    context = make_context(closes=closes.tolist(), tick=0.01)
    (forecast,) = catalog.forecaster(name).predict([context], 30, seed=seed)
    assert np.isfinite(forecast.quantiles).all()
    assert (forecast.quantiles > 0).all()
    assert (np.diff(forecast.quantiles, axis=1) >= 0).all()
    if name in CLOSED:  # one jump in a flat series: resampling it may leave every stored quantile at one price
        assert (forecast.at_level(0.95) > forecast.at_level(0.05)).all()
