"""What prices give away: that a vendor adjusted them, or that a share was split. Notes, and the basis of a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gnomon.clock import iso
from gnomon.market.candles import Basis, Candles
from gnomon.units import DAY_NS

_ENOUGH_BARS: Final = 20
_ADJUSTED_BELOW: Final = 0.5
_SPLIT_TOLERANCE: Final = 0.05
_MOST_NOTES: Final = 5


def judge_bases(series: Sequence[Candles]) -> list[tuple[Basis, str]]:
    """The basis of each series of one vendor's file of US shares, and why.

    US exchanges quote shares above one dollar in cents, so opens and closes as printed mostly lie on whole cents; a
    price multiplied by a dividend factor does not. A share without a dividend in the span looks raw either way: where
    half of a file's series are off the cent the vendor adjusts, and all of them are `adjusted`; else only those are.
    """
    shares = [on_cents(one) for one in series]
    known = [share for share in shares if share is not None]
    off = [share < _ADJUSTED_BELOW for share in known]
    whole_file = len(known) > 1 and sum(off) * 2 >= len(known)
    return [_basis(share, whole_file, sum(off), len(known)) for share in shares]


def _basis(share: float | None, whole_file: bool, off: int, known: int) -> tuple[Basis, str]:
    seen = "" if share is None else f"{share:.0%} of its opens and closes lie on whole cents"
    if whole_file:
        others = f"in {off} of the {known} series of the file most opens and closes lie off the whole cent"
        return (
            "adjusted",
            f"basis adjusted: {others}, as factors for dividends leave them{f' (here {seen})' if seen else ''}",
        )
    if share is not None and share < _ADJUSTED_BELOW:
        return "adjusted", f"basis adjusted: only {seen}, the others lie where factors for dividends leave them"
    return "raw", ""


def on_cents(series: Candles) -> float | None:
    """The share of opens and closes on whole cents; None for too few bars, or prices below a dollar."""
    if len(series) < _ENOUGH_BARS or series.tick.floats(series.low).min() < 1:
        return None
    cents = np.concatenate([series.tick.floats(series.open), series.tick.floats(series.close)]) * 100
    return float((np.abs(cents - np.rint(cents)) < 1e-6).mean())


def cent_note(series: Candles) -> list[str]:
    """A warning for a series of shares kept as raw whose prices look adjusted."""
    share = on_cents(series)
    if share is None or share >= _ADJUSTED_BELOW:
        return []
    return [
        f"only {share:.0%} of opens and closes lie on whole cents: if they are adjusted prices, say so by the basis"
    ]


def split_notes(series: Candles) -> list[str]:
    """Daily closes that jump by nearly a whole factor, as an unadjusted split leaves them."""
    if series.basis != "raw" or series.timeframe.nominal_ns != DAY_NS or len(series) < 2:
        return []
    ratio = series.close[:-1] / series.close[1:]
    factor = np.maximum(ratio, 1 / ratio)
    whole = np.rint(factor)
    near = np.flatnonzero((whole >= 2) & (np.abs(factor / whole - 1) <= _SPLIT_TOLERANCE))
    closes = series.tick.floats(series.close)
    notes = [
        f"looks like a split of {_ratio(int(whole[row]), bool(ratio[row] > 1))} "
        f"on {iso(int(series.open_ns[row + 1]))[:10]}: close {closes[row]:g}, then {closes[row + 1]:g} "
        "(prices are kept as printed)"
        for row in near[:_MOST_NOTES]
    ]
    return notes + ([f"and {len(near) - _MOST_NOTES} more such jumps"] if len(near) > _MOST_NOTES else [])


def _ratio(factor: int, more_shares: bool) -> str:
    return f"{factor}:1" if more_shares else f"1:{factor}"
