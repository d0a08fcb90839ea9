"""The truncation test: whatever is computed at a cutoff must not depend on anything that became knowable after it.

`Compute` takes a world and a cutoff and answers with anything made of numbers, arrays, texts and containers of them. A
candidate (an encoder, a forecaster, a calibration, a pool) is blind to the future when it answers alike over the whole
world and over the world cut at the cutoff, whose later part is garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from gnomon.chance import generator
from gnomon.clock import iso
from gnomon.market.candles import Candles
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.market.instrument import Split
from gnomon.market.tape import History, Series, Tape
from gnomon.units import DAY_NS

LEADERS = ("fx:DXY", "us:VIX")
"""Series whose bars after the cut are dropped; those of any other are perturbed."""


@dataclass(frozen=True)
class World:
    """All that was ever said and printed: candles with every revision, and statements about events."""

    candles: tuple[Candles, ...]
    statements: tuple[CalendarEvent, ...] = ()
    splits: Mapping[str, tuple[Split, ...]] | None = None

    def tape(self) -> Tape:
        splits = self.splits or {}
        return Tape(Series(History(one), splits.get(one.instrument, ())) for one in self.candles)

    def book(self) -> EventBook:
        return EventBook(self.statements)


Compute = Callable[[World, int], Any]


def cut(world: World, at_ns: int, *, dropped: Sequence[str] = LEADERS, seed: int = 0) -> World:
    """The world as it could be known at the instant, with garbage after it."""
    luck = generator(seed, "truncation", at_ns)
    candles = tuple(_cut_candles(one, at_ns, one.instrument in dropped) for one in world.candles)
    return replace(world, candles=candles, statements=tuple(_cut_statements(world.statements, at_ns, luck)))


def _cut_candles(candles: Candles, at_ns: int, is_dropped: bool) -> Candles:
    later = candles.knowable_ns > at_ns
    if is_dropped:
        return candles.take(~later)
    prices = {
        name: np.where(later, 3 * getattr(candles, name) + 1, getattr(candles, name))
        for name in ("open", "high", "low", "close", "volume")
    }
    return replace(candles, **prices, amount=np.where(later, -1, candles.amount))


def _cut_statements(
    statements: Iterable[CalendarEvent], at_ns: int, luck: np.random.Generator
) -> Iterable[CalendarEvent]:
    """What was known stays; of what came later a third is gone, and the rest says something else at another time."""
    gone: set[str] = set()
    for one in statements:
        if one.knowable_ns <= at_ns:
            yield one
        elif one.listed_ns > at_ns or one.id in gone or luck.random() < 1 / 3:
            gone.add(one.id)
        else:
            yield replace(
                one,
                scheduled_ns=one.scheduled_ns + int(luck.integers(-3, 4)) * DAY_NS,
                forecast=None if one.forecast is None else one.forecast + 1e3,
                actual=None if one.actual is None else one.actual - 1e3,
                detail=dict.fromkeys(one.detail, -500.0),
            )


def assert_blind_to_the_future(world: World, compute: Compute, cutoffs: Iterable[int], *, seed: int = 0) -> int:
    """How many cutoffs were tried; fails at the first one where the future shows."""
    tried = 0
    for at_ns in cutoffs:
        difference = unlike(compute(world, at_ns), compute(cut(world, at_ns, seed=seed), at_ns))
        assert not difference, f"at {iso(at_ns)} the future shows: {difference}"
        tried += 1
    return tried


def assert_sees(world: World, changed: World, compute: Compute, at_ns: int) -> None:
    """Fails unless the change shows: a computation that looks at nothing is blind too."""
    assert unlike(compute(world, at_ns), compute(changed, at_ns)), f"at {iso(at_ns)} the change does not show"


def unlike(one: Any, other: Any, path: str = "") -> str:
    """Where two answers differ by more than 1e-12; empty where they don't."""
    if type(one) is not type(other):
        return f"{path}: {type(one).__name__} and {type(other).__name__}"
    if isinstance(one, np.ndarray):
        return _unlike_arrays(one, other, path)
    if isinstance(one, float):
        return _unlike_arrays(np.array([one]), np.array([other]), path)
    if is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in fields(one) if not field.name.startswith("_")]
        parts = ((f"{path}.{name}", getattr(one, name), getattr(other, name)) for name in names)
    elif isinstance(one, Mapping):
        if one.keys() != other.keys():
            return f"{path}: keys {sorted(one)} and {sorted(other)}"
        parts = ((f"{path}[{key!r}]", one[key], other[key]) for key in one)
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return f"{path}: {len(one)} and {len(other)} items"
        parts = ((f"{path}[{index}]", a, b) for index, (a, b) in enumerate(zip(one, other, strict=True)))
    else:
        return "" if one == other else f"{path}: {one!r} and {other!r}"
    return next((found for name, a, b in parts if (found := unlike(a, b, name))), "")


def _unlike_arrays(one: np.ndarray, other: np.ndarray, path: str) -> str:
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{path}: {one.dtype}{one.shape} and {other.dtype}{other.shape}"
    if one.dtype.kind == "f":
        equal = np.isclose(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)
    else:
        equal = np.asarray(one == other)
    if equal.all():
        return ""
    where = tuple(int(i) for i in np.argwhere(~equal)[0])
    return f"{path}{list(where)}: {one[where]!r} and {other[where]!r}, {int((~equal).sum())} in all"
