"""Own orders and order lists, as the venue shows them: how far each has come, closed ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gnomon.exchange.order import Status
from gnomon.exchange.outcome import Filled
from gnomon.serve.venue.pairs import Pair

NOT_YET: Final = -1
"""The working time of an order that was never on the book; the number of a list where there is none."""

EXECUTING: Final = ("EXEC_STARTED", "EXECUTING")
ALL_DONE: Final = ("ALL_DONE", "ALL_DONE")
"""listStatusType and listOrderStatus, while a list has open orders and after that."""

STOPS: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})

STATUS_TEXTS: Final = ("", *(one.name for one in Status))
"""By status: an enumeration takes its time to say a name."""

_LAST_OPEN: Final = Status.PARTIALLY_FILLED

Leg = Mapping[str, Any]
"""One order of a request, JSON-able: side, type, tif, stp and client as texts; lots, price (ticks), stop (ticks),
trailing (bips), quote (units) as integers, 0 for none; `strategyId` and `strategyType` where they were given."""


class Fill:
    """One trade of ours: when it happened, and what the exchange said of it."""

    __slots__ = ("filled", "order", "time_ns")

    def __init__(self, order: OwnOrder, time_ns: int, filled: Filled) -> None:
        self.order = order
        self.time_ns = time_ns
        self.filled = filled


class OwnOrder:
    """One order: what was asked, and how far it has come. Lots, ticks, units of the quote, virtual ns."""

    prevented = 0
    prevented_match = 0
    quote_executed = 0
    executed = 0
    working_ns = NOT_YET
    reason = ""  # why it expired
    cancel_client = ""  # the id of the request that cancelled it
    amend_execution = 0  # the report of its latest amendment
    fills: Sequence[Fill] = ()
    list: OwnList | None = None

    def __init__(self, number: int, pair: Pair, leg: Leg, status: Status, time_ns: int) -> None:
        self.number = number
        self.pair = pair
        self.leg = leg
        self.client: str = leg["client"]  # another, once it is amended
        self.is_buy: bool = leg["side"] == "BUY"
        self.lots: int = leg["lots"]
        self.status = status
        self.time_ns = self.update_ns = time_ns

    @property
    def is_open(self) -> bool:
        """On the book, or waiting to be."""
        return self.status <= _LAST_OPEN

    @property
    def is_on_book(self) -> bool:
        return self.working_ns >= 0 and self.is_open

    @property
    def list_number(self) -> int:
        return NOT_YET if self.list is None else self.list.number


class OwnList:
    """Orders that belong together: `OCO` one cancels the other, `OTO` the first triggers those behind it."""

    __slots__ = ("client", "contingency", "number", "orders", "pair", "time_ns")

    def __init__(self, number: int, pair: Pair, contingency: str, client: str, time_ns: int) -> None:
        self.number = number
        self.pair = pair
        self.contingency = contingency
        self.client = client
        self.time_ns = time_ns
        self.orders: list[OwnOrder] = []

    @property
    def is_open(self) -> bool:
        return any(one.is_open for one in self.orders)

    @property
    def status(self) -> tuple[str, str]:
        """listStatusType and listOrderStatus."""
        return EXECUTING if self.is_open else ALL_DONE
