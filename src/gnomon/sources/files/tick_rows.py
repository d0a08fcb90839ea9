"""What the rows of trades, quotes and depth share: two clocks, positive prices, and integer grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.dataset import ClockPassport
from gnomon.sources.files.decimals import Counted, count
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity
from gnomon.sources.files.numbers import Flags, Numbers, read_whole
from gnomon.sources.files.rows import Built, Request, finite_numbers, text_of
from gnomon.sources.files.stamps import Stamps, in_zone, read_stamps
from gnomon.sources.files.table import Clock, Table
from gnomon.units import DAY_NS, IntArray

_MOST_DECIMALS: Final = 18


def instants(
    table: Table, request: Request, identity: Identity, stamps: Stamps, faults: Faults
) -> tuple[IntArray, IntArray]:
    """The times of the venue and of the recorder in ns UTC; each for the other where there is one alone.

    The recorder's clock is shifted as the request says.
    """
    zone = identity.stamp_zone if table.clock.zone == "exchange" else table.clock.zone or "UTC"
    zoned = in_zone(stamps, zone)
    faults.add(stamps.good & ~zoned.good, f"the clock of {zone} skips this time or shows it twice", "time")
    times_ns = zoned.utc_ns()
    if table.stamp == "receive":
        times_ns = times_ns + request.clock_shift_ns
    if "received" not in table.columns:
        return times_ns, times_ns
    received = read_stamps(table.columns["received"], Clock())
    faults.add(~received.good, "received is not a time", "received")
    return times_ns, received.utc_ns() + request.clock_shift_ns


def read_cells(table: Table, faults: Faults, prices: Sequence[str], sizes: Sequence[str]) -> dict[str, Numbers]:
    """Columns of finite numbers: prices that are positive, sizes that are not negative."""
    cells: dict[str, Numbers] = {}
    for name in (*prices, *sizes):
        if name in table.decimals:
            whole, good = read_whole(table.columns[name])
            faults.add(~good, f"{name} is not a whole number", name)
            cells[name] = whole
        else:
            cells[name] = finite_numbers(table, faults, name)
    for name in prices:
        faults.add(cells[name] <= 0, f"{name} must be positive", name)
    for name in sizes:
        faults.add(cells[name] < 0, f"{name} must not be negative", name)
    return cells


def read_ids(table: Table, faults: Faults, notes: list[str]) -> IntArray | None:
    """The venue's ids; None where there are none, or where most are no whole numbers."""
    if "id" not in table.columns:
        return None
    ids, good = read_whole(table.columns["id"])
    if len(ids) and good.mean() < 0.5:
        notes.append("the venue's ids are no whole numbers: rows are numbered instead")
        return None
    faults.add(~good, "id is not a whole number", "id")
    return ids


def on_grid(
    table: Table,
    cells: Mapping[str, Numbers],
    names: Sequence[str],
    what: str,
    rows: IntArray,
    faults: Faults,
    notes: list[str],
) -> Counted:
    """The columns of prices (or of sizes) of the rows, counted on one grid."""
    scale = table.decimals.get(names[0], 0)
    spelled = text_of(table, tuple(names), rows)
    counted = count([cells[name][rows] for name in names], f"{what}s", scale=scale, text=spelled)
    faults.add(rows[~counted.fits], f"{what} is too large or too fine for the grid of the others", *names)
    notes += counted.notes
    return counted


def keep(mask: Flags, drops: Mapping[str, Flags], counts: dict[str, int]) -> Flags:
    """The rows of the mask without those to be dropped, which are counted under their reason."""
    for reason, drop in drops.items():
        dropped = int((mask & drop).sum())
        if dropped:
            counts[reason] = counts.get(reason, 0) + dropped
        mask = mask & ~drop
    return mask


# --- the recorder's clock -------------------------------------------------------------------------------------------


def clock_of(built: Built, request: Request) -> ClockPassport:
    """What the passport says of the clocks of a series."""
    has_recorder = "received" in built.table.columns or built.table.stamp == "receive"
    shift_ns = request.clock_shift_ns if has_recorder else 0
    return ClockPassport(built.table.stamp, shift_ns, "given at the import" if shift_ns else "")


def require_causal(built: Sequence[Built], request: Request) -> str:
    """What there is to say of the time from the venue to the recorder; "" where nothing was recorded.

    `Invalid` where a row was received before it happened: whoever replayed that would look ahead. It names the latency
    and the shift that would mend it.
    """
    recorded = [one for one in built if "received" in one.table.columns]
    if abs(request.clock_shift_ns) > DAY_NS:
        raise Invalid(f"a clock shift of {request.clock_shift_ns} ns is more than a day", hint="it is in nanoseconds")
    if request.clock_shift_ns and not recorded and all(one.table.stamp == "exchange" for one in built):
        raise Invalid(f"{request.file} has no stamps of a recorder's clock to shift", hint="leave --clock-shift-ns out")
    series = [one.series for one in recorded if one.series is not None and not isinstance(one.series, Candles)]
    if not series:
        return ""
    latency_ns = np.concatenate([one.received_ns - one.time_ns for one in series])
    low, median, high = (f"{at / 1e6:,.1f}" for at in np.percentile(latency_ns, [1, 50, 99]))
    said = f"latency, received less exchange: median {median} ms, 1st to 99th percentile {low} to {high} ms"
    least_ns = int(latency_ns.min())
    if least_ns < 0:
        shift_ns = request.clock_shift_ns - least_ns
        raise Invalid(
            f"{request.file}: {int((latency_ns < 0).sum()):,} of {len(latency_ns):,} rows were received before they "
            f"happened ({said}): replayed so, a trader would look ahead",
            hint=f"the recorder's clock was off: shift it, --clock-shift-ns {shift_ns} (clock.shift_ns) at least",
            detail={
                "rule": "latency must not be negative",
                "least_ns": least_ns,
                "percentiles_ns": {str(q): int(np.percentile(latency_ns, q)) for q in (1, 25, 50, 75, 99)},
                "clock.shift_ns": shift_ns,
            },
        )
    return said
