"""What every forecaster of the catalog keeps, whoever it is: the rules of the port, one parametrised module."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid
from gnomon.forecast import catalog
from gnomon.forecast.ensemble import EnsembleMeta, ForecasterMembers
from gnomon.forecast.forecast import LEVELS, Context, Forecast, context_at
from gnomon.forecast.forecaster import Forecaster
from gnomon.market.calendar import Sessions, always
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instrument
from gnomon.market.tape import History, Series, Tape
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS, HOUR_NS, Grid


class Rises:
    """A learner of direction, and where it is found: sure of a rise where ewma's band is wide, of nothing elsewhere."""

    members = ("ewma", "momentum")
    digest = "rises"
    fitted_until_ns = 0

    def of(self, context: Context) -> Rises:  # noqa: ARG002 - the port's signature
        return self

    def chance_up(self, rows: np.ndarray) -> np.ndarray:
        return np.where(rows[:, 1] > 0.02, 0.7, 0.52)


def meta() -> EnsembleMeta:
    members = ForecasterMembers(tuple(map(catalog.forecaster, Rises.members)))
    return EnsembleMeta(members, None, Rises(), eligible=Rises.members)  # type: ignore[arg-type]  # a stand-in


@pytest.fixture(scope="module")
def kronos(tmp_path_factory) -> Iterator[Forecaster]:
    """Kronos with tiny random weights: those of the catalog's rows are not on every machine."""
    import torch
    from tests.forecast.kronos.checkpoints import tiny_forecaster

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks so small are slower with more
    yield tiny_forecaster(tmp_path_factory.mktemp("kronos"), context_bars=128)
    torch.set_num_threads(threads)


WITHOUT_WEIGHTS = [name for name in catalog.names() if not catalog.entry(name).hf_id]


@pytest.fixture(
    params=[*dict.fromkeys([*WITHOUT_WEIGHTS, "ensemble-meta"]), pytest.param("kronos-tiny", marks=pytest.mark.slow)]
)
def forecaster(request) -> Forecaster:
    if request.param == "kronos-tiny":
        return request.getfixturevalue("kronos")
    return meta() if request.param == "ensemble-meta" else catalog.forecaster(request.param)


@pytest.fixture(scope="module")
def unequal(make_context) -> list[Context]:
    """Series of different lengths, timeframes and instruments, among them the shortest that is allowed."""
    lengths = (50, 51, 149, 400, 600, 1200, 2300)
    hourly = [make_context(rows, seed=number) for number, rows in enumerate(lengths)]
    return [*hourly, make_context(300, seed=11, timeframe="1d"), make_context(50, seed=12, timeframe="15m")]


def fingerprint(forecast: Forecast) -> tuple[object, ...]:
    """All that a forecast says, arrays as bytes."""
    arrays = (forecast.quantiles, forecast.p_up, forecast.target_open_ns, forecast.target_close_ns, forecast.paths)
    said = tuple(
        getattr(forecast, name)
        for name in ("forecaster", "version", "role", "instrument", "data_cutoff_ns", "base_price", "levels", "seed")
    )
    more = (forecast.input_hash, forecast.n_paths, forecast.crossings, forecast.information, forecast.warnings)
    return said + more + tuple(None if one is None else (one.shape, one.tobytes()) for one in arrays)


def fingerprints(forecasts: list[Forecast]) -> list[tuple[object, ...]]:
    return [fingerprint(one) for one in forecasts]


def test_the_answer_names_who_said_it_about_what(forecaster, make_context):
    context = make_context()
    (forecast,) = forecaster.predict([context], 24, seed=5)
    assert (forecast.forecaster, forecast.version, forecast.role) == (
        forecaster.name,
        forecaster.version,
        forecaster.traits.role,
    )
    assert forecast.instrument == context.instrument
    assert forecast.timeframe == context.timeframe
    assert forecast.basis == context.basis
    assert forecast.data_cutoff_ns == context.data_cutoff_ns
    assert forecast.base_price == context.base_price
    assert forecast.input_hash == context.input_hash()
    assert forecast.information == forecaster.traits.information
    assert forecast.seed == 5
    assert (forecast.paths is not None) == forecaster.traits.paths


@pytest.mark.parametrize("horizon", [1, 24, 120])
def test_quantiles_are_positive_finite_and_sorted_at_every_step(forecaster, unequal, horizon):
    for forecast in forecaster.predict(unequal, horizon, seed=1):
        assert forecast.quantiles.shape == (horizon, len(LEVELS))
        assert forecast.quantiles.dtype == np.float64
        assert np.isfinite(forecast.quantiles).all()
        assert (forecast.quantiles > 0).all()
        assert (np.diff(forecast.quantiles, axis=1) >= 0).all()
        assert forecast.p_up.shape == (horizon,)
        assert ((forecast.p_up >= 0) & (forecast.p_up <= 1)).all()
        assert forecast.horizon == horizon


def test_a_batch_equals_single_calls(forecaster, unequal):
    batch = forecaster.predict(unequal, 24, seed=3)
    single = [forecaster.predict([context], 24, seed=3)[0] for context in unequal]
    assert fingerprints(batch) == fingerprints(single)


def test_the_order_of_contexts_does_not_matter(forecaster, unequal):
    expected = fingerprints(forecaster.predict(unequal[:4], 12, seed=3))
    for order in list(permutations(range(4)))[5::6]:
        answers = forecaster.predict([unequal[index] for index in order], 12, seed=3)
        assert fingerprints(answers) == [expected[index] for index in order]


def test_threads_give_what_a_loop_gives(forecaster, unequal):
    serial = [fingerprint(forecaster.predict([context], 24, seed=3)[0]) for context in unequal]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            futures = [pool.submit(forecaster.predict, [context], 24, seed=3) for context in unequal]
            assert [fingerprint(future.result(timeout=600)[0]) for future in futures] == serial


def test_the_same_seed_gives_the_same_bytes(forecaster, unequal):
    assert fingerprints(forecaster.predict(unequal, 24, seed=9)) == fingerprints(
        forecaster.predict(unequal, 24, seed=9)
    )


def test_another_seed_moves_paths_and_nothing_else(forecaster, make_context):
    context = make_context()
    one, other = (forecaster.predict([context], 24, seed=seed)[0] for seed in (1, 2))
    assert (one.quantiles.tobytes() != other.quantiles.tobytes()) == forecaster.traits.paths


def test_the_luck_of_a_series_is_its_own(forecaster, make_context):
    """The same numbers under another name or at another cutoff draw other paths."""
    context = make_context()
    renamed = replace(context, instrument="test:other")
    earlier = make_context(last_day=20_000)
    here, there, then = (one.quantiles.tobytes() for one in forecaster.predict([context, renamed, earlier], 24))
    assert (here != there) == forecaster.traits.paths
    if forecaster.traits.paths:
        assert here != then


def test_a_subset_of_levels_gives_those_columns(forecaster, unequal):
    wanted = (0.1, 0.5, 0.9)
    columns = [LEVELS.index(level) for level in wanted]
    for full, part in zip(forecaster.predict(unequal, 24), forecaster.predict(unequal, 24, levels=wanted), strict=True):
        assert part.levels == wanted
        assert np.array_equal(part.quantiles, full.quantiles[:, columns])
        assert np.array_equal(part.p_up, full.p_up)


def test_p_up_agrees_with_the_quantile_curve(forecaster, unequal):
    """A level whose quantile lies above the base price leaves at least 1 - level of the chance above it."""
    for forecast in forecaster.predict(unequal, 120, seed=2):
        slack = 2.0 / forecast.n_paths if forecast.n_paths else 1e-12
        above = forecast.quantiles > forecast.base_price
        below = forecast.quantiles < forecast.base_price
        chance_above = np.repeat(forecast.p_up[:, None], len(LEVELS), axis=1)
        remaining = np.broadcast_to(1 - np.array(LEVELS), above.shape)
        assert (chance_above[above] >= remaining[above] - slack).all()
        assert (chance_above[below] <= remaining[below] + slack).all()


def test_no_context_is_no_forecast(forecaster):
    assert forecaster.predict([], 24) == []


def test_one_bad_context_refuses_the_whole_call_by_name(forecaster, make_context):
    bars = make_context(seed=2).bars.copy()
    bars[7, 3] = np.nan
    contexts = [make_context(seed=1), replace(make_context(seed=2), bars=bars), make_context(seed=3)]
    with pytest.raises(Invalid, match=r"test:S2 1h: bar 7 .*nan is not finite"):
        forecaster.predict(contexts, 24)


def test_a_dead_series_still_has_a_width(forecaster, make_context):
    context = make_context(closes=[2.5] * 300, tick=0.01)
    (forecast,) = forecaster.predict([context], 24)
    width = forecast.at_level(0.9) - forecast.at_level(0.1)
    assert (width > 0).all()
    assert (np.diff(width) > -0.002).all()  # it widens, up to the luck of paths
    assert np.isfinite(forecast.quantiles).all()


def test_paths_are_prices_after_the_cutoff(forecaster, unequal):
    for forecast in forecaster.predict(unequal, 24):
        if not forecaster.traits.paths:
            assert forecast.paths is None
            assert forecast.n_paths == 0
            continue
        assert forecast.paths is not None
        assert 30 <= len(forecast.paths) <= forecast.n_paths
        assert forecast.paths.shape[1] == 24
        assert np.isfinite(forecast.paths).all()
        prices = forecast.paths if forecast.paths.ndim == 2 else forecast.paths[:, :, :4]
        assert (prices > 0).all()


# --- times ------------------------------------------------------------------------------------------------------------


def weekdays(first_day: int, last_day: int) -> Sessions:
    """Sessions from 14:30 to 21:00 UTC, Monday to Friday."""
    day = np.arange(first_day, last_day + 1)
    day = day[(day + 3) % 7 < 5]
    open_ns = day * DAY_NS + 14 * HOUR_NS + HOUR_NS // 2
    return Sessions("weekdays", open_ns, day * DAY_NS + 21 * HOUR_NS, day, np.full(len(day), -5 * HOUR_NS))


def candles_of(sessions: Sessions, timeframe: Timeframe, closes: np.ndarray, first_ns: int) -> Candles:
    """Bars of a series with one hundredth as its tick, knowable at their close."""
    bars = sessions.between(timeframe, first_ns, int(sessions.close_ns[-1]))
    ticks = np.rint(closes * 100).astype(np.int64)
    count = len(ticks)
    grid = Grid.of("0.01")
    return Candles(
        instrument="test:A",
        timeframe=timeframe,
        basis="raw",
        tick=grid,
        lot=grid,
        money=grid,
        open_ns=bars.open_ns[:count],
        close_ns=bars.close_ns[:count],
        knowable_ns=bars.close_ns[:count],
        open=ticks,
        high=ticks + 3,
        low=ticks - 3,
        close=ticks,
        volume=np.full(count, 100),
        amount=np.full(count, -1),
        flags=np.zeros(count, np.uint8),
    )


INSTRUMENT = Instrument("A", "test", "equity", "weekdays", Grid.of("0.01"), Grid.of("0.01"))


def test_the_fifth_daily_step_after_a_friday_is_the_next_friday(forecaster):
    sessions, daily = weekdays(18_000, 20_000), Timeframe.parse("1d")
    closes = 50 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.01, 600)))
    candles = candles_of(sessions, daily, closes, int(sessions.open_ns[0]))
    fridays = np.flatnonzero((sessions.day[:600] + 3) % 7 == 4)
    tape = Tape([Series(History(candles))])
    context = context_at(tape.as_of(int(candles.close_ns[fridays[-1]])), INSTRUMENT, sessions, daily, 10)
    (forecast,) = forecaster.predict([context], 5)
    assert forecast.target_close_ns[4] - context.data_cutoff_ns == 7 * DAY_NS
    assert forecast.target_close_ns[0] - context.data_cutoff_ns == 3 * DAY_NS
    assert np.array_equal(forecast.target_open_ns, context.target_open_ns[:5])


@pytest.mark.slow
def test_steps_skip_the_holiday_of_the_real_calendar(forecaster):
    """After Friday 2024-06-28 New York is open on 1, 2, 3, 5 and 8 July; a week earlier the fifth step is a Friday."""
    sessions, daily = load_sessions("nyse"), Timeframe.parse("1d")
    candles = candles_of(sessions, daily, 400 + 20 * np.sin(np.arange(200.0)), parse_instant("2023-10-02"))
    tape = Tape([Series(History(candles))])
    for friday, fifth in (("2024-06-28", "2024-07-08"), ("2024-06-21", "2024-06-28")):
        context = context_at(tape.as_of(parse_instant(f"{friday}T20:00:00Z")), INSTRUMENT, sessions, daily, 5)
        (forecast,) = forecaster.predict([context], 5)
        assert iso(int(forecast.target_close_ns[4])) == f"{fifth}T20:00:00Z"


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_garbage_after_the_cutoff_changes_nothing(forecaster, timeframe):
    """Look-ahead canary: 20 random cutoffs; every bar knowable later is replaced, and later revisions are added."""
    sessions, parsed = always(18_000, 20_000), Timeframe.parse(timeframe)
    rng = np.random.default_rng(8)
    closes = 900 * np.exp(np.cumsum(rng.normal(0, 0.01, 700)))
    candles = candles_of(sessions, parsed, closes, int(sessions.open_ns[0]))
    honest = Tape([Series(History(candles))])
    for row in rng.integers(60, 690, 20):
        cutoff_ns = int(candles.close_ns[row])
        poisoned = Tape([Series(History(garbage_after(candles, int(row), rng)))])
        answers = []
        for tape in (honest, poisoned):
            as_of_ns = cutoff_ns + int(rng.integers(0, parsed.nominal_ns))  # within the forming bar
            context = context_at(tape.as_of(as_of_ns), INSTRUMENT, sessions, parsed, 24)
            answers.append(fingerprint(forecaster.predict([context], 24, seed=1)[0]))
        assert answers[0] == answers[1]
        later = poisoned.as_of(cutoff_ns + parsed.nominal_ns)  # the garbage is there for whoever may read it
        seen = context_at(later, INSTRUMENT, sessions, parsed, 24)
        unspoilt = context_at(honest.as_of(later.as_of_ns), INSTRUMENT, sessions, parsed, 24)
        assert fingerprint(forecaster.predict([seen], 24)[0]) != fingerprint(forecaster.predict([unspoilt], 24)[0])


def garbage_after(candles: Candles, row: int, rng: np.random.Generator) -> Candles:
    """Other prices after the row, and revisions of earlier rows that become knowable after it."""
    noise = rng.integers(1, 1_000_000, len(candles))
    later = np.arange(len(candles)) > row
    changed = {name: np.where(later, noise, getattr(candles, name)) for name in ("open", "close", "volume")}
    changed |= {name: np.where(later, noise, getattr(candles, name)) for name in ("high", "low", "amount")}
    poisoned = replace(candles, **changed)
    revised = replace(candles, **dict.fromkeys(("open", "high", "low", "close"), noise)).take(slice(0, row + 1))
    revised = replace(revised, knowable_ns=np.full(row + 1, candles.close_ns[row] + 1))
    names = candles.columns()
    return replace(
        poisoned, **{name: np.concatenate([getattr(poisoned, name), getattr(revised, name)]) for name in names}
    )
