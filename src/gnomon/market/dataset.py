"""Datasets: immutable, named, content-hashed bundles of series, each with a passport.

The hash covers what the rows say (keys, grids, columns), not where they came from: two files with the same content are
one dataset. `content_hash = BLAKE2b-256(digests of its series, sorted)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import iso
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Candles
from gnomon.market.depth import NEVER, Depth
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.units import IntArray

AnySeries = Candles | Trades | Quotes | Depth


def kind_of(series: AnySeries) -> str:
    """`candles`, `trades`, `quotes` or `depth`."""
    return "candles" if isinstance(series, Candles) else series.key[1]


def series_digest(series: AnySeries) -> bytes:
    """BLAKE2b-256 over key, grids and columns (name, dtype, little-endian bytes), however wide it is stored.

    Prices are hashed with their grid, so a series regridded to finer ticks is another series; importers therefore
    choose the grid from the content alone.
    """
    state = hashlib.blake2b(digest_size=32)
    grids = [str(series.tick.step.normalize()), str(series.lot.step.normalize())]
    if isinstance(series, Candles):
        grids.append(str(series.money.step.normalize()))
    if isinstance(series, Depth):
        grids.append(str(series.valid_from_ns))
    for text in (*series.key, *grids):
        encoded = text.encode()
        state.update(len(encoded).to_bytes(4, "little") + encoded)
    for name, column in series.columns().items():
        state.update(f"{name}:{column.dtype.str}:{len(column)}".encode())
        state.update(column.data)
    return state.digest()


def content_hash(series: Sequence[AnySeries]) -> str:
    """The identity of a bundle: 64 hexadecimal digits, independent of the order of its series."""
    return hash_of_digests(series_digest(one) for one in series)


def hash_of_digests(digests: Iterable[bytes]) -> str:
    """The same, for whoever has the digests of the series already."""
    state = hashlib.blake2b(digest_size=32)
    for digest in sorted(digests):
        state.update(digest)
    return state.hexdigest()


@dataclass(frozen=True, slots=True)
class Gap:
    """Scheduled bars that are absent: the first missing open, the end of the gap, how many bars."""

    first_ns: int
    until_ns: int
    bars: int

    def row(self) -> dict[str, Any]:
        return {"from": iso(self.first_ns), "until": iso(self.until_ns), "bars": self.bars}


def gaps(candles: Candles, sessions: Sessions) -> list[Gap]:
    """The scheduled bars between the first and the last that are absent. Never filled: reported."""
    if len(candles) < 2:
        return []
    scheduled = sessions.between(candles.timeframe, int(candles.open_ns[0]), int(candles.close_ns[-1]))
    absent = ~_among(scheduled.open_ns, candles.open_ns)
    if not absent.any():
        return []
    edge = np.diff(absent.astype(np.int8), prepend=0, append=0)
    starts, stops = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    return [
        Gap(int(scheduled.open_ns[a]), int(scheduled.close_ns[b - 1]), int(b - a))
        for a, b in zip(starts, stops, strict=True)
    ]


def off_schedule(candles: Candles, sessions: Sessions) -> IntArray:
    """Indices of bars that the calendar does not know (another grid, or a session that did not take place)."""
    if not len(candles):
        return np.empty(0, np.int64)
    last_ns = int(candles.open_ns[-1]) + 2 * candles.timeframe.nominal_ns  # its scheduled close, whatever its own is
    scheduled = sessions.between(candles.timeframe, int(candles.open_ns[0]), last_ns)
    return np.flatnonzero(~_among(candles.open_ns, scheduled.open_ns))


def _among(times_ns: IntArray, sorted_ns: IntArray) -> npt.NDArray[np.bool_]:
    """Which times occur in a sorted array: a tenth of the cost of `np.isin`, which cannot know that it is sorted."""
    if not len(sorted_ns):
        return np.zeros(len(times_ns), np.bool_)
    index = np.minimum(np.searchsorted(sorted_ns, times_ns), len(sorted_ns) - 1)
    return np.asarray(sorted_ns[index] == times_ns)


@dataclass(frozen=True, slots=True)
class ClockPassport:
    """Whose clock stamped the rows, and by how much the recorder's was shifted at the import."""

    stamp: str = "exchange"  # or "receive": the source has no stamps of the venue
    shift_ns: int = 0
    how: str = ""

    def row(self) -> dict[str, Any]:
        return {"stamp": self.stamp, "shift_ns": self.shift_ns, "how": self.how}


BY_THE_EXCHANGE: Final = ClockPassport()


@dataclass(frozen=True, slots=True)
class SeriesPassport:
    """What one series of a dataset holds."""

    kind: str  # "candles", "trades", "quotes" or "depth"
    instrument: str
    timeframe: str  # "" for all but candles
    basis: str
    rows: int
    first_ns: int
    last_ns: int
    tick: str
    lot: str
    digest: str
    missing_bars: int = 0
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    side: str = ""  # of trades, who began them: "recorded", "inferred" or "none"
    clock: ClockPassport = BY_THE_EXCHANGE
    snapshot: bool = False  # of depth: whether there is one
    valid_from_ns: int = NEVER  # of depth: when the book may be walked
    dropped: Mapping[str, int] = field(default_factory=dict)  # why to how many rows, no fault of theirs
    lifted: int = 0  # stamps that fell a little and were lifted to the running maximum

    @classmethod
    def of(
        cls,
        series: AnySeries,
        *,
        gaps: Sequence[Gap] = (),
        notes: Sequence[str] = (),
        clock: ClockPassport = BY_THE_EXCHANGE,
        dropped: Mapping[str, int] | None = None,
        lifted: int = 0,
    ) -> SeriesPassport:
        first = series.open_ns if isinstance(series, Candles) else series.time_ns
        last = series.close_ns if isinstance(series, Candles) else series.time_ns
        instrument, timeframe, basis = series.key
        return cls(
            kind=kind_of(series),
            instrument=instrument,
            timeframe=timeframe if isinstance(series, Candles) else "",
            basis=basis,
            rows=len(series),
            first_ns=int(first[0]),
            last_ns=int(last[-1]),
            tick=str(series.tick.step),
            lot=str(series.lot.step),
            digest=series_digest(series).hex(),
            missing_bars=sum(gap.bars for gap in gaps),
            gaps=tuple(gaps),
            notes=tuple(notes),
            side=_side(series),
            clock=clock,
            snapshot=isinstance(series, Depth) and series.has_snapshot,
            valid_from_ns=series.valid_from_ns if isinstance(series, Depth) else NEVER,
            dropped=dict(dropped or {}),
            lifted=lifted,
        )

    def row(self) -> dict[str, Any]:
        """JSON-ready, with instants as ISO text."""
        said = {
            "kind": self.kind,
            "instrument": self.instrument,
            "timeframe": self.timeframe,
            "basis": self.basis,
            "rows": self.rows,
            "from": iso(self.first_ns),
            "until": iso(self.last_ns),
            "tick": self.tick,
            "lot": self.lot,
            "digest": self.digest,
            "missing_bars": self.missing_bars,
            "gaps": [gap.row() for gap in self.gaps],
            "notes": list(self.notes),
        }
        return said | self._row_of_ticks() if self.kind != "candles" else said

    def _row_of_ticks(self) -> dict[str, Any]:
        said: dict[str, Any] = {"clock": self.clock.row(), "dropped": dict(self.dropped), "lifted": self.lifted}
        if self.kind == "trades":
            said["side"] = self.side
        if self.kind == "depth":
            valid_from = None if self.valid_from_ns == NEVER else iso(self.valid_from_ns)
            said["depth"] = {"snapshot": self.snapshot, "valid_from": valid_from}
        return said


def _side(series: AnySeries) -> str:
    if not isinstance(series, Trades):
        return ""
    return "recorded" if series.side.any() else "none"


@dataclass(frozen=True, slots=True)
class Passport:
    """Where a dataset came from and what it holds. `hash` is its identity."""

    hash: str
    name: str
    source: str  # the format's name, e.g. "freqtrade-json"
    licence: str  # "unknown" unless somebody said
    files: Mapping[str, str]  # file name to SHA-256 of its bytes
    series: tuple[SeriesPassport, ...]
    rejected_rows: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict)  # options of the importer, or seed and kind of a synthetic

    @classmethod
    def of(cls, series: Sequence[AnySeries], name: str) -> Passport:
        """The passport of synthetic series, which came from no file."""
        return cls(content_hash(series), name, "synthetic", "none", {}, tuple(map(SeriesPassport.of, series)))

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.series)

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "hash": self.hash,
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "files": dict(self.files),
            "rows": self.rows,
            "rejected_rows": self.rejected_rows,
            "recipe": dict(self.recipe),
            "series": [one.row() for one in self.series],
        }
