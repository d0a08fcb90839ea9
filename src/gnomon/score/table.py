"""Scored rows in one order: by forecaster, instrument, cutoff and step, with labels turned into numbers once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.units import FloatArray, IntArray

Loss = Literal["pinball_mean", "crps", "wis", "abs_error", "brier"]


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The distinct cutoffs (C,) of some rows, in order, and how their targets overlap.

    `position` is each row's place among them; `overlap` the longest step in cutoffs: how many begin before a target
    is known; `independent` how many can be picked, oldest first, so that none begins before the last one's targets
    are known.
    """

    cutoffs_ns: IntArray
    position: IntArray
    overlap: int
    independent: int


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows by forecaster, instrument, cutoff and step; void rows are there, without a loss.

    `key` (instrument, cutoff and step in one integer) rises within a forecaster; `bounds` (F x I + 1,) says where each
    (forecaster, instrument) begins.
    """

    forecasters: tuple[str, ...]
    instruments: tuple[str, ...]
    instrument: IntArray
    cutoff_ns: IntArray
    key: IntArray
    loss: FloatArray
    scores: Scores
    bounds: IntArray

    def rows(self, forecaster: int, instrument: int | None = None) -> slice:
        """Where the rows of a forecaster lie, on one instrument or on all."""
        width = len(self.instruments)
        first = forecaster * width + (instrument or 0)
        last = (forecaster + 1) * width if instrument is None else first + 1
        return slice(int(self.bounds[first]), int(self.bounds[last]))

    def scored(self, rows: slice) -> IntArray:
        """Which of the rows are not void."""
        return np.flatnonzero(~np.isnan(self.scores.pinball_mean[rows])) + int(rows.start)

    def loss_of(self, forecaster: int) -> FloatArray:
        """The loss that `forecaster` had at the key of every row; NaN where it has none."""
        own = self.rows(forecaster)
        known, loss = self.key[own], self.loss[own]
        place = np.minimum(np.searchsorted(known, self.key), len(known) - 1)
        return np.where(known[place] == self.key, loss[place], np.nan)


def table_of(
    scores: Scores, keys: ScoredKeys, *, loss: Loss = "pinball_mean", bucket: tuple[int, int] | None = None
) -> Table:
    """The table of some scores, `bucket` (first and last step) narrowing it, with `loss` the column to compare by.

    A forecaster of whom two versions answered the same key stands once for each version, as `name@version`. Raises
    `Invalid` for mixed stages, for keys that repeat within a version, and for a step below 1.
    """
    if bucket is not None:
        inside = (scores.step >= bucket[0]) & (scores.step <= bucket[1])
        scores, keys = scores.take(inside), keys.take(inside)
    _require_one_stage(scores)
    instruments, instrument = _factorised(keys.instrument)
    cutoffs, cutoff = np.unique(keys.data_cutoff_ns, return_inverse=True)
    span = int(scores.step.max(initial=0)) + 1
    key = (instrument * len(cutoffs) + cutoff) * span + scores.step
    keys_there = max(1, len(instruments) * len(cutoffs) * span)
    forecasters, forecaster, order = _told_apart(keys, key, keys_there)
    group = (forecaster * len(instruments) + instrument)[order]
    ordered = scores.take(order)
    return Table(
        forecasters=forecasters,
        instruments=instruments,
        instrument=instrument[order],
        cutoff_ns=keys.data_cutoff_ns[order],
        key=key[order],
        loss=getattr(ordered, loss),
        scores=ordered,
        bounds=np.searchsorted(group, np.arange(len(forecasters) * len(instruments) + 1)),
    )


def _require_one_stage(scores: Scores) -> None:
    if len(scores) and (scores.stage != scores.stage[0]).any():
        raise Invalid("raw and calibrated scores on one board", hint="choose one stage; compare two boards")
    if scores.step.min(initial=1) < 1:
        raise Invalid(f"step {scores.step.min()} on a board", hint="steps count from 1")


def _told_apart(keys: ScoredKeys, key: IntArray, keys_there: int) -> tuple[tuple[str, ...], IntArray, IntArray]:
    """Forecasters, the code of each row, and the order of rows by forecaster and key.

    One of whom two versions answered the same key stands once for each version.
    """
    names, code = _factorised(keys.forecaster)
    order, repeated = _ordered(code * keys_there + key)
    if not len(repeated):
        return names, code, order
    doubled = np.isin(code, np.unique(code[repeated]))
    labels = keys.forecaster.copy()
    labels[doubled] = [
        f"{name}@{version}" for name, version in zip(labels[doubled], keys.version[doubled], strict=True)
    ]
    names, code = _factorised(labels)
    order, repeated = _ordered(code * keys_there + key)
    if len(repeated):
        raise Invalid(
            f"{labels[repeated[0]]} is scored twice on {keys.instrument[repeated[0]]} at one cutoff and step",
            hint="choose one lane and one variant for a board",
        )
    return names, code, order


def _ordered(identity: IntArray) -> tuple[IntArray, IntArray]:
    """The order of rows by identity, and one row of every identity that stands twice."""
    order = np.argsort(identity, kind="stable")
    ordered = identity[order]
    return order, order[1:][ordered[1:] == ordered[:-1]]


def _factorised(labels: npt.NDArray[np.object_]) -> tuple[tuple[str, ...], IntArray]:
    """The distinct labels in alphabetical order, and the place of each row's label among them."""
    rows = labels.tolist()
    names = tuple(sorted(set(rows)))
    place = {name: code for code, name in enumerate(names)}
    return names, np.fromiter(map(place.__getitem__, rows), np.int64, count=len(rows))


def code_of(table: Table, name: str) -> int:
    """The code of a forecaster, or of its version with the most rows; -1 where it is not there."""
    codes = [code for code, label in enumerate(table.forecasters) if label == name or label.startswith(f"{name}@")]
    return max(codes, key=lambda code: len(table.key[table.rows(code)]), default=-1)


def span_of(table: Table, rows: IntArray) -> Span:
    """The cutoffs of some rows and their overlap, read from the time each one's last target becomes known."""
    cutoffs, position = np.unique(table.cutoff_ns[rows], return_inverse=True)
    if not len(cutoffs):
        return Span(cutoffs, position, 0, 0)
    known = cutoffs.copy()
    np.maximum.at(known, position, table.scores.target_close_ns[rows])
    place = np.arange(len(cutoffs))
    following = np.maximum(np.searchsorted(cutoffs, known, side="left"), place + 1)
    return Span(cutoffs, position, int((following - place).max()), _steps_through(following.tolist()))


def _steps_through(following: Sequence[int]) -> int:
    """How many jumps lead from the first cutoff past the last."""
    count = place = 0
    while place < len(following):
        place = following[place]
        count += 1
    return count
