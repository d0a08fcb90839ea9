"""What prices give away."""

from __future__ import annotations

import numpy as np

from gnomon.clock import Timeframe, parse_instant
from gnomon.market.candles import Candles
from gnomon.sources.files.suspicion import cent_note, judge_bases, on_cents, split_notes
from gnomon.units import DAY_NS, FloatArray, Grid


def _daily(closes: FloatArray, timeframe: str = "1d") -> Candles:
    """Bars that open where they close, counted in 10^-4."""
    counts = np.rint(np.asarray(closes) * 10**4).astype(np.int64)
    opens = parse_instant("2024-01-01") + np.arange(len(counts), dtype=np.int64) * DAY_NS
    zeros = np.zeros_like(counts)
    tick = Grid.of("0.0001")
    return Candles(
        "us:X", Timeframe.parse(timeframe), "raw", tick, Grid.of(1), Grid.of(1), opens, opens + DAY_NS, opens + DAY_NS,
        counts, counts, counts, counts, zeros, zeros - 1, zeros.astype(np.uint8),
    )  # fmt: skip


CENTS = np.linspace(100, 130, 31)
FACTORED = CENTS * 0.99123


def test_the_share_of_prices_on_cents_tells_adjusted_from_raw() -> None:
    assert on_cents(_daily(CENTS)) == 1.0
    assert (on_cents(_daily(FACTORED)) or 0.0) < 0.2
    assert on_cents(_daily(CENTS[:10])) is None  # too few
    assert on_cents(_daily(CENTS / 200)) is None  # below a dollar shares are quoted finer


def test_a_file_with_half_of_its_series_off_the_cent_is_adjusted_throughout() -> None:
    bases = judge_bases([_daily(FACTORED), _daily(CENTS), _daily(CENTS[:5])])
    assert [basis for basis, _ in bases] == ["adjusted"] * 3
    assert "in 1 of the 2 series" in bases[1][1]


def test_a_file_with_fewer_is_adjusted_where_it_shows() -> None:
    bases = judge_bases([_daily(FACTORED), _daily(CENTS), _daily(CENTS), _daily(CENTS[:5])])
    assert [basis for basis, _ in bases] == ["adjusted", "raw", "raw", "raw"]
    assert "basis adjusted: only" in bases[0][1]
    assert [basis for basis, _ in judge_bases([_daily(FACTORED)])] == ["adjusted"]
    assert judge_bases([]) == []


def test_a_series_kept_as_raw_is_questioned() -> None:
    assert cent_note(_daily(CENTS)) == []
    assert "if they are adjusted prices" in cent_note(_daily(FACTORED))[0]


def test_splits_and_their_reverse_are_seen_and_moves_are_not() -> None:
    (split,) = split_notes(_daily(np.array([100.0, 101.0, 33.9, 34.0])))
    assert split.startswith("looks like a split of 3:1 on 2024-01-03: close 101, then 33.9")
    (reverse,) = split_notes(_daily(np.array([1.0, 1.01, 10.3, 10.0])))
    assert reverse.startswith("looks like a split of 1:10 on 2024-01-03")
    assert split_notes(_daily(np.array([100.0, 61.0, 80.0, 99.0]))) == []
    assert split_notes(_daily(np.array([100.0, 50.0]), "1w")) == []


def test_many_jumps_are_counted_and_a_few_shown() -> None:
    notes = split_notes(_daily(np.array([100.0, 50.0] * 6)))
    assert len(notes) == 6
    assert notes[-1] == "and 6 more such jumps"
