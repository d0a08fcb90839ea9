"""The as-of tape: what was knowable at an instant, and nothing else.

Whoever decides at time t reads through `AsOf`, which answers with `knowable_ns <= t`. Live forecasts, walk-forward
evaluation, strategies and agents share this one view, so a look-ahead is a fault of one module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, NotFound
from gnomon.market.candles import Basis, Candles
from gnomon.market.instrument import Split
from gnomon.units import FloatArray, IntArray


class History:
    """All revisions of the bars of one series, ordered by open time and then by when they became knowable.

    A revision is a later row with the same open time; `as_of` answers with the newest revision knowable then.
    """

    def __init__(self, candles: Candles) -> None:
        rows = candles
        if not (np.diff(rows.open_ns) > 0).all():
            order = np.lexsort((candles.knowable_ns, candles.open_ns))
            rows = candles if (np.diff(order) == 1).all() else candles.take(order)
        self.rows = rows
        self._first = np.flatnonzero(np.diff(rows.open_ns, prepend=rows.open_ns[:1] - 1))
        self._simple = len(self._first) == len(rows) and bool((np.diff(rows.knowable_ns) >= 0).all())

    def __len__(self) -> int:
        return len(self.rows)

    def as_of(self, as_of_ns: int, *, limit: int | None = None) -> Candles:
        """The bars knowable at the instant, one row a bar, oldest first; the newest `limit` of them."""
        if self._simple:
            stop = int(np.searchsorted(self.rows.knowable_ns, as_of_ns, side="right"))
            return self.rows.take(slice(0 if limit is None else max(0, stop - limit), stop))
        known = np.flatnonzero(self.rows.knowable_ns <= as_of_ns)
        opens = self.rows.open_ns[known]
        newest = known[np.append(opens[1:] != opens[:-1], True)[: len(known)]]
        return self.rows.take(newest if limit is None else newest[max(0, len(newest) - limit) :])

    def first_revisions(self) -> Candles:
        """The bars as they were first known: what scores are measured against."""
        return self.rows if len(self._first) == len(self.rows) else self.rows.take(self._first)


@dataclass(frozen=True, slots=True)
class Series:
    """A history with what is needed to read it: the splits of its instrument (used for the basis `raw` alone)."""

    history: History
    splits: tuple[Split, ...] = ()

    def share_factor(self, at_ns: IntArray, as_of_ns: int) -> FloatArray:
        """How many shares of `as_of_ns` one share of each instant became (1.0 where no split lies between).

        A raw price is divided by it and a volume multiplied. Instants after `as_of_ns` answer with the inverse, so a
        later price is brought back to the shares of `as_of_ns`.
        """
        factor = np.ones(len(at_ns))
        if self.history.rows.basis != "raw":
            return factor
        for split in self.splits:
            ratio = split.numerator / split.denominator
            if split.effective_ns <= as_of_ns:
                factor[at_ns < split.effective_ns] *= ratio
            else:
                factor[at_ns >= split.effective_ns] /= ratio
        return factor


class Tape:
    """Histories by (instrument, timeframe, basis)."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._series: dict[tuple[str, str, str], Series] = {}
        for one in series:
            key = one.history.rows.key
            if self._series.setdefault(key, one) is not one:
                raise Invalid(f"two series of {' '.join(key)} on one tape", hint="join them into one history first")

    def keys(self) -> Sequence[tuple[str, str, str]]:
        return tuple(self._series)

    def series(self, instrument: str, timeframe: Timeframe, basis: Basis = "raw") -> Series:
        try:
            return self._series[instrument, str(timeframe), basis]
        except KeyError:
            raise NotFound(
                f"no {basis} bars of {instrument} at {timeframe}",
                hint="`gnomon datasets` lists what is stored; `gnomon import` brings more",
            ) from None

    def as_of(self, as_of_ns: int) -> AsOf:
        return AsOf(self, as_of_ns)


@dataclass(frozen=True, slots=True)
class AsOf:
    """The tape as it could be read at one instant."""

    tape: Tape
    as_of_ns: int

    def candles(
        self, instrument: str, timeframe: Timeframe, basis: Basis = "raw", *, limit: int | None = None
    ) -> Candles:
        """The newest `limit` bars knowable at the instant, in the integer grids of the series, not split-adjusted."""
        return self.tape.series(instrument, timeframe, basis).history.as_of(self.as_of_ns, limit=limit)

    def ohlcva(
        self, instrument: str, timeframe: Timeframe, basis: Basis = "raw", *, limit: int | None = None
    ) -> tuple[Candles, FloatArray]:
        """The bars and their (n, 6) float64 values in shares of the instant (adjusted for splits effective by then)."""
        series = self.tape.series(instrument, timeframe, basis)
        bars = series.history.as_of(self.as_of_ns, limit=limit)
        values = bars.ohlcva()
        if series.splits:
            factor = series.share_factor(bars.open_ns, self.as_of_ns)
            values[:, :4] /= factor[:, None]
            values[:, 4] *= factor
        return bars, values
