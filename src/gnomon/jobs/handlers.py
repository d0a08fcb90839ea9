"""What a worker does for each kind of job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import Invalid
from gnomon.jobs.board import run_board
from gnomon.jobs.due import run_predict
from gnomon.jobs.engine.port import Handler, Handlers, Partial, Work
from gnomon.jobs.fetch import fetch_one, source_of
from gnomon.jobs.fetch_events import ingest_events
from gnomon.jobs.gates import run_gates
from gnomon.jobs.kinds import KINDS
from gnomon.jobs.predict import Subject, scheduled_subjects
from gnomon.jobs.score import Scored, score
from gnomon.jobs.weigh import weigh
from gnomon.market.instrument import Instrument, Instruments
from gnomon.sources.source import CandleSource, EventSource
from gnomon.store.digests import yesterday_of
from gnomon.store.store import Store
from gnomon.units import DAY_NS


def no_jobs_to_forget(done_before_ns: int, failed_before_ns: int) -> int:  # noqa: ARG001 - the port's signature
    """Where no engine keeps jobs."""
    return 0


@dataclass(frozen=True, slots=True)
class Crew:
    """What the handlers work with. Each is a few steps over the verbs of this package."""

    store: Store
    configured: Instruments
    clock: Clock
    sources: Mapping[str, CandleSource]
    forget: Callable[[int, int], int] = no_jobs_to_forget
    calendars: Mapping[str, EventSource] = field(default_factory=dict)

    def handlers(self) -> Handlers:
        """One handler a kind: the method of its name."""
        return Handlers([Handler(kind, getattr(self, kind), queue) for kind, queue in KINDS.items()])

    def ingest(self, work: Work) -> Any:
        """Fetch what is missing of every instrument that one of the sources has, or of the calendars: a step each."""
        if work.args.get("events"):
            return ingest_events(work, self.store, self.calendars, self.clock)
        timeframe = timeframe_of(work)
        names = [one.symbol for one in self._fetched(work.args.get("instruments", ()))]

        def fetch(symbol: str) -> dict[str, Any]:
            instrument = self.configured.find(symbol)
            report = fetch_one(self.store, source_of(instrument, self.sources), instrument, timeframe, self.clock)
            return {name: value for name, value in report.row().items() if name != "asked"} | {
                "asked": len(report.asked)
            }

        outcomes = work.each("fetch", names, fetch)
        rows = [one.result for one in outcomes if one.ok]
        failed = [{"instrument": one.item, **(one.error or {})} for one in outcomes if not one.ok]
        failed += [{"instrument": row["instrument"], **row["error"]} for row in rows if row["error"]]
        total = {"series": len(rows), "added": sum(row["added"] for row in rows)}
        return Partial(total, tuple(failed)) if failed else total

    def predict(self, work: Work) -> Any:
        """Issue what is due."""
        return run_predict(work, self.store, self.configured, self.clock)

    def score(self, work: Work) -> Any:
        """Score what has matured: an instrument a step."""
        timeframe = timeframe_of(work)
        names = work.step("subjects", lambda: [one.instrument.symbol for one in self._subjects(timeframe)])

        def one(symbol: str) -> dict[str, Any]:
            return score(self.store, self._subjects(timeframe, [symbol]), self.clock, lane="live").row()

        done = Scored()
        for row in (outcome.result for outcome in work.each("score", names, one) if outcome.ok):
            done.rows += row["rows"]
            done.waiting += row["waiting"]
            done.voids.update(row["voids"])
        return done.row()

    def weigh(self, work: Work) -> Any:
        """Fit calibrations and weights from all that has realised."""
        timeframe = timeframe_of(work)

        def fit() -> dict[str, Any]:
            learn = bool(work.args.get("learn", False))
            done = weigh(self.store, self._subjects(timeframe), timeframe, self.clock, learn=learn).row()
            return {
                "fitted_at": iso(done["fitted_at_ns"]),
                **{k: done[k] for k in ("calibrations", "weights", "learners")},
            }

        return work.step("weigh", fit)

    def gates(self, work: Work) -> Any:
        """Put the evaluation gates to what is scored, and write the report."""
        return run_gates(work, self.store)

    def digest(self, work: Work) -> Any:
        """Close the day before the tick."""
        day = yesterday_of(work.due_ns)
        return work.step("digest", lambda: [one.head for one in self.store.digests.close_day(day)])

    def board(self, work: Work) -> Any:
        """Keep the boards of the tick."""
        return run_board(work, self.store, self.configured)

    def prune(self, work: Work) -> Any:
        """Forget jobs that finished long ago."""
        done_days, failed_days = (int(work.args.get(name, 30)) for name in ("done_days", "failed_days"))
        now_ns = work.now_ns()
        return work.step("prune", self.forget, now_ns - done_days * DAY_NS, now_ns - failed_days * DAY_NS)

    def _subjects(self, timeframe: Timeframe, names: Sequence[str] = ()) -> list[Subject]:
        return scheduled_subjects(self.store, self.configured, timeframe, names)

    def _fetched(self, wanted: Sequence[str]) -> list[Instrument]:
        chosen = [self.configured.find(name) for name in wanted] or list(self.configured)
        return [one for one in chosen if wanted or any(name in self.sources for name in one.sources)]


def timeframe_of(work: Work) -> Timeframe:
    """The timeframe a job is about; `Invalid` when its arguments have none."""
    try:
        return Timeframe.parse(work.args["timeframe"])
    except KeyError:
        raise Invalid(f"job {work.id} has no timeframe", hint='args: {"timeframe": "1h"}') from None
