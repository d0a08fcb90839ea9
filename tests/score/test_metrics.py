"""Each metric beside its three-line formula, the properties it must have, and an outside oracle where there is one."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnomon.errors import Invalid
from gnomon.forecast.forecast import LEVELS
from gnomon.score import metrics
from gnomon.units import FloatArray

with warnings.catch_warnings():  # first compilation of the oracles' sources warns about escapes in their docstrings
    warnings.simplefilter("ignore")
    import pandas as pd
    import scoringrules as sr
    from utilsforecast import losses as nixtla

PRICE = st.floats(0.01, 1e6)
CURVE = arrays(np.float64, len(LEVELS), elements=PRICE).map(np.sort)
PATHS = st.integers(2, 30).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-1e6, 1e6)))


def block(rows: int = 200, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    """Quantile curves (rows, Q) and outcomes (rows,), some of them outside every band."""
    luck = np.random.default_rng(seed)
    curves = np.sort(luck.normal(100, 2, (rows, len(LEVELS))), axis=1)
    return curves, luck.normal(100, 3, rows)


# --- pinball --------------------------------------------------------------------------------------------------------


def naive_pinball(q: float, t: float, y: float) -> float:
    return t * (y - q) if y >= q else (1 - t) * (q - y)


@given(CURVE, PRICE)
def test_pinball_is_its_formula_level_by_level(curve: FloatArray, y: float) -> None:
    expected = [naive_pinball(q, t, y) for q, t in zip(curve, LEVELS, strict=True)]
    losses = metrics.pinball(curve, LEVELS, y)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    assert metrics.mean_pinball(losses) == pytest.approx(sum(expected) / len(expected))


@given(CURVE, PRICE, st.floats(0.01, 100))
def test_pinball_is_never_negative_and_scales_with_the_price(curve: FloatArray, y: float, factor: float) -> None:
    losses = metrics.pinball(curve, LEVELS, y)
    assert (losses >= 0).all()
    assert ((losses == 0) == (curve == y)).all()
    np.testing.assert_allclose(
        metrics.pinball(curve * factor, LEVELS, y * factor), losses * factor, rtol=1e-6, atol=1e-8
    )


def test_pinball_agrees_with_scoringrules_and_utilsforecast() -> None:
    curves, y = block()
    ours = metrics.pinball(curves, LEVELS, y)
    np.testing.assert_allclose(ours, sr.quantile_score(y[:, None], curves, np.array(LEVELS)), rtol=1e-12)
    for column, level in enumerate(LEVELS):
        frame = pd.DataFrame({"unique_id": "a", "ds": range(len(y)), "y": y, "m": curves[:, column]})
        theirs = nixtla.quantile_loss(frame, models={"m": "m"}, q=level)["m"].item()
        assert ours[:, column].mean() == pytest.approx(theirs)


def test_true_quantiles_have_the_least_expected_pinball() -> None:
    luck = np.random.default_rng(3)
    y = luck.normal(size=20_000)
    true = np.quantile(luck.normal(size=200_000), LEVELS)
    loss = {shift: metrics.mean_pinball(metrics.pinball(true + shift, LEVELS, y)).mean() for shift in (-0.3, 0.0, 0.3)}
    assert loss[0.0] < min(loss[-0.3], loss[0.3])


def test_losses_have_any_leading_shape() -> None:
    curves, y = block(24)
    flat = [metrics.crps_from_quantiles(curves, LEVELS, y), metrics.wis(curves, LEVELS, y)]
    curves, y = curves.reshape(2, 3, 4, -1), y.reshape(2, 3, 4)
    shaped = [metrics.crps_from_quantiles(curves, LEVELS, y), metrics.wis(curves, LEVELS, y)]
    for one, other in zip(flat, shaped, strict=True):
        assert other.shape == (2, 3, 4)
        assert np.array_equal(one, other.ravel())


def test_a_row_alone_has_the_same_bytes_as_in_any_layout() -> None:
    curves, y = block()
    whole = metrics.crps_from_quantiles(curves, LEVELS, y)
    column_major = metrics.crps_from_quantiles(np.asfortranarray(curves), LEVELS, y)
    alone = np.array([metrics.crps_from_quantiles(curves[i], LEVELS, y[i]) for i in range(len(y))])
    assert whole.tobytes() == column_major.tobytes() == alone.tobytes()


# --- CRPS -----------------------------------------------------------------------------------------------------------


def naive_crps_weights(levels: tuple[float, ...]) -> list[float]:
    """Trapezoids between the levels, and a rectangle to 0 and to 1 that belongs to the end levels."""
    weight = [0.0] * len(levels)
    for k in range(len(levels) - 1):
        weight[k] += (levels[k + 1] - levels[k]) / 2
        weight[k + 1] += (levels[k + 1] - levels[k]) / 2
    return [weight[0] + levels[0], *weight[1:-1], weight[-1] + 1 - levels[-1]]


def test_crps_weights_are_the_documented_trapezoids() -> None:
    expected = [0.075, 0.075, 0.075, 0.05, 0.075, 0.1, 0.1]
    np.testing.assert_allclose(metrics.crps_weights(LEVELS), expected + expected[-2::-1], atol=1e-15)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=30, unique=True).map(sorted).map(tuple))
def test_crps_weights_sum_to_one_for_any_levels(levels: tuple[float, ...]) -> None:
    weights = metrics.crps_weights(levels)
    np.testing.assert_allclose(weights, naive_crps_weights(levels), atol=1e-15)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights > 0).all()


@given(CURVE, PRICE)
def test_crps_of_quantiles_is_twice_the_weighted_pinball(curve: FloatArray, y: float) -> None:
    weights = naive_crps_weights(LEVELS)
    expected = 2 * sum(w * naive_pinball(q, t, y) for w, q, t in zip(weights, curve, LEVELS, strict=True))
    assert metrics.crps_from_quantiles(curve, LEVELS, y) == pytest.approx(expected, rel=1e-9)


def test_crps_of_quantiles_agrees_with_scoringrules_at_evenly_spread_levels() -> None:
    levels = tuple((np.arange(20) + 0.5) / 20)  # here every weight is 1 / 20, the only case that scoringrules has
    curves = np.sort(np.random.default_rng(1).normal(size=(50, 20)), axis=1)
    y = np.random.default_rng(2).normal(size=50)
    ours = metrics.crps_from_quantiles(curves, levels, y)
    np.testing.assert_allclose(ours, sr.crps_quantile(y, curves, np.array(levels)), rtol=1e-12)


def test_crps_of_quantiles_comes_near_the_exact_one_of_a_normal() -> None:
    from scipy import stats

    y = np.linspace(-2, 2, 9)
    dense = tuple(np.linspace(0.001, 0.999, 999))
    exact = sr.crps_normal(y, 0.0, 1.0)
    fine = metrics.crps_from_quantiles(stats.norm.ppf(dense), dense, y)
    coarse = metrics.crps_from_quantiles(stats.norm.ppf(LEVELS), LEVELS, y)
    np.testing.assert_allclose(fine, exact, atol=2e-3)
    np.testing.assert_allclose(coarse, exact, atol=0.06)


def naive_fair_crps(x: FloatArray, y: float) -> float:
    n = len(x)
    pairs = sum(abs(a - b) for a in x for b in x)
    return sum(abs(a - y) for a in x) / n - pairs / (2 * n * (n - 1))


@given(PATHS, st.floats(-1e6, 1e6))
def test_fair_crps_of_paths_is_its_double_sum(paths: FloatArray, y: float) -> None:
    scale = np.abs(paths).max() + abs(y) + 1
    assert metrics.crps_from_paths(paths, y) == pytest.approx(naive_fair_crps(paths, y), abs=1e-11 * scale)


def test_fair_crps_agrees_with_scoringrules() -> None:
    luck = np.random.default_rng(5)
    paths, y = luck.normal(size=(40, 7, 30)), luck.normal(size=(40, 7))
    theirs = sr.crps_ensemble(y, paths, estimator="fair")
    np.testing.assert_allclose(metrics.crps_from_paths(paths, y), theirs, rtol=1e-9, atol=1e-12)


def test_fair_crps_is_unbiased_for_few_paths() -> None:
    luck = np.random.default_rng(6)
    y = luck.normal(size=100_000)
    few = metrics.crps_from_paths(luck.normal(size=(len(y), 2)), y).mean()
    assert few == pytest.approx(1 / math.sqrt(math.pi), abs=0.01)  # the expected CRPS of a standard normal


def test_fair_crps_needs_two_paths() -> None:
    with pytest.raises(Invalid, match="received 1"):
        metrics.crps_from_paths([1.0], 1.0)


# --- intervals ------------------------------------------------------------------------------------------------------


def naive_wis(q: dict[float, float], y: float) -> float:
    total = 0.5 * abs(y - q[0.5])
    for a, l, u in ((0.1, q[0.05], q[0.95]), (0.2, q[0.1], q[0.9]), (0.5, q[0.25], q[0.75])):  # noqa: E741 - as in the formula
        total += a / 2 * ((u - l) + 2 / a * max(0, l - y) + 2 / a * max(0, y - u))
    return total / 3.5


@given(CURVE, PRICE)
def test_wis_is_its_formula(curve: FloatArray, y: float) -> None:
    expected = naive_wis(dict(zip(LEVELS, curve.tolist(), strict=True)), y)
    assert metrics.wis(curve, LEVELS, y) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_wis_and_interval_score_agree_with_scoringrules() -> None:
    curves, y = block()
    alphas = np.array(metrics.WIS_ALPHAS)
    lower, upper = (
        np.stack([metrics.band(curves, LEVELS, nominal)[edge] for nominal in (90, 80, 50)], axis=-1) for edge in (0, 1)
    )
    median = metrics.at_level(curves, LEVELS, 0.5)
    bands = sr.weighted_interval_score(y, median, lower, upper, alphas, w_median=0.0)
    theirs = bands + 0.5 * np.abs(y - median) / 3.5  # scoringrules 0.10 adds the median itself, not its distance
    np.testing.assert_allclose(metrics.wis(curves, LEVELS, y), theirs, rtol=1e-12)
    ours = metrics.interval_score(lower, upper, y[:, None], alphas)
    np.testing.assert_allclose(ours, sr.interval_score(y, lower, upper, alphas), rtol=1e-12)


def test_wis_is_the_mean_of_the_pinball_losses_of_its_levels() -> None:
    """An identity of Bracher et al.: twice the mean pinball over the 2K + 1 quantiles, up to the weights."""
    curves, y = block()
    chosen = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    losses = metrics.pinball(curves, LEVELS, y)[:, [LEVELS.index(level) for level in chosen]]
    np.testing.assert_allclose(metrics.wis(curves, LEVELS, y), 2 * losses.mean(axis=1), rtol=1e-12)


@given(CURVE, PRICE)
def test_an_outcome_is_covered_exactly_when_it_is_on_neither_side(curve: FloatArray, y: float) -> None:
    for nominal in metrics.BANDS:
        low, high = metrics.band(curve, LEVELS, nominal)
        inside, side = metrics.covered(low, high, y), metrics.side(low, high, y)
        assert inside == (low <= y <= high)
        assert side == (-1 if y < low else 1 if y > high else 0)
        assert (inside == 1) == (side == 0)
    assert metrics.width(low, high, 2.0) == (high - low) / 2.0


def test_coverage_agrees_with_utilsforecast() -> None:
    curves, y = block()
    low, high = metrics.band(curves, LEVELS, 80)
    frame = pd.DataFrame({"unique_id": "a", "ds": range(len(y)), "y": y, "m-lo-80": low, "m-hi-80": high})
    theirs = nixtla.coverage(frame, models=["m"], level=80)["m"].item()
    assert metrics.covered(low, high, y).mean() == theirs


def test_a_level_that_was_not_forecast_is_refused() -> None:
    with pytest.raises(Invalid, match=r"0\.9 was not forecast"):
        metrics.band(np.ones((3, 2)), (0.1, 0.5), 80)


# --- PIT ------------------------------------------------------------------------------------------------------------


@given(CURVE, PRICE)
def test_pit_bin_counts_the_deciles_at_or_below_the_outcome(curve: FloatArray, y: float) -> None:
    at = dict(zip(LEVELS, curve.tolist(), strict=True))
    assert metrics.pit_bin(curve, LEVELS, y) == sum(at[level] <= y for level in metrics.PIT_LEVELS)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_pit_distance_is_the_largest_gap_between_stated_and_seen(bins: list[int]) -> None:
    below = [sum(one < k for one in bins) / len(bins) for k in range(1, 10)]
    np.testing.assert_allclose(metrics.pit_shares(bins), below)
    gaps = [abs(share - t) for share, t in zip(below, metrics.PIT_LEVELS, strict=True)]
    assert metrics.pit_distance(bins) == pytest.approx(max(gaps))


def test_pit_distance_is_zero_for_even_bins_and_nan_for_none() -> None:
    assert metrics.pit_distance(np.arange(10)) == pytest.approx(0.0, abs=1e-15)
    assert metrics.pit_distance([]) != metrics.pit_distance([])


# --- direction and P(up) --------------------------------------------------------------------------------------------


def test_a_median_that_the_ledger_rounded_away_from_the_base_price_calls_nothing() -> None:
    base = np.random.default_rng(0).uniform(1.0, 90_000.0, 500)
    kept = base.astype(np.float32).astype(np.float64)
    assert (kept != base).all()
    assert np.isnan(metrics.direction(kept, base, base * 1.01)).all()
    assert (metrics.direction(base * 1.00001, base, base * 1.01) == 1.0).all()


@pytest.mark.parametrize(
    ("median", "came", "expected"),
    [
        (101, 102, 1.0),
        (101, 99, 0.0),
        (99, 98, 1.0),
        (99, 102, 0.0),
        (101, 100, 0.5),
        (99, 100, 0.5),
        (100, 101, math.nan),
        (100, 100, math.nan),
        (100 * (1 + 1e-15), 101, math.nan),  # what exp(log(100)) may give is no call
    ],
)
def test_direction_tells_hits_misses_unchanged_prices_and_no_calls(median: float, came: float, expected: float) -> None:
    hit = float(metrics.direction(median, 100.0, came))
    assert hit == expected or (math.isnan(hit) and math.isnan(expected))


@given(st.floats(0, 1), st.booleans())
def test_brier_and_log_loss_are_their_formulas(p: float, up: bool) -> None:
    assert metrics.brier(p, up) == pytest.approx((p - up) ** 2)
    clipped = min(max(p, 0.01), 0.99)
    assert metrics.log_loss(p, up) == pytest.approx(-math.log(clipped if up else 1 - clipped))
    assert 0 < metrics.log_loss(p, up) <= -math.log(0.01) + 1e-12


def test_brier_agrees_with_scoringrules() -> None:
    luck = np.random.default_rng(4)
    p, up = luck.random(100), luck.integers(0, 2, 100)
    np.testing.assert_allclose(metrics.brier(p, up), sr.brier_score(up, p))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(1, 8)), min_size=1, max_size=30))
def test_the_base_rate_of_a_row_reads_only_targets_known_at_its_cutoff(rows: list[tuple[bool, int, int]]) -> None:
    up, cutoff, length = (np.array(column) for column in zip(*rows, strict=True))
    target = cutoff + length
    rate = metrics.base_rate_known(up, target, cutoff)
    for i in range(len(rows)):
        known = up[target <= cutoff[i]]
        assert rate[i] == pytest.approx(known.mean() if len(known) else 0.5)


# --- point errors ---------------------------------------------------------------------------------------------------


def test_mae_agrees_with_utilsforecast_and_leaves_voids_out() -> None:
    curves, y = block()
    median = metrics.at_level(curves, LEVELS, 0.5)
    frame = pd.DataFrame({"unique_id": "a", "ds": range(len(y)), "y": y, "m": median})
    ours = metrics.mae(metrics.abs_error(median, y, 1.0))
    assert ours == pytest.approx(nixtla.mae(frame, models=["m"])["m"].item())
    assert metrics.mae([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(metrics.mae([math.nan]))


ERROR = st.just(0.0) | st.floats(1e-6, 10)


@given(st.lists(st.tuples(st.integers(0, 3), ERROR, ERROR), min_size=1, max_size=40))
def test_mase_divides_by_the_last_close_at_the_same_step(rows: list[tuple[int, float, float]]) -> None:
    group, error, naive = (np.array(column) for column in zip(*rows, strict=True))
    scale = {g: naive[group == g].mean() for g in set(group.tolist())}
    ratios = [e / scale[g] for g, e in zip(group.tolist(), error, strict=True) if scale[g] > 0]
    value = metrics.mase(error, naive, group)
    assert value == pytest.approx(np.mean(ratios), rel=1e-9) if ratios else math.isnan(value)


def test_the_last_close_itself_has_a_mase_of_one() -> None:
    naive = np.random.default_rng(1).random(50)
    assert metrics.mase(naive, naive, np.arange(50) % 7) == pytest.approx(1.0)


def test_skill_is_one_less_the_ratio_of_mean_losses() -> None:
    assert metrics.skill([1.0, 2.0], [2.0, 4.0]) == 0.5
    assert metrics.skill([2.0], [1.0]) == -1.0
    assert math.isnan(metrics.skill([], []))
    assert math.isnan(metrics.skill([1.0], [0.0]))
