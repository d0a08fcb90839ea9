"""Strategies as a configuration names them: built in, a class, a factory, or any object that hears market data.

What is no `Strategy` is made one: its callbacks are called, and what `on_market_data` returns is sent.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from gnomon.errors import Invalid
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import OrderType, Side, TimeInForce
from gnomon.trader.orders import OrderRequest
from gnomon.trader.params import document
from gnomon.trader.strategies import catalog
from gnomon.trader.trader import KINDS, Strategy
from gnomon.units import decimal

HOOKS: Final = ("on_start", "on_stop", *(f"on_{kind}" for kind in KINDS))
SPELLINGS: Final = {"fast_period": "fast", "slow_period": "slow"}
CROSSES: Final = ("ema_cross", "sma_cross")


def built_in() -> tuple[str, ...]:
    """The names that need no module."""
    return catalog.names()


def load(name: str, params: Mapping[str, Any], paths: Sequence[str] = (), listing: Listing | None = None) -> Strategy:
    """The strategy of a name, ready to begin. `listing` is the first instrument, which quantities are counted in.

    Raises `NotFound` with the nearest name, `Invalid` for wrong parameters and for what cannot trade, `Refused` for a
    class that leaves the desk.
    """
    for path in reversed(paths):
        if path not in sys.path:
            sys.path.insert(0, path)
    if ":" not in name:
        found: Strategy = catalog.strategy(name, _translated(name, params, listing))
        return found
    made = catalog.named(name)
    if isinstance(made, type) and issubclass(made, Strategy):
        if _arity(getattr(made, "on_market_data", None)) != 1:
            strategy: Strategy = catalog.strategy(name, params)
            return strategy
        return bridged(made(**params))
    if not callable(made):
        raise Invalid(f"{name} is no class and no factory", hint="module:factory_or_class")
    try:
        made = made(**params)
    except TypeError as error:
        raise Invalid(f"{name} does not take these parameters: {error}", hint="the keys of [strategy]") from error
    if isinstance(made, Strategy) and _arity(getattr(type(made), "on_market_data", None)) != 1:
        return made
    return bridged(made)


def fingerprint(name: str, strategy: Strategy) -> str:
    """BLAKE2b-256 over kind, name, parameters and code: who trades, beside what it trades in."""
    kind = type(strategy)
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        code = ""
    said = {
        "kind": "strategy",
        "name": name,
        "parameters": document(strategy.params),
        "code": hashlib.blake2b(code.encode(), digest_size=32).hexdigest(),
    }
    text = json.dumps(said, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=32, person=b"gnomon.trader").hexdigest()


def bridged(inner: Any) -> Strategy:
    """A `Strategy` around an object with callbacks. `Invalid` for one that hears nothing of the market."""
    hooks: dict[str, Any] = {}
    for name in HOOKS:
        method = getattr(inner, name, None)
        if callable(method):
            hooks[name] = _passed(method)
    hears = getattr(inner, "on_market_data", None)
    if callable(hears):
        hooks["on_market_data"] = _hearing(hears, _arity(hears))
    for name in ("universe", "timeframe", "warmup", "needs", "wake"):
        if hasattr(inner, name):
            hooks[name] = getattr(inner, name)
    kind = type(type(inner).__name__, (Strategy,), hooks)
    made: Strategy = kind()
    return made


def _passed(method: Callable[..., Any]) -> Callable[..., Any]:
    def hook(_self: Any, *arguments: Any) -> Any:
        return method(*arguments)

    return hook


def _hearing(method: Callable[..., Any], arity: int) -> Callable[[Any, Any, Any], None]:
    def on_market_data(_self: Any, desk: Any, event: Any) -> None:
        decided = method(event) if arity == 1 else method(desk, event)
        for one in _decisions(decided):
            desk.submit(_request(desk, one))

    return on_market_data


def _decisions(decided: Any) -> Sequence[Mapping[str, Any]]:
    if decided is None:
        return ()
    return [decided] if isinstance(decided, Mapping) else list(decided)


def _request(desk: Any, one: Mapping[str, Any]) -> OrderRequest:
    """A decision in words: side, type, quantity, price, time_in_force."""
    try:
        return OrderRequest(
            str(one.get("symbol") or desk.instruments()[0].id),
            Side[str(one["side"]).upper()],
            OrderType[str(one.get("type", "MARKET")).upper()],
            qty=one["quantity"],
            price=one.get("price"),
            stop=one.get("stop_price"),
            tif=TimeInForce[str(one.get("time_in_force", "GTC")).upper()],
        )
    except KeyError as error:
        raise Invalid(f"a decision without, or with an unknown {error}", hint="side, type, quantity, price") from None


def _arity(method: Any) -> int:
    """How many arguments it is called with, itself apart."""
    if method is None:
        return 0
    parameters = [one for one in inspect.signature(method).parameters if one != "self"]
    return len(parameters)


def _translated(name: str, params: Mapping[str, Any], listing: Listing | None) -> dict[str, Any]:
    """With the parameters' own names; a quantity as lots of the instrument."""
    found = {SPELLINGS.get(key, key): value for key, value in params.items()}
    if "quantity" in found and name.startswith(CROSSES):
        quantity = decimal(found.pop("quantity"))
        step = listing.lot if listing is not None else Decimal(1)
        found |= {"size": "fixed", "lots": max(1, int(quantity / step))}
    return found
