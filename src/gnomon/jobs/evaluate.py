"""Walk-forward evaluation: forecasts issued as of each origin, kept apart from live issues, then scored.

Contexts are built by the same as-of reader as live jobs. Everything is keyed by what it is, so a run that was killed
goes on where it stopped: what is issued or scored already is not done again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gnomon._version import __version__
from gnomon.clock import Clock, iso
from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.ensemble import Weights
from gnomon.forecast.forecast import Context, Forecast
from gnomon.forecast.forecaster import Forecaster
from gnomon.jobs.calibrate import WalkForwardCalibration
from gnomon.jobs.cast import META, Cast, split_cast
from gnomon.jobs.learn import Lessons, refits
from gnomon.jobs.outcomes import Outcomes
from gnomon.jobs.predict import Plan, Subject, contexts_at, entry, load_tape
from gnomon.jobs.progress import Progress, silent
from gnomon.jobs.score import Scored, score
from gnomon.jobs.weigh import rows_by_class, served_scores, stored_weights
from gnomon.market.tape import Tape
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.weights import WeightsFitter
from gnomon.store.boards import BoardFilter
from gnomon.store.forecasts import Entry
from gnomon.store.store import Store
from gnomon.units import DAY_NS
from gnomon.wallclock import Stopwatch

ORIGINS_PER_CHUNK = 24
"""Origins issued in one transaction: enough that the commit does not count, so few that a kill loses little."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a walk-forward begins and ends, and how many bars lie between two origins."""

    first_ns: int
    last_ns: int
    stride_bars: int

    def __post_init__(self) -> None:
        if self.last_ns <= self.first_ns:
            raise Invalid(
                f"the span ends at {iso(self.last_ns)}, not after {iso(self.first_ns)}",
                hint="choose --from before --to",
            )
        if self.stride_bars < 1:
            raise Invalid(f"stride {self.stride_bars}", hint="one bar or more")


@dataclass(slots=True)
class Evaluation:
    """What a walk-forward did; the board is read from the scores afterwards."""

    origins: int = 0
    issued: int = 0
    existing: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    scored: Scored = field(default_factory=Scored)
    watch: Stopwatch = field(default_factory=Stopwatch)

    def row(self) -> dict[str, Any]:
        return {
            "origins": self.origins,
            "issued": self.issued,
            "existing": self.existing,
            "missed": dict(self.missed),
            "scored": self.scored.row(),
            "seconds": {part: round(spent, 3) for part, spent in self.watch.seconds.items()},
        }


def board_filter(plan: Plan, span: Span) -> BoardFilter:
    """The scores of a walk-forward and no others."""
    bases = {one.basis for one in plan.subjects}
    return BoardFilter(
        lane="backfill",
        timeframe=plan.timeframe,
        variant=plan.variant,
        basis=bases.pop() if len(bases) == 1 else None,
        instruments=tuple(one.instrument.id for one in plan.subjects),
        forecasters=plan.forecasters,
        first_cutoff_ns=span.first_ns,
        last_cutoff_ns=span.last_ns,
    )


def origins_of(subject: Subject, span: Span, horizon: int) -> list[int]:
    """The instants to forecast from: every `stride_bars`-th scheduled close from the start of the span on.

    The last target closes within the span.
    """
    # The bar that closes first may have opened before the span, across a weekend or a month.
    margin_ns = 2 * subject.timeframe.nominal_ns + 5 * DAY_NS
    closes = subject.sessions.between(subject.timeframe, span.first_ns - margin_ns, span.last_ns).close_ns
    inside = closes[closes >= span.first_ns]
    return [int(at_ns) for at_ns in inside[: max(0, len(inside) - horizon) : span.stride_bars]]


def evaluate(store: Store, plan: Plan, span: Span, clock: Clock, *, progress: Progress = silent) -> Evaluation:
    """Issue the plan as of every origin (lane `backfill`), then score what has matured.

    Raises `Invalid` when the span holds no origin. An origin whose bar is missing is counted as missed, by instrument.
    """
    members, ensembles = split_cast(plan.forecasters)
    for name in plan.forecasters:
        forecaster(name)  # one that is not there is said to be absent before anything is done
    done = Evaluation()
    with done.watch.part("read"):
        tape = load_tape(store, plan.subjects, last_ns=span.last_ns)
    schedule = _schedule(plan, span)
    done.origins = len(schedule)
    walk = _Walk(store, plan, tape, schedule, clock, done, progress)
    walk.issue([forecaster(name) for name in members])
    walk.score()
    if ensembles:  # they read what the members issued, and weights fitted from what the members scored
        walk.weigh(members, learners=META in ensembles)
        cast = Cast(store, "backfill", plan.variant, members, watched=plan.watched)
        walk.issue([cast.forecaster(name) for name in ensembles])
        walk.score()
    return done


def _schedule(plan: Plan, span: Span) -> dict[int, list[Subject]]:
    schedule: dict[int, list[Subject]] = {}
    for subject in plan.subjects:
        for at_ns in origins_of(subject, span, plan.horizon):
            schedule.setdefault(at_ns, []).append(subject)
    if not schedule:
        raise Invalid(
            f"no origin between {iso(span.first_ns)} and {iso(span.last_ns)} leaves room for {plan.horizon} bars",
            hint="choose a longer span or a shorter horizon",
        )
    return schedule


class _Walk:
    """One walk-forward under way: contexts as of each origin, forecasts, what they are served with, scores."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        tape: Tape,
        schedule: Mapping[int, list[Subject]],
        clock: Clock,
        done: Evaluation,
        progress: Progress,
    ) -> None:
        self._store, self._plan, self._tape, self._schedule = store, plan, tape, schedule
        self._clock, self._done, self._progress = clock, done, progress
        self._instants = sorted(schedule)
        self._calibration = self._new_calibration() if plan.calibrated else None

    def issue(self, forecasters: Sequence[Forecaster]) -> None:
        """Forecast every origin, oldest first, a chunk a transaction."""
        with self._done.watch.part("read"):
            issued = self._issued_cutoffs(forecasters)
        for first in range(0, len(self._instants), ORIGINS_PER_CHUNK):
            self._progress(first, len(self._instants), iso(self._instants[first])[:10])
            chunk = self._instants[first : first + ORIGINS_PER_CHUNK]
            self._issue_chunk(forecasters, chunk, issued)

    def score(self) -> None:
        """Score what has matured and is not scored yet."""
        self._progress(len(self._instants), len(self._instants), "scoring")
        with self._done.watch.part("score"):
            subjects, variant = self._plan.subjects, self._plan.variant
            self._done.scored.add(
                score(self._store, subjects, self._clock, lane="backfill", variant=variant, progress=self._progress)
            )

    def weigh(self, members: Sequence[str], *, learners: bool) -> None:
        """Weights as of every origin and, if asked, a learner a day, each from what had realised by then."""
        plan = self._plan
        for basis in sorted({one.basis for one in plan.subjects}):
            mine = [one for one in plan.subjects if one.basis == basis]
            instruments = [one.instrument for one in mine]
            with self._done.watch.part("weigh"):
                scores, keys = served_scores(
                    self._store, plan.timeframe, basis, instruments, lane="backfill", variant=plan.variant
                )
            for scope, rows in rows_by_class(keys, instruments).items():
                with self._done.watch.part("weigh"):
                    fits = self._weigh_scope(scope, scores.take(rows), keys.take(rows), members)
                if learners:
                    of_scope = [one for one in mine if one.instrument.asset_class == scope]
                    self._learn(fits, of_scope, scores.take(rows), keys.take(rows), members)

    def _weigh_scope(self, scope: str, scores: Scores, keys: ScoredKeys, members: Sequence[str]) -> dict[int, Weights]:
        """The weights of a class by origin, stored."""
        fitter = WeightsFitter(scores, keys, members)
        fits = {at_ns: fitter.weights(scope, at_ns) for at_ns in self._instants}
        timeframe, variant = self._plan.timeframe, self._plan.variant
        self._store.weights.insert([stored_weights(one, "backfill", variant, timeframe) for one in fits.values()])
        return fits

    def _learn(
        self,
        fits: Mapping[int, Weights],
        subjects: Sequence[Subject],
        scores: Scores,
        keys: ScoredKeys,
        members: Sequence[str],
    ) -> None:
        """The learners of a class, stored; an origin with too few labels has none."""
        variant = self._plan.variant
        with self._done.watch.part("learn"):
            lessons = Lessons.of(
                self._store, self._tape, subjects, scores, keys, members, lane="backfill", variant=variant
            )
            due = refits(fits)
            for number, at_ns in enumerate(due):
                self._progress(number, len(due), f"learning {iso(at_ns)[:10]}")
                with suppress(Unavailable):
                    self._store.weights.insert([lessons.stored(fits[at_ns], "backfill", variant)])

    # --- inside -----------------------------------------------------------------------------------------------------

    def _new_calibration(self) -> WalkForwardCalibration:
        now_ns = self._clock.now_ns()
        outcomes = {
            one.instrument.id: Outcomes.of(
                self._tape.series(one.instrument.id, one.timeframe, one.basis), now_ns, one.timeframe
            )
            for one in self._plan.subjects
        }
        return WalkForwardCalibration(self._store, self._plan.timeframe, self._plan.variant, outcomes)

    def _issued_cutoffs(self, forecasters: Sequence[Forecaster]) -> Mapping[tuple[str, str], frozenset[int]]:
        plan = self._plan
        return {
            (one.name, subject.instrument.id): frozenset(
                self._store.forecasts.existing_cutoffs(
                    lane="backfill",
                    variant=plan.variant,
                    instrument=subject.instrument.id,
                    timeframe=str(plan.timeframe),
                    forecaster=one.name,
                    version=one.version,
                    basis=subject.basis,
                )
            )
            for one in forecasters
            for subject in plan.subjects
        }

    def _issue_chunk(
        self,
        forecasters: Sequence[Forecaster],
        chunk: Sequence[int],
        issued: Mapping[tuple[str, str], frozenset[int]],
    ) -> None:
        """Forecast the origins of a chunk and insert all of them in one transaction."""
        done, plan = self._done, self._plan

        def is_new(who: Forecaster, instrument: str, cutoff_ns: int) -> bool:
            return cutoff_ns not in issued[who.name, instrument]

        with done.watch.part("contexts"):
            contexts: list[Context] = []
            for at_ns in chunk:
                subjects = self._schedule[at_ns]
                due = [one for one in subjects if any(is_new(who, one.instrument.id, at_ns) for who in forecasters)]
                done.existing += (len(subjects) - len(due)) * len(forecasters)
                missed: list[dict[str, Any]] = []
                contexts += contexts_at(self._tape, plan, due, at_ns, missed)
                done.missed.update(one["instrument"] for one in missed)
        entries = []
        for who in forecasters:
            mine = [context for context in contexts if is_new(who, context.instrument, context.data_cutoff_ns)]
            with done.watch.part(f"forecast {who.name}"):
                answers = who.predict(mine, plan.horizon, seed=plan.seed) if mine else []
            entries += self._served(answers, mine)
        with done.watch.part("insert"):
            report = self._store.forecasts.issue(
                entries,
                lane="backfill",
                variant=plan.variant,
                issued_at_ns=self._clock.now_ns(),
                code_version=__version__,
            )
        done.issued += report.issued
        done.existing += report.existing

    def _served(self, forecasts: Sequence[Forecast], contexts: Sequence[Context]) -> list[Entry]:
        """Entries of forecasts, recalibrated where the plan says so."""
        if self._calibration is None:
            return [entry(forecast, context) for forecast, context in zip(forecasts, contexts, strict=True)]
        with self._done.watch.part("calibrate"):
            made = self._calibration.apply(forecasts)
        return [
            entry(forecast, context, calibrated=one)
            for forecast, context, one in zip(forecasts, contexts, made, strict=True)
        ]
