"""Learners of `ensemble-meta`, fitted from what the ledger says and from nothing that realised later.

A row of the past is made as a row of the present is: the members' curves as they were served, the bars as they were
known at the cutoff. Its label is the outcome of the step that is learned, known when its bar was. A learner is stored
beside the weights of its instant, in one row of `weights`, so that a forecast's `weights_id` names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Unavailable
from gnomon.forecast.ensemble import Weights
from gnomon.forecast.meta import LABEL_STEP, REGIME_BARS, Labelled, Learner, feature_row, fit
from gnomon.jobs.cast import META
from gnomon.jobs.predict import Subject
from gnomon.market.tape import Tape
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.store.forecasts import Lane
from gnomon.store.served import Served, read_served
from gnomon.store.store import Store
from gnomon.store.weights import StoredWeights
from gnomon.units import DAY_NS, FloatArray, IntArray

LABELS: Final = 20_000
"""The newest labels that a learner is fitted from, at most."""

REFIT_NS: Final = DAY_NS
"""A walk-forward fits as often as the schedule of `weigh` does: once a day."""

_BAND: Final = (0.1, 0.5, 0.9)
_CUTOFFS_A_PART: Final = 256


@dataclass(frozen=True, slots=True)
class Lessons:
    """The labelled rows of one asset class and timeframe, and the learners that may be fitted from them."""

    asset_class: str
    timeframe: Timeframe
    members: tuple[str, ...]
    rows: Labelled

    @classmethod
    def of(
        cls,
        store: Store,
        tape: Tape,
        subjects: Sequence[Subject],
        scores: Scores,
        keys: ScoredKeys,
        members: Sequence[str],
        *,
        lane: Lane = "live",
        variant: str = "",
        most: int | None = None,
    ) -> Lessons:
        """From the scores of subjects of one class, timeframe and basis; scores of other instruments are left alone.

        `most` keeps the newest labels.
        """
        first = subjects[0]
        by_id = {one.instrument.id: one for one in subjects}
        labels = _labels(scores, keys, by_id)
        labels = labels if most is None else dict(list(labels.items())[-most:])
        served = _served(store, labels, first, members, lane, variant)
        found = [(row, served[key]) for key, row in labels.items() if key in served]
        features = [_features(tape, by_id[one[0].instrument], one, members) for _, one in found]
        picked = np.array([row for row, _ in found], np.int64)
        rows = Labelled(
            features=np.array(features) if features else np.empty((0, 0)),
            cutoff_ns=keys.data_cutoff_ns[picked],
            close_ns=scores.target_close_ns[picked],
            known_ns=scores.realised_at_ns[picked],
            log_return=np.where(scores.void_reason[picked] == "", scores.log_return[picked], np.nan),
        )
        return cls(first.instrument.asset_class, first.timeframe, tuple(members), rows)

    def learner(self, fitted_at_ns: int) -> Learner:
        """The learner of an instant, from the labels that were knowable by then; `Unavailable` as `fit` says."""
        known = np.flatnonzero(self.rows.known_ns <= fitted_at_ns)[-LABELS:]
        if not len(known):
            raise Unavailable(f"no label of {self.asset_class} {self.timeframe} yet", hint="score what has matured")
        return fit(
            _take(self.rows, known),
            asset_class=self.asset_class,
            timeframe=str(self.timeframe),
            members=self.members,
            fitted_until_ns=fitted_at_ns,
        )

    def stored(self, weights: Weights, lane: Lane, variant: str) -> StoredWeights:
        """The row of the learner of an instant beside the weights of the same instant; `Unavailable` as `fit` says."""
        made = self.learner(weights.fitted_at_ns)
        known_ns = self.rows.known_ns[self.rows.known_ns <= weights.fitted_at_ns]
        return StoredWeights(
            lane=lane,
            variant=variant,
            ensemble=META,
            scope=self.asset_class,
            timeframe=str(self.timeframe),
            fitted_at_ns=weights.fitted_at_ns,
            fitted_until_ns=max(weights.fitted_until_ns, int(known_ns.max())),
            document={**weights.document(), "learner": {**made.document(), "text": made.text}},
        )


def refits(instants_ns: Iterable[int]) -> list[int]:
    """Of a walk-forward's instants those at which a learner is fitted: the first of each day."""
    first: dict[int, int] = {}
    for at_ns in sorted(instants_ns):
        first.setdefault(at_ns // REFIT_NS, at_ns)
    return list(first.values())


# --- inside -------------------------------------------------------------------------------------------------------

_Key = tuple[str, int]  # instrument, cutoff


def _labels(scores: Scores, keys: ScoredKeys, known: Mapping[str, Subject]) -> dict[_Key, int]:
    """Of each instrument and cutoff a row of the label step, by cutoff and instrument: the outcome is the same for
    every forecaster."""
    rows = np.flatnonzero(scores.step == LABEL_STEP).tolist()
    pairs = [(keys.instrument[row], int(keys.data_cutoff_ns[row])) for row in rows]
    found = {pair: row for pair, row in zip(pairs, rows, strict=True) if pair[0] in known}
    return dict(sorted(found.items(), key=lambda one: (one[0][1], one[0][0])))


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What a learner needs of one member's forecast."""

    forecaster: str
    instrument: str
    data_cutoff_ns: int
    base_price: float
    band: FloatArray  # at `_BAND`, of the step that is learned

    @classmethod
    def of(cls, row: Served) -> _Said:
        band = row.quantiles[LABEL_STEP - 1, [row.levels.index(level) for level in _BAND]]
        return cls(row.forecaster, row.instrument, row.data_cutoff_ns, row.base_price, band)


def _served(
    store: Store, labels: Mapping[_Key, int], subject: Subject, members: Sequence[str], lane: Lane, variant: str
) -> dict[_Key, list[_Said]]:
    """What the members said at each labelled cutoff, as it was served. Whole curves are read a part at a time."""
    cutoffs = sorted({cutoff_ns for _, cutoff_ns in labels})
    found: dict[_Key, list[_Said]] = {}
    for first in range(0, len(cutoffs), _CUTOFFS_A_PART):
        part = cutoffs[first : first + _CUTOFFS_A_PART]
        rows = read_served(
            store.engine,
            lane=lane,
            variant=variant,
            timeframe=str(subject.timeframe),
            forecasters=members,
            instruments=sorted({instrument for instrument, _ in labels}),
            first_cutoff_ns=part[0],
            last_cutoff_ns=part[-1],
            cutoffs_ns=set(part),
        )
        for row in rows:
            key = row.instrument, row.data_cutoff_ns
            if key in labels and row.basis == subject.basis:
                found.setdefault(key, []).append(_Said.of(row))
    return found


def _features(tape: Tape, subject: Subject, said: Sequence[_Said], members: Sequence[str]) -> FloatArray:
    cutoff_ns, base_price = said[0].data_cutoff_ns, said[0].base_price
    view = tape.as_of(cutoff_ns)
    _, bars = view.ohlcva(subject.instrument.id, subject.timeframe, subject.basis, limit=REGIME_BARS)
    bands = {one.forecaster: one.band for one in said}  # by id: a newer version comes later and stays
    return feature_row(base_price, bars, subject.instrument.asset_class, members, bands)


def _take(rows: Labelled, which: IntArray) -> Labelled:
    return replace(rows, **{name: getattr(rows, name)[which] for name in Labelled.__dataclass_fields__})
