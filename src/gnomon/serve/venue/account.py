"""The account: what a bot has and has done, as the venue shows it.

A projection: it is told what was asked (`expect`, before a request is sent) and what came of it (`take`, at the instant
of each event), and says nothing that did not come from there. Told the same again, after a restart, it is the same
again. Balances are the exchange's own ledger.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.order import Order, Side, Status
from gnomon.exchange.outcome import Accepted, Changed, Filled, Margined, Outcome, Quoted, Refusal, Rejected, Triggered
from gnomon.serve.venue.own_orders import STOPS, Fill, Leg, OwnList, OwnOrder
from gnomon.serve.venue.pairs import Pair, scale_of
from gnomon.serve.venue.reports import (
    AccountPosition,
    BalanceUpdate,
    Event,
    ExecutionReport,
    ListStatus,
    PreventedMatch,
)
from gnomon.serve.venue.symbols import Symbols

Details = Mapping[str, Any]
"""What was asked, in words that JSON has: `do` (place, list, cancel, cancelAll, replace, amend), `legs`, `client`."""

NOTHING_ASKED: Final[Details] = {"do": "", "client": ""}

_BUY: Final = Side.BUY
_NEW: Final = Status.NEW
_PENDING: Final = Status.PENDING_NEW


class Account:
    """One bot's account in one session. `run` names the run: what it generates is derived from it."""

    def __init__(self, exchange: Exchange, run: str) -> None:
        self.exchange = exchange
        self.ledger = exchange.ledger
        assets = self.ledger.assets
        numbers = {asset.name: number for number, asset in enumerate(assets)}
        listings = list(exchange.listings.values())
        self.symbols = Symbols(listings)
        self.pairs = {
            one.number: Pair(one, self.symbols.symbol(one.number), numbers[one.base.name], numbers[one.quote.name])
            for one in listings
        }
        self.by_symbol = {pair.symbol: pair for pair in self.pairs.values()}
        self.scales = [scale_of(one) for one in assets]
        self._names = [one.name for one in assets]
        self.uid = int.from_bytes(blake2b(run.encode(), digest_size=4).digest(), "big")
        self._seed = blake2b(run.encode(), digest_size=16)
        self.orders: dict[int, OwnOrder] = {}
        self.lists: dict[int, OwnList] = {}
        self.fills: dict[int, list[Fill]] = {number: [] for number in self.pairs}  # by pair, in order
        self.prevented: list[PreventedMatch] = []
        self.on_first_fill: Callable[[int], None] = _ignore
        """Told the time (ns) whenever an order meets its first fill: it leaves the count of unfilled orders."""
        self.updated_ns = 0
        self._by_client: dict[tuple[int, str], OwnOrder] = {}
        self._lists_by_client: dict[str, OwnList] = {}
        self._expected: dict[int, Details] = {}
        self._executions = 0
        self._triggered: dict[int, OwnOrder] = {}  # stops that were set off, while they are open
        self._takes: dict[type, Callable[[Any], None]] = {
            Accepted: self._accepted,
            Filled: self._filled,
            Changed: self._changed,
            Triggered: self._set_off,
            Quoted: self._quoted,
            Margined: self._margined,
            Rejected: self._rejected,
        }
        # of one step alone:
        self._now_ns = 0
        self._request = 0
        self._outcomes: Sequence[Outcome] = ()
        self._details = NOTHING_ASKED
        self._placed = 0  # legs that have their order
        self._ended = 0  # orders that were cancelled
        self._entered: OwnOrder | None = None  # that meets the market in this step
        self._events: list[Event] = []
        self._touched: dict[int, None] = {}
        self._lists_moved: dict[int, OwnList] = {}
        self._met: dict[int, PreventedMatch] = {}  # taker's number to the match that its own outcome is still to tell

    # --- what was asked -----------------------------------------------------------------------------------------------

    def expect(self, request: int, details: Details) -> None:
        """What a request is about, before it is sent: whatever of it the exchange does not say again."""
        self._expected[request] = details

    def generated(self, request: int, place: int = 0) -> str:
        """A client id for an order, list or cancel that came without: 22 characters, the same in every replay."""
        seed = self._seed.copy()
        seed.update(b"%d.%d" % (request, place))
        return urlsafe_b64encode(seed.digest())[:22].decode()

    # --- looking ------------------------------------------------------------------------------------------------------

    def find(self, pair: int, number: int | None, client: str | None) -> OwnOrder | None:
        """The order of a number, or the latest that had the client id, open or closed."""
        if number is not None:
            order = self.orders.get(number)
            return order if order is not None and order.pair.number == pair else None
        return self._by_client.get((pair, client or ""))

    def find_list(self, number: int | None, client: str | None) -> OwnList | None:
        return self.lists.get(number) if number is not None else self._lists_by_client.get(client or "")

    def open_orders(self, pair: int | None = None) -> list[OwnOrder]:
        """By number. The exchange knows which they are; all of them have been told here."""
        working = self.exchange.working.orders
        found = [self.orders[number] for number in sorted(working)]
        return found if pair is None else [one for one in found if one.pair.number == pair]

    def has_client(self, pair: int, client: str) -> bool:
        """Whether an open order goes by this client id."""
        order = self._by_client.get((pair, client))
        return order is not None and order.is_open

    def is_renamed_open(self, pair: int, client: str) -> bool:
        """Whether an open order goes by this client id since it was amended: the exchange knows it by another."""
        order = self._by_client.get((pair, client))
        return order is not None and order.is_open and order.leg["client"] != client

    # --- what came of it ----------------------------------------------------------------------------------------------

    def take(self, now_ns: int, request: int, outcomes: Sequence[Outcome]) -> Sequence[Event]:
        """Take in what came of one event (`request` is the number of the request that arrived, 0 of none); the events
        that it makes on the user stream, in order."""
        self._now_ns = now_ns
        self._request = request
        self._outcomes = outcomes
        self._details = self._expected.pop(request, NOTHING_ASKED)
        self._placed = self._ended = 0
        self._entered = None
        events: list[Event] = []
        touched: dict[int, None] = {}
        self._events, self._touched = events, touched
        takes = self._takes
        for one in outcomes:
            takes[type(one)](one)
        if self._lists_moved:
            events.extend(ListStatus(now_ns, moved) for moved in self._lists_moved.values())
            self._lists_moved.clear()
        if self._met:
            self._met.clear()
        if touched:
            self.updated_ns = now_ns
            names, scales, free, locked = self._names, self.scales, self.ledger.free, self.ledger.locked
            balances = [(names[asset], scales[asset], free[asset], locked[asset]) for asset in touched]
            events.append(AccountPosition(now_ns, balances))
        return events

    def _rejected(self, _one: Rejected) -> None:
        """Nothing came of it, and nothing is told: its answer says so."""

    def _accepted(self, one: Accepted) -> None:
        order = self.orders.get(one.number)
        now_ns = self._now_ns
        if order is None:
            order = self._admit(one)
        else:  # it was pending, and begins
            order.status = one.status
            order.update_ns = now_ns
        if one.status is _NEW and order.leg["type"] not in STOPS:
            order.working_ns = now_ns
            self._entered = order
        if one.lock:
            self._touched[order.pair.quote if order.is_buy else order.pair.base] = None
        self._executions += 1
        self._events.append(ExecutionReport(now_ns, order, "NEW", self._executions))

    def _admit(self, one: Accepted) -> OwnOrder:
        pair = self.pairs[one.instrument]
        legs = self._details.get("legs", ())
        leg = legs[self._placed] if self._placed < len(legs) else self._leg_of(one.number, one.side)
        if not leg["client"]:
            leg = {**leg, "client": self.generated(self._request, self._placed)}
        self._placed += 1
        order = OwnOrder(one.number, pair, leg, one.status, self._now_ns)
        if not order.lots:
            order.lots = self._size_of(one.number)
        self.orders[one.number] = order
        self._by_client[pair.number, order.client] = order
        if one.list:
            self._join(order, one.list)
        return order

    def _join(self, order: OwnOrder, number: int) -> None:
        found = self.lists.get(number)
        if found is None:
            details = self._details
            client = details["client"] or self.generated(self._request, len(details.get("legs", ())))
            found = OwnList(number, order.pair, details.get("contingency", "OCO"), client, self._now_ns)
            self.lists[number] = found
            self._lists_by_client[found.client] = found
        found.orders.append(order)
        order.list = found
        self._lists_moved[number] = found

    def _leg_of(self, number: int, side: Side) -> Leg:
        """Of an order that nobody asked for by the wire: a call of the venue, a side of a standing pair."""
        working: Order | None = self.exchange.working.orders.get(number)
        return {
            "side": side.name,
            "type": working.type.name if working is not None else "MARKET",
            "tif": working.tif.name if working is not None else "GTC",
            "stp": working.stp.name if working is not None else "NONE",
            "client": "",
            "lots": working.lots if working is not None else 0,
            "price": working.price if working is not None else 0,
            "stop": 0,
            "trailing": 0,
            "quote": 0,
        }

    def _size_of(self, number: int) -> int:
        """Lots of an order that was asked for by what it may spend: the exchange has decided them."""
        working = self.exchange.working.orders.get(number)
        if working is not None:
            return working.lots
        for one in self._outcomes:
            if type(one) is Filled and one.number == number:
                return one.lots + one.remaining
            if type(one) is Changed and one.number == number:
                return one.executed + one.remaining
        return 0

    def _filled(self, one: Filled) -> None:
        order = self.orders[one.number]
        order.executed += one.lots
        order.quote_executed += one.notional
        order.status = one.status
        order.update_ns = self._now_ns
        fill = Fill(order, self._now_ns, one)
        if not order.fills:
            self.on_first_fill(self._now_ns)
        order.fills = (*order.fills, fill)
        self.fills[one.instrument].append(fill)
        self._executions += 1
        report = ExecutionReport(self._now_ns, order, "TRADE", self._executions)
        self._events.append(report.with_fill(one, self.ledger.assets[one.fee_asset].name, self.scales[one.fee_asset]))
        touched = self._touched
        touched[one.base] = touched[one.quote] = None
        if one.fee:
            touched[one.fee_asset] = None
        if not order.is_open:
            self._end(order)

    def _changed(self, one: Changed) -> None:
        order = self.orders[one.number]
        if one.released:
            self._touch_lock(order)
        if one.status is order.status:
            self._changed_while_open(order, one)
            return
        before, order.status = order.status, one.status
        order.update_ns = self._now_ns
        if one.status is Status.CANCELED:
            order.cancel_client = self._cancel_client()
            self._report(order, "CANCELED", order.cancel_client)
        elif one.status is Status.EXPIRED_IN_MATCH:
            self._prevent(order, order.lots - order.executed - order.prevented)
        else:
            order.reason = _reason(order, one, before)
            self._report(order, "EXPIRED")
        self._end(order)

    def _changed_while_open(self, order: OwnOrder, one: Changed) -> None:
        """Amended, or less by what self-trade prevention took; or its lock alone is another."""
        left = order.lots - order.executed - order.prevented
        if one.remaining == left:
            return
        order.update_ns = self._now_ns
        if self._details["do"] == "amend":
            order.lots -= left - one.remaining
            client: str = self._details["client"] or order.client
            self._report(order, "REPLACED", client)
            order.amend_execution = self._executions
            order.client = client
            self._by_client[order.pair.number, client] = order
        else:
            self._prevent(order, left - one.remaining)

    def _cancel_client(self) -> str:
        """The id of the request that cancels; "" where nobody asked."""
        if self._details["do"] == "cancelAll":
            self._ended += 1
            return self.generated(self._request, self._ended)
        client: str = self._details["client"]
        return client

    def _end(self, order: OwnOrder) -> None:
        self._triggered.pop(order.number, None)
        found = order.list
        if found is not None and not found.is_open:
            self._lists_moved[found.number] = found

    def _set_off(self, one: Triggered) -> None:
        order = self.orders[one.number]
        if order.status is _PENDING:  # stands for the orders behind the one that was filled
            return
        order.working_ns = order.update_ns = self._now_ns
        self._triggered[order.number] = order
        self._report(order, "NEW")

    def _quoted(self, one: Quoted) -> None:
        for gone, released in ((one.bid_gone, one.bid_released), (one.ask_gone, one.ask_released)):
            if gone:
                self._changed(Changed(gone, Status.CANCELED, self.orders[gone].executed, 0, released))
        for place, number, lock, side, is_kept in (
            (0, one.bid, one.bid_lock, Side.BUY, one.bid_kept),
            (1, one.ask, one.ask_lock, Side.SELL, one.ask_kept),
        ):
            if number and not is_kept:
                self._placed = place
                self._accepted(Accepted(number, one.request, _NEW, lock, 0, 0, one.instrument, side))

    def _margined(self, one: Margined) -> None:
        if one.borrowed:
            self._touched[one.base] = None
        if one.locked or one.cost:
            self._touched[one.quote] = None
        if one.cost:
            delta = self.scales[one.quote].text(-one.cost)
            self._events.append(BalanceUpdate(self._now_ns, self.ledger.assets[one.quote].name, delta))

    # --- self-trade prevention ----------------------------------------------------------------------------------------

    def _prevent(self, order: OwnOrder, lots: int) -> None:
        """`lots` of an order were taken by self-trade prevention. Where two lose, the maker is told first."""
        order.prevented += lots
        match = self._met.pop(order.number, None)
        if match is not None:
            match.taker_lots = lots
        else:
            match = self._match(order, lots)
        order.prevented_match = match.number if match is not None else 0
        report = ExecutionReport(self._now_ns, order, "TRADE_PREVENTION", self._next_execution())
        self._events.append(report.with_match(match, lots))

    def _match(self, order: OwnOrder, lots: int) -> PreventedMatch | None:
        """A new match: of a resting order and the one that enters, or of that one and the best that it met."""
        taker = self._taker_of(order)
        is_taker = taker is None
        other = self._best_against(order) if is_taker else taker
        if other is None:
            return None
        taker, maker = (order, other) if is_taker else (other, order)
        match = PreventedMatch(len(self.prevented) + 1, self._now_ns, taker.leg["stp"], taker, maker)
        self.prevented.append(match)
        if is_taker:
            match.taker_lots = lots
        else:
            match.maker_lots = lots
            if taker.leg["stp"] != "EXPIRE_MAKER":
                self._met[taker.number] = match
        return match

    def _taker_of(self, order: OwnOrder) -> OwnOrder | None:
        """The order that enters against this one; None where it is the one."""
        candidates = [self._entered, *reversed(self._triggered.values())]
        candidates += [one for one in self.open_orders(order.pair.number) if one.leg["type"] == "MARKET"]
        for one in candidates:
            if one is order:
                return None
            if one is not None and one.pair is order.pair and one.is_buy is not order.is_buy:
                return one
        return None

    def _best_against(self, order: OwnOrder) -> OwnOrder | None:
        book = self.exchange.books[order.pair.number]
        facing = book.asks if order.is_buy else book.bids
        return self.orders.get(facing[0].number) if facing else None

    # --- telling ------------------------------------------------------------------------------------------------------

    def _report(self, order: OwnOrder, kind: str, asked_client: str = "") -> None:
        self._executions += 1
        self._events.append(ExecutionReport(self._now_ns, order, kind, self._executions, asked_client))

    def _next_execution(self) -> int:
        self._executions += 1
        return self._executions

    def _touch_lock(self, order: OwnOrder) -> None:
        self._touched[order.pair.quote if order.is_buy else order.pair.base] = None


def _reason(order: OwnOrder, one: Changed, before: Status) -> str:
    """Why it expired, in the words of `expiryReason`."""
    if one.reason and one.reason != Refusal.NO_LIQUIDITY:
        return "REJECTED"  # what it needed when its turn came was not there
    if before is _PENDING:
        return "OTO_PHASE_ONE_EXPIRED"
    if order.list is not None and not one.reason:
        return "OCO_TRIGGER"
    return _EXPIRED_BY.get(order.leg["tif"], "INSUFFICIENT_LIQUIDITY")


def _ignore(_time_ns: int) -> None:
    """Nobody counts."""


_EXPIRED_BY: Final = {"IOC": "UNFILLED_IOC_QUANTITY_EXPIRED", "FOK": "UNFILLED_FOK_ORDER_EXPIRED"}
