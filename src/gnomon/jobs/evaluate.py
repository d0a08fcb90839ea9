"""Walk-forward evaluation: forecasts issued as of each origin, kept apart from live issues, then scored.

Contexts are built by the same as-of reader as live jobs. Everything is keyed by what it is, so a run that was killed
goes on where it stopped: what is issued or scored already is not done again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnomon._version import __version__
from gnomon.clock import Clock, iso
from gnomon.errors import Invalid
from gnomon.forecast.forecast import Context
from gnomon.forecast.forecaster import Forecaster
from gnomon.jobs.predict import Plan, Subject, by_name, contexts_at, entry, load_tape
from gnomon.jobs.progress import Progress, silent
from gnomon.jobs.score import Scored, score
from gnomon.market.tape import Tape
from gnomon.store.boards import BoardFilter
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
    done = Evaluation()
    forecasters = by_name(plan.forecasters)
    with done.watch.part("read"):
        tape = load_tape(store, plan.subjects, last_ns=span.last_ns)
        issued = _issued_cutoffs(store, plan, forecasters)
    schedule = _schedule(plan, span)
    instants = sorted(schedule)
    done.origins = len(instants)
    for first in range(0, len(instants), ORIGINS_PER_CHUNK):
        progress(first, len(instants), iso(instants[first])[:10])
        chunk = {at_ns: schedule[at_ns] for at_ns in instants[first : first + ORIGINS_PER_CHUNK]}
        _issue_chunk(store, plan, forecasters, tape, chunk, issued, clock, done)
    progress(len(instants), len(instants), "scoring")
    with done.watch.part("score"):
        done.scored = score(store, plan.subjects, clock, lane="backfill", variant=plan.variant, progress=progress)
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


def _issued_cutoffs(
    store: Store, plan: Plan, forecasters: Sequence[Forecaster]
) -> Mapping[tuple[str, str], frozenset[int]]:
    return {
        (one.name, subject.instrument.id): frozenset(
            store.forecasts.existing_cutoffs(
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
    store: Store,
    plan: Plan,
    forecasters: Sequence[Forecaster],
    tape: Tape,
    chunk: Mapping[int, list[Subject]],
    issued: Mapping[tuple[str, str], frozenset[int]],
    clock: Clock,
    done: Evaluation,
) -> None:
    """Forecast the origins of a chunk and insert all of them in one transaction."""

    def is_new(forecaster: Forecaster, instrument: str, cutoff_ns: int) -> bool:
        return cutoff_ns not in issued[forecaster.name, instrument]

    with done.watch.part("contexts"):
        contexts: list[Context] = []
        for at_ns, subjects in chunk.items():
            due = [one for one in subjects if any(is_new(who, one.instrument.id, at_ns) for who in forecasters)]
            done.existing += (len(subjects) - len(due)) * len(forecasters)
            missed: list[dict[str, Any]] = []
            contexts += contexts_at(tape, plan, due, at_ns, missed)
            done.missed.update(one["instrument"] for one in missed)
    entries = []
    for who in forecasters:
        mine = [context for context in contexts if is_new(who, context.instrument, context.data_cutoff_ns)]
        with done.watch.part(f"forecast {who.name}"):
            answers = who.predict(mine, plan.horizon, seed=plan.seed) if mine else []
        entries += [entry(forecast, context) for forecast, context in zip(answers, mine, strict=True)]
    with done.watch.part("insert"):
        report = store.forecasts.issue(
            entries, lane="backfill", variant=plan.variant, issued_at_ns=clock.now_ns(), code_version=__version__
        )
    done.issued += report.issued
    done.existing += report.existing
