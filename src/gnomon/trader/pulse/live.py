"""Live: a strategy by plain streams, against any Binance-compatible endpoint. Time goes on by itself.

The clock of the desk is the newest event's time. User events say what became of orders; REST repairs what they missed:
after a connection was lost, and when an order stays without an answer.
"""

from __future__ import annotations

import heapq
import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from gnomon.clock import Clock
from gnomon.errors import GnomonError
from gnomon.exchange.outcome import Outcome, Rejected
from gnomon.trader.decisions import Decision
from gnomon.trader.desk import OWN, WATCH, Desk, Finished
from gnomon.trader.events import Bar, BestQuote, Candle, Trade
from gnomon.trader.orders import Pending
from gnomon.trader.pulse.client import NOT_THERE, Refusal, Rest, Signer, Sleep, Unknown, Unreached
from gnomon.trader.pulse.config import Config
from gnomon.trader.pulse.feed import Arrived, Feed
from gnomon.trader.pulse.market import PublicSight
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.prints import MS, CandleReader, TradeReader, count
from gnomon.trader.pulse.repair import BY_FILTER, Repair
from gnomon.trader.pulse.reports import Reports
from gnomon.trader.pulse.sockets import Lost, WebSocket
from gnomon.trader.pulse.sockets import Rejected as TurnedAway
from gnomon.trader.pulse.tally import Book, Tally
from gnomon.trader.pulse.wording import Call, Wording
from gnomon.trader.trader import Strategy, heard

MARKET, USER = "market", "user"
FIRST_WAIT_S: Final = 0.5
GIVEN_UP_S: Final = 300.0
QUERIES: Final = 4
HELD_UP_S: Final = 0.25
"""A call that takes longer has held the bot up."""

PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "order.place": ("POST", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "order.amend.keepPriority": ("PUT", "/api/v3/order/amend/keepPriority"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "orderList.place.oco": ("POST", "/api/v3/orderList/oco"),
    "orderList.place.oto": ("POST", "/api/v3/orderList/oto"),
    "orderList.place.otoco": ("POST", "/api/v3/orderList/otoco"),
}

QUERY_PATHS: Final[Mapping[str, tuple[str, bool]]] = {
    # with whether they are signed
    "order.status": ("/api/v3/order", True),
    "openOrders.status": ("/api/v3/openOrders", True),
    "myTrades": ("/api/v3/myTrades", True),
    "account.status": ("/api/v3/account", True),
    "exchangeInfo": ("/api/v3/exchangeInfo", False),
}


OVER: Final = "the session is over"


class Ended(Exception):
    """The session is over: the venue opens no stream."""


class Live:
    """Drives one strategy by streams. `failure` is what a callback has raised."""

    def __init__(
        self, config: Config, facts: SessionFacts, trader: Strategy, rest: Rest, signer: Signer, tally: Tally,
        clock: Clock, sleep: Sleep, is_stopping: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.config, self.trader = config, trader
        self._rest, self._signer, self._tally, self._clock = rest, signer, tally, clock
        self._sleep, self._is_stopping = sleep, is_stopping
        self._symbol, self._listing = facts.symbols[0], facts.plan.listings[0]
        self.sight = PublicSight(facts, rest)
        self.desk = Desk(facts.plan, self.sight, None, self.sight, self)
        self.reports = Reports({self._symbol: self._listing}, self.desk.assets())
        self._repairs = Repair(self._asked, {self._symbol: self._listing}, self.reports)
        self._book = Book(tally, facts.plan.listings, self.desk.assets())
        self._wording = Wording(facts.plan.listings, facts.symbols, self.desk.client_id)
        self.wakes = heard(trader.wakes(), trader.hook)
        self._bar = Bar({self._listing.id: Candle(self._listing)})
        self._candle = CandleReader(self._bar.candle)
        self._trade = TradeReader(Trade(self._listing), -1)
        self._messages: queue.Queue[Arrived] = queue.Queue(config.run.queue_maxsize)
        run = config.run
        offer_s = run.queue_offer_timeout_seconds
        self._feeds = {
            MARKET: Feed(MARKET, self._market_socket, self._messages, offer_s, run.ws_timeout_seconds),
            USER: Feed(USER, self._user_socket, self._messages, offer_s, 0.0),
        }
        self._timers: list[tuple[int, str]] = []
        self._asked_at: dict[int, int] = {}
        self._prints = 0
        self._requests = 0
        self._is_held_up = False  # a call has taken long: what has come meanwhile is old
        self._newest: dict[str, Any] | None = None  # while catching up: what hooks are called with after it
        self._polled_ns = 0
        self.log: list[Decision] = []
        self.reason = ""
        self.failure: Exception | None = None

    # --- the course ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until somebody stops it, the strategy finishes or fails, or the session is over."""
        for name in (USER, MARKET):
            self._open(name, first=True)
        try:
            self._decide(lambda: self.desk.begin(self.trader))
            while not self._is_stopping():
                self._step()
            self.reason = "stopped"
        except Finished as finished:
            self.reason = f"finished: {finished.reason}"
            self._send()
        except Ended as ended:
            self.reason = str(ended)
        except Refusal as refused:
            if not refused.is_key:
                raise
            self.reason = OVER
        except (Unreached, Lost, TurnedAway):
            raise
        except Exception as raised:
            self._fail(raised)
            return
        self._bid_farewell()

    def close(self) -> None:
        for name, feed in self._feeds.items():
            feed.close()
            self._tally.lost(name, self._clock.now_ns())

    def decided(self, decision: Decision) -> None:
        """The desk has closed a decision."""
        self._tally.decisions += 1
        self.log.append(decision)
        del self.log[:-10_000]

    def _fail(self, raised: Exception) -> None:
        self.failure, self.reason = raised, f"{type(raised).__name__}: {raised}"
        self.desk.outbox.clear()
        self.desk.close_decision()
        self._cancel_all()

    def _bid_farewell(self) -> None:
        try:
            self.desk.end()
        except Finished:
            pass
        except Exception as raised:
            self.failure = raised
        self.desk.outbox.clear()
        if self.config.run.cancel_on_stop:
            self._cancel_all()

    def _cancel_all(self) -> None:
        try:
            self._rest.once("DELETE", "/api/v3/openOrders", {"symbol": self._symbol})
        except Refusal as refused:
            if refused.number not in NOT_THERE:
                self._tally.fail(f"open orders stay: {refused.message}")
        except GnomonError as error:
            self._tally.fail(f"open orders may stay: {error.message}")

    # --- one event ----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._tally.queue_depth = self._messages.qsize()
        try:
            arrived = self._messages.get(timeout=0.1)
        except queue.Empty:
            self._poll()
            return
        self._take(arrived)
        if self._is_held_up:
            self._catch_up()
        self._poll()

    def _take(self, arrived: Arrived) -> None:
        if arrived.generation != self._feeds[arrived.stream].generation:
            return  # of a connection that is gone
        if arrived.lost:
            self._repair(arrived.stream, arrived.lost)
            return
        event = orjson.loads(arrived.raw)
        if arrived.stream == USER:
            self._own(event)
        else:
            self._market(event.get("data", event))

    def _catch_up(self) -> None:
        """What came while a call held everything up is taken in first, and then decided on once: on the newest, not on
        each bar of the past as if it were now."""
        self._is_held_up, self._newest = False, {}
        for _ in range(self._messages.qsize()):
            self._take(self._messages.get())
        newest, self._newest = self._newest, None
        for kind, what in newest.items():
            self._call(kind, what)

    def _market(self, event: Mapping[str, Any]) -> None:
        kind = event.get("e") or "bookTicker"
        self._count(str(kind))
        if kind == "serverShutdown":
            self._repair(MARKET, "serverShutdown")
        elif kind == "kline":
            self._take_kline(event)
        elif kind in ("trade", "aggTrade"):
            trade = self._trade.read(event, 0)
            self._advance(trade.time_ns)
            self.sight.priced(trade.time_ns, trade.price_ticks)
            self._prints += 1
            every = self.wakes.every_nth_print
            if every and self._prints % every == 0:
                self._call("trade", trade)
        elif kind == "bookTicker":
            one = self._listing
            bid, ask = count(event["b"], one.tick), count(event["a"], one.tick)
            quantities = count(event["B"], one.lot), count(event["A"], one.lot)
            self._call("quote", BestQuote(0, self.desk.now_ns, bid, ask, *quantities))

    def _take_kline(self, event: Mapping[str, Any]) -> None:
        k = event["k"]
        if not k["x"]:
            self._advance(int(event["E"]) * MS)
            return
        candle = self._candle.read(k)
        self._bar.time_ns = candle.close_ns
        self._advance(candle.close_ns)
        self.sight.closed(candle)
        self._call("bar", self._bar)

    def _own(self, event: Mapping[str, Any]) -> None:
        if "event" not in event:
            return
        said = event["event"]
        self._count(str(said["e"]))
        if said["e"] == "serverShutdown":
            self._repair(USER, "serverShutdown")
            return
        self._hear([said], int(said["E"]) * MS)

    def _hear(self, events: Sequence[Mapping[str, Any]], at_ns: int) -> None:
        outcomes = self.reports.outcomes(events)
        self._advance(at_ns)
        self._tell(outcomes)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes:
            self._book.take(outcomes)
            self.desk.hear(self.desk.now_ns, outcomes)
            self._decide(lambda: self.desk.alarm(OWN))

    def _advance(self, at_ns: int) -> None:
        """The clock is there; timers that are due by then ring on the way."""
        while self._newest is None and self._timers and self._timers[0][0] <= at_ns:
            due_ns, name = heapq.heappop(self._timers)
            self.desk.now_ns = max(self.desk.now_ns, due_ns)
            self._decide(lambda name=name: self.desk.alarm(name))  # type: ignore[misc]  # a lambda has no annotations
        if at_ns > self.desk.now_ns:
            self.desk.now_ns = at_ns
        self._tally.virtual_ns = self.desk.now_ns

    def _count(self, kind: str) -> None:
        self._tally.events[kind] += 1
        self._tally.last_event_ns = self._clock.now_ns()

    def _call(self, kind: str, what: Any) -> None:
        if self._newest is not None:
            self._newest[kind] = what
            return
        hook = self.trader.hook(kind)
        if hook is not None:
            self._decide(lambda: hook(self.desk, what))

    def _decide(self, hook: Callable[[], object]) -> None:
        hook()
        self._send()

    # --- orders -------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        desk = self.desk
        if desk.is_deciding:
            desk.close_decision()
        requests, desk.outbox = list(desk.outbox), []
        for due_ns, name in desk.alarms:
            if name == WATCH:
                desk.take_watches()
            elif name != OWN:
                heapq.heappush(self._timers, (due_ns, name))
        desk.alarms.clear()
        for request in requests:
            self._requests += 1
            call = self._wording.call(request, self._requests)
            self.reports.sent(self._requests, call.clients)
            self._order(call)

    def _order(self, call: Call) -> None:
        """Sent once. What cannot be known is asked for; user events say the rest."""
        verb, path = PATHS[call.method]
        params = {name: text for name, text in call.params.items() if name != "reduceOnly"}
        if params.get("timeInForce") == "GTX":
            params["type"] = "LIMIT_MAKER"
            del params["timeInForce"]
        self._tally.orders[params.get("side", ""), params.get("type", call.method)] += 1
        started_ns = self._clock.now_ns()
        try:
            self._rest.once(verb, path, params)
            self._tally.acked += 1
        except Refusal as refused:
            if refused.is_key:
                raise
            self._refused(call, refused)
        except (Unknown, Unreached) as unknown:
            self._tally.fail(unknown.message)
            self._ask_for(call, was_sent=isinstance(unknown, Unknown))
        finally:
            took_s = (self._clock.now_ns() - started_ns) / 1e9
            self._is_held_up |= took_s > HELD_UP_S
            self._tally.latency["wall"].add(took_s)

    def _refused(self, call: Call, refused: Refusal) -> None:
        self._tally.fail(refused.message)
        outcomes = self.reports.refused(call.request, refused.number, refused.msg, refused.data)
        self._book.take(outcomes)
        self.desk.hear(self.desk.now_ns, outcomes)
        if any(isinstance(one, Rejected) and one.refusal in BY_FILTER for one in outcomes):
            self.desk.rules_changed(self._listing.number, self._repairs.filters(self._listing))
        if self.desk.is_listening:
            self._timers.insert(0, (self.desk.now_ns, OWN))
            heapq.heapify(self._timers)

    def _ask_for(self, call: Call, was_sent: bool) -> None:
        """What became of a request whose answer was lost. An order that is not there is refused; it is never sent
        again. Of what makes no order, the open ones tell."""
        if not call.clients:
            self._reconcile(self._repairs.orders(self.desk.orders())[0])
            return
        for attempt in range(QUERIES if was_sent else 0):
            found = [self._repairs.order(self._listing, name) for name in call.clients]
            if any(found):
                self._reconcile([one for one in found if one])
                return
            self._tally.retries += 1
            self._sleep(min(FIRST_WAIT_S * 2**attempt, 2.0))
        self._refused(call, Refusal(503, -1007, "no answer, and no such order"))

    # --- repairs ------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Orders without an answer for too long are asked for."""
        now_ns = self._clock.now_ns()
        poll_ns = int(self.config.run.pending_poll_seconds * 1e9)
        if not poll_ns or now_ns - self._polled_ns < poll_ns:
            return
        self._polled_ns = now_ns
        waiting = [one for one in self.desk.orders() if isinstance(one.state, Pending) and one.id and not one.number]
        still = {one.serial for one in waiting}
        self._asked_at = {serial: at for serial, at in self._asked_at.items() if serial in still}
        late = [one for one in waiting if now_ns - self._asked_at.setdefault(one.serial, now_ns) >= poll_ns]
        found = [self._repairs.order(self._listing, one.id) for one in late]
        self._reconcile([one for one in found if one])

    def _repair(self, stream: str, why: str) -> None:
        """A connection is gone: open it again, read what was missed, then say so to the strategy."""
        tally = self._tally
        if why == "overflow":
            tally.overflows += 1
        tally.lost(stream, self._clock.now_ns())
        tally.degrade(f"{stream}: {why}", self._clock.now_ns())
        tally.fail(f"{stream}: {why}")
        self._open(stream)
        if stream == MARKET:
            self.sight.lost()
        if not self._rest.get("/api/v3/account", signed=True).get("canTrade", True):  # a session that is over
            raise Ended(OVER)
        self._reconcile(self._repairs.orders(self.desk.orders())[0])
        hook = self.trader.hook("degraded")
        if hook is not None:
            self._decide(lambda: hook(self.desk, why))

    def _reconcile(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Orders as the venue has them, as the reports that would have said so."""
        self._tell(self._repairs.outcomes(orders))

    def _asked(self, method: str, params: Mapping[str, str]) -> Any:
        path, is_signed = QUERY_PATHS[method]
        return self._rest.get(path, params, signed=is_signed)

    # --- connections --------------------------------------------------------------------------------------------------

    def _open(self, name: str, first: bool = False) -> None:
        waited_s, attempt = 0.0, 0
        while True:
            try:
                self._feeds[name].open()
                self._tally.connected(name, self._clock.now_ns())
                return
            except TurnedAway as rejected:
                if first:
                    raise
                raise Ended(f"the venue opens no stream: {rejected.message}") from rejected
            except Lost as lost:
                wait_s = min(FIRST_WAIT_S * 2**attempt, self.config.run.ws_reconnect_max_seconds)
                if waited_s >= (6.0 if first else GIVEN_UP_S) or self._is_stopping():
                    raise Unreached(f"the venue stays away: {lost.message}", hint=self.config.run.ws_url) from lost
                self._sleep(wait_s)
                waited_s += wait_s
                attempt += 1

    def _streams(self) -> list[str]:
        run, symbol = self.config.run, self._symbol.lower()
        found = [f"{symbol}@kline_{run.interval}"]
        if run.stream_mode == "aggTrade":
            found.append(f"{symbol}@aggTrade")
        elif self.wakes.every_nth_print:
            found.append(f"{symbol}@trade")
        if self.wakes.quotes:
            found.append(f"{symbol}@bookTicker")
        return found

    def _market_socket(self) -> WebSocket:
        run = self.config.run
        url = f"{run.ws_url.rstrip('/')}/stream?streams={'/'.join(self._streams())}"
        return WebSocket(url, run.ws_timeout_seconds)

    def _user_socket(self) -> WebSocket:
        """Subscribed by signature; the answer comes before any event."""
        run = self.config.run
        socket = WebSocket(f"{run.ws_url.rstrip('/')}/ws-api/v3", run.ws_timeout_seconds)
        method = "userDataStream.subscribe.signature"
        socket.send(orjson.dumps({"id": 1, "method": method, "params": self._signer.params({})}))
        raw = socket.receive(run.ws_timeout_seconds)
        answer = orjson.loads(raw) if raw is not None else {}
        error = answer.get("error")
        if error is not None:
            socket.close()
            raise TurnedAway(int(answer.get("status", 400)), f"{error['code']} {error['msg']}")
        return socket
