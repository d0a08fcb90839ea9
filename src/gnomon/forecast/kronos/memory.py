"""Memory is bounded: a call is drawn in pieces, and a gate for each device lets in what fits.

A gate bounds memory, not correctness: whatever order pieces run in, their bytes are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gnomon.errors import Invalid
from gnomon.forecast.kronos.window import Rules

DEFAULT_BUDGET_BYTES: Final = 1 << 30
_FLOAT: Final = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the memory of a draw depends on."""

    layers: int
    width: int
    ff_dim: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some samples of some series, drawn together, and about how many bytes they hold at most."""

    series: tuple[int, ...]
    samples: tuple[int, int]
    nbytes: int


def pieces(sizes: Sizes, lengths: Sequence[int], samples: int, rules: Rules, budget_bytes: int | None) -> list[Piece]:
    """Neighbouring series together while they fit the budget; one series alone in groups of samples where it must.

    Without a budget all is one piece.
    """
    whole = _piece(sizes, tuple(range(len(lengths))), (0, samples), lengths, rules)
    return [whole] if budget_bytes is None else _split(sizes, whole, lengths, rules, budget_bytes)


def halves(sizes: Sizes, piece: Piece, lengths: Sequence[int], rules: Rules) -> list[Piece]:
    """The two halves of a piece: of its series, or of its samples where it has one; none where it is one path."""
    first, last = piece.samples
    if len(piece.series) > 1:
        middle = len(piece.series) // 2
        parts = [(piece.series[:middle], piece.samples), (piece.series[middle:], piece.samples)]
    elif last - first > 1:
        middle = (first + last) // 2
        parts = [(piece.series, (first, middle)), (piece.series, (middle, last))]
    else:
        return []
    return [_piece(sizes, series, given, lengths, rules) for series, given in parts]


def _split(sizes: Sizes, piece: Piece, lengths: Sequence[int], rules: Rules, budget_bytes: int) -> list[Piece]:
    if piece.nbytes <= budget_bytes:
        return [piece]
    parts = halves(sizes, piece, lengths, rules)
    return [one for half in parts for one in _split(sizes, half, lengths, rules, budget_bytes)] or [piece]


def _piece(
    sizes: Sizes, series: tuple[int, ...], samples: tuple[int, int], lengths: Sequence[int], rules: Rules
) -> Piece:
    """Keys and values of the past once, of new bars once a path; activations of the widest pass."""
    longest = max(rules.past_bars(lengths[at]) for at in series)
    rows = len(series) * (samples[1] - samples[0])
    a_bar = 2 * (sizes.layers + 1) * sizes.width
    kept = (len(series) * longest + rows * rules.horizon_bars) * a_bar
    at_once = max(longest, rows, (samples[1] - samples[0]) * rules.horizon_bars)
    active = at_once * (4 * sizes.width + 3 * sizes.ff_dim) + rows * 16 * sizes.vocabulary
    return Piece(series, samples, _FLOAT * (kept + active))


class Gate:
    """Lets pieces in while together they hold at most `limit_bytes`; a larger one runs alone. First come, first in."""

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 1:
            raise Invalid(f"a limit of {limit_bytes} bytes", hint="how much memory the pieces of a device may hold")
        self.limit_bytes = limit_bytes
        self._held, self._turn, self._next = 0, 0, 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, nbytes: int) -> Iterator[None]:
        """Wait for room, keep it for the block."""
        with self._changed:
            ticket, self._next = self._next, self._next + 1
            self._changed.wait_for(lambda: ticket == self._turn and self._fits(nbytes))
            self._turn += 1
            self._held += nbytes
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held -= nbytes
                self._changed.notify_all()

    def _fits(self, nbytes: int) -> bool:
        return self._held == 0 or self._held + nbytes <= self.limit_bytes


_gates: dict[str, Gate] = {}
_gates_lock = threading.Lock()


def gate_of(device: str, limit_bytes: int = 4 * DEFAULT_BUDGET_BYTES) -> Gate:
    """The gate of a device in this process."""
    with _gates_lock:
        return _gates.setdefault(device, Gate(limit_bytes))
