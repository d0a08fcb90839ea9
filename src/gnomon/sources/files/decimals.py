"""From float64 values to integer counts on the coarsest decimal grid that holds them exactly.

The grid depends on the values alone, so that the same content always has the same hash. Most values are decimals of at
most 8 places, and each such decimal below 2^51 steps has a float64 of its own, so the count is exact. What is left is
told apart in this order; where a value changes, a note says how many and by how much:

| value                                      | example             | taken as                                        |
|--------------------------------------------|---------------------|-------------------------------------------------|
| from 2^51 steps of 10^-8 up, in text       | 2189134567.12345678 | the exact decimal of up to 8 places             |
| binary noise, up to 4 units in the last place | 0.09147000000000001 | the decimal of 8 places that it stands for   |
| a float32 written as a float64             | 187.35000610351562  | the shortest decimal of that float32: 187.35    |
| a decimal of 9 to 12 places                | 0.000000012345      | itself, on a finer grid                         |
| anything else                              | 37.123456789012345  | rounded, to nine significant digits at least    |

A row whose values would change by more than a millionth, or that needs a grid which the others do not fit, is a bad
row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gnomon.sources.files.numbers import Flags, Numbers, matches
from gnomon.units import INT64_MAX, FloatArray, Grid, IntArray

USUAL_DECIMALS: Final = 8
MOST_DECIMALS: Final = 12
_EXACT: Final = 2.0**51  # below it, scaling a float64 by a power of ten errs by less than half a step
_NOISE_ULP: Final = 4
_SAVED_DECIMALS: Final = 4
_LARGEST_CHANGE: Final = 1e-6  # relative; a value that must change more to fit is refused
_LOST: Final = -1
_POWERS: Final = 10 ** np.arange(19, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Columns counted on one grid of 10^-`decimals`; `fits` marks the rows whose values all lie on it."""

    counts: tuple[IntArray, ...]
    decimals: int
    fits: Flags
    notes: tuple[str, ...] = ()

    def on(self, own: Grid | None) -> tuple[tuple[IntArray, ...], Grid]:
        """The counts on the instrument's own grid when every value lies on it, else on the power of ten."""
        plain = Grid(Decimal(format(Decimal(1).scaleb(-self.decimals), "f")))
        if own is None:
            return self.counts, plain
        numerator, denominator = own.step.as_integer_ratio()
        times, by = denominator, numerator * 10**self.decimals
        common = gcd(times, by)
        times, by = times // common, by // common
        if times == by == 1:
            return self.counts, own
        if by > INT64_MAX:
            return self.counts, plain
        largest = max((int(np.abs(one).max(initial=0)) for one in self.counts), default=0)
        if largest * times > INT64_MAX or any((one % by).any() for one in self.counts):
            return self.counts, plain
        return tuple(one // by * times for one in self.counts), own


@np.errstate(all="ignore")  # a wild value overflows into one that does not fit
def count(
    columns: Sequence[Numbers], what: str, *, scale: int = 0, text: Callable[[int], Any] | None = None
) -> Counted:
    """Count finite columns of one kind (the prices, the sizes) on one common grid.

    Whole-number columns are counts of 10^-`scale` already. `text(k)` reads column k as the file spells it.
    """
    if all(column.dtype == np.int64 for column in columns):
        return _reduced([np.asarray(column, np.int64) for column in columns], scale)
    values = np.concatenate([np.asarray(column, np.float64) for column in columns])
    counts, decimals = _explain(values, 0, USUAL_DECIMALS)
    large = np.flatnonzero(np.abs(values) * 10.0**USUAL_DECIMALS >= _EXACT)
    if text is not None and len(large):
        _take_text(pa.concat_arrays([text(k) for k in range(len(columns))]), large, counts, decimals)
    notes = _explain_single(values, counts, decimals, what)
    if (decimals == _LOST).any():
        notes += _explain_rest(values, counts, decimals, what)
    return _common(counts, decimals, len(columns), notes)


def _explain(values: FloatArray, first: int, last: int) -> tuple[IntArray, IntArray]:
    """For each value the count on its own coarsest grid and the decimals of that; decimals -1 where there is none."""
    counts, decimals = np.zeros(len(values), np.int64), np.full(len(values), _LOST, np.int64)
    rest, left = np.arange(len(values)), values
    for places in range(first, last + 1):
        nearest = np.rint(left * 10.0**places)
        hit = (nearest / 10.0**places == left) & (np.abs(nearest) < (2.0**62 if places == 0 else _EXACT))
        counts[rest[hit]], decimals[rest[hit]] = nearest[hit].astype(np.int64), places
        rest, left = rest[~hit], left[~hit]
        if not len(rest):
            break
    return counts, decimals


def _explain_single(values: FloatArray, counts: IntArray, decimals: IntArray, what: str) -> list[str]:
    """Columns that hold float32 values throughout: large ones have few binary places, and pass for long decimals.

    They are taken for float32 when that saves at least four decimals; fractions such as 1/64 and 1/256 do not.
    """
    needed = MOST_DECIMALS if (decimals == _LOST).any() else int(decimals.max(initial=0))
    if needed < _SAVED_DECIMALS or not (values.astype(np.float32) == values).all():
        return []
    _, steps, places = _float32(values)
    if (places == _LOST).any() or needed - int(places.max(initial=0)) < _SAVED_DECIMALS:
        return []
    changed = np.flatnonzero(steps / 10.0**places != values)
    counts[:], decimals[:] = steps, places
    return [_note(_FLOAT32_NOTE, what, values[changed], steps[changed], places[changed])] if len(changed) else []


def _explain_rest(values: FloatArray, counts: IntArray, decimals: IntArray, what: str) -> list[str]:
    """Fill in what is left, in the order of the module's table; the notes say how much of what."""
    notes = []
    for take, saying in ((_noise, _NOISE_NOTE), (_float32, _FLOAT32_NOTE), (_finer, ""), (_rounded, _ROUNDED_NOTE)):
        rest = np.flatnonzero(decimals == _LOST)
        if not len(rest):
            break
        taken, steps, places = take(values[rest])
        chosen = rest[taken]
        counts[chosen], decimals[chosen] = steps[taken], places[taken]
        if len(chosen) and saying:
            notes.append(_note(saying, what, values[chosen], counts[chosen], decimals[chosen]))
    return notes


def _note(saying: str, what: str, values: FloatArray, counts: IntArray, decimals: IntArray) -> str:
    meant = counts / 10.0**decimals
    change = f"{float(np.abs(meant - values).max()):.1e}"
    return saying.format(n=len(values), what=what, example=f"{float(values[0])!r} as {meant[0]!s}", change=change)


_NOISE_NOTE = (
    "{n} {what} carry binary noise and are taken as the decimal they stand for ({example}; by {change} at most)"
)
_FLOAT32_NOTE = "{n} {what} are float32 values and are taken as their shortest decimal ({example}; by {change} at most)"
_ROUNDED_NOTE = "{n} {what} have more digits than an exact grid holds and are rounded ({example}; by {change} at most)"

Taken = tuple[Flags, IntArray, IntArray]


def _take_text(text: Any, rows: IntArray, counts: IntArray, decimals: IntArray) -> None:
    """Exact counts, from the text, of values with so many digits that decimals of 8 places share one float64."""
    chosen = text.take(pa.array(rows))
    plain = matches(chosen, r"^[+-]?\d{1,18}(\.\d{1,8})?$")
    if not plain.any():
        return
    rows, chosen = rows[plain], chosen.filter(pa.array(plain)).cast(pa.decimal128(38, USUAL_DECIMALS))
    words = np.frombuffer(chosen.buffers()[1], np.int64).reshape(-1, 2)[chosen.offset : chosen.offset + len(rows)]
    fits = words[:, 1] == (words[:, 0] >> 63)  # the value lies in the low word
    left, steps = rows[fits], words[fits, 0].copy()
    counts[left], decimals[left] = steps, USUAL_DECIMALS
    for places in range(USUAL_DECIMALS - 1, -1, -1):
        whole = steps % 10 == 0
        left, steps = left[whole], steps[whole] // 10
        counts[left], decimals[left] = steps, places


def _noise(values: FloatArray) -> Taken:
    scaled = np.rint(values * 10.0**USUAL_DECIMALS)
    near = np.abs(scaled / 10.0**USUAL_DECIMALS - values) <= _NOISE_ULP * np.spacing(np.abs(values))
    near &= (np.abs(scaled) < 2.0**62) & (scaled != 0)
    counts, decimals = _explain(scaled / 10.0**USUAL_DECIMALS, 0, USUAL_DECIMALS)
    direct = decimals == _LOST  # too large to be told apart: as near as the float64 itself
    counts[direct], decimals[direct] = np.where(near, scaled, 0)[direct].astype(np.int64), USUAL_DECIMALS
    return near, counts, decimals


def _float32(values: FloatArray) -> Taken:
    counts, decimals = np.zeros(len(values), np.int64), np.full(len(values), _LOST, np.int64)
    single = values.astype(np.float32)
    written = single == values
    if written.mean() < 0.5:  # one value may be a float32 by chance
        return np.zeros(len(values), np.bool_), counts, decimals
    for places in range(USUAL_DECIMALS + 1):
        nearest = np.rint(values * 10.0**places)
        hit = (decimals == _LOST) & ((nearest / 10.0**places).astype(np.float32) == single)
        hit &= ((nearest != 0) | (values == 0)) & (np.abs(nearest) < _EXACT)
        counts[hit], decimals[hit] = nearest[hit].astype(np.int64), places
    return written & (decimals != _LOST), counts, decimals


def _finer(values: FloatArray) -> Taken:
    counts, decimals = _explain(values, USUAL_DECIMALS + 1, MOST_DECIMALS)
    return decimals != _LOST, counts, decimals


def _rounded(values: FloatArray) -> Taken:
    size = float(np.median(np.abs(values)))
    places = int(np.clip(8 - np.floor(np.log10(size)) if size > 0 else 0, USUAL_DECIMALS, MOST_DECIMALS))
    scaled = np.rint(values * 10.0**places)
    near = np.abs(scaled) < 2.0**62
    near &= np.abs(scaled / 10.0**places - values) <= _LARGEST_CHANGE * np.abs(values)
    return near, np.where(near, scaled, 0).astype(np.int64), np.full(len(values), places, np.int64)


def _common(counts: IntArray, decimals: IntArray, columns: int, notes: Sequence[str]) -> Counted:
    """All on one grid: the finest that is needed, unless holding a few fine values would cost more coarse ones."""
    places = int(decimals.max(initial=0))
    fits = _fitting(counts, decimals, places)
    if not fits.all():
        needed = set(decimals.tolist()) - {_LOST}
        places = max(needed, key=lambda k: (int(_fitting(counts, decimals, k).sum()), k), default=0)
        fits = _fitting(counts, decimals, places)
    scaled = np.where(fits, counts, 0) * _POWERS[np.clip(places - decimals, 0, 18)]
    rows: Flags = np.logical_and.reduce(fits.reshape(columns, -1))
    return Counted(tuple(scaled.reshape(columns, -1)), places, rows, tuple(notes))


def _fitting(counts: IntArray, decimals: IntArray, places: int) -> Flags:
    """Which values lie on the grid of 10^-`places` and count to no more there than an int64 holds."""
    room = np.clip(places - decimals, 0, 18)
    small = np.abs(counts) <= (INT64_MAX // _POWERS)[room]
    return np.asarray((decimals != _LOST) & (decimals <= places) & small)


def _reduced(columns: Sequence[IntArray], places: int) -> Counted:
    """Whole counts of 10^-`places` on the coarsest grid."""
    while places and not any((column[:1000] % 10).any() for column in columns):  # most columns end here, at once
        tenths = [column // 10 for column in columns]
        if any((tenth * 10 != column).any() for tenth, column in zip(tenths, columns, strict=True)):
            break
        columns, places = tenths, places - 1
    return Counted(tuple(columns), places, np.ones(len(columns[0]), np.bool_))
