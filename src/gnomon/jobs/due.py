"""A predict job that came due: its slots, its forecasts, and what could not be made in time.

A slot is (instrument, timeframe, forecaster, data cutoff). It is declared before anything is forecast, so a job that
dies leaves a trace, and it is settled in the transaction that issues its forecast. A tick older than its grace issues
nothing: a forecast may not pretend to have been made in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gnomon._version import __version__
from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import GnomonError, Invalid, NotFound
from gnomon.forecast.forecast import DEFAULT_LOOKBACK_BARS, Context, Forecast
from gnomon.jobs.calibrate import Calibrations
from gnomon.jobs.cast import ENSEMBLES, MODELS_WATCHED, Cast, Watched
from gnomon.jobs.engine.port import Partial, Retries, Work
from gnomon.jobs.event_contexts import event_contexts
from gnomon.jobs.predict import FORMING_BARS, Plan, Subject, contexts_at, entry, load_tape, scheduled_subjects
from gnomon.market.instrument import Instruments
from gnomon.store.engine import joined
from gnomon.store.slots import Slot, Verdict
from gnomon.store.store import Store
from gnomon.units import HOUR_NS, MINUTE_NS, SECOND_NS

SYMBOLS_PER_STEP: Final = 32
DATA_WAIT_S: Final = 90.0
"""How long a bar that should be there is waited for before the waiting doubles."""


@dataclass(frozen=True, slots=True)
class Due:
    """What one tick asks for."""

    timeframe: Timeframe
    horizon: int
    forecasters: tuple[str, ...]
    due_ns: int
    grace_ns: int
    instruments: tuple[str, ...] = ()
    seed: int = 0
    attempt: int = 0
    lookback_bars: int = DEFAULT_LOOKBACK_BARS
    watched: Watched = MODELS_WATCHED

    @classmethod
    def of(cls, args: Mapping[str, Any], due_ns: int) -> Due:
        """From the arguments of a job; `Invalid` names the one that is missing or wrong."""
        try:
            return cls(
                timeframe=Timeframe.parse(args["timeframe"]),
                horizon=int(args["horizon"]),
                forecasters=tuple(args["forecasters"]),
                due_ns=due_ns,
                grace_ns=int(args.get("grace_s", 600)) * SECOND_NS,
                instruments=tuple(args.get("instruments", ())),
                seed=int(args.get("seed", 0)),
                attempt=int(args.get("attempt", 0)),
                lookback_bars=int(args.get("lookback_bars", DEFAULT_LOOKBACK_BARS)),
                watched=Watched(**args.get("disagreement", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(
                f"arguments of a predict job: {type(error).__name__} {error}",
                hint="timeframe, horizon, forecasters are needed; instruments, seed, grace_s, disagreement may be",
            ) from None

    @property
    def is_for_ensembles(self) -> bool:
        return all(name in ENSEMBLES for name in self.forecasters)

    @property
    def max_wait_ns(self) -> int:
        """How long after its tick a bar that has not come is waited for."""
        return 20 * MINUTE_NS if self.timeframe.is_intraday else 3 * HOUR_NS

    @property
    def next_delay_s(self) -> float:
        return DATA_WAIT_S * 2.0 ** max(0, self.attempt - 1) if self.attempt else DATA_WAIT_S

    def is_too_late(self, now_ns: int) -> bool:
        """A first attempt has the tick's grace, one that waited for its bars as long as waiting is allowed."""
        return now_ns > self.due_ns + (max(self.grace_ns, self.max_wait_ns) if self.attempt else self.grace_ns)


@dataclass(slots=True)
class Tally:
    """What the steps of a job did; JSON on the way through the engine."""

    issued: int = 0
    existing: int = 0
    late: int = 0
    missed: int = 0
    waiting: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        for name in ("issued", "existing", "late", "missed", "waiting"):
            setattr(self, name, getattr(self, name) + row[name])
        self.failed += row["failed"]

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def run_predict(work: Work, store: Store, configured: Instruments, clock: Clock) -> dict[str, Any] | Partial:
    """Issue what is due at the job's tick. `partial` when one failed; the slots say what was missed and why."""
    due = Due.of(work.args, work.due_ns)
    tick = Tick(store, configured, clock, due)
    slots: int = work.step("slots", tick.declare)
    if due.is_too_late(work.now_ns()):
        return work.step("missed", tick.miss_all)
    tally = Tally()
    batches = range(0, slots, SYMBOLS_PER_STEP)
    for number, name in enumerate(due.forecasters):
        for first in batches:
            tally.add(work.step(f"issue {name} {first}", tick.issue, name, first))
        work.progress(number + 1, len(due.forecasters), name)
    if tally.waiting:
        later = {**work.args, "attempt": due.attempt + 1, "due_ns": due.due_ns}
        key = f"{work.key.partition('+wait')[0]}+wait-{due.attempt + 1}"
        work.child("predict", key, later, delay_s=due.next_delay_s)
    return Partial(tally.row(), tuple(tally.failed)) if tally.failed else tally.row()


class Tick:
    """The steps of one predict job. What was read is kept between them, and read again by whoever takes the job up."""

    def __init__(self, store: Store, configured: Instruments, clock: Clock, due: Due) -> None:
        self._store, self._configured, self._clock, self._due = store, configured, clock, due
        self._subjects: list[Subject] = []
        self._contexts: dict[int, tuple[list[Context], dict[str, str]]] = {}
        self._events: dict[str, dict[str, Any]] = {}
        self._calibrations = Calibrations(store, due.timeframe)

    def declare(self) -> int:
        """Declare the slots of the tick; how many instruments have one. A cutoff that was declared before is not due
        again: a closed market has no slot."""
        due = self._due
        rows = [
            Slot(subject.instrument.id, str(due.timeframe), name, cutoff_ns, due.due_ns)
            for subject in self._chosen()
            for cutoff_ns in [subject.sessions.newest_closed_ns(due.timeframe, due.due_ns)]
            for name in due.forecasters
        ]
        self._store.slots.declare(rows)
        return len(self._chosen())

    def miss_all(self) -> dict[str, Any]:
        """Settle what is left of the tick's slots as missed."""
        late_s = (self._clock.now_ns() - self._due.due_ns) // SECOND_NS
        why = f"the tick ran {late_s} s late, its grace is {self._due.grace_ns // SECOND_NS} s"
        open_slots = [one for name in self._due.forecasters for one in self._open(name)]
        self._store.slots.settle([Verdict(one, "missed", why) for one in open_slots])
        return Tally(missed=len(open_slots)).row()

    def issue(self, name: str, first: int) -> dict[str, Any]:
        """Forecast a batch of instruments by one forecaster; its rows and its slots are one transaction."""
        batch = self._chosen()[first : first + SYMBOLS_PER_STEP]
        slots = {one.instrument: one for one in self._open(name, [one.instrument.id for one in batch])}
        if not slots:
            return Tally().row()
        contexts, absent = self._contexts_of(first, batch)
        mine = [one for one in contexts if one.instrument in slots]
        tally = Tally()
        forecasts, errors = self._predict(name, mine)
        self._issue(forecasts, slots, tally)
        passing = {one: error.message for one, error in errors.items() if Retries.worth_it(error)}
        for instrument, error in errors.items():
            if instrument not in passing:
                self._store.slots.settle([Verdict(slots[instrument], "missed", error.message)])
                tally.missed += 1
                tally.failed.append({"forecaster": name, "instrument": instrument, **error.document()})
        self._leave(slots, {**absent, **passing}, tally)
        return tally.row()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _chosen(self) -> list[Subject]:
        if not self._subjects:
            due = self._due
            found = scheduled_subjects(self._store, self._configured, due.timeframe, due.instruments)
            self._subjects = sorted(found, key=lambda one: one.instrument.id)
        return self._subjects

    def _open(self, name: str, instruments: Sequence[str] = ()) -> list[Slot]:
        """The slots of this very tick that nothing came of yet."""
        due = self._due
        return self._store.slots.open(
            timeframe=str(due.timeframe), forecaster=name, due_ns=due.due_ns, instruments=instruments
        )

    def _contexts_of(self, first: int, batch: Sequence[Subject]) -> tuple[list[Context], dict[str, str]]:
        if first not in self._contexts:
            due = self._due
            plan = Plan(tuple(batch), due.timeframe, due.horizon, due.forecasters, due.seed, due.lookback_bars)
            tape = load_tape(self._store, batch, last_ns=due.due_ns, limit=due.lookback_bars + FORMING_BARS)
            missed: list[dict[str, Any]] = []
            found = contexts_at(tape, plan, batch, due.due_ns, missed)
            self._events |= event_contexts(self._store, found, {one.instrument.id: one.instrument for one in batch})
            by_symbol = {one.instrument.symbol: one.instrument.id for one in batch}
            self._contexts[first] = found, {by_symbol[one["instrument"]]: one["reason"] for one in missed}
        return self._contexts[first]

    def _predict(
        self, name: str, contexts: Sequence[Context]
    ) -> tuple[list[tuple[Context, Forecast]], dict[str, GnomonError]]:
        """Forecasts of a batch; where the batch fails, of each context alone, so that one cannot spoil the others."""
        due = self._due
        if not contexts:
            return [], {}
        try:
            who = Cast(self._store, issued_by_ns=self._clock.now_ns(), watched=due.watched).forecaster(name)
            return list(zip(contexts, who.predict(contexts, due.horizon, seed=due.seed), strict=True)), {}
        except GnomonError as error:
            if len(contexts) == 1 or isinstance(error, NotFound):
                return [], {one.instrument: error for one in contexts}
        found: list[tuple[Context, Forecast]] = []
        errors: dict[str, GnomonError] = {}
        for context in contexts:
            one, failed = self._predict(name, [context])
            found += one
            errors |= failed
        return found, errors

    def _issue(self, forecasts: Sequence[tuple[Context, Forecast]], slots: Mapping[str, Slot], tally: Tally) -> None:
        store = self._store
        if not forecasts:
            return
        as_of_ns = self._clock.now_ns() if self._due.is_for_ensembles else self._due.due_ns
        entries = [
            entry(
                one,
                context,
                as_of_ns=as_of_ns,
                calibrated=self._calibrations.apply(one),
                event_context=self._events.get(context.instrument, {}),
            )
            for context, one in forecasts
        ]
        with joined(store.engine):
            issued_ns = self._clock.now_ns()
            done = store.forecasts.issue(entries, lane="live", issued_at_ns=issued_ns, code_version=__version__)
            verdicts = []
            for (_, forecast), id_ in zip(forecasts, done.ids, strict=True):
                is_late = int(forecast.target_close_ns[0]) <= issued_ns
                why = f"issued at {iso(issued_ns)}, after its first target had closed" if is_late else ""
                verdicts.append(Verdict(slots[forecast.instrument], "late" if is_late else "issued", why, id_))
            store.slots.settle(verdicts)
        tally.issued += done.issued
        tally.existing += done.existing
        tally.late += sum(one.status == "late" for one in verdicts)

    def _leave(self, slots: Mapping[str, Slot], absent: Mapping[str, str], tally: Tally) -> None:
        """Slots whose bar or forecaster is not there yet: wait for it, or give up and say so."""
        left = [slots[one] for one in absent if one in slots]
        ends_ns = self._due.due_ns + self._due.max_wait_ns
        if self._clock.now_ns() + int(self._due.next_delay_s * SECOND_NS) <= ends_ns:
            tally.waiting += len(left)
            return
        self._store.slots.settle([Verdict(one, "missed", absent[one.instrument]) for one in left])
        tally.missed += len(left)
