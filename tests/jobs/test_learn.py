"""Learners in use: rows of the past made as rows of the present, fitted from what had realised, named by forecasts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Unavailable
from gnomon.forecast import meta
from gnomon.forecast.meta import features
from gnomon.jobs import weigh as weighing
from gnomon.jobs.cast import META, POOL, Cast, LedgerMembers
from gnomon.jobs.evaluate import Span, evaluate
from gnomon.jobs.learn import Lessons, refits
from gnomon.jobs.predict import Plan, contexts_at, load_tape, predict, subjects
from gnomon.jobs.score import score
from gnomon.jobs.weigh import served_scores, weigh
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.store.store import Store
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
FIRST_NS, LAST_NS = parse_instant("2024-02-01"), parse_instant("2024-04-01")
NAMES = ("ewma", "seasonal", "momentum")

pytest.importorskip("lightgbm", reason="needs the extra: gnomon[ensemble]")


def plan_of(store: Store, configured: Instruments, *forecasters: str, horizon: int = 4) -> Plan:
    chosen = tuple(subjects(store, configured, HOUR, ("BTCUSDT", "ETHUSDT")))
    return Plan(chosen, HOUR, horizon, forecasters or (*NAMES, META), calibrated=False)


def test_a_walk_learns_once_a_day_at_its_first_origin() -> None:
    hours = [FIRST_NS + hour * HOUR_NS for hour in (30, 5, 6, 29, 80)]
    assert refits(hours) == [FIRST_NS + hour * HOUR_NS for hour in (5, 29, 80)]


def test_rows_of_the_past_are_made_as_rows_of_the_present(filled: Store, configured: Instruments) -> None:
    plan = plan_of(filled, configured, *NAMES)
    evaluate(filled, plan, Span(FIRST_NS, FIRST_NS + 4 * DAY_NS, 7), SimClock(LAST_NS))
    asked = {"lane": "backfill", "variant": plan.variant}
    instruments = [one.instrument for one in plan.subjects]
    scores, keys = served_scores(filled, HOUR, "raw", instruments, **asked)
    tape = load_tape(filled, plan.subjects, last_ns=LAST_NS)
    lessons = Lessons.of(filled, tape, plan.subjects, scores, keys, NAMES, **asked)
    assert len(lessons.rows) == 2 * 14
    members = LedgerMembers(Cast(filled, "backfill", plan.variant, NAMES))
    live = []
    for cutoff_ns in np.unique(lessons.rows.cutoff_ns).tolist():
        contexts = contexts_at(tape, plan, sorted(plan.subjects, key=lambda one: one.instrument.id), cutoff_ns, [])
        for context, said in zip(contexts, members.of(contexts, 4), strict=True):
            levels = [said["ewma"].levels.index(level) for level in (0.1, 0.5, 0.9)]
            bands = {name: one.quantiles[0, levels] for name, one in said.items()}
            live.append(features(context, NAMES, bands))
    assert np.array_equal(lessons.rows.features, np.array(live), equal_nan=True)
    first = lessons.rows
    after = tape.as_of(LAST_NS).candles(instruments[0].id, HOUR, "raw")
    place = int(np.searchsorted(after.close_ns, first.cutoff_ns[0]))
    closes = after.tick.floats(after.close)
    assert first.log_return[0] == pytest.approx(np.log(closes[place + 1] / closes[place]))
    assert (first.close_ns[0], first.known_ns[0]) == (after.close_ns[place + 1], after.knowable_ns[place + 1])


def test_a_learner_needs_labels_that_had_realised(filled: Store, configured: Instruments) -> None:
    plan = plan_of(filled, configured, *NAMES)
    scores, keys = served_scores(filled, HOUR, "raw", [one.instrument for one in plan.subjects])
    lessons = Lessons.of(filled, load_tape(filled, plan.subjects, last_ns=LAST_NS), plan.subjects, scores, keys, NAMES)
    with pytest.raises(Unavailable, match="no label of crypto 1h"):
        lessons.learner(LAST_NS)


@pytest.fixture
def few_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk of two weeks is enough to learn from."""
    monkeypatch.setattr(meta, "LEAST_LABELS", 120)


def walked(store: Store, configured: Instruments) -> Plan:
    plan = plan_of(store, configured)
    evaluate(store, plan, Span(FIRST_NS, FIRST_NS + 14 * DAY_NS, 3), SimClock(LAST_NS))
    return plan


@pytest.mark.slow
@pytest.mark.usefixtures("few_labels")
def test_a_walk_forward_serves_the_pool_until_it_has_learned_and_names_its_learner(
    filled: Store, configured: Instruments
) -> None:
    plan = walked(filled, configured)
    rows = filled.forecasts.find(lane="backfill", variant=plan.variant, forecaster=META, limit=10_000)
    learned = [row for row in rows if "learner" in row.params]
    assert len(learned) > 50
    assert {row.params["served"] for row in rows if "learner" not in row.params} == {"pool"}
    first_ns = min(row.data_cutoff_ns for row in learned)
    assert all("learner" in row.params for row in rows if row.data_cutoff_ns >= first_ns)
    assert {row.params["served"] for row in learned} <= {"envelope", "blend"}
    for row in learned[:: len(learned) // 10]:
        fit = filled.weights.get(row.weights_id or 0)
        document = fit.document["learner"]
        assert (fit.ensemble, fit.scope) == (META, "crypto")
        assert fit.fitted_until_ns <= fit.fitted_at_ns <= row.data_cutoff_ns < fit.fitted_at_ns + DAY_NS
        assert document["hash"] == row.params["learner"]["hash"] == meta.load(document, document["text"]).digest
        assert document["labels"] >= meta.LEAST_LABELS
    assert all(one.ok for one in filled.forecasts.verify())
    fit = filled.weights.get(learned[-1].weights_id or 0)
    assert filled.weights.insert([replace(fit, document={})]) == [fit.id]  # a fit that is there stays as it is
    assert filled.weights.get(fit.id) == fit


@pytest.mark.slow
@pytest.mark.usefixtures("few_labels")
def test_garbage_after_a_cutoff_changes_neither_learner_nor_forecast(
    tmp_path: Path, configured: Instruments, bars: list[Candles], record
) -> None:
    until_ns = FIRST_NS + 11 * DAY_NS
    rng = np.random.default_rng(5)
    worlds = []
    for name in ("true", "garbled"):
        store = Store.open(f"sqlite:///{tmp_path}/{name}.db", tmp_path / name)
        told = bars if name == "true" else [_garbled(one, until_ns, rng) for one in bars]
        record(store, told, LAST_NS)
        plan = walked(store, configured)
        rows = store.forecasts.find(lane="backfill", variant=plan.variant, limit=10_000)
        fits = store.weights.history(lane="backfill", ensemble=META, timeframe="1h", variant=plan.variant)
        worlds.append(
            (
                {(r.forecaster, r.instrument, r.data_cutoff_ns): (r.raw_digest, r.params) for r in rows},
                {one.fitted_at_ns: one.document for one in fits},
            )
        )
    (true, fits), (other, other_fits) = worlds
    early = {key for key in true if key[2] <= until_ns}
    assert sum(key[0] == META and "learner" in true[key][1] for key in early) > 20
    assert {key: true[key] for key in early} == {key: other[key] for key in early}
    assert any(true[key] != other[key] for key in true.keys() - early)
    known = [at_ns for at_ns in fits if at_ns <= until_ns]
    assert known
    assert all(fits[at_ns] == other_fits[at_ns] for at_ns in known)


def _garbled(candles: Candles, until_ns: int, rng: np.random.Generator) -> Candles:
    """Every price after an instant times another factor."""
    later = candles.close_ns > until_ns
    factor = np.where(later, rng.integers(2, 5, len(later)), 1)
    prices = {name: getattr(candles, name) * factor for name in ("open", "high", "low", "close")}
    return replace(candles, **prices)


@pytest.mark.slow
def test_the_live_job_stores_learners_that_later_forecasts_use(
    filled: Store, configured: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta, "LEAST_LABELS", 60)
    plan = plan_of(filled, configured, *NAMES)
    clock = SimClock(FIRST_NS)
    for hour in range(40):
        clock.advance_to(FIRST_NS + hour * HOUR_NS + MINUTE_NS)
        predict(filled, plan, clock)
    clock.advance_to(FIRST_NS + 2 * DAY_NS + 30 * MINUTE_NS)
    score(filled, plan.subjects, clock)
    assert weigh(filled, plan.subjects, HOUR, clock, members=NAMES, learn=True).learners == {"crypto": "80 labels"}
    both = replace(plan, forecasters=(*NAMES, POOL, META))
    before = predict(filled, both, clock)
    assert {filled.forecasts.get(one).weights_id for one in before.ids} == {None}  # their cutoff was before the fit
    clock.advance_to(FIRST_NS + 2 * DAY_NS + HOUR_NS + MINUTE_NS)
    rows = [filled.forecasts.get(one) for one in predict(filled, both, clock).ids]
    named = {row.forecaster: filled.weights.get(row.weights_id) for row in rows if row.weights_id}
    assert {name: fit.ensemble for name, fit in named.items()} == {POOL: POOL, META: META}
    assert all("learner" in row.params for row in rows if row.forecaster == META)


@pytest.mark.slow
def test_without_lightgbm_weights_are_fitted_all_the_same(
    filled: Store, configured: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "is_available", lambda: False)
    plan = plan_of(filled, configured, *NAMES)
    clock = SimClock(FIRST_NS + MINUTE_NS)
    predict(filled, plan, clock)
    clock.advance_to(FIRST_NS + DAY_NS)
    score(filled, plan.subjects, clock)
    done = weigh(filled, plan.subjects, HOUR, clock, members=NAMES, learn=True)
    assert done.weights == 1
    assert done.learners == {"crypto": "lightgbm is not installed: gnomon[ensemble]"}


def test_without_lightgbm_the_catalog_says_what_is_absent_and_the_rest_works() -> None:
    script = (
        "import sys; sys.modules['lightgbm'] = None\n"
        "from gnomon.errors import NotFound\n"
        "from gnomon.forecast import catalog\n"
        "assert 'ensemble-meta' not in catalog.names() and catalog.forecaster('ensemble-pool')\n"
        "try:\n    catalog.forecaster('ensemble-meta')\n"
        "except NotFound as error:\n    print(error.message, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == (
        "no forecaster 'ensemble-meta' here: lightgbm is not installed | install the extra: gnomon[ensemble]"
    )
