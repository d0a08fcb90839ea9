"""The catalog: strategies by name, by `module:Class`, or by `file.py:Class`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from gnomon.errors import Invalid, NotFound, nearest
from gnomon.trader import purity
from gnomon.trader.strategies.buy_and_hold import BuyAndHold
from gnomon.trader.strategies.crosses import EmaCross, SmaCross
from gnomon.trader.strategies.forecast_follower import BandSizer, ForecastFollower, Rotate
from gnomon.trader.strategies.market_maker import MarketMaker
from gnomon.trader.strategies.mean_reversion import MeanReversion
from gnomon.trader.trader import Strategy

_ENTRIES: Final[dict[str, type[Strategy]]] = {
    "buy_and_hold": BuyAndHold,
    "sma_cross": SmaCross,
    "ema_cross": EmaCross,
    "mean_reversion": MeanReversion,
    "market_maker": MarketMaker,
    "forecast_follower": ForecastFollower,
    "band_sizer": BandSizer,
    "rotate": Rotate,
}

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "sma_cross_40_200": {"fast": 40, "slow": 200},
    "ema_cross_40_200": {"fast": 40, "slow": 200},
}
"""Names that stand for parameters of the strategy whose name they begin with."""


FROM_FILE: Final = "__gnomon_from_file__"
"""Marks modules that were read from a trader's file: no other module gives way to one."""

COMPATIBLE: Final[Mapping[str, str]] = {"backtesting": "gnomon.compat.backtesting"}
"""Packages that strategies elsewhere import, and what stands in for them here."""


def names() -> tuple[str, ...]:
    """Every name, presets last."""
    return (*_ENTRIES, *PRESETS)


def kind(spec: str) -> type[Any]:
    """The class of a name, of `module:Class` or of `file.py:Class`.

    Raises `NotFound` with the nearest name, `Invalid` when what is found is no class that trades.
    """
    found = named(spec)
    if not isinstance(found, type):
        raise Invalid(f"{spec} is no class", hint="module:Class")
    return found


def named(spec: str) -> Any:
    """Whatever stands under a name, `module:Class` or `file.py:Class`, a class or not.

    `NotFound` with the nearest name; `Invalid` where the module itself raises when it is read.
    """
    if ":" not in spec:
        base = next((name for name in _ENTRIES if spec == name or (spec in PRESETS and spec.startswith(name))), None)
        if base is None:
            close = nearest(spec, names())
            hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(names())}, or module:Class"
            raise NotFound(f"no strategy {spec!r}", hint=hint, detail={"nearest": close})
        return _ENTRIES[base]
    place, _, name = spec.rpartition(":")
    module = _module(place)
    found = getattr(module, name, None)
    if found is None:
        close = nearest(name, vars(module))
        raise NotFound(
            f"{place} has no {name!r}", hint=f"did you mean {', '.join(close)}?" if close else "a class name"
        )
    return found


def strategy(spec: str, params: Mapping[str, Any] | None = None) -> Any:
    """A trader, ready to begin. `Refused` when its source leaves the desk, `Invalid` for a wrong parameter."""
    found = kind(spec)
    if not issubclass(found, Strategy):
        raise Invalid(f"{spec} is no Strategy", hint="inherit from gnomon.trader.trader.Strategy, or use gnomon.compat")
    purity.check(found)
    return found(**{**PRESETS.get(spec, {}), **(params or {})})


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return import_module(place)
        except ModuleNotFoundError as error:
            raise NotFound(f"no module {place!r}", hint="a dotted name, or a path that ends in .py") from error
    path = Path(place)
    spec = spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise NotFound(f"no file {place}", hint="a path to a Python file, then : and the class")
    module = module_from_spec(spec)
    before = sys.modules.get(path.stem)  # so that its source can be found: of this file, not of one read before it
    if before is None or FROM_FILE in vars(before):
        setattr(module, FROM_FILE, True)
        sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        twin = COMPATIBLE.get(str(error.name).partition(".")[0])
        hint = f"import {twin} instead" if twin else "install it, or take its import out"
        raise NotFound(f"{place} imports {error.name}, which is not here", hint=hint) from error
    return module
