"""Strategies in the style of backtesting.py: `init` and `next`, `self.I`, `self.data`, orders by size.

    from gnomon.compat.backtesting import Strategy, crossover

Orders fill at the next open, as the session's rules say. What differs, on purpose: indicators are computed on the bars
that are closed by now, again at every bar, so one that looks ahead sees nothing; shorting needs an instrument that
allows it; `self.trades` are the run's report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from gnomon.errors import Invalid, Unavailable, nearest
from gnomon.exchange.order import OrderType, Side
from gnomon.trader import trader
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar, Candle
from gnomon.trader.orders import Order as DeskOrder
from gnomon.trader.sizing import price_of
from gnomon.units import FloatArray
from gnomon.units import decimal as exact

FULL: Final = 0.9999
"""The default size: a part of the equity so close to all of it that rounding cannot exceed it."""

COLUMNS: Final = ("Open", "High", "Low", "Close", "Volume")
HISTORY_BARS: Final = 100_000
_BELOW_ALL: Final = frozenset(dir(trader.Strategy))


class Series(NDArrayOperatorsMixin):
    """Values up to the newest bar; as a number or a truth the newest one.

    Arithmetic makes another series, so that it may be written in `init` and read in `next`.
    """

    def __init__(self, data: Data, compute: Callable[[], Any], name: str = "") -> None:
        self._data = data
        self._compute = compute
        self._at = -1
        self._now: npt.NDArray[Any] = np.empty(0)
        self.name = name

    @property
    def values(self) -> npt.NDArray[Any]:
        """(bars,), or (rows, bars) where the indicator has several."""
        if self._at != len(self._data):
            self._now, self._at = np.asarray(self._compute()), len(self._data)
        return self._now

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.values, dtype, copy=bool(copy) or None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        if method != "__call__" or "out" in named:
            return NotImplemented
        return Series(self._data, lambda: ufunc(*map(_read, inputs), **named))

    def __getitem__(self, where: Any) -> Any:
        return self.values[where]

    def __len__(self) -> int:
        return len(self._data)

    def __float__(self) -> float:
        return float(self.values[..., -1])

    def __bool__(self) -> bool:
        return bool(self.values[..., -1])


def _read(value: Any) -> Any:
    return value.values if isinstance(value, Series) else value


class Data:
    """The closed bars: `Open High Low Close Volume` as floats, `index` their opening times."""

    def __init__(self) -> None:
        self._rows = 0
        self._columns = {name: np.empty(256) for name in COLUMNS}
        self._opens = np.empty(256, np.int64)
        self.Open, self.High, self.Low, self.Close, self.Volume = (
            Series(self, lambda name=name: self._columns[name][: self._rows], name)  # type: ignore[misc]  # bound now
            for name in COLUMNS
        )

    def __len__(self) -> int:
        return self._rows

    @property
    def index(self) -> npt.NDArray[np.datetime64]:
        return self._opens[: self._rows].view("datetime64[ns]")

    def add(self, open_ns: int, values: Sequence[float]) -> None:
        if self._rows == len(self._opens):
            self._opens = np.concatenate([self._opens, np.empty_like(self._opens)])
            self._columns = {name: np.concatenate([one, np.empty_like(one)]) for name, one in self._columns.items()}
        self._opens[self._rows] = open_ns
        for name, value in zip(COLUMNS, values, strict=True):
            self._columns[name][self._rows] = value
        self._rows += 1


class Position:
    """What is held of the instrument."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def size(self) -> float:
        return float(self._desk.position(0))

    @property
    def is_long(self) -> bool:
        return self.size > 0

    @property
    def is_short(self) -> bool:
        return self.size < 0

    @property
    def pl(self) -> float:
        """What would be won by leaving at the newest price, against the average cost of what is held."""
        size, cost = self._cost()
        return (self._desk.price(0) or 0.0) * size - cost

    @property
    def pl_pct(self) -> float:
        """In percent of that cost."""
        _, cost = self._cost()
        return 100 * self.pl / abs(cost) if cost else 0.0

    def close(self, portion: float = 1.0) -> None:
        if not 0 < portion <= 1:
            raise Invalid(f"a portion of {portion}", hint="above 0, at most 1")
        if portion == 1:
            self._desk.close(0)
        elif self.is_long:
            self._desk.sell(0, pct=100 * portion)
        elif self.is_short:
            self._desk.buy(0, qty=round(-self.size * portion, 12))

    def _cost(self) -> tuple[float, float]:
        size = cost = 0.0
        for fill in self._desk.fills():
            signed = float(fill.qty) if fill.side is Side.BUY else -float(fill.qty)
            if size * signed >= 0:
                cost += signed * fill.price
            elif abs(signed) <= abs(size):
                cost *= 1 + signed / size
            else:
                cost = (size + signed) * fill.price
            size += signed
        return size, cost

    def __bool__(self) -> bool:
        return self._desk.position_lots(0) != 0


class Order:
    """An order of ours, in the words of backtesting.py."""

    def __init__(self, desk: Desk, order: DeskOrder) -> None:
        self._desk = desk
        self.order = order

    @property
    def size(self) -> float:
        sign = 1 if self.order.side is Side.BUY else -1
        return sign * float(self.order.lots * self.order.listing.lot)

    @property
    def limit(self) -> float | None:
        return price_of(self.order.listing, self.order.price_ticks) or None

    @property
    def stop(self) -> float | None:
        return price_of(self.order.listing, self.order.place.stop) or None

    @property
    def is_long(self) -> bool:
        return self.order.side is Side.BUY

    @property
    def tag(self) -> str | None:
        return self.order.label

    def cancel(self) -> None:
        self._desk.cancel(self.order)


class Strategy(trader.Strategy):
    """Write `init` and `next`; class attributes are parameters, as in `Mine(n1=5)`.

    `next` is called from the bar after the one at which every indicator has its first value.
    """

    data: Data
    init: ClassVar[Any]
    next: ClassVar[Any]

    def __init__(self, **given: Any) -> None:
        kind = type(self)
        for name in ("init", "next"):
            if not callable(getattr(kind, name, None)):
                raise Invalid(f"{kind.__qualname__} has no {name}", hint="write init(self) and next(self)")
        super().__init__()
        self._desk: Desk | None = None
        self._indicators: list[Series] = []
        self._has_begun = False
        known = [name for name in dir(kind) if name not in _OWN and not name.startswith("_")]
        for name, value in given.items():
            if name not in known or callable(getattr(kind, name)):
                close = nearest(name, known)
                hint = f"did you mean {', '.join(close)}?" if close else "class attributes are parameters"
                raise Invalid(f"{kind.__qualname__} has no parameter {name!r}", hint=hint, detail={"nearest": close})
            setattr(self, name, value)

    # --- what a strategy calls ----------------------------------------------------------------------------------------

    def I(self, func: Callable[..., Any], *arguments: Any, name: str = "", **named: Any) -> Series:  # noqa: E743, N802 - backtesting.py's name
        """An indicator: `func` of arrays, computed on the bars that are closed by now."""
        plot_words = {"plot", "overlay", "color", "scatter"}
        kept = {key: value for key, value in named.items() if key not in plot_words}
        series = Series(
            self.data,
            lambda: func(*map(_read, arguments), **{key: _read(value) for key, value in kept.items()}),
            name or getattr(func, "__name__", ""),
        )
        self._indicators.append(series)
        return series

    def buy(
        self,
        *,
        size: float = FULL,
        limit: float | None = None,
        stop: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        tag: str | None = None,
    ) -> Order:
        """`size` below 1 is a part of the free cash, from 1 on a whole number of units."""
        guards: dict[str, Any] = {"limit": limit, "stop": stop, "sl": sl, "tp": tp, "label": tag}
        desk = self._at_desk
        if _is_part(size):
            free = desk.session.listings[0].quote.decimal(desk.free_units)
            return Order(desk, desk.buy(0, usd=free * exact(size), **guards))
        return Order(desk, desk.buy(0, qty=size, **guards))

    def sell(
        self,
        *,
        size: float = FULL,
        limit: float | None = None,
        stop: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        tag: str | None = None,
    ) -> Order:
        """Of what is held: `size` below 1 is the part of the equity that is sold, from 1 on units; never more than is
        held, where the instrument cannot be sold short."""
        guards: dict[str, Any] = {"limit": limit, "stop": stop, "sl": sl, "tp": tp, "label": tag}
        desk = self._at_desk
        listing = desk.session.listings[0]
        if _is_part(size):
            ticks = desk.price_ticks(0)
            lots = int(desk.equity_units * exact(size)) // listing.notional(ticks, 1) if ticks else 0
        else:
            lots = int(exact(size) / listing.lot)
        if not listing.may_short:
            lots = min(lots, max(0, desk.position_lots(0)))
        if lots <= 0:
            raise Invalid("nothing is held that could be sold", hint="sell after a buy; this instrument has no shorts")
        return Order(desk, desk.sell(0, lots=lots, **guards))

    @property
    def position(self) -> Position:
        return Position(self._at_desk)

    @property
    def equity(self) -> float:
        return float(self._at_desk.equity)

    @property
    def orders(self) -> tuple[Order, ...]:
        """Those that wait: a MARKET order on its way is no longer one."""
        desk = self._at_desk
        return tuple(Order(desk, one) for one in desk.orders() if one.type is not OrderType.MARKET)

    @property
    def trades(self) -> tuple[Any, ...]:
        raise Unavailable("trades are not carried over", hint="use self.position, or the run's report")

    closed_trades = trades

    # --- hooks --------------------------------------------------------------------------------------------------------

    def on_start(self, desk: Desk) -> None:
        self._desk = desk
        self.data = Data()
        if self.warmup:
            past = desk.candles(0, min(self.warmup, HISTORY_BARS))
            for open_ns, row in zip(past.open_ns.tolist(), past.ohlcva()[:, :5].tolist(), strict=True):
                self.data.add(open_ns, row)
        self.init()

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        candle = bar.candles.get(desk.session.listings[0].id)
        if candle is None:
            return
        self.data.add(candle.open_ns, _values(candle))
        self._has_begun = self._has_begun or self._is_ready()
        if self._has_begun:
            self.next()

    def _is_ready(self) -> bool:
        """Whether every indicator had a value at the bar before."""
        if len(self.data) < 2:
            return False
        for one in self._indicators:
            try:
                values = np.atleast_2d(np.asarray(one.values, np.float64))
            except (ValueError, IndexError):  # too few bars for it
                return False
            if values.shape[-1] != len(self.data) or np.isnan(values[:, :-1]).all(axis=1).any():
                return False
        return True

    @property
    def _at_desk(self) -> Desk:
        if self._desk is None:
            raise Invalid("there is no desk before the run", hint="trade in next(self)")
        return self._desk


_OWN: Final = _BELOW_ALL | {
    *("data", "init", "next", "I", "buy", "sell", "position", "equity", "orders", "trades", "closed_trades"),
    *("on_start", "on_bar"),
}


def _values(candle: Candle) -> tuple[float, ...]:
    return candle.open, candle.high, candle.low, candle.close, float(candle.volume)


def _is_part(size: float) -> bool:
    if 0 < size < 1:
        return True
    if size >= 1 and float(size).is_integer():
        return False
    raise Invalid(f"a size of {size}", hint="a positive part of the equity, or a positive whole number of units")


# --- backtesting.lib and backtesting.test ---------------------------------------------------------------------------


def crossover(series1: Any, series2: Any) -> bool:
    """Whether the first has just risen above the second. Either may be a number."""
    one, two = _pair(series1), _pair(series2)
    return bool(one[0] < two[0] and one[1] > two[1])


def cross(series1: Any, series2: Any) -> bool:
    """Whether they have just crossed, either way."""
    return crossover(series1, series2) or crossover(series2, series1)


def SMA(values: Any, n: int) -> FloatArray:  # noqa: N802 - backtesting.py's name
    """Simple moving average, NaN for the first `n - 1`."""
    array = np.asarray(values, np.float64)
    means = np.full(len(array), np.nan)
    if len(array) >= n:
        windows = np.lib.stride_tricks.sliding_window_view(array, n)
        means[n - 1 :] = windows.mean(axis=1)
    return means


def _pair(series: Any) -> tuple[float, float]:
    if isinstance(series, int | float):
        return float(series), float(series)
    return float(series[-2]), float(series[-1])
