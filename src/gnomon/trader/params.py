"""Parameters of a strategy: a frozen dataclass whose fields say which values a sweep may try.

    class Params:
        fast: int = between(20, 5, 60, 5)
        size: str = among("all", "fixed")

`between` and `among` are for the fields; `build`, `grid` and `sample` are for whoever makes strategies from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from itertools import product
from math import prod
from typing import Any, Final

from gnomon import chance
from gnomon.errors import Exhausted, Invalid, nearest

SPACE: Final = "space"
ALIASES: Final = "aliases"
LARGEST_GRID: Final = 1_000_000
TRIES: Final = 1_000
"""Draws that one sample may take to meet the rules of its class."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; a sweep tries them `step` apart."""

    low: float
    high: float
    step: float

    def __post_init__(self) -> None:
        if not (self.low <= self.high and self.step > 0):
            raise Invalid(f"a range from {self.low} to {self.high} by {self.step}", hint="low <= high, a positive step")

    def __contains__(self, value: object) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high  # type: ignore[operator]  # it is a number here

    def values(self) -> tuple[float, ...]:
        """Counted from `low`, so that no rounding adds up; integers stay integers."""
        steps = int((self.high - self.low) / self.step + 1e-9)
        return tuple(round(self.low + k * self.step, 12) if k else self.low for k in range(steps + 1))

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values."""

    options: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return any(value == one and type(value) is type(one) for one in self.options)

    def values(self) -> tuple[Any, ...]:
        return self.options

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.options))}"


def between(default: float, low: float, high: float, step: float = 1, *, aliases: tuple[str, ...] = ()) -> Any:
    """A field that holds a number from `low` to `high`."""
    return field(default=default, metadata={SPACE: Range(low, high, step), ALIASES: aliases})


def among(default: Any, *others: Any, aliases: tuple[str, ...] = ()) -> Any:
    """A field that holds `default` or one of the others."""
    return field(default=default, metadata={SPACE: Choices((default, *others)), ALIASES: aliases})


@dataclass(frozen=True)
class NoParams:
    """Of a strategy that has nothing to choose."""


def build(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """An instance of the dataclass `kind`.

    Raises `Invalid` for a name that it doesn't have (with the nearest), for a value outside its range or choices, and
    for whatever the class itself refuses.
    """
    known = {one.name: one for one in fields(kind)}
    spelled = {alias: one.name for one in known.values() for alias in one.metadata.get(ALIASES, ())}
    values: dict[str, Any] = {}
    for name, value in given.items():
        true_name = spelled.get(name, name)
        if true_name not in known:
            raise _unknown(name, [*known, *spelled])
        if true_name in values:
            raise Invalid(f"parameter {true_name} is given twice", hint=f"once, as {true_name}")
        values[true_name] = _checked(known[true_name], value)
    missing = [one.name for one in known.values() if one.name not in values and _has_no_default(one)]
    if missing:
        raise Invalid(f"parameter {missing[0]} is missing", hint=f"pass {missing[0]}=…")
    return kind(**values)


def grid(kind: type[Any], **only: Any) -> Iterator[dict[str, Any]]:
    """Every combination that `kind` accepts, the last field fastest. `only` fixes a field, or lists its values."""
    axes = _axes(kind, only)
    size = prod(len(values) for values in axes.values())
    if size > LARGEST_GRID:
        raise Exhausted(f"a grid of {size:,} combinations", hint=f"at most {LARGEST_GRID:,}: fix a field, or sample")
    for values in product(*axes.values()):
        one = dict(zip(axes, values, strict=True))
        if _accepts(kind, one):
            yield one


def sample(kind: type[Any], n: int, seed: int, **only: Any) -> list[dict[str, Any]]:
    """`n` combinations drawn by identity: the k-th one is the same however many are asked for."""
    axes = _axes(kind, only)
    return [_drawn(kind, axes, seed, k) for k in range(n)]


def document(params: Any) -> dict[str, Any]:
    """Name to value, for a record."""
    return asdict(params)


def _drawn(kind: type[Any], axes: Mapping[str, tuple[Any, ...]], seed: int, k: int) -> dict[str, Any]:
    for attempt in range(TRIES):
        one = {
            name: values[int(chance.uniform(seed, "sweep", name, k, attempt) * len(values))]
            for name, values in axes.items()
        }
        if _accepts(kind, one):
            return one
    raise Invalid(f"no combination of {kind.__qualname__} was accepted in {TRIES:,} draws", hint="widen its ranges")


def _axes(kind: type[Any], only: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    known = {one.name: one for one in fields(kind)}
    for name in only:
        if name not in known:
            raise _unknown(name, known)
    axes: dict[str, tuple[Any, ...]] = {}
    for name, one in known.items():
        if name in only:
            chosen = only[name]
            axes[name] = tuple(chosen) if isinstance(chosen, list | tuple | range) else (chosen,)
        elif SPACE in one.metadata:
            axes[name] = one.metadata[SPACE].values()
    return axes


def _accepts(kind: type[Any], values: Mapping[str, Any]) -> bool:
    """Whether the class itself takes this combination: fast below slow, say."""
    try:
        kind(**{name: _checked(one, values[name]) for one in fields(kind) if (name := one.name) in values})
    except Invalid:
        return False
    return True


def _checked(one: Field[Any], value: Any) -> Any:
    space = one.metadata.get(SPACE)
    if space is not None and value not in space:
        raise Invalid(f"parameter {one.name} is {value!r}", hint=str(space))
    if isinstance(one.default, int) and not isinstance(one.default, bool) and isinstance(value, float):
        if not value.is_integer():
            raise Invalid(f"parameter {one.name} is {value!r}", hint="a whole number")
        return int(value)
    return value


def _has_no_default(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _unknown(name: str, known: Any) -> Invalid:
    close = nearest(name, known)
    hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known) or 'none'}"
    return Invalid(f"no parameter {name!r}", hint=hint, detail={"nearest": close})
