"""Traders by name, whatever they were written for: our strategies, backtesting.py's, and bots that decide by row.

| what stands under the name | becomes |
|---|---|
| a `Strategy` of ours, or of `gnomon.compat.backtesting` | itself |
| a class with `decisionFunction(self, row)` | a `DecisionTrader` around it; parameters go to its constructor |
| a function of a row | a `DecisionTrader` around it; parameters are its keywords |
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gnomon.compat.decision import DecisionTrader
from gnomon.errors import Invalid, nearest
from gnomon.trader import purity
from gnomon.trader.strategies import catalog
from gnomon.trader.trader import Strategy

WAYS = "a Strategy of gnomon.trader.trader or gnomon.compat.backtesting, or decisionFunction(row)"


def trader_of(spec: str, params: Mapping[str, Any] | None = None) -> Strategy:
    """A trader of a name, `module:name` or `file.py:name`, ready to begin.

    `NotFound` with near names, `Invalid` for what is no trader and for a wrong parameter, `Refused` when its source
    leaves the desk.
    """
    found = catalog.named(spec)
    if isinstance(found, type) and issubclass(found, Strategy):
        ours: Strategy = catalog.strategy(spec, params)
        return ours
    if not callable(found):
        raise Invalid(f"{spec} is no trader: {type(found).__name__}", hint=f"name {WAYS}")
    given = dict(params or {})
    if isinstance(found, type):
        _check_class(spec, found)
        purity.check(found)
        _check_words(spec, found, (), given)
        return DecisionTrader(found(**given))
    purity.check(found)
    _check_words(spec, found, ("row",), given)
    return DecisionTrader(_bot(found, given))


def tunable(spec: str) -> type[Any] | None:
    """The dataclass of its parameters with their ranges; None where they have none, as of what decides by row."""
    found = catalog.named(spec)
    if isinstance(found, type) and issubclass(found, Strategy):
        shape: type[Any] = found.Params
        return shape if shape is not Strategy.Params or spec in catalog.names() else None
    return None


def _check_class(spec: str, found: type[Any]) -> None:
    if callable(getattr(found, "decisionFunction", None)):
        return
    if callable(getattr(found, "makeOneIteration", None)):
        raise Invalid(
            f"{spec} is event-driven: it only overrides makeOneIteration, which reads the present",
            hint="write decisionFunction(self, row) to replay it",
        )
    if callable(getattr(found, "next", None)):
        raise Invalid(f"{spec} has next, and is no Strategy", hint="inherit from gnomon.compat.backtesting.Strategy")
    close = nearest("decisionFunction", dir(found))
    raise Invalid(f"{spec} is no trader", hint=f"did you mean decisionFunction? it has {close[0]}" if close else WAYS)


def _check_words(spec: str, made: Callable[..., Any], first: tuple[str, ...], given: Mapping[str, Any]) -> None:
    """Whether it can be called so. `Invalid` names the parameter it does not take, and the nearest."""
    try:
        shape = inspect.signature(made)
    except (TypeError, ValueError):  # written in C, say
        return
    try:
        shape.bind(*first, **given)
    except TypeError as error:
        known = [name for name in shape.parameters if name not in first]
        near = [name for wrong in given if wrong not in known for name in nearest(wrong, known)]
        takes = f"it takes {shape}"
        raise Invalid(f"{spec}: {error}", hint=f"did you mean {near[0]}? {takes}" if near else takes) from None


def _bot(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """An object whose `decisionFunction` the function is, under the function's own name."""
    words = {"decisionFunction": staticmethod(partial(function, **given)), "__module__": function.__module__}
    return type(function.__qualname__, (), words)()
