"""Recorded latency: what a leg took, instant by instant, and what it is taken to be in between."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

from gnomon.errors import Invalid
from gnomon.units import DAY_NS, INT64_MAX

LEGS: Final = ("feed", "entry", "reply")
"""Columns of a recording, after the time."""

_SIGNS: Final = {"feed": 1, "entry": -1, "reply": 1}
"""To set the recorder's clock forward: that clock ends the feed and the reply, and begins the entry."""


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Latency of one leg in ns at instants in UTC ns, rising. Linear between neighbours in integers, the ends held."""

    time_ns: tuple[int, ...]
    latency_ns: tuple[int, ...]

    def at(self, time_ns: int) -> int:
        times, values = self.time_ns, self.latency_ns
        after = bisect_right(times, time_ns)
        if after == 0:
            return values[0]
        if after == len(times):
            return values[-1]
        start, end = times[after - 1], times[after]
        low, high = values[after - 1], values[after]
        return low + (high - low) * (time_ns - start) // (end - start)

    @property
    def slowest_ns(self) -> int:
        return max(self.latency_ns)

    def document(self) -> dict[str, Any]:
        """How many rows, and a BLAKE2b-256 of them as JSON: what a run's configuration says of it."""
        rows = json.dumps([self.time_ns, self.latency_ns], separators=(",", ":")).encode("ascii")
        return {"rows": len(self.time_ns), "digest": blake2b(rows, digest_size=32).hexdigest()}


def curve_of(given: Mapping[str, Any], leg: str) -> LatencyCurve:
    """The curve of a leg from `{recorded = [[t, feed, entry, reply], …], shift_ns = 0}`, all in ns.

    `shift_ns` is what the recorder's clock is set forward by. `Invalid` for rows out of order, and for a latency below
    zero, with its percentiles and the shift that mends it.
    """
    shift_ns, rows = given.get("shift_ns", 0), given["recorded"]
    if isinstance(rows, str):
        raise Invalid(
            f"latency.{leg} is recorded in {rows!r}, which is not read here",
            hint="`gnomon replay` reads a CSV of t,feed,entry,reply beside the session; else give the rows",
        )
    if isinstance(shift_ns, bool) or not isinstance(shift_ns, int) or abs(shift_ns) > DAY_NS:
        raise Invalid(f"latency.{leg}: shift_ns is {shift_ns!r}", hint="nanoseconds, a day at most")
    table = [_row(row, number) for number, row in enumerate(rows, 1)]
    if not table:
        raise Invalid(f"latency.{leg} is recorded in no row", hint="rows of t, feed, entry, reply in ns")
    times = tuple(row[0] for row in table)
    for before, after in pairwise(times):
        if after <= before:
            raise Invalid(f"latency.{leg}: {after} follows {before}", hint="rows in rising order of time")
    _require_causal(table, shift_ns)
    column = LEGS.index(leg) + 1
    return LatencyCurve(times, tuple(row[column] + _SIGNS[leg] * shift_ns for row in table))


def _row(row: Any, number: int) -> tuple[int, ...]:
    values = tuple(row) if isinstance(row, Sequence) and not isinstance(row, str) else ()
    if len(values) != 1 + len(LEGS) or any(isinstance(one, bool) or not isinstance(one, int) for one in values):
        raise Invalid(f"recorded latency, row {number}: {row!r}", hint="whole ns: t, feed, entry, reply")
    if not (0 <= values[0] <= INT64_MAX and max(map(abs, values[1:])) <= DAY_NS):
        raise Invalid(f"recorded latency, row {number}: {row!r}", hint="UTC ns, and latencies of a day at most")
    return values


def _require_causal(table: Sequence[tuple[int, ...]], shift_ns: int) -> None:
    """No leg may take less than nothing: whoever replayed that would look ahead."""
    shifted = {leg: sorted(row[n] + _SIGNS[leg] * shift_ns for row in table) for n, leg in enumerate(LEGS, 1)}
    wrong = {leg: values for leg, values in shifted.items() if values[0] < 0}
    if not wrong:
        return
    told = {leg: {str(q): _percentile(values, q) for q in (1, 25, 50, 75, 99)} for leg, values in shifted.items()}
    said = "; ".join(
        f"{leg}: median {told[leg]['50']} ns, 1st to 99th percentile {told[leg]['1']} to {told[leg]['99']} ns"
        for leg in wrong
    )
    least, most = max(-shifted["feed"][0], -shifted["reply"][0]), shifted["entry"][0]
    mended = shift_ns + (least if least > 0 else most)
    is_mended = least <= most
    hint = f"the recorder's clock was off: clock.shift_ns, here shift_ns = {mended}"
    raise Invalid(
        f"recorded latency below zero, which is a look-ahead ({said})",
        hint=hint if is_mended else "no shift of the recorder's clock mends all legs: record them again",
        detail={"rule": "latency must not be negative", "percentiles_ns": told, "clock.shift_ns": mended},
    )


def _percentile(values: Sequence[int], percent: int) -> int:
    return values[(len(values) - 1) * percent // 100]
