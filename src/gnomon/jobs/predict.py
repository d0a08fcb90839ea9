"""Issue forecasts: contexts as of one instant, every forecaster over them, each answer inserted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gnomon._version import __version__
from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import GnomonError, NotFound
from gnomon.forecast.forecast import DEFAULT_LOOKBACK_BARS, MIN_CONTEXT_BARS, Context, Forecast, context_at
from gnomon.jobs.calibrate import Calibrations, Recalibrated
from gnomon.jobs.cast import MODELS_WATCHED, Cast, Watched, split_cast
from gnomon.jobs.progress import Progress, silent
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis
from gnomon.market.instrument import Instrument, Instruments
from gnomon.market.tape import Tape
from gnomon.sources.sessions import load_sessions
from gnomon.store.forecasts import Entry, Issued, Lane
from gnomon.store.store import Store
from gnomon.units import HOUR_NS, MINUTE_NS

FORMING_BARS = 8
"""Bars read beyond the look-back: one may be forming at the instant, and a few may be off schedule."""

_BASES: tuple[Basis, ...] = ("raw", "split", "adjusted")


@dataclass(frozen=True, slots=True)
class Subject:
    """An instrument to be forecast, with the series it is read from and the calendar that owns its future."""

    instrument: Instrument
    timeframe: Timeframe
    basis: Basis
    sessions: Sessions

    @property
    def key(self) -> tuple[str, Timeframe, Basis]:
        return self.instrument.id, self.timeframe, self.basis


def subjects(
    store: Store,
    configured: Instruments,
    timeframe: Timeframe,
    wanted: Sequence[str] = (),
    basis: Basis | None = None,
) -> list[Subject]:
    """The stored series to forecast: those of `wanted`, or all whose instrument is not data only.

    A series as printed is preferred to a split-adjusted one, and that to a dividend-adjusted one, unless `basis` says.
    Raises `NotFound` when a wanted instrument, or any at all, has no bars at the timeframe.
    """
    known = configured.with_added(store.market.instruments())
    stored = store.market.keys(str(timeframe))
    allowed = (basis,) if basis else _BASES
    chosen = [known.find(name) for name in wanted] or [one for one in known if one.forecast]
    found = []
    for instrument in {one.id: one for one in chosen}.values():
        available = next((one for one in allowed if (instrument.id, one) in stored), None)
        if available is not None:
            found.append(Subject(instrument, timeframe, available, load_sessions(instrument.calendar)))
        elif wanted:
            raise NotFound(
                f"no {basis or ''} bars of {instrument.symbol} at {timeframe}".replace("  ", " "),
                hint="`gnomon datasets` lists what is stored; `gnomon import` brings more",
            )
    if not found:
        raise NotFound(f"no bars at {timeframe} are stored", hint="`gnomon import FILE` first")
    return found


def scheduled_subjects(
    store: Store, configured: Instruments, timeframe: Timeframe, wanted: Sequence[str] = ()
) -> list[Subject]:
    """As `subjects`; none where nothing is stored at all: a schedule with nothing to do has not failed."""
    return subjects(store, configured, timeframe, wanted) if store.market.keys(str(timeframe)) else []


@dataclass(frozen=True, slots=True)
class Plan:
    """What to issue: every forecaster over every subject."""

    subjects: tuple[Subject, ...]
    timeframe: Timeframe
    horizon: int
    forecasters: tuple[str, ...]
    seed: int = 0
    lookback_bars: int = DEFAULT_LOOKBACK_BARS
    calibrated: bool = False
    watched: Watched = MODELS_WATCHED

    @property
    def variant(self) -> str:
        """What tells two backfills apart; a live slot has none, so that nobody can shop for a seed."""
        return f"h{self.horizon}:s{self.seed}{':c' if self.calibrated else ''}"


@dataclass(slots=True)
class Report:
    """What a predict job did."""

    as_of_ns: int
    lane: Lane
    issued: int = 0
    existing: int = 0
    ids: list[int] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, issued: Issued) -> None:
        self.issued += issued.issued
        self.existing += issued.existing
        self.ids.extend(issued.ids)

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "as_of_ns"} | {
            "as_of": iso(self.as_of_ns)
        }


def predict(
    store: Store, plan: Plan, clock: Clock, *, as_of_ns: int | None = None, progress: Progress = silent
) -> Report:
    """Issue the plan now (lane `live`), or as of an earlier instant (lane `backfill`, with its real `issued_at`).

    A subject whose bar at the cutoff is missing is reported as missed, a forecaster that fails as failed;
    the others go on.
    """
    lane: Lane = "live" if as_of_ns is None else "backfill"
    report = Report(clock.now_ns() if as_of_ns is None else as_of_ns, lane)
    tape = load_tape(store, plan.subjects, last_ns=report.as_of_ns, limit=plan.lookback_bars + FORMING_BARS)
    contexts = contexts_at(tape, plan, plan.subjects, report.as_of_ns, report.missed)
    calibrations = Calibrations(store, plan.timeframe, lane=lane, variant="" if lane == "live" else plan.variant)
    members, ensembles = split_cast(plan.forecasters)
    for number, name in enumerate((*members, *ensembles)):  # a pool reads what its members have just said
        progress(number, len(plan.forecasters), name)
        now_ns = clock.now_ns()
        cast = Cast(store, lane, "" if lane == "live" else plan.variant, issued_by_ns=now_ns, watched=plan.watched)
        try:
            forecasts = cast.forecaster(name).predict(contexts, plan.horizon, seed=plan.seed) if contexts else []
        except GnomonError as error:
            report.failed.append({"forecaster": name, **error.document()})
            continue
        report.add(
            store.forecasts.issue(
                [
                    entry(
                        forecast,
                        context,
                        as_of_ns=now_ns if lane == "live" and name in ensembles else None,
                        calibrated=calibrations.apply(forecast),
                    )
                    for forecast, context in zip(forecasts, contexts, strict=True)
                ],
                lane=lane,
                variant="" if lane == "live" else plan.variant,
                issued_at_ns=clock.now_ns(),
                code_version=__version__,
            )
        )
    progress(len(plan.forecasters), len(plan.forecasters), "done")
    return report


def load_tape(store: Store, chosen: Sequence[Subject], *, last_ns: int, limit: int | None = None) -> Tape:
    """The tape of the subjects' bars that open before an instant; what was knowable when is the tape's own business."""
    splits = {one.instrument.id: one.instrument.splits for one in chosen if one.instrument.splits}
    keys = [one.key for one in chosen]
    if limit is None:
        return store.market.tape(keys, splits=splits, last_ns=last_ns)
    return store.tails.tape(keys, splits=splits, last_ns=last_ns, limit=limit)


def contexts_at(
    tape: Tape, plan: Plan, chosen: Sequence[Subject], as_of_ns: int, missed: list[dict[str, Any]]
) -> list[Context]:
    """A context for each subject that has its bar at the cutoff and enough before it; the others go to `missed`."""
    view = tape.as_of(as_of_ns)
    contexts = []
    for subject in chosen:
        try:
            context = context_at(
                view,
                subject.instrument,
                subject.sessions,
                plan.timeframe,
                plan.horizon,
                basis=subject.basis,
                lookback_bars=plan.lookback_bars,
            )
        except GnomonError as error:
            missed.append({"instrument": subject.instrument.symbol, "as_of": iso(as_of_ns), "reason": error.message})
            continue
        if len(context.bars) < MIN_CONTEXT_BARS:
            reason = f"{len(context.bars)} bars by then, at least {MIN_CONTEXT_BARS} are needed"
            missed.append({"instrument": subject.instrument.symbol, "as_of": iso(as_of_ns), "reason": reason})
            continue
        contexts.append(context)
    return contexts


def entry(
    forecast: Forecast,
    context: Context,
    *,
    as_of_ns: int | None = None,
    calibrated: Recalibrated | None = None,
    event_context: Mapping[str, Any] = MappingProxyType({}),
) -> Entry:
    """The ledger entry of a forecast: valid until the next bar has closed, and a grace for the next issue to arrive.

    `as_of_ns` is when its job looked, unless that was the context's instant.
    """
    grace_ns = 10 * MINUTE_NS if forecast.timeframe.is_intraday else HOUR_NS
    return Entry(
        forecast=forecast,
        as_of_ns=context.as_of_ns if as_of_ns is None else as_of_ns,
        calibrated=None if calibrated is None else calibrated.quantiles,
        calibration_id=None if calibrated is None else calibrated.calibration_id,
        event_context=event_context,
        valid_until_ns=int(forecast.target_close_ns[0]) + grace_ns,
        job_key=f"predict:{forecast.timeframe}:{forecast.forecaster}:{iso(context.as_of_ns)}",
    )
