"""A week in a minute: virtual time steps from tick to tick, schedules fire, forecasts appear, weights follow.

    python examples/simulated_week.py ../shared/data/binance_spot_1h/*-1h.json.gz --from 2022-09-01 --days 7

The bars come from files, through the same importer and the same ingest job as any source's; they are served as they
became knowable. At the end everything that should be there is counted, and the board is printed. Exit 1 when something
was missed, doubled, or used before it was known.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.forecast.catalog import BASELINES
from gnomon.jobs.cast import POOL
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import JobFilter
from gnomon.jobs.handlers import Crew
from gnomon.jobs.schedules import Schedules, default_schedules
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instrument, Instruments
from gnomon.sources.files.read import read
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.recorded import RecordedSource
from gnomon.store.boards import BoardFilter, board_of
from gnomon.store.engine import reading
from gnomon.store.schedules import ScheduleStore
from gnomon.store.store import Store
from gnomon.store.tables import calibrations, forecasts, scores, slots, weights
from gnomon.units import DAY_NS, HOUR_NS

HOUR = Timeframe.parse("1h")
HISTORY_NS = 100 * DAY_NS


@dataclass(slots=True)
class Week:
    """A store, a clock and the schedules of the hour, driven by hand."""

    store: Store
    clock: SimClock
    jobs: MemoryJobs
    schedules: Schedules
    source: RecordedSource

    @classmethod
    def of(cls, folder: Path, series: Sequence[Candles], met: Sequence[Instrument], first_ns: int) -> Week:
        clock = SimClock(first_ns)
        store = Store.open(f"sqlite:///{folder / 'gnomon.db'}", folder / "datasets")
        source = RecordedSource.of(series, clock)
        known = shipped_instruments().with_added(met)
        configured = Instruments(
            replace(known.find(one.instrument), sources={"recorded": (one.instrument,)}) for one in series
        )
        jobs = MemoryJobs(Crew(store, configured, clock, {"recorded": source}).handlers(), clock, store.engine)
        schedules = Schedules(ScheduleStore(store.engine), jobs, clock)
        hourly = [one for one in default_schedules() if one.name.endswith("-1h") or one.name == "ledger-digest"]
        schedules.declare(one for one in hourly if one.enabled)
        return cls(store, clock, jobs, schedules, source)

    def run_until(self, last_ns: int) -> None:
        """Step from what is due to what is due next: a tick of a schedule or a job that was put off."""
        while True:
            self.schedules.tick()
            self.jobs.run_due()
            ahead = [one for one in (self.schedules.next_ns(), self.jobs.next_ready_ns()) if one is not None]
            if not ahead or min(ahead) > last_ns:
                self.clock.advance_to(last_ns)
                return
            self.clock.advance_to(max(min(ahead), self.clock.now_ns()))


def audit(week: Week, first_ns: int, last_ns: int) -> dict[str, Any]:
    """Everything counted, and every rule checked on every row."""
    with reading(week.store.engine) as connection:
        rows = connection.execute(select(forecasts).where(forecasts.c.lane == "live")).mappings().all()
        slot_rows = connection.execute(select(slots.c.status, slots.c.why)).all()
        fits = {row.id: row for row in connection.execute(select(calibrations))}
        pools = {row.id: row for row in connection.execute(select(weights))}
        marks = connection.execute(select(scores.c.stage, scores.c.void_reason)).all()
    keys = Counter((row["instrument"], row["forecaster"], row["data_cutoff"]) for row in rows)
    pooled = [row for row in rows if row["forecaster"] == POOL]
    faults = {
        "doubled": sum(count > 1 for count in keys.values()),
        "cutoff_is_not_the_last_closed_hour": sum(
            row["data_cutoff"] != row["as_of"] // HOUR_NS * HOUR_NS for row in rows
        ),
        "issued_after_grace": sum(row["issued_at"] - row["as_of"] > 600 * 10**9 for row in rows),
        "calibration_from_later": sum(
            row["calibration_id"] is not None and fits[row["calibration_id"]].fitted_at > row["data_cutoff"]
            for row in rows
        ),
        "weights_from_later": sum(
            row["weights_id"] is not None and pools[row["weights_id"]].fitted_at > row["data_cutoff"] for row in pooled
        ),
        "broken_chain": sum(not one.ok for one in week.store.forecasts.verify()),
        "digests_that_disagree": len(week.store.digests.check().broken),
    }
    instruments = sorted({row["instrument"] for row in rows})
    hours = (last_ns - first_ns) // HOUR_NS
    missed = [row.why for row in slot_rows if row.status == "missed"]
    return {
        "instruments": instruments,
        "slots": dict(Counter(row.status for row in slot_rows)),
        "why_missed": dict(Counter(one.partition(":")[2] or one for one in missed)),
        "expected_slots": len(instruments) * hours * (len(BASELINES) + 1),
        "forecasts": len(rows),
        "by_ensemble": len(pooled),
        "with_weights": sum(row["weights_id"] is not None for row in pooled),
        "calibrated": sum(row["calibration_id"] is not None for row in rows),
        "weight_fits": len(pools),
        "calibration_fits": len(fits),
        "scores": dict(Counter(("raw", "calibrated")[row.stage] for row in marks)),
        "void": dict(Counter(row.void_reason for row in marks if row.void_reason)),
        "jobs": dict(Counter(one.state for one in week.jobs.find(JobFilter(limit=10**9)))),
        "digests": len(week.store.digests.all()),
        "requests": len(week.source.asked),
        "faults": faults,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the week; 0 when the count is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--from", dest="first", default="2022-09-01")
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--home", type=Path, default=None, help="keep the store here")
    given = parser.parse_args(arguments)
    first_ns = parse_instant(given.first)
    last_ns = first_ns + round(24 * given.days) * HOUR_NS
    series, met = load(given.files, first_ns - HISTORY_NS, last_ns)
    with tempfile.TemporaryDirectory() as scratch:
        week = Week.of(given.home or Path(scratch), series, met, first_ns)
        week.run_until(last_ns)
        found = audit(week, first_ns, last_ns)
        rows = board_of(week.store.scores, BoardFilter("live", HOUR))
        print(json.dumps(found | {"board": [one.row() for one in rows if one.instrument == "all"]}, indent=1))
        week.store.engine.dispose()
    settled = found["slots"].get("issued", 0) + found["slots"].get("late", 0) + found["slots"].get("missed", 0)
    right = settled == found["expected_slots"] and found["slots"].get("issued", 0) == found["forecasts"]
    verdict = "nothing missed or doubled" if right else "THE COUNT IS WRONG"
    print(f"{iso(first_ns)} to {iso(last_ns)}: {verdict}", file=sys.stderr)
    return 0 if right and not any(found["faults"].values()) else 1


def load(files: Sequence[Path], first_ns: int, last_ns: int) -> tuple[list[Candles], list[Instrument]]:
    """The hourly bars of the files within a span, and the instruments that only the files know."""
    series: list[Candles] = []
    met: list[Instrument] = []
    for path in files:
        imported = read(path, instruments=shipped_instruments().with_added(met))
        met += imported.instruments
        for one in imported.series:
            if isinstance(one, Candles) and one.timeframe == HOUR:
                series.append(one.take((one.open_ns >= first_ns) & (one.close_ns <= last_ns)))
    return series, met


if __name__ == "__main__":
    sys.exit(main())
