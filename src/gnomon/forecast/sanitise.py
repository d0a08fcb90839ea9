"""What every forecaster refuses before it computes: the rules of the port, checked in one place.

One context that breaks a rule refuses the whole call, naming instrument, row and value: never a partial list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.forecast.forecast import Context
from gnomon.forecast.forecaster import Traits
from gnomon.units import IntArray

_SMALLEST, _LARGEST = 1e-100, 1e100  # the ratio of two closes and its square stay within float64
_FIELDS = ("open", "high", "low", "close", "volume", "amount")


def accept(contexts: Sequence[Context], horizon: int, levels: Sequence[float], traits: Traits) -> tuple[float, ...]:
    """The levels as floats, when the contexts, the horizon and the levels keep the rules of the port.

    | of      | rule                                                                                         |
    |---------|----------------------------------------------------------------------------------------------|
    | levels  | at least one, inside (0, 1), strictly increasing, within the span of `traits.levels`         |
    | horizon | 1 … `traits.max_horizon_bars`, and no more than the context's scheduled targets              |
    | bars    | `traits.min_context_bars` rows or more; finite; closes positive, within 1e-100 … 1e100       |
    | times   | strictly increasing, before the cutoff; targets after it and strictly increasing             |
    | tick    | positive and finite                                                                          |

    Raises `Invalid` for the first rule broken.
    """
    accepted = _accept_levels(levels, traits)
    _accept_horizon(horizon, traits)
    for context in contexts:
        _check_shapes(context, horizon, traits)
        _check_bars(context)
        _check_times(context)
    return accepted


def _accept_levels(levels: Sequence[float], traits: Traits) -> tuple[float, ...]:
    accepted = tuple(float(level) for level in levels)
    outside = [level for level in accepted if not 0.0 < level < 1.0]
    if not accepted or outside:
        said = f"level {outside[0]} lies outside (0, 1)" if outside else "no levels"
        raise Invalid(said, hint="quantile levels such as 0.1, 0.5, 0.9", detail={"levels": list(accepted)})
    unsorted = [pair for pair in pairwise(accepted) if pair[0] >= pair[1]]
    if unsorted:
        raise Invalid(
            f"levels are not strictly increasing: {unsorted[0][1]} follows {unsorted[0][0]}",
            hint="sort them and name each once",
            detail={"levels": list(accepted)},
        )
    if traits.levels and (accepted[0] < min(traits.levels) or accepted[-1] > max(traits.levels)):
        beyond = accepted[0] if accepted[0] < min(traits.levels) else accepted[-1]
        raise Invalid(
            f"level {beyond} lies beyond what the forecaster learned",
            hint=f"between {min(traits.levels)} and {max(traits.levels)}",
            detail={"levels": list(accepted)},
        )
    return accepted


def _accept_horizon(horizon: int, traits: Traits) -> None:
    most = traits.max_horizon_bars
    if horizon < 1 or (most is not None and horizon > most):
        raise Invalid(
            f"horizon of {horizon} bars",
            hint="one bar or more" if most is None else f"1 to {most} bars",
            detail={"horizon": horizon},
        )


def _check_shapes(context: Context, horizon: int, traits: Traits) -> None:
    rows = len(context.bars)
    if rows < traits.min_context_bars:
        needed = traits.min_context_bars
        _refuse(context, f"{rows} bars, at least {needed} are needed", "import more history", rows=rows)
    if horizon > context.horizon:
        _refuse(
            context,
            f"horizon of {horizon} bars, but the context schedules {context.horizon} targets",
            "build the context with the longer horizon",
            horizon=horizon,
        )
    lengths = (len(context.open_ns), len(context.target_open_ns), len(context.local_ns))
    expected = (rows, context.horizon, rows + context.horizon)
    if lengths != expected or context.bars.shape[1:] != (len(_FIELDS),):
        _refuse(context, f"arrays of {lengths} rows, expected {expected}", "build it with `context_at`")
    if not (math.isfinite(context.tick) and context.tick > 0):
        _refuse(context, f"tick {context.tick!r} is not a positive number", "set the instrument's tick")
    if context.five_session_bars < 1:
        _refuse(context, f"{context.five_session_bars} bars in five sessions", "build it with `context_at`")


def _check_bars(context: Context) -> None:
    if not np.isfinite(context.bars).all():
        row, column = (int(index) for index in np.argwhere(~np.isfinite(context.bars))[0])
        value = float(context.bars[row, column])
        _refuse_row(context, row, f"{_FIELDS[column]} {value!r} is not finite", value)
    closes = context.closes.copy()  # contiguous: four times as fast to scan
    if closes.min() < _SMALLEST or closes.max() > _LARGEST:
        row = int(np.argmax((closes < _SMALLEST) | (closes > _LARGEST)))
        rule = "not positive" if closes[row] <= 0 else f"no price between {_SMALLEST} and {_LARGEST}"
        _refuse_row(context, row, f"close {float(closes[row])!r} is {rule}", float(closes[row]))


def _check_times(context: Context) -> None:
    row = _first_out_of_order(context.open_ns)
    if row is not None:
        said = "repeats" if context.open_ns[row] == context.open_ns[row - 1] else "lies before"
        _refuse_row(context, row, f"its time {said} that of the bar before it")
    if context.open_ns[-1] >= context.data_cutoff_ns:
        cutoff = iso(context.data_cutoff_ns)
        _refuse_row(context, len(context.open_ns) - 1, f"it opens at or after the cutoff {cutoff}")
    step = _first_out_of_order(context.target_open_ns)
    if step is not None or context.target_open_ns[0] <= context.open_ns[-1]:
        at = iso(int(context.target_open_ns[step or 0]))
        _refuse(context, f"target {(step or 0) + 1} at {at} is not after the bar before", "build it with `context_at`")
    if context.target_close_ns[0] <= context.data_cutoff_ns:
        at = iso(int(context.target_close_ns[0]))
        _refuse(context, f"the first target closes at {at}, not after the cutoff", "build it with `context_at`")


def _first_out_of_order(times: IntArray) -> int | None:
    later = times[1:] > times[:-1]
    return None if later.all() else int(np.argmin(later)) + 1


def _refuse_row(context: Context, row: int, said: str, value: float | None = None) -> NoReturn:
    at = iso(int(context.open_ns[row]))
    detail: dict[str, object] = {"row": row, "at": at} | ({} if value is None else {"value": repr(value)})
    _refuse(context, f"bar {row} at {at}: {said}", "mend the source and import it again", **detail)


def _refuse(context: Context, said: str, hint: str, **detail: object) -> NoReturn:
    raise Invalid(
        f"{context.instrument} {context.timeframe}: {said}",
        hint=hint,
        detail={
            "instrument": context.instrument,
            "timeframe": str(context.timeframe),
            "data_cutoff": iso(context.data_cutoff_ns),
            **detail,
        },
    )


def out_of_range(context: Context) -> Invalid:
    """What to raise where the returns are so wild that a quantile is no positive finite number any more."""
    return Invalid(
        f"{context.instrument} {context.timeframe}: its returns spread prices beyond float64",
        hint="look for rows in another unit, or for a split that is not listed",
        detail={"instrument": context.instrument},
    )
