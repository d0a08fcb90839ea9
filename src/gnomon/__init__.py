"""Market forecasts that are stored once, scored in public and shown beside an honest baseline.

The names of `__all__` are the whole public face. Each is loaded when it is first asked for, so `import gnomon` costs
nothing: no NumPy, no database, no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnomon._version import __version__

if TYPE_CHECKING:
    from gnomon.clock import Timeframe, iso, parse_instant
    from gnomon.errors import Conflict, Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
    from gnomon.forecast.catalog import forecaster
    from gnomon.forecast.forecast import LEVELS, Context, Forecast, context_at
    from gnomon.forecast.forecaster import Forecaster
    from gnomon.market.calendar import Sessions
    from gnomon.market.candles import Candles
    from gnomon.market.instrument import Instrument, Instruments
    from gnomon.market.synth import synthetic_candles
    from gnomon.market.tape import History, Series, Tape
    from gnomon.market.trades import Trades
    from gnomon.score.compare import board
    from gnomon.sources.instruments import shipped_instruments
    from gnomon.sources.sessions import load_sessions
    from gnomon.store.store import Store

__all__ = [
    "LEVELS",
    "Candles",
    "Conflict",
    "Context",
    "Exhausted",
    "Forecast",
    "Forecaster",
    "GnomonError",
    "History",
    "Instrument",
    "Instruments",
    "Invalid",
    "NotFound",
    "Refused",
    "Series",
    "Sessions",
    "Store",
    "Tape",
    "Timeframe",
    "Trades",
    "Unavailable",
    "__version__",
    "board",
    "context_at",
    "forecaster",
    "iso",
    "load_sessions",
    "parse_instant",
    "shipped_instruments",
    "synthetic_candles",
]

_HOMES = {
    "gnomon.clock": ("Timeframe", "iso", "parse_instant"),
    "gnomon.errors": ("Conflict", "Exhausted", "GnomonError", "Invalid", "NotFound", "Refused", "Unavailable"),
    "gnomon.forecast.catalog": ("forecaster",),
    "gnomon.forecast.forecast": ("LEVELS", "Context", "Forecast", "context_at"),
    "gnomon.forecast.forecaster": ("Forecaster",),
    "gnomon.market.calendar": ("Sessions",),
    "gnomon.market.candles": ("Candles",),
    "gnomon.market.instrument": ("Instrument", "Instruments"),
    "gnomon.market.synth": ("synthetic_candles",),
    "gnomon.market.tape": ("History", "Series", "Tape"),
    "gnomon.market.trades": ("Trades",),
    "gnomon.score.compare": ("board",),
    "gnomon.sources.instruments": ("shipped_instruments",),
    "gnomon.sources.sessions": ("load_sessions",),
    "gnomon.store.store": ("Store",),
}

if not TYPE_CHECKING:  # a type checker reads the imports above, so that a misspelt name is an error to it

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _HOMES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module 'gnomon' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
