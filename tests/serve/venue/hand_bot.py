"""A bot of a paced session whose clock is moved by hand: the real run, account and handlers, behind the door's own
turn of a request. Two clients of it: one that is careful, and one that is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import orjson
from tests.exchange.venue import prints
from tests.serve.venue.courses import START_NS, btc, tape, usual_rules

from gnomon.clock import Timeframe
from gnomon.exchange.fault_plan import FaultPlan
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import RunPlan
from gnomon.serve.venue import market_data, order_entry, order_lists, queries
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.faults import Break, WireFaults
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.group import Group
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import NONE, ROUTES, Route
from gnomon.serve.venue.stamps import StampRule
from gnomon.serve.venue.turns import Turn
from gnomon.trader.limits import Limits
from gnomon.units import SECOND_NS

HANDLERS = {**order_entry.HANDLERS, **order_lists.HANDLERS, **queries.HANDLERS, **market_data.HANDLERS}
BY_METHOD: dict[str, Route] = {one.method: one for one in ROUTES.values()}
MARKET = [text for _ in range(60) for text in ("B 10000 x 500", "S 9999 x 500")]
"""Two minutes: last price 99.99 or 100.00, bid 99.99, ask 100.00."""

MS = 10**6


class NoStreams:
    """Nobody subscribes to a stream here."""

    next_ns = 2**63 - 1

    def subscribe(self, names: Sequence[str], _now_ns: int) -> Sequence[str]:
        return list(names)

    def unsubscribe(self, names: Sequence[str]) -> None: ...

    def take(self, _upto_ns: int) -> Sequence[tuple[str, bytes]]:
        return []


class Driven(Protocol):
    """Whose turns they are."""

    @property
    def course(self) -> BotCourse: ...


class HandTurn(Turn):
    """A turn whose answer is kept."""

    def __init__(self, route: Route, bot: Driven) -> None:
        self.route, self.course, self.wake, self.counted, self.is_done = route, None, "", 0, False
        self.is_called = self.is_heard = False
        self.key, self.n = "", 0
        self.bot = bot
        self.at_ns = 0
        self.value: Any = None
        self.refusal: VenueRefusal | None = None

    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        self.at_ns, self.value, self.refusal = self.bot.course.now_ns, value, refusal


class Bot:
    """A bot of a paced session whose clock is moved by hand; seconds are those of the tape."""

    def __init__(self, *entries: Any, every_s: int = 1, exposure: str = "") -> None:
        rows, listing = prints(tape(*MARKET, every_s=every_s)), btc()
        index = BlockIndex.of_prints(rows.price, rows.lots, rows.side)
        held = Tape(listing, rows, index, bars_from_prints(rows, 60 * SECOND_NS))
        ground = Ground((held,), Timeframe.parse("1m"), bytes(32))
        rules = replace(usual_rules(), faults=FaultPlan.parse({"entry": list(entries), "exposure": exposure}))
        self.plan = RunPlan(ground, rules, START_NS, START_NS + 121 * every_s * SECOND_NS, 7, limits=Limits(0, 0, 0))
        self.kept = Kept()
        self.group = Group(START_NS, NoStreams())
        self.course = BotCourse("run-1", self.plan, lambda _plan, exchange, run: Account(exchange, run), self.kept)
        self.course.drive(self.group, self._hear)
        self.group.courses.append(self.course)
        self.course.gate = Gate(StampRule("virtual", START_NS, 0))
        self.course.on_break = self._broken
        self.events: list[dict[str, Any]] = []
        self.heard_ns: list[int] = []
        self.breaks: list[tuple[float, Break]] = []
        assert self.course.run is not None

    def _hear(self, due_ns: int, event: Any) -> None:
        self.events.append(orjson.loads(event.body))
        self.heard_ns.append(due_ns)

    def _broken(self, what: Break) -> None:
        self.breaks.append(((self.course.now_ns - START_NS) / SECOND_NS, what))

    @property
    def faults(self) -> WireFaults:
        found = self.course.faults
        assert found is not None
        return found

    def until(self, second: float) -> None:
        self.group.advance(START_NS + int(second * SECOND_NS))

    def call(self, method: str, offset_ms: int = 0, **params: Any) -> HandTurn:
        """A signed request, stamped by virtual time and an offset, through the checks of the door."""
        turn = HandTurn(BY_METHOD[method], self)
        texts = {name: str(one) for name, one in params.items()}
        try:
            now_ns = turn.enter(self.course, texts)  # type: ignore[arg-type]  # its account is the real one
            if turn.route.security is not NONE:
                self.course.gate.stamps.check(str(self.course.now_ns // MS + offset_ms), None, now_ns, now_ns)
            turn.run(HANDLERS[method], texts, True, "")
        except VenueRefusal as refusal:
            turn.reply(None, refusal)
        return turn

    def limit(self, price: str = "90.00", side: str = "BUY", quantity: str = "1", **more: Any) -> HandTurn:
        given = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "price": price} | more
        return self.call("order.place", side=side, quantity=quantity, **given)

    def market(self, quantity: str = "1") -> HandTurn:
        return self.call("order.place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=quantity)

    def orders(self) -> list[Any]:
        found: list[Any] = self.call("openOrders.status", symbol="BTCUSDT").value
        return found

    def base(self) -> str:
        balances = self.call("account.status").value["balances"]
        found: str = next(one["free"] for one in balances if one["asset"] == "BTC")
        return found

    def record(self) -> Record:
        if self.course.run.played is None:
            self.group.advance(self.plan.end_ns - 1)
            self.course.run.close()
        return Record(self.kept)


# --- clients --------------------------------------------------------------------------------------------------------


class Client:
    """Holds half a coin at most: buys one half, then sells what it believes to have; rests a bid and cancels it.

    Woken each other second, and told what the streams have brought since.
    """

    is_careful = True

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.position = 0  # thousandths, as it believes
        self.known: list[Any] = []
        self.heard = self.broken = self.sent = 0
        self.open: list[tuple[HandTurn, dict[str, Any]]] = []
        self.half = 500
        self.is_alive = True
        self.skew_ms = 0
        self.wait_ns = 0
        self.seen_ns = START_NS

    def go(self, seconds: int) -> None:
        for second in range(4, seconds, 2):
            self.bot.until(second)
            now_ns = self.bot.course.now_ns
            if not self.bot.faults.freezes("btcusdt@kline_1m", now_ns):
                self.seen_ns = now_ns
            self.hear()
            if self.is_alive and now_ns >= self.wait_ns:
                self.act(second)

    def hear(self) -> None:
        events, self.heard = self.bot.events[self.heard :], len(self.bot.events)
        for event in events:
            self.report(event)
        breaks, self.broken = self.bot.breaks[self.broken :], len(self.bot.breaks)
        for _, what in breaks:
            self.break_off(what)

    def count(self, event: dict[str, Any]) -> None:
        lots = int(event["l"].replace(".", "")) // 100_000
        self.position += lots if event["S"] == "BUY" else -lots

    def report(self, event: dict[str, Any]) -> None:
        raise NotImplementedError

    def break_off(self, what: Break) -> None:
        raise NotImplementedError

    def act(self, second: int) -> None:
        raise NotImplementedError

    def new_id(self) -> str:
        self.sent += 1
        return f"c{self.sent}"

    def order(self, second: int) -> dict[str, Any]:
        """What it would send now."""
        given: dict[str, Any] = {"symbol": "BTCUSDT", "newClientOrderId": self.new_id()}
        if second % 8 == 0:
            return given | {
                "type": "LIMIT",
                "timeInForce": "GTC",
                "side": "BUY",
                "price": "98.00",
                "quantity": f"{self.half / 1000:.3f}",
            }
        side, lots = ("SELL", self.position) if self.position >= self.half else ("BUY", self.half)
        return given | {"type": "MARKET", "side": side, "quantity": f"{lots / 1000:.3f}"}

    def send(self, order: dict[str, Any]) -> HandTurn:
        turn = self.bot.call("order.place", self.skew_ms, **order)
        if not turn.is_done:
            self.open.append((turn, order))
        return turn


class Careful(Client):
    """Does what is expected of a bot after each fault."""

    def report(self, event: dict[str, Any]) -> None:
        if event.get("x") == "TRADE" and event["I"] not in self.known:
            self.known.append(event["I"])
            self.count(event)

    def break_off(self, what: Break) -> None:
        if not what.is_notice:
            self.reconcile()

    def ask(self, method: str, **params: Any) -> HandTurn:
        """Again, once, where its clock was off."""
        turn = self.bot.call(method, self.skew_ms, **params)
        if turn.refusal is not None and turn.refusal.code == -1021:
            self.sync()
            turn = self.bot.call(method, self.skew_ms, **params)
        return turn

    def sync(self) -> None:
        told_ms = self.bot.call("time").value["serverTime"]
        self.skew_ms = told_ms - self.bot.course.now_ns // MS

    def reconcile(self) -> None:
        self.ask("klines", symbol="BTCUSDT", interval="1m")
        trades = self.ask("myTrades", symbol="BTCUSDT").value or []
        self.position = sum(
            (1 if one["isBuyer"] else -1) * int(one["qty"].replace(".", "")) // 100_000 for one in trades
        )
        self.heard = len(self.bot.events)

    def act(self, second: int) -> None:
        now_ns = self.bot.course.now_ns
        self.open = [one for one in self.open if not one[0].is_done]
        if self.open or now_ns - self.seen_ns > 10 * SECOND_NS:
            return
        if self.bot.faults.loses_user(now_ns):  # its stream is not there yet: it asks
            self.reconcile()
            return
        for one in self.ask("openOrders.status", symbol="BTCUSDT").value or []:
            cancelled = self.ask("order.cancel", symbol="BTCUSDT", orderId=one["orderId"])
            if cancelled.refusal is not None and cancelled.refusal.code == -2011:
                self.ask("order.status", symbol="BTCUSDT", orderId=one["orderId"])
        self.hear()
        self.place(self.order(second), tries=3)

    def place(self, order: dict[str, Any], tries: int) -> None:
        turn = self.send(order)
        refusal = turn.refusal
        if refusal is None or not tries:
            return
        if refusal.retry_after_s:
            self.wait_ns = self.bot.course.now_ns + refusal.retry_after_s * SECOND_NS
        elif refusal.status >= 500:
            asked = self.ask("order.status", symbol="BTCUSDT", origClientOrderId=order["newClientOrderId"])
            if asked.refusal is not None and asked.refusal.code == -2013:
                self.place(order, tries - 1)
        elif refusal.code == -1021:
            self.sync()
            self.place(order, tries - 1)
        elif refusal.code == -1013:
            (symbol,) = self.bot.call("exchangeInfo", symbol="BTCUSDT").value["symbols"]
            least = next(one["minNotional"] for one in symbol["filters"] if one["filterType"] == "NOTIONAL")
            self.half = max(self.half, int(float(least) / 90 * 1000) + 1)


class Naive(Client):
    """Sends again without asking, counts what it is told twice, waits for nobody, never looks back."""

    is_careful = False

    def report(self, event: dict[str, Any]) -> None:
        if event.get("x") == "NEW":
            self.known.append(event["i"])
        elif event.get("x") == "TRADE" and event["i"] in self.known:
            self.count(event)

    def break_off(self, what: Break) -> None:
        if not (what.is_user_only or what.is_notice) and not self.bot.faults.loses_user(self.bot.course.now_ns):
            self.is_alive = False  # it waits for a socket that is not there

    def act(self, second: int) -> None:
        late = [order for turn, order in self.open if not turn.is_done]
        self.open = []
        for order in late:
            self.send(order | {"newClientOrderId": self.new_id()})
        for one in self.bot.call("openOrders.status", symbol="BTCUSDT").value or []:
            for _ in range(3):
                cancelled = self.bot.call("order.cancel", symbol="BTCUSDT", orderId=one["orderId"])
                if cancelled.refusal is None:
                    break
        self.hear()
        order = self.order(second)
        for _ in range(4):
            turn = self.send(order)
            if turn.refusal is None:
                break
            order = order | {"newClientOrderId": self.new_id()}
