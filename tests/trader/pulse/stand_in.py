"""A venue in one process: the real engine behind JSON frames, without a socket.

What a venue does with a native client in lock-step, as plainly as it can be said: it is the oracle of the runtime, not
of the venue, which has its own words for all of this.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from gnomon.errors import GnomonError
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    OrderType,
    Place,
    PlaceList,
    Replace,
    Request,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome, Rejected, Role
from gnomon.exchange.prints import Prints
from gnomon.replay.live import Decided, LiveRun, Said, Waking, Wanted
from gnomon.replay.needs import ready
from gnomon.replay.run import Played, RunPlan, desk_plan
from gnomon.replay.view import DepthView
from gnomon.trader.pulse import native
from gnomon.trader.pulse.lockstep import Control, Keyed, Lockstep, Message
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.wording import Call
from gnomon.trader.trader import Strategy

MS = 1_000_000
WORDS = {
    # by refusal: code and text of the wire
    "INSUFFICIENT_BALANCE": (-2010, "Account has insufficient balance for requested action."),
    "WOULD_TAKE": (-2010, "Order would immediately match and take."),
    "WOULD_TRIGGER": (-2010, "Order would trigger immediately."),
    "UNKNOWN_ORDER": (-2011, "Unknown order sent."),
    "LIST_PRICES": (-2010, "The relationship of the prices for the orders is not correct."),
    "LOT_SIZE": (-1013, "Filter failure: LOT_SIZE"),
    "MARKET_CLOSED": (-2010, "Market is closed."),
    "NO_LIQUIDITY": (-1112, "No orders on book for symbol."),
    "NO_CHANGE": (-2038, "The requested action would change no state; rejecting"),
    "BAD_COMBINATION": (-1014, "Unsupported order combination."),
    "MAX_ORDERS": (-1013, "Filter failure: MAX_NUM_ORDERS"),
    "MAX_STOP_ORDERS": (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"),
    "DUPLICATE": (-2010, "Duplicate order sent."),
    "TRAILING_DELTA": (-1013, "Filter failure: TRAILING_DELTA"),
}


def facts_for(plan: RunPlan, *, outcomes: bool = False) -> SessionFacts:
    ground = plan.ground
    return SessionFacts(
        desk_plan(plan),
        tuple(native.symbol_of(one) for one in ground.listings),
        tuple(isinstance(one.tape, Prints) for one in ground.tapes),
        feed_ns=-1 if plan.rules.latency.feed.table is not None else plan.rules.latency.feed.const_ns,
        warmup_bars=plan.warmup_bars,
        are_bars_whole=all(one.tape is one.bars for one in ground.tapes),
        has_view=True,
        has_news=ground.archive is not None or plan.compute is not None,
        has_depth=DepthView.of(ground, 0) is not None,
        has_outcomes=outcomes,
    )


def through_json(document: Any) -> Any:
    return orjson.loads(orjson.dumps(document))


class StandIn:
    """One session with one native client. `again` may say at which wakes the client loses its connection."""

    def __init__(
        self, plan: RunPlan, trader: Strategy, sink: Any = None, *, outcomes: bool = False,
        tear: Callable[[int], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self.plan = plan = ready(plan, trader)
        self.asked: list[str] = []
        self.tear = tear
        facts = native.facts_of(through_json(native.plan_document(facts_for(plan, outcomes=outcomes))))
        self.client = Lockstep(facts, trader, self.ask)
        (wake,) = self.client.attach()
        assert isinstance(wake, Control)
        (filter_,) = through_json(wake.params)
        wanted = Wanted(filter_.pop("warmup"), tuple(filter_.pop("needs")))
        assert filter_.pop("ahead") == 0
        self.run = LiveRun(plan, native.wake_of(filter_), self, wanted=wanted, sink=sink)
        self.stage = self.run._stage
        self.symbols: dict[str, Listing] = dict(zip(facts.symbols, plan.ground.listings, strict=True))
        self.clients: dict[str, int] = {}  # ordinals by text
        self.places: dict[int, tuple[Place, str, int]] = {}  # by order number: place, client id, executed
        self.sent: dict[int, list[tuple[Place, str]]] = {}  # by request
        self.due: list[tuple[int, list[dict[str, Any]], list[tuple[int, dict[str, Any]]]]] = []
        self.executions = 0
        self.n = 0
        self.keys: set[str] = set()
        self.frames = 0
        self.last_answered = 0

    # --- the venue's side ---------------------------------------------------------------------------------------------

    def ask(self, params: Mapping[str, str]) -> Any:
        self.asked.append(params["what"])
        course, stage = self.stage.course, self.stage
        depth = DepthView.of(self.plan.ground, self.plan.rules.latency.feed.slowest_ns)
        try:
            return through_json(native.answer(stage.view, course.wire, depth, self.run.now_ns, params))
        except GnomonError as error:
            native.raise_again(through_json(error.document()))

    def came(self, now_ns: int, due_ns: int, _request: int, outcomes: Sequence[Outcome]) -> None:
        events: list[dict[str, Any]] = []
        answers: list[tuple[int, dict[str, Any]]] = []
        if outcomes and self.client.facts.has_outcomes:
            self.note(outcomes)
            events = [{"e": "outcomes", "list": native.outcomes_document(outcomes)}]
        else:
            for one in outcomes:
                if isinstance(one, Rejected):
                    code, msg = WORDS.get(one.refusal.name, (-1013, f"Filter failure: {one.refusal.name}"))
                    data = {"refusal": int(one.refusal), "received": one.received, "limit": one.limit}
                    answers.append((one.request, {"error": {"code": code, "msg": msg, "data": data}, "t": str(due_ns)}))
                elif isinstance(one, Accepted | Changed | Filled):
                    events.append(self.report(now_ns, one))
            if events:
                events.append(self.balances(now_ns))
        self.due.append((due_ns, events, answers))
        self.due.sort(key=lambda one: one[0])

    def note(self, outcomes: Sequence[Outcome]) -> None:
        for one in outcomes:
            if isinstance(one, Accepted) and one.request in self.sent and self.sent[one.request]:
                self.places[one.number] = (*self.sent[one.request].pop(0), 0)

    def report(self, now_ns: int, one: Accepted | Changed | Filled) -> dict[str, Any]:
        if isinstance(one, Accepted) and one.number not in self.places:
            place, name = self.sent[one.request].pop(0)
            self.places[one.number] = place, name, 0
        place, name, executed = self.places[one.number]
        listing = self.plan.ground.listings[place.instrument]
        kind = {Accepted: "NEW", Filled: "TRADE"}.get(type(one), one.status.name)
        if isinstance(one, Changed) and one.status in (Status.NEW, Status.PARTIALLY_FILLED):
            kind = "REPLACED"
        lots = place.lots
        if isinstance(one, Filled):
            executed += one.lots
            lots = executed + one.remaining
        elif isinstance(one, Changed):
            lots = one.executed + one.remaining
        self.places[one.number] = place, name, executed
        self.executions += 1
        fill: dict[str, Any] = {"l": "0", "L": "0", "n": "0", "N": None, "m": False}
        if isinstance(one, Filled):
            asset = self.stage.exchange.ledger.assets[one.fee_asset]
            fill = {
                "l": f"{one.lots * listing.lot:.8f}", "L": f"{one.price * listing.tick:.8f}",
                "n": f"{asset.decimal(one.fee):f}", "N": asset.name, "m": one.role is Role.MAKER,
            }  # fmt: skip
        return {
            "e": "executionReport", "E": now_ns // MS, "s": native.symbol_of(listing), "c": name, "C": "",
            "S": place.side.name, "o": place.type.name, "q": f"{lots * listing.lot:.8f}", "x": kind,
            "X": one.status.name, "i": one.number, "z": f"{executed * listing.lot:.8f}", "T": now_ns // MS,
            "t": -1, "I": self.executions, "g": -1, "r": "NONE",
            "eR": "INSUFFICIENT_LIQUIDITY" if isinstance(one, Changed) and one.reason == 25 else "NONE", **fill,
        }  # fmt: skip

    def balances(self, now_ns: int) -> dict[str, Any]:
        ledger = self.stage.exchange.ledger
        rows = [
            {
                "a": one.name,
                "f": f"{one.decimal(ledger.free[number]):f}",
                "l": f"{one.decimal(ledger.locked[number]):f}",
            }
            for number, one in enumerate(ledger.assets)
        ]
        return {"e": "outboundAccountPosition", "E": now_ns // MS, "u": now_ns // MS, "B": rows}

    def play(self) -> Played:
        self.run.open(self.heed(self.client.begin()))
        while not self.run.is_over:
            wake = self.run.step(self.plan.end_ns)
            if wake is None:
                continue
            self.n += 1
            messages = self.tell(wake)
            last = messages[-1]
            assert isinstance(last, Control)
            if last.method == "BYE":
                how = through_json(last.params[0])
                self.run.fail(Said(decisions=decided_of(how)), how["error"])
                return self.run.close()
            how = through_json(last.params[1]) if len(last.params) > 1 else {}
            said = self.heed(messages)
            if "finish" in how:
                self.run.finish(said, how["finish"])
            else:
                self.run.answer(said)
        self.n += 1
        end = {"event": {"e": "sessionEnd", "E": 0, "reason": "window"}, "n": self.n, "t": str(self.run.now_ns)}
        (last,) = self.client.take(through_json(end))
        assert self.client.is_over
        return self.run.close(decided_of(through_json(last.params[1])))

    def tell(self, wake: Waking) -> list[Message]:
        frames = [
            {"event": event, "n": self.n, "t": str(due_ns), "more": True}
            for due_ns, events, _ in self.due if due_ns <= wake.at_ns for event in events
        ]  # fmt: skip
        for due_ns, _, answers in self.due:
            if due_ns <= wake.at_ns:
                for request, answer in answers:
                    self.client.answered(request, through_json(answer))
        self.due = [one for one in self.due if one[0] > wake.at_ns]
        for event in self.events(wake):
            frames.append({**event, "n": self.n, "t": str(wake.at_ns), "more": True})
        frames[-1].pop("more", None)
        messages: list[Message] = []
        if self.tear(self.n):  # half of the wake, then it comes again
            self.client.take(through_json(frames[0])) if len(frames) > 1 else None
            assert self.client.resume() <= self.n
        for frame in frames:
            self.frames += 1
            messages = self.client.take(through_json(frame))
        if self.tear(self.n + 1) and not self.client.is_over:  # the answer was lost: the wake comes again
            first, messages = messages, []
            for frame in frames:
                messages = self.client.take(through_json(frame)) or messages
            assert messages == first
        return messages

    def events(self, wake: Waking) -> list[dict[str, Any]]:
        match wake.kind:
            case "bar":
                closed = [one for one in wake.what.candles.values() if one.is_new]
                return [{"stream": "kline", "bar": orjson.loads(native.bar_words(one))} for one in closed]
            case "trade":
                one = wake.what
                data = {"e": "trade", "s": self.symbol(one.listing), "t": one.position, "side": one.side,
                        "p": f"{one.price_ticks * one.listing.tick:.8f}", "m": one.side < 0,
                        "q": f"{one.lots * one.listing.lot:.8f}", "T": one.time_ns // MS}  # fmt: skip
                return [{"stream": "trade", "data": data}]
            case "quote":
                one = wake.what
                listing = self.plan.ground.listings[one.instrument]
                data = {"u": 1, "s": self.symbol(listing)}
                data |= {"b": str(one.bid_ticks * listing.tick), "B": str(one.bid_lots * listing.lot)}
                data |= {"a": str(one.ask_ticks * listing.tick), "A": str(one.ask_lots * listing.lot)}
                return [{"stream": "bookTicker", "data": data}]
            case "timer":
                return [{"event": {"e": "timer", "name": wake.what}}]
            case "session":
                return [{"event": {"e": "session", "what": wake.what}}]
            case "degraded":
                return [{"event": {"e": "degraded", "what": wake.what}}]
            case "forecast":
                instrument, issued = wake.what
                told = {"e": "forecast", "instrument": instrument, "forecast": native.issued_document(issued)}
                return [{"event": told}]
            case "calendar":
                return [{"event": {"e": "calendar", "event": native.event_document(wake.what)}}]
        assert wake.kind == "own"
        return [{"event": {"e": "own"}}]

    def symbol(self, listing: Listing) -> str:
        return native.symbol_of(listing)

    # --- what the client says -----------------------------------------------------------------------------------------

    def heed(self, messages: Sequence[Message]) -> Said:
        said = Said(decisions=[], requests=[], timers=[])
        number = self.run.next_request
        for one in messages:
            if isinstance(one, Keyed):
                assert one.key not in self.keys
                assert one.key.partition("-")[0] == str(self.n)
                self.keys.add(one.key)
                request = self.request(Call(*through_json(tuple(one.call))))
                said.requests.append(request)
                self.sent[number] = [(place, self.name(place.client)) for place in native.places_of(request)]
                number += 1
            elif one.method == "TIMER":
                said.timers.append((int(one.params[0]), one.params[1]))
            elif one.method == "ACK":
                params = through_json(one.params)
                assert params[0] == self.n
                more = params[1] if len(params) > 1 else {}
                said.decisions = decided_of(more)
                said.listens = more.get("listens")
        assert isinstance(messages[-1], Control)
        assert messages[-1].method == "ACK"
        return said

    def name(self, ordinal: int) -> str:
        return next((text for text, number in self.clients.items() if number == ordinal), "")

    def client_ordinal(self, text: str) -> int:
        return self.clients.setdefault(text, len(self.clients) + 1)

    def request(self, call: Call) -> Request:
        params = call.params
        if call.method == native.SEND:
            request = native.request_of(orjson.loads(params["request"]))
            for text in orjson.loads(params["clients"]):
                self.client_ordinal(text)
            return request
        listing = self.symbols[params["symbol"]]
        match call.method:
            case "order.place":
                return self.place(params, listing)
            case "order.cancel":
                if "orderId" in params:
                    return Cancel(listing.number, int(params["orderId"]))
                return Cancel(listing.number, 0, self.client_ordinal(params["origClientOrderId"]))
            case "openOrders.cancelAll":
                return CancelAll(listing.number)
            case "order.amend.keepPriority":
                return Amend(listing.number, int(params["orderId"]), steps(params["newQty"], listing.lot))
            case "order.cancelReplace":
                return Replace(int(params["cancelOrderId"]), self.place(params, listing))
            case "orderList.place.oco":
                base = {"symbol": params["symbol"], "side": params["side"], "quantity": params["quantity"]}
                legs = self.pair(params, "", base, listing)
                return PlaceList(ListKind.OCO, legs)
            case "orderList.place.oto" | "orderList.place.otoco":
                working = self.place(self.leg(params, "working"), listing)
                if call.method.endswith("oto"):
                    return PlaceList(ListKind.OTO, (working, self.place(self.leg(params, "pending"), listing)))
                base = {"side": params["pendingSide"], "quantity": params["pendingQuantity"]}
                return PlaceList(ListKind.OTOCO, (working, *self.pair(params, "pending", base, listing)))
        raise AssertionError(call)

    def pair(self, params: Mapping[str, str], head: str, base: dict[str, str], listing: Listing) -> Any:
        upper, lower = ("above", "below") if not head else (f"{head}Above", f"{head}Below")
        legs = [{**base, **self.leg(params, one)} for one in (upper, lower)]
        legs.sort(key=lambda one: one["type"].startswith("STOP"))  # the profit first
        return tuple(self.place(one, listing) for one in legs)

    def leg(self, params: Mapping[str, str], head: str) -> dict[str, str]:
        found = {k[len(head)].lower() + k[len(head) + 1 :]: v for k, v in params.items() if k.startswith(head)}
        found["newClientOrderId"] = found.pop("clientOrderId")
        return found

    def place(self, params: Mapping[str, str], listing: Listing) -> Place:
        return Place(
            listing.number, Side[params["side"]], OrderType[params["type"]],
            steps(params.get("quantity", "0"), listing.lot), steps(params.get("price", "0"), listing.tick),
            TimeInForce[params.get("timeInForce", "GTC")], steps(params.get("stopPrice", "0"), listing.tick),
            int(params.get("trailingDelta", "0")), listing.quote.units(Decimal(params.get("quoteOrderQty", "0"))),
            SelfTrade[params.get("selfTradePreventionMode", "EXPIRE_MAKER")],
            self.client_ordinal(params["newClientOrderId"]), params.get("reduceOnly") == "true",
        )  # fmt: skip


def steps(text: str, step: Decimal) -> int:
    found = Decimal(text) / step
    assert found == int(found), (text, step)
    return int(found)


def decided_of(said: Mapping[str, Any]) -> list[Decided]:
    return [
        Decided(base64.b64decode(one["packed"]), tuple(one["notes"]), tuple(one["forecasts"]))
        for one in said.get("decisions", ())
    ]
