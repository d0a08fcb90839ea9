"""The state of a run at a past instant, from its Record: open orders, balances, how much had happened.

It is for looking: nothing can go on from it. Money is in units of the assets, prices in ticks, quantities in lots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gnomon.exchange.order import OrderType, Side, Status
from gnomon.replay.bodies import (
    Accept,
    Deliver,
    Fill,
    OrderChange,
    Quoted,
    Reject,
    RequestList,
    RequestPlace,
    RequestQuote,
    RequestReplace,
)
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record, Recorded
from gnomon.replay.verification import BORROWED, FREE, LOCKED, moved

OPEN: Final = (Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_NEW)


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order as it stood. `price` is 0 for a market order, `stop` 0 for one that waits for none."""

    number: int
    instrument: int
    side: Side
    type: OrderType
    price: int
    stop: int
    remaining: int
    executed: int = 0
    status: Status = Status.NEW


@dataclass(slots=True)
class State:
    """What the Record up to `seq` adds up to. `balances` by asset number: free, locked."""

    seq: int = 0
    orders: dict[int, OpenOrder] = field(default_factory=dict)
    money: dict[tuple[int, int], int] = field(default_factory=dict)
    fills: int = 0
    requests: int = 0
    rejects: int = 0
    wakes: int = 0
    _asked: dict[int, list[OpenOrder]] = field(default_factory=dict)  # orders to come, by request

    @property
    def balances(self) -> dict[int, tuple[int, int]]:
        numbers = sorted({asset for account, asset in self.money if account in (FREE, LOCKED)})
        money = self.money
        return {
            one: (money.get((FREE, one), 0) + money.get((BORROWED, one), 0), money.get((LOCKED, one), 0))
            for one in numbers
        }

    def take(self, one: Recorded) -> None:
        """The next record."""
        self.seq = one.seq
        moved(self.money, one)
        reader = _READERS.get(one.type)
        if reader is not None:
            reader(self, one.body)

    def request(self, body: Any) -> None:
        self.requests += 1
        self._asked[body.number] = _legs(body)

    def deliver(self, body: Deliver) -> None:
        self.wakes += body.wakes

    def reject(self, body: Reject) -> None:
        self.rejects += 1
        self._asked.pop(body.request, None)

    def accept(self, body: Accept) -> None:
        known = self.orders.get(body.order)  # a pending order is accepted once more when it begins
        made = known or self._asked[body.request].pop(0)
        self.orders[body.order] = replace(made, number=body.order, status=Status(body.status))

    def quoted(self, body: Quoted) -> None:
        for gone in (body.bid_gone, body.ask_gone):
            self.orders.pop(gone, None)
        for number, made in zip((body.bid, body.ask), self._asked.pop(body.request), strict=True):
            if number and number not in self.orders:
                self.orders[number] = replace(made, number=number)

    def change(self, body: OrderChange) -> None:
        self._put(body.order, body.status, body.executed, body.remaining)

    def fill(self, body: Fill) -> None:
        self.fills += 1
        self._put(body.order, body.status, self.orders[body.order].executed + body.lots, body.remaining)

    def _put(self, number: int, status: int, executed: int, remaining: int) -> None:
        if Status(status) in OPEN:
            known = self.orders[number]
            self.orders[number] = replace(known, status=Status(status), executed=executed, remaining=remaining)
        else:
            self.orders.pop(number, None)


_READERS: Final[dict[RecordType, Callable[[State, Any], None]]] = {
    RecordType.REQUEST: State.request,
    RecordType.DELIVER: State.deliver,
    RecordType.REJECT: State.reject,
    RecordType.ACCEPT: State.accept,
    RecordType.QUOTED: State.quoted,
    RecordType.ORDER: State.change,
    RecordType.FILL: State.fill,
}


def state_at(record: Record, at_ns: int) -> State:
    """The state after everything of an instant. A delivery of several wakes counts where its last one is."""
    state = State()
    for one in record.entries():
        if one.t > at_ns or one.type is RecordType.END:
            break
        state.take(one)
    return state


def _legs(body: Any) -> list[OpenOrder]:
    """The orders that a request may make, in the order in which they are accepted."""
    match body:
        case RequestPlace():
            return [_leg(body)]
        case RequestReplace() | RequestList():
            return _all(body.legs)
        case RequestQuote():
            sides = (Side.BUY, body.bid), (Side.SELL, body.ask)
            return [OpenOrder(0, body.instrument, side, OrderType.LIMIT, price, 0, body.lots) for side, price in sides]
    return []


def _all(legs: Sequence[Any]) -> list[OpenOrder]:
    return [_leg(one) for one in legs]


def _leg(leg: Any) -> OpenOrder:
    return OpenOrder(0, leg.instrument, Side(leg.side), OrderType(leg.type), leg.price, leg.stop, leg.lots)
