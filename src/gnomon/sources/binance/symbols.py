"""What exchangeInfo says of a symbol: its state and the grids its orders must lie on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from gnomon.errors import GnomonError, Invalid, NotFound
from gnomon.market.instrument import Instrument
from gnomon.units import Grid, decimal


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """The filters of one symbol: `tick` of PRICE_FILTER, `lot` and `least_quantity` of LOT_SIZE, `least_notional`."""

    symbol: str
    status: str
    tick: Grid
    lot: Grid
    least_quantity: Decimal
    least_notional: Decimal

    def apply(self, instrument: Instrument) -> Instrument:
        """The instrument on the venue's grids."""
        return replace(instrument, tick=self.tick, lot=self.lot)


def read_rules(document: Any, symbol: str) -> SymbolRules:
    """The rules of a symbol in an exchangeInfo document. `NotFound` without it; `Invalid` names the field at fault."""
    symbols = _member(document, "symbols", list, symbol)
    row = next((one for one in symbols if isinstance(one, dict) and one.get("symbol") == symbol), None)
    if row is None:
        raise NotFound(f"Binance's exchangeInfo has no symbol {symbol!r}", hint="is it spelled as at Binance?")
    filters = {one.get("filterType"): one for one in _member(row, "filters", list, symbol) if isinstance(one, dict)}
    return SymbolRules(
        symbol=symbol,
        status=str(_member(row, "status", str, symbol)),
        tick=_grid(filters, "PRICE_FILTER", "tickSize", symbol),
        lot=_grid(filters, "LOT_SIZE", "stepSize", symbol),
        least_quantity=_number(filters, "LOT_SIZE", "minQty", symbol),
        least_notional=_least_notional(filters, symbol),
    )


def _least_notional(filters: dict[Any, dict[str, Any]], symbol: str) -> Decimal:
    """Of either filter that has one (the futures market calls its field `notional`); 0 without."""
    for name, field in (("NOTIONAL", "minNotional"), ("MIN_NOTIONAL", "minNotional"), ("MIN_NOTIONAL", "notional")):
        if field in filters.get(name, {}):
            return _number(filters, name, field, symbol)
    return Decimal(0)


def _grid(filters: dict[Any, dict[str, Any]], name: str, field: str, symbol: str) -> Grid:
    step = _number(filters, name, field, symbol)
    try:
        return Grid(Decimal(format(step.normalize(), "f")))
    except GnomonError as error:
        raise _wrong(symbol, f"{name}.{field}", error.message) from None


def _number(filters: dict[Any, dict[str, Any]], name: str, field: str, symbol: str) -> Decimal:
    if name not in filters:
        raise _wrong(symbol, f"filter {name}", "it is missing")
    value = filters[name].get(field)
    if not isinstance(value, str):
        raise _wrong(symbol, f"{name}.{field}", f"a decimal as text expected, received {value!r}")
    try:
        return decimal(value)
    except Invalid as error:
        raise _wrong(symbol, f"{name}.{field}", error.message) from None


def _member(document: Any, name: str, kind: type, symbol: str) -> Any:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, kind):
        raise _wrong(symbol, name, f"{kind.__name__} expected, received {type(value).__name__}")
    return value


def _wrong(symbol: str, field: str, said: str) -> Invalid:
    return Invalid(
        f"Binance, exchangeInfo of {symbol}, {field}: {said}",
        hint="has the interface changed?",
        detail={"symbol": symbol, "field": field},
    )
