"""Scenes for runs: the input of the acceptance numbers, rough random tapes, and a trader that tries everything."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import GnomonError
from gnomon.exchange.bars import Bars
from gnomon.exchange.draws import LatencyTable
from gnomon.exchange.latency import LatencyCurve
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import ListKind, OrderType, Place, SelfTrade, Side, TimeInForce
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import FeeAsset, Fees, FillMoment, Fills, Latency, Leg, Path, Resolve, Resting, Rules, Taker
from gnomon.exchange.thresholds import Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play
from gnomon.trader.limits import Limits
from gnomon.trader.orders import OrderRequest
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS

T0 = 1_700_000_000_000_000_000
MINUTE = Timeframe.parse("1m")
UNLIMITED = Limits(0, 0, 0)
FIVE_BASIS_POINTS = Fees(50_000, 50_000, FeeAsset.QUOTE)
RICH = {"USDT": Decimal(10_000_000), "A0": Decimal(10), "A1": Decimal(10), "A2": Decimal(10)}


def listing(number: int = 0) -> Listing:
    """A tick of 0.1 and a lot of 0.001, all paid in USDT."""
    return Listing(number, f"t:A{number}", Asset(f"A{number}"), Asset("USDT"), Decimal("0.1"), Decimal("0.001"))


# --- the input of engine.md 15.1 ------------------------------------------------------------------------------------


def seeded_prints(n: int) -> Prints:
    chance = np.random.default_rng(20240809)
    middle = 600_000 + np.cumsum(chance.choice([-1, 0, 0, 1], n))
    bought = chance.random(n) < 0.5
    size = np.round(chance.gamma(1.2, 0.05, n) + 0.001, 3)
    price = np.where(bought, middle + 1, middle).astype(np.int64)
    time_ns = T0 + (np.arange(n, dtype=np.int64) + 1) * 50_000_000
    return Prints(time_ns, price, np.round(size * 1000).astype(np.int64), np.where(bought, 1, -1).astype(np.int8))


def seeded_bars(n: int) -> Bars:
    chance = np.random.default_rng(20240808)
    close = 400_000 + np.cumsum(np.round(chance.normal(0, 60, n)).astype(np.int64))
    close += max(0, 50_000 - int(close.min()))
    first = np.concatenate([close[:1], close[:-1]])
    up = np.round(np.abs(chance.normal(0, 25, n))).astype(np.int64)
    down = np.round(np.abs(chance.normal(0, 25, n))).astype(np.int64)
    volume = np.round(np.round(chance.gamma(2, 5, n) + 0.001, 3) * 1000).astype(np.int64)
    open_ns = T0 + np.arange(n, dtype=np.int64) * MINUTE_NS
    return Bars(
        open_ns,
        open_ns + MINUTE_NS,
        first,
        np.maximum(first, close) + up,
        np.minimum(first, close) - down,
        close,
        volume,
    )


# --- rough tapes ----------------------------------------------------------------------------------------------------


def rough_prints(seed: int, n: int, around: int = 10_000) -> Prints:
    """Equal stamps, stamps a nanosecond apart, pauses, jumps, prints without an aggressor."""
    chance = np.random.default_rng(seed)
    steps = chance.choice([-1, 0, 0, 1, -40, 40], n, p=[0.25, 0.24, 0.24, 0.25, 0.01, 0.01])
    price = np.maximum(100, around + np.cumsum(steps))
    gaps = chance.choice([0, 1, 1_000, 50_000_000, 2_000_000_000], n, p=[0.4, 0.1, 0.1, 0.35, 0.05])
    side = chance.choice([-1, 0, 1], n, p=[0.45, 0.1, 0.45]).astype(np.int8)
    return Prints(T0 + 1 + np.cumsum(gaps), price, chance.integers(1, 60, n), side)


def rough_bars(seed: int, n: int, around: int = 10_000) -> Bars:
    """Gaps between bars, minutes without one, bars of no volume."""
    chance = np.random.default_rng(seed)
    close = np.maximum(200, around + np.cumsum(chance.integers(-15, 16, n)))
    first = np.concatenate([close[:1], close[:-1]]) + chance.choice([0, 0, 0, 6, -6], n)
    high = np.maximum(first, close) + chance.integers(0, 12, n)
    low = np.minimum(first, close) - chance.integers(0, 12, n)
    volume = chance.choice([0, 8, 41, 1_000], n, p=[0.05, 0.15, 0.3, 0.5])
    minutes = np.cumsum(chance.choice([1, 1, 1, 1, 3], n))
    open_ns = T0 // MINUTE_NS * MINUTE_NS + minutes * MINUTE_NS
    return Bars(open_ns, open_ns + MINUTE_NS, first, high, low, close, volume)


# --- a run ----------------------------------------------------------------------------------------------------------


def tape(number: int, rows: Prints | Bars) -> Tape:
    one = listing(number)
    if isinstance(rows, Bars):
        return Tape(one, rows, BlockIndex.of_ranges(rows.low, rows.high, rows.volume), rows)
    index = BlockIndex.of_prints(rows.price, rows.lots, rows.side)
    return Tape(one, rows, index, bars_from_prints(rows, MINUTE_NS))


def ground(*rows: Prints | Bars, digest: bytes = bytes(32)) -> Ground:
    return Ground(tuple(tape(number, one) for number, one in enumerate(rows)), MINUTE, digest)


def rules(fills: Fills | None = None, fees: Fees | None = None, latency: Latency | None = None, **more: Any) -> Rules:
    return Rules(fills or Fills(), fees or FIVE_BASIS_POINTS, latency or Latency(), more.get("balances", RICH))


def plan(market: Ground, how: Rules, seed: int = 7, **more: Any) -> RunPlan:
    """Over the whole ground, with no limit of the desk in the way."""
    first_ns, last_ns = market.span()
    wanted = {asset.name for one in market.listings for asset in (one.base, one.quote)}
    how = how.with_balances({name: amount for name, amount in how.balances.items() if name in wanted})
    window = more.pop("window", (first_ns - 1, last_ns))
    return RunPlan(market, how, *window, seed, limits=UNLIMITED, **more)


def linear(rows: Prints | Bars, _index: BlockIndex, start: int, stop: int, thresholds: Thresholds) -> int:
    """`first_crossing` as its definition reads: row by row."""
    bid, ask, up, down = thresholds
    for row in range(start, stop):
        if isinstance(rows, Bars):
            low, high = rows.low.item(row), rows.high.item(row)
            sells = buys = True
        else:
            low = high = rows.price.item(row)
            sells, buys = rows.side.item(row) <= 0, rows.side.item(row) >= 0
        if (sells and low <= bid) or (buys and high >= ask) or high >= up or low <= down:
            return row
    return stop


def recorded(how: RunPlan, trader: Any) -> tuple[Played, Record]:
    kept = Kept()
    run = play(how, trader, sink=kept, mode="full")
    return run, Record(kept)


# --- a trader that tries everything ---------------------------------------------------------------------------------


class Restless(Strategy):
    """Asks for whatever its own dice say, of every kind that a desk can send."""

    dice = 0
    instruments = 1
    calm = 0.4
    """How often it does nothing when woken."""

    def on_start(self, desk: Any) -> None:
        self.chance = random.Random(self.dice)
        self.seen: list[tuple[Any, ...]] = []
        desk.after(1_000_000, "first")

    def on_timer(self, desk: Any, name: str) -> None:
        self.seen.append((desk.now, name))
        self.try_one(desk)

    def try_one(self, desk: Any) -> None:
        if self.chance.random() < self.calm:
            return
        number = self.chance.randrange(self.instruments)
        last = desk.price_ticks(number)
        self.seen.append((desk.now, number, last, desk.position_lots(number), desk.cash_units, len(desk.orders())))
        if not last:
            return
        move = self.chance.choice(MOVES)
        try:
            move(self, desk, number, last)
        except GnomonError as error:  # the desk's own refusals are part of the run
            desk.note(str(error))

    # --- moves --------------------------------------------------------------------------------------------------------

    def market(self, desk: Any, number: int, last: int) -> None:
        side = self.chance.choice(list(Side))
        if self.chance.random() < 0.2:
            usd = last * self.chance.randint(1, 40) // 10_000 + 1
            desk.submit(OrderRequest(listing(number).id, side, OrderType.MARKET, usd=usd))
        else:
            desk.submit(OrderRequest(listing(number).id, side, OrderType.MARKET, lots=self.chance.randint(1, 120)))

    def limit(self, desk: Any, number: int, last: int) -> None:
        side, tif = self.chance.choice(list(Side)), self.chance.choice(list(TimeInForce))
        kind = self.chance.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.LIMIT_MAKER])
        price = last + self.chance.randint(-6, 6)
        request = OrderRequest(
            listing(number).id, side, kind, lots=self.chance.randint(1, 90), price_ticks=price,
            tif=tif if kind is OrderType.LIMIT else TimeInForce.GTC, stp=self.chance.choice(list(SelfTrade)),
        )  # fmt: skip
        desk.submit(request)

    def quote(self, desk: Any, number: int, last: int) -> None:
        bid, ask = last - self.chance.randint(0, 4), last + self.chance.randint(0, 4)
        which = self.chance.randrange(5)
        keep, post_only = self.chance.random() < 0.7, self.chance.random() < 0.2
        lots = self.chance.choice([10, 10, 25])
        desk.quote_ticks(0 if which == 1 else bid, 0 if which == 2 else ask, lots, number, post_only, keep)

    def stop_order(self, desk: Any, number: int, last: int) -> None:
        kind = self.chance.choice(
            [OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT]
        )
        side = self.chance.choice(list(Side))
        rises = (kind in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)) == (side is Side.BUY)
        stop = last + self.chance.randint(1, 8) * (1 if rises else -1)
        bips = self.chance.choice([0, 0, 10, 25])
        limited = kind in (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
        request = OrderRequest(
            listing(number).id, side, kind, lots=self.chance.randint(1, 40),
            price_ticks=stop + self.chance.randint(-4, 4) if limited else None,
            stop_ticks=None if bips and self.chance.random() < 0.5 else stop, trailing_bips=bips,
        )  # fmt: skip
        desk.submit(request)

    def pair(self, desk: Any, number: int, last: int) -> None:
        """One cancels the other."""
        side = self.chance.choice(list(Side))
        sign, lots = (1 if side is Side.SELL else -1), self.chance.randint(1, 30)
        profit = Place(number, side, OrderType.LIMIT_MAKER, lots, last + sign * self.chance.randint(2, 7))
        stop = last - sign * self.chance.randint(2, 7)
        kind = self.chance.choice([OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT])
        price = stop - sign * self.chance.randint(0, 3) if kind is OrderType.STOP_LOSS_LIMIT else 0
        desk.send_pair(profit, Place(number, side, kind, lots, price, stop=stop), None)

    def follow(self, desk: Any, number: int, last: int) -> None:
        """One that works, and one or a pair that begins when it is filled."""
        side, lots = self.chance.choice(list(Side)), self.chance.randint(1, 20)
        sign, out, name = (1 if side is Side.BUY else -1), side.opposite, listing(number).id
        at = last - sign * self.chance.randint(-1, 3)
        orders = [OrderRequest(name, side, OrderType.LIMIT, lots=lots, price_ticks=at)]
        kind = ListKind.OTO if self.chance.random() < 0.5 else ListKind.OTOCO
        far = at + sign * self.chance.randint(1, 6)
        if kind is ListKind.OTOCO:
            orders.append(OrderRequest(name, out, OrderType.LIMIT_MAKER, lots=lots, price_ticks=far))
            loss = at - sign * self.chance.randint(2, 6)
            orders.append(OrderRequest(name, out, OrderType.STOP_LOSS, lots=lots, stop_ticks=loss))
        elif self.chance.random() < 0.5:
            orders.append(OrderRequest(name, out, OrderType.MARKET, lots=lots))
        else:
            orders.append(OrderRequest(name, out, OrderType.LIMIT, lots=lots, price_ticks=far))
        desk.submit_list(kind, orders)

    def guarded(self, desk: Any, number: int, last: int) -> None:
        """Bought with a profit taken and a loss cut, which the desk places once it is filled."""
        price = last / 10
        desk.buy(number, lots=self.chance.randint(1, 30), sl=price - 0.5, tp=price + 0.5)

    def cancel(self, desk: Any, number: int, _last: int) -> None:
        found = desk.orders()
        if found and self.chance.random() < 0.9:
            desk.cancel(self.chance.choice(found))
        else:
            desk.cancel_all(number)

    def modify(self, desk: Any, _number: int, last: int) -> None:
        found = [order for order in desk.orders() if order.number and order.price_ticks]
        if found:
            order = self.chance.choice(found)
            price = None if self.chance.random() < 0.5 else last + self.chance.randint(-5, 5)
            desk.modify(order, lots=max(1, order.lots // 2), price_ticks=price)

    def timer(self, desk: Any, _number: int, _last: int) -> None:
        desk.after(self.chance.choice([1, 1_000, 70_000_000, 400_000_000]), f"t{self.chance.randrange(3)}")
        desk.note("a timer is set")


MOVES = (
    Restless.market, Restless.limit, Restless.limit, Restless.quote, Restless.quote, Restless.stop_order,
    Restless.pair, Restless.follow, Restless.guarded, Restless.cancel, Restless.modify, Restless.timer,
)  # fmt: skip


def restless(seed: int, *, every: int = 7, instruments: int = 1, bars: bool = False, hears: bool = False) -> Strategy:
    """A restless trader woken by prints (or by bars), that also hears its own events if told so."""

    def woken(self: Any, desk: Any, _event: Any) -> None:
        self.try_one(desk)

    def heard(self: Any, desk: Any, change: Any) -> None:
        self.seen.append((desk.now, type(change).__name__))
        if self.chance.random() < 0.2:
            self.try_one(desk)

    hooks: dict[str, Any] = {"dice": seed, "instruments": instruments}
    if bars:
        hooks["on_bar"] = woken
    else:
        hooks |= {"on_trade": woken, "wake": {"every_nth_print": every}}
    if hears:
        hooks |= {"on_fill": heard, "on_order": heard}
    return type("Seeded", (Restless,), hooks)()


def sentences(told: Sequence[tuple[int, Any]]) -> list[str]:
    """Outcomes with their times, for comparing two runs with a readable difference."""
    return [f"{at_ns} {outcome}" for at_ns, outcome in told]


# --- random sessions ------------------------------------------------------------------------------------------------

SPREAD_OUT = LatencyTable(tuple(step * 100_000 for step in range(1_025)))
"""From 0 to 102 ms."""


UP_AND_DOWN = LatencyCurve((T0, T0 + 10**9, T0 + 2 * 10**9, T0 + 9 * 10**9), (1_000_000, 90_000_000, 0, 40_000_000))
"""A recording."""


def random_rules(seed: int) -> Rules:
    chance = random.Random(seed)

    def leg() -> Leg:
        kind = chance.random()
        if kind < 0.5:
            return Leg(table=SPREAD_OUT if kind < 0.3 else UP_AND_DOWN)
        return Leg(chance.choice([0, 0, 1, 5_000_000, 120_000_000]))

    fills = Fills(
        resting=chance.choice(list(Resting)),
        ahead=chance.choice([-1, 0, 20]),
        share=chance.choice([0, 1_000_000, 300_000]),
        taker=chance.choice([Taker.AUTO, Taker.AUTO, Taker.REST, Taker.NEXT_PRINT]),
        slippage_ticks=chance.choice([0, 1]),
        path=chance.choice(list(Path)),
        moment=chance.choice(list(FillMoment)),
        resolve=chance.choice(list(Resolve)),
    )
    asset = chance.choice([FeeAsset.QUOTE, FeeAsset.RECEIVED])
    fees = Fees(chance.choice([-10_000, 20_000]), 50_000, asset)
    feed = leg() if chance.random() < 0.3 else Leg(chance.choice([0, 0, 30_000_000]))
    return rules(fills, fees, Latency(feed, leg(), leg()))


def random_session(seed: int, rows: int = 300) -> tuple[RunPlan, Callable[[], Strategy]]:
    """A plan over 1 to 3 tapes of prints or of bars, and who makes its trader anew."""
    chance = random.Random(seed)
    count, is_bars = chance.choice([1, 1, 2, 3]), chance.random() < 0.4
    every, hears = chance.choice([1, 3, 7, 20]), chance.random() < 0.5
    tapes = [
        rough_bars(10 * seed + number, rows // 4) if is_bars else rough_prints(10 * seed + number, rows)
        for number in range(count)
    ]
    how = plan(ground(*tapes), random_rules(seed), seed)
    return how, lambda: restless(seed, every=every, instruments=count, bars=is_bars, hears=hears)
