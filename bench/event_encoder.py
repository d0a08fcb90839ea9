"""How fast are the event channels of 23 symbols, beside the dense formulation: every row against every event?

One JSON document on stdout. `ratio` is the dense formulation's time over the row's. The equality of the numbers is
checked in the same run, for the channels that the dense one computes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gnomon.clock import Timeframe, parse_instant
from gnomon.forecast.events import CHANNELS, ENCODER, ENCODER_HASH, EventEncoder, Leaders, event_context
from gnomon.forecast.forecast import Context, context_at
from gnomon.market.events import RATE_CHANGE_BP, CalendarEvent, EventBook
from gnomon.market.instrument import Instrument
from gnomon.market.synth import synthetic_market
from gnomon.market.synthetic_events import synthetic_events
from gnomon.market.tape import History, Series, Tape
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS, HOUR_NS, FloatArray

ROWS, HORIZON, EVENTS = 512, 120, 900
HOUR, DAY = Timeframe.parse("1h"), Timeframe.parse("1d")
CUTOFF_NS = parse_instant("2025-12-01T15:00")
DENSE: tuple[str, ...] = tuple(c.name for c in CHANNELS if not c.name.endswith(("_return", "_level_z", "_open")))


def world() -> tuple[Tape, list[CalendarEvent], list[Instrument]]:
    """Hourly bars of every shipped instrument, daily ones of the VIX, and the statements about 900 events."""
    instruments = list(shipped_instruments())
    sessions = {one.calendar: load_sessions(one.calendar) for one in instruments}
    hourly = synthetic_market(instruments, sessions, HOUR, CUTOFF_NS - 250 * DAY_NS, CUTOFF_NS, seed=1)
    vix = [one for one in instruments if one.symbol == "VIX"]
    daily = synthetic_market(vix, sessions, DAY, CUTOFF_NS - 600 * DAY_NS, CUTOFF_NS, seed=1)
    statements = synthetic_events(CUTOFF_NS - 2400 * DAY_NS, CUTOFF_NS + 90 * DAY_NS, 1)
    newest = sorted({one.id: one.scheduled_ns for one in statements}.items(), key=lambda pair: pair[1])[-EVENTS:]
    kept = {id_ for id_, _ in newest}
    tape = Tape(Series(History(one)) for one in (*hourly, *daily))
    return tape, [one for one in statements if one.id in kept], [one for one in instruments if one.forecast]


def contexts(tape: Tape, instruments: Sequence[Instrument]) -> list[Context]:
    view = tape.as_of(CUTOFF_NS)
    return [
        context_at(view, one, load_sessions(one.calendar), HOUR, HORIZON, lookback_bars=ROWS) for one in instruments
    ]


# --- the dense formulation ------------------------------------------------------------------------------------------


class Dense:
    """The same channels by masks of (rows, statements) and (rows, events): the plain way to write them in NumPy."""

    def __init__(self, statements: Sequence[CalendarEvent]) -> None:
        rows = sorted(statements, key=lambda one: (one.id, one.knowable_ns))
        ids = [one.id for one in rows]
        self.kind = np.array([f"{one.kind}:{one.subject}" for one in rows])
        self.knowable = np.array([one.knowable_ns for one in rows])
        follows = np.array([a == b for a, b in zip(ids[1:], ids, strict=False)] + [False])
        self.until = np.where(follows, np.roll(self.knowable, -1), np.iinfo(np.int64).max)
        self.scheduled = np.array([one.scheduled_ns for one in rows])
        self.high = np.array([one.impact == "high" for one in rows])
        first: dict[str, CalendarEvent] = {}
        for one in rows:
            if one.released_ns is not None:
                first.setdefault(one.id, one)
        out = list(first.values())
        self.out_kind = np.array([f"{one.kind}:{one.subject}" for one in out])
        self.released = np.array([one.released_ns for one in out], np.int64)
        self.arrival = np.maximum(self.released + 1, [one.knowable_ns for one in out])
        before = {one.id: one.forecast for one in rows if one.released_ns is None and one.forecast is not None}
        actual = np.array([one.actual if one.actual is not None else np.nan for one in out])
        self.surprise = actual - np.array([before.get(one.id, np.nan) for one in out])
        self.rate = np.array([one.detail.get(RATE_CHANGE_BP, np.nan) for one in out], np.float64)

    def encode(self, context: Context, instrument: Instrument) -> dict[str, FloatArray]:
        """Channel to (T + H,), NaN where masked."""
        assert context.close_ns is not None
        past = len(context.open_ns)
        opens = np.concatenate([context.open_ns, context.target_open_ns])[:, None]
        closes = np.concatenate([context.close_ns, context.target_close_ns])[:, None]
        first = context.previous_close_ns or int(context.open_ns[0])
        previous = np.concatenate([[[first]], closes[:-1]])
        now = np.minimum(closes, context.data_cutoff_ns)
        seen = (self.knowable <= now) & (now < self.until)  # (T + H, statements)
        out = (previous < self.arrival) & (self.arrival <= closes)  # (T + H, events)
        due = seen & (previous <= self.scheduled) & (self.scheduled < closes)
        is_past = np.arange(len(closes)) < past
        fomc, us = ["fomc:FED"], [f"{kind}:US" for kind in ("cpi", "nfp", "gdp", "pce")]
        decisions = [f"rate_decision:{bank}" for bank in instrument.central_banks]
        decisions += fomc if "FED" in instrument.central_banks else []
        flags = {"is_fomc": fomc} | {f"is_{kind[:3]}": [kind] for kind in us}
        flags |= {"is_earnings": [f"earnings:{share}" for share in instrument.earnings_of]}
        flags |= {"is_rate_decision": decisions}
        found: dict[str, FloatArray] = {}
        for name, kinds in flags.items():
            fell = (out & np.isin(self.out_kind, kinds)).any(axis=1)
            found[name] = np.where(is_past, fell, (due & np.isin(self.kind, kinds)).any(axis=1)).astype(np.float64)
        for kind, floor in (("cpi", 0.05), ("nfp", 10.0)):
            found[f"{kind}_surprise_z"] = self._surprise(out & (self.out_kind == f"{kind}:US"), floor, is_past)
        score = np.where(out & (self.out_kind == "fomc:FED"), np.clip(self.rate / 25, -2, 2) / 2, 0.0).sum(axis=1)
        found["fomc_hawkish_score"] = np.where(is_past, score, np.nan)
        for kind, pair, period in (("fomc", "fomc:FED", 64), ("cpi", "cpi:US", 48)):
            ahead = np.where(seen & (self.kind == pair) & (self.scheduled >= opens), self.scheduled, np.inf).min(axis=1)
            days = np.clip((ahead - closes[:, 0]) / DAY_NS, 0, 0.9 * period)
            for wave in (np.sin, np.cos):
                found[f"days_to_{kind}_{wave.__name__}"] = np.where(
                    np.isinf(ahead), np.nan, wave(2 * np.pi * days / period)
                )
        soon = seen & self.high & np.isin(self.kind, [*fomc, *us, *decisions])
        soon &= (closes <= self.scheduled) & (self.scheduled < closes + 24 * HOUR_NS)
        found["impact_ahead"] = np.minimum(1.0, soon.sum(axis=1) / 3)
        return found

    def _surprise(self, fell: Any, floor: float, is_past: Any) -> FloatArray:
        z = np.where(is_past, 0.0, np.nan)
        for row, event in zip(*np.nonzero(fell & is_past[:, None]), strict=True):
            same = (self.out_kind == self.out_kind[event]) & np.isfinite(self.surprise)
            before = np.flatnonzero(same & (self.arrival < self.released[event]))
            before = before[np.argsort(self.released[before])][-20:]
            usable = len(before) >= 6
            scale = max(floor, float(np.std(self.surprise[before], ddof=1))) if usable else np.nan
            z[row] = np.clip(self.surprise[event] / scale, -3, 3)
        return z


# --- measuring ------------------------------------------------------------------------------------------------------


def timed(works: dict[str, Callable[[], Any]], repeat: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds of each piece of work, the fastest and the median of `repeat` runs, taken in turns."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeat + 1):
        for name, work in works.items():
            begun = time.process_time()
            work()
            spent[name].append((time.process_time() - begun) * 1e3)
    return {
        name: {"min_ms": round(min(runs[1:]), 4), "median_ms": round(statistics.median(runs[1:]), 4)}
        for name, runs in spent.items()
    }


def largest_difference(ours: EventEncoder, dense: Dense, batch: Sequence[tuple[Context, Instrument]]) -> float:
    worst = 0.0
    for context, instrument in batch:
        events, plain = ours.encode(context, instrument), dense.encode(context, instrument)
        for column, channel in enumerate(CHANNELS):
            if channel.name in DENSE:
                wanted = plain[channel.name]
                assert (np.isfinite(wanted) == (events.mask[:, column] == 1)).all(), channel.name
                worst = max(worst, float(np.abs(np.nan_to_num(wanted) - events.values[:, column]).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    repeat = 3 if parser.parse_args().quick else 15
    tape, statements, instruments = world()
    batch = list(zip(contexts(tape, instruments), instruments, strict=True))
    book, leaders, dense = EventBook(statements), Leaders.of(tape, HOUR), Dense(statements)
    encoder = EventEncoder(book, leaders)
    difference = largest_difference(encoder, dense, batch)
    assert difference < 1e-6, difference
    symbols = len(batch)
    peer = "dense rows x events, without leaders"
    times = timed(
        {
            "encode": lambda: [encoder.encode(context, one) for context, one in batch],
            "encode and event_context": lambda: [
                event_context(book, encoder.encode(context, one), context, one) for context, one in batch
            ],
            peer: lambda: [dense.encode(context, one) for context, one in batch],
        },
        repeat,
    )
    once = timed(
        {
            "book of all statements": lambda: EventBook(statements),
            "leaders": lambda: Leaders.of(tape, HOUR),
            "encoder and its first symbol": lambda: EventEncoder(EventBook(statements), leaders).encode(*batch[0]),
        },
        repeat,
    )
    rows = [
        {
            "what": f"{what}, {symbols} symbols",
            **spent,
            "ms_per_symbol": round(spent["min_ms"] / symbols, 4),
            "ratio": round(times[peer]["min_ms"] / spent["min_ms"], 1),
        }
        for what, spent in times.items()
    ]
    document = {
        "question": "How fast are the event channels of 23 symbols, beside every row against every event?",
        "machine": {"cpu_count": os.cpu_count(), "processor": platform.machine(), "threads": 1},
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "setting": {
            "encoder": ENCODER,
            "encoder_hash": ENCODER_HASH,
            "timeframe": str(HOUR),
            "rows": ROWS,
            "horizon": HORIZON,
            "symbols": symbols,
            "events": len(book),
            "statements": len(statements),
        },
        "largest_difference": difference,
        "results": [*rows, *({"what": f"once: {what}", **spent} for what, spent in once.items())],
        "notes": "CPU time; the dense peer computes 16 of the 20 channels, those of the calendar",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
