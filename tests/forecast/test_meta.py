"""The meta-learner: its features by hand, what it learns and what not, what it must not know, how it is read back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gnomon.errors import Invalid, Unavailable
from gnomon.forecast import meta
from gnomon.forecast.meta import (
    CONFIDENT,
    LEAST_LABELS,
    Labelled,
    Learner,
    adx,
    feature_names,
    features,
    fit,
    load,
    regime,
)
from gnomon.units import HOUR_NS

pytest.importorskip("lightgbm", reason="needs the extra: gnomon[ensemble]")

MEMBERS = ("ewma", "kronos-base")
COLUMNS = len(feature_names(MEMBERS))


def history(signal: float, *, count: int = 3000, seed: int = 1) -> Labelled:
    """Rows an hour apart whose first feature moves the chance of a rise by `signal`; a few ties, a few known late."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, COLUMNS))
    chance = 0.5 + signal * np.sign(rows[:, 0])
    move = np.where(rng.random(count) < chance, 0.01, -0.01)
    move[rng.random(count) < 0.02] = 0.0
    cutoff_ns = np.arange(1, count + 1) * HOUR_NS
    late = np.where(rng.random(count) < 0.02, 5 * HOUR_NS, 0)
    return Labelled(rows, cutoff_ns, cutoff_ns + HOUR_NS, cutoff_ns + HOUR_NS + late, move)


def learn(rows: Labelled, until: int) -> Learner:
    return fit(rows, asset_class="crypto", timeframe="1h", members=MEMBERS, fitted_until_ns=until * HOUR_NS)


@pytest.fixture(scope="module")
def learner() -> Learner:
    return learn(history(0.2), 2000)


# --- features ---------------------------------------------------------------------------------------------------------


def test_features_are_moves_and_widths_of_members_then_regime_event_and_class(make_context):
    context = make_context(400)
    base = context.base_price
    bands = {"ewma": np.array([0.98, 1.0, 1.03]) * base}
    row = features(context, MEMBERS, bands, is_event=True)
    named = dict(zip(feature_names(MEMBERS), row, strict=True))
    assert named["ewma.move"] == pytest.approx(0.0)
    assert named["ewma.width"] == pytest.approx(0.05)
    assert np.isnan(named["kronos-base.move"])
    assert sum(named[f"regime.{one}"] for one in ("ranging", "trending", "volatile")) == 1.0
    assert named[f"regime.{regime(context.bars)}"] == 1.0
    assert (named["event"], named["asset_class"]) == (1.0, 0.0)
    assert np.isnan(features(replace(context, asset_class="bond"), MEMBERS, bands)[-1])


def naive_adx(bars: np.ndarray, period: int = 14) -> float:
    """Wilder's own words, bar by bar: averages instead of sums."""
    plus = minus = true = 0.0
    index: list[float] = []
    average = 0.0
    for n in range(1, len(bars)):
        high, low, before = bars[n, 1], bars[n, 2], bars[n - 1]
        up, down = high - before[1], before[2] - low
        moved = (up if up > down and up > 0 else 0.0, down if down > up and down > 0 else 0.0)
        reach = max(high - low, abs(high - before[3]), abs(low - before[3]))
        if n <= period:
            plus, minus, true = plus + moved[0] / period, minus + moved[1] / period, true + reach / period
        else:
            plus = (plus * (period - 1) + moved[0]) / period
            minus = (minus * (period - 1) + moved[1]) / period
            true = (true * (period - 1) + reach) / period
        if n >= period:
            both = 100 * plus / true, 100 * minus / true
            index.append(100 * abs(both[0] - both[1]) / (both[0] + both[1]))
            if len(index) == period:
                average = sum(index) / period
            elif len(index) > period:
                average = (average * (period - 1) + index[-1]) / period
    return average


def bars_of(closes: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    opens = np.concatenate([closes[:1], closes[:-1]])
    spread = np.abs(rng.normal(0, 0.002, (2, len(closes))))
    high, low = np.maximum(opens, closes) * (1 + spread[0]), np.minimum(opens, closes) * (1 - spread[1])
    return np.column_stack([opens, high, low, closes])


@pytest.mark.parametrize("seed", range(5))
def test_adx_is_wilders(seed):
    bars = bars_of(100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, 250))), seed)
    assert adx(bars) == pytest.approx(naive_adx(bars), rel=1e-9)


def test_a_regime_is_volatile_before_it_is_trending_and_ranging_otherwise():
    rng = np.random.default_rng(5)
    calm = rng.normal(0, 0.004, 300)
    walk = bars_of(100 * np.exp(np.cumsum(np.tile([0.004, -0.004], 150) + 0.1 * calm)))
    climb = bars_of(100 * np.exp(np.cumsum(0.01 + 0.1 * calm)))
    wild = bars_of(100 * np.exp(np.cumsum(np.where(np.arange(300) > 275, 10 * calm, calm))))
    assert [regime(one) for one in (walk, climb, wild)] == ["ranging", "trending", "volatile"]
    assert regime(np.full((50, 4), 7.0)) == "ranging"
    assert adx(climb[:28]) == 0.0


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_planted_signal_is_found_out_of_sample(learner):
    rows = history(0.2, seed=2)
    chance = learner.chance_up(rows.features)
    sure = np.maximum(chance, 1 - chance) >= CONFIDENT
    hit = (chance > 0.5) == (rows.log_return > 0)
    assert sure.mean() > 0.9
    assert hit[sure & (rows.log_return != 0)].mean() > 0.66


def test_nothing_is_found_in_noise():
    rows = history(0.0, seed=3)
    chance = learn(rows, 2000).chance_up(history(0.0, seed=4).features)
    assert (np.maximum(chance, 1 - chance) < CONFIDENT).mean() > 0.9


def test_the_same_rows_give_the_same_bytes(learner):
    again = learn(history(0.2), 2000)
    assert again.text == learner.text
    assert again.digest == learner.digest
    whole = again.chance_up(history(0.2).features)
    assert whole[:1].tobytes() == again.chance_up(history(0.2).features[:1]).tobytes()


def test_what_is_known_later_changes_nothing(learner):
    """Canary: labels and features of rows that were not knowable then are garbage, and the text is the same."""
    rows = history(0.2)
    later = rows.known_ns > learner.fitted_until_ns
    assert later.any()
    spoilt = replace(
        rows,
        features=np.where(later[:, None], 1e9, rows.features),
        log_return=np.where(later, -rows.log_return, rows.log_return),
    )
    assert learn(spoilt, 2000).text == learner.text
    assert learn(spoilt, 3000).text != learn(rows, 3000).text


def test_no_training_row_has_a_target_that_closes_inside_the_rows_that_stop_it(monkeypatch):
    """Targets of a day over hourly rows: the day before the last fifth is purged."""
    seen: list[np.ndarray] = []

    def trained(columns, up, training, stopping, names) -> str:  # noqa: ARG001 - the signature of what it replaces
        seen.extend((training, stopping))
        return ""

    monkeypatch.setattr(meta, "_trained", trained)
    rows = history(0.2)
    rows = replace(rows, close_ns=rows.cutoff_ns + 24 * HOUR_NS, known_ns=rows.cutoff_ns + 24 * HOUR_NS)
    learn(rows, 3100)
    training, stopping = seen
    assert rows.close_ns[training].max() <= rows.cutoff_ns[stopping].min()
    assert rows.cutoff_ns[stopping].min() - rows.cutoff_ns[training].max() >= 24 * HOUR_NS
    assert (rows.log_return[training] != 0).all()
    assert len(stopping) == pytest.approx(0.2 * (len(stopping) + len(training) + 24), abs=3)


def test_fewer_than_five_hundred_labels_are_too_few():
    rows = history(0.2, count=520)
    labels = int(((rows.log_return != 0) & (rows.known_ns <= 520 * HOUR_NS)).sum())
    assert labels >= LEAST_LABELS
    learn(rows, 520)
    with pytest.raises(Unavailable, match=r"\d+ labels of crypto 1h by 1970"):
        learn(rows, 480)


def test_labels_of_one_direction_and_rows_of_another_shape_are_refused():
    rows = history(0.2, count=800)
    with pytest.raises(Unavailable, match="one way only"):
        learn(replace(rows, log_return=np.abs(rows.log_return)), 900)
    with pytest.raises(Invalid, match="features of shape"):
        learn(replace(rows, features=rows.features[:, 1:]), 900)


# --- reading back -----------------------------------------------------------------------------------------------------


def test_a_learner_comes_back_from_its_text_and_document(learner):
    document = json.loads(json.dumps(learner.document()))
    again = load(document, learner.text)
    assert again == learner
    rows = history(0.2, seed=6).features[:50]
    assert again.chance_up(rows).tobytes() == learner.chance_up(rows).tobytes()
    with pytest.raises(Invalid, match="rows of shape"):
        again.chance_up(rows[:, 1:])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"form": "gnomon-meta-0"}, "form 'gnomon-meta-0'"),
        ({"label_step": 2}, "label step 2"),
        ({"members": ["ewma"]}, "its features are not those of its members"),
        ({"members": "ewma"}, "members, class and timeframe are text"),
        ({"fitted_until_ns": "1"}, "whole numbers"),
        ({"hash": "0"}, "its hash is not that of the text"),
    ],
)
def test_a_document_that_does_not_fit_its_text_is_refused(learner, changed, said):
    with pytest.raises(Invalid, match=said):
        load(learner.document() | changed, learner.text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("objective=binary sigmoid:1", "objective=regression", "objective 'regression'"),
        ("ewma.move", "evil.move", "the text names other features"),
        ("num_leaves=", "num_leaves=99", "trees of more than 31 leaves"),
        ("num_class=1", "num_class=2", "not one tree a round"),
    ],
)
def test_a_text_of_another_form_is_refused_even_with_its_own_hash(learner, old, new, said):
    text = learner.text.replace(old, new)
    assert text != learner.text
    with pytest.raises(Invalid, match=said):
        load(replace(learner, text=text).document(), text)


def test_an_empty_text_is_refused(learner):
    with pytest.raises(Invalid, match="not a learner"):
        load(replace(learner, text="").document(), "")
