"""The view "missed counts as naive": who was due and did not answer is scored as if it had said what naive says.

A missed slot takes the scored rows that the reference has at the same instrument and cutoff: the same steps, the same
figures, to the last bit. The skill there is 0, so staying silent in hard weeks does not pay. Where the reference was
missed too there is nothing to compare, and the slot is only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gnomon.score.compare import REFERENCE
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.units import IntArray


@dataclass(frozen=True, slots=True)
class MissedSlot:
    """Who was due on what at which cutoff, and did not answer."""

    forecaster: str
    instrument: str
    cutoff_ns: int


def missed_as_naive(
    scores: Scores, keys: ScoredKeys, missed: Iterable[MissedSlot], *, reference: str = REFERENCE
) -> tuple[Scores, ScoredKeys]:
    """The scores, and behind them a copy of the reference's rows for every missed slot, in the order of the slots.

    A copy carries its forecaster's name and its version with the most rows ("" where nothing of it is scored), and the
    reference's forecast id. Of two versions of the reference the one with more rows counts. Nothing is added for a slot
    that the forecaster has rows of, that the reference has none of, or that is given twice.
    """
    rows_of = _rows_of(keys, reference)
    answered = set(zip(keys.forecaster.tolist(), keys.instrument.tolist(), keys.data_cutoff_ns.tolist(), strict=True))
    wanted = [
        one
        for one in dict.fromkeys(missed)
        if (one.instrument, one.cutoff_ns) in rows_of
        and (one.forecaster, one.instrument, one.cutoff_ns) not in answered
    ]
    if not wanted:
        return scores, keys
    parts = [rows_of[one.instrument, one.cutoff_ns] for one in wanted]
    rows, lengths = np.concatenate(parts), [len(part) for part in parts]
    version_of = {name: _main_version(keys, name) for name in dict.fromkeys(one.forecaster for one in wanted)}
    names = [one.forecaster for one in wanted]
    copied = ScoredKeys(
        forecaster=np.repeat(np.array(names, object), lengths),
        version=np.repeat(np.array([version_of[name] for name in names], object), lengths),
        instrument=keys.instrument[rows],
        data_cutoff_ns=keys.data_cutoff_ns[rows],
    )
    columns = ScoredKeys.__slots__
    joined = ScoredKeys(*(np.concatenate([getattr(keys, name), getattr(copied, name)]) for name in columns))
    return Scores.join([scores, scores.take(rows)]), joined


def without_reference(missed: Sequence[MissedSlot], *, reference: str = REFERENCE) -> Counter[str]:
    """How many of each forecaster's missed slots the reference missed as well: nothing stands there to compare with."""
    bare = {(one.instrument, one.cutoff_ns) for one in missed if one.forecaster == reference}
    return Counter(one.forecaster for one in missed if (one.instrument, one.cutoff_ns) in bare)


def _rows_of(keys: ScoredKeys, reference: str) -> dict[tuple[str, int], IntArray]:
    """The reference's rows at each (instrument, cutoff)."""
    version = _main_version(keys, reference)
    rows = np.flatnonzero((keys.forecaster == reference) & (keys.version == version))
    places: dict[tuple[str, int], list[int]] = {}
    at = zip(keys.instrument[rows].tolist(), keys.data_cutoff_ns[rows].tolist(), rows.tolist(), strict=True)
    for instrument, cutoff_ns, row in at:
        places.setdefault((instrument, cutoff_ns), []).append(row)
    return {key: np.array(found, np.int64) for key, found in places.items()}


def _main_version(keys: ScoredKeys, forecaster: str) -> str:
    """The version of a forecaster with the most rows, the first by name of two; "" for one without rows."""
    counts = Counter(keys.version[keys.forecaster == forecaster].tolist())
    return min(counts, key=lambda version: (-counts[version], version), default="")
