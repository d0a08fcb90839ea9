"""Four whole runs with nothing random in them, and their digests: `python -m tests.replay.fixed_runs` prints them.

Tapes and trader are integer arithmetic alone, so no release of a library moves them. Whoever means to move an output
raises `ENGINE_VERSION` and writes the printed JSON under "runs" of tests/golden/digests.json.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from tests.replay.scene import RICH, T0, ground, listing, plan

from gnomon.exchange.bars import Bars
from gnomon.exchange.draws import LatencyTable
from gnomon.exchange.order import OrderType, Place, Side
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import WHOLE, FeeAsset, Fees, Fills, Latency, Leg, Resting, Rules, Taker
from gnomon.replay.ground import ENGINE_VERSION
from gnomon.replay.run import RunPlan, play
from gnomon.trader.orders import OrderRequest
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS

ROWS = 1_200


def _numbers(seed: int, n: int) -> list[int]:
    """A linear congruential generator's high bits."""
    state, found = seed, []
    for _ in range(n):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        found.append(state >> 40)
    return found


def fixed_prints(seed: int) -> Prints:
    price, at, columns = 10_000, T0, []
    for number in _numbers(seed, ROWS):
        price += (-2, -1, -1, 0, 0, 1, 1, 2)[number % 8]
        at += (0, 0, 1, 1_000_000, 200_000_000)[number // 8 % 5]
        columns.append((at, price, 1 + number // 64 % 50, (-1, 1, -1, 1, 0)[number // 4_096 % 5]))
    time_ns, prices, lots, side = (np.array(one, np.int64) for one in zip(*columns, strict=True))
    return Prints(time_ns, prices, lots, side.astype(np.int8))


def fixed_bars(seed: int) -> Bars:
    close, columns = 10_000, []
    for row, number in enumerate(_numbers(seed, ROWS // 4)):
        first, close = close + number % 3 - 1, close + number // 8 % 21 - 10
        high, low = max(first, close) + number // 256 % 9, min(first, close) - number // 4_096 % 9
        at = T0 // MINUTE_NS * MINUTE_NS + row * MINUTE_NS
        columns.append((at, at + MINUTE_NS, first, high, low, close, number // 65_536 % 400))
    return Bars(*(np.array(one, np.int64) for one in zip(*columns, strict=True)))


class Fixed(Strategy):
    """Does the next of a list of things at each call."""

    wake = {"every_nth_print": 9}  # noqa: RUF012 - class data of a strategy is written so
    instruments = 1

    def on_start(self, desk: Any) -> None:
        self.calls = 0
        desk.every("20s", "tick")

    def on_trade(self, desk: Any, _event: Any) -> None:
        self.calls += 1
        n, number = self.calls, self.calls % self.instruments
        last, name = desk.price_ticks(number), listing(number).id
        if n % 6 == 0:
            side = Side.BUY if n % 4 else Side.SELL
            desk.submit(OrderRequest(name, side, OrderType.MARKET, lots=1 + n % 40))
        elif n % 6 == 1:
            desk.quote_ticks(last - 2, last + 2, 10, number, keep=n % 5 > 0)
        elif n % 6 == 2:
            kind = OrderType.STOP_LOSS if n % 4 else OrderType.TAKE_PROFIT_LIMIT
            price = None if kind is OrderType.STOP_LOSS else last - 5
            bips = 20 if n % 3 else 0
            desk.submit(OrderRequest(name, Side.BUY, kind, lots=5, price_ticks=price, trailing_bips=bips,
                                     stop_ticks=last + (4 if kind is OrderType.STOP_LOSS else -4)))  # fmt: skip
        elif n % 6 == 3:
            profit = Place(number, Side.SELL, OrderType.LIMIT_MAKER, 6, last + 3)
            desk.send_pair(profit, Place(number, Side.SELL, OrderType.STOP_LOSS, 6, stop=last - 3), None)
        elif n % 6 == 4 and desk.orders():
            found = sorted(desk.orders(), key=lambda one: (one.request, one.side))
            desk.cancel(found[n % len(found)])
        else:
            desk.note(f"{n}: {desk.position_lots(number)} lots")

    def on_timer(self, desk: Any, name: str) -> None:
        desk.note(name)
        desk.cancel_all(0)


class OnBars(Fixed):
    wake = {}  # noqa: RUF012 - class data of a strategy is written so
    on_bar = Fixed.on_trade
    on_trade = None


class OnTwo(Fixed):
    instruments = 2

    def on_fill(self, desk: Any, fill: Any) -> None:
        desk.note(f"{fill.lots} at {fill.price_ticks}")


DRAWN = Leg(table=LatencyTable(tuple(step * 150_000 for step in range(1_025))))


def runs() -> dict[str, tuple[RunPlan, Strategy]]:
    plain, quoted = Fees(20_000, 50_000), Fees(-10_000, 50_000, FeeAsset.QUOTE)
    late = Latency(Leg(3_000_000), DRAWN, DRAWN)
    touch = Fills(resting=Resting.TOUCH, share=WHOLE, taker=Taker.REST)
    return {
        "prints": (plan(ground(fixed_prints(1)), Rules(Fills(), plain, Latency(), RICH)), Fixed()),
        "late": (plan(ground(fixed_prints(2)), Rules(touch, quoted, late, RICH)), Fixed()),
        "bars": (plan(ground(fixed_bars(3)), Rules(Fills(), plain, Latency(), RICH)), OnBars()),
        "two": (plan(ground(fixed_prints(4), fixed_prints(5)), Rules(Fills(), quoted, late, RICH)), OnTwo()),
    }


def digests() -> dict[str, Any]:
    found: dict[str, Any] = {"engine": ENGINE_VERSION}
    for name, (how, trader) in runs().items():
        played = play(how, trader)
        counts = {"orders": played.orders, "fills": played.fills, "rejects": played.rejects}
        found[name] = {**played.digests.row(), **counts}
    return found


if __name__ == "__main__":
    print(json.dumps(digests(), indent=2))  # noqa: T201 - what it is for
