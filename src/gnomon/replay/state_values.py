"""The values of an engine's state in plain words, and back: integers, texts, lists and maps, so that they have one
canonical text.

| value | in plain words |
|---|---|
| integer, text, truth | itself |
| list | a list |
| None | `{"none": 0}` |
| tuple | `{"tuple": [...]}` |
| a named tuple or record of the tables below | `{"made": name, "of": [...]}` |
| a member of an enumeration | `{"word": name, "value": n}` |
| dict | `{"map": [[key, value], ...]}`, in its order |
| an order, an order list | `{"order": number}`, `{"list": number}`: they stand once, beside the rest |

What is in no table is refused: nothing is written approximately.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from gnomon.errors import Refused
from gnomon.exchange.exchange import Arrival, BarPoint, Entry, Printed
from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    Order,
    OrderList,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.recorded import BookMoved
from gnomon.exchange.takers import Deadline, Part
from gnomon.replay.bodies import PriceWatch

WORDS: Final[Mapping[str, type[IntEnum]]] = {
    one.__name__: one for one in (Side, OrderType, TimeInForce, SelfTrade, Status, ListKind)
}
TUPLES: Final[Mapping[str, Any]] = {
    one.__name__: one
    for one in (
        Amend, Arrival, BarPoint, BookMoved, Cancel, CancelAll, Deadline, Entry, Part, Place, PlaceList, Printed, Quote,
        Replace,
    )
}  # fmt: skip

ORDER_FIELDS: Final = (
    "number", "instrument", "side", "type", "tif", "status", "price", "lots", "remaining", "decided_ns", "arrived_ns",
    "stop", "trailing_bips", "quote_units", "stp", "client", "executed", "quote_executed", "prevented", "lock",
    "asked_lock", "ahead", "queued_ns", "reference", "bound", "ends_ns", "is_last_instant", "kept", "is_reached",
    "is_waiting", "pair", "leads", "awaits",
)  # fmt: skip
LIST_FIELDS: Final = ("number", "kind", "request", "working", "legs")


class StateWriter:
    """Puts values into plain words. Orders and lists that were met stand in `document`, once each."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._lists: dict[int, OrderList] = {}

    def plain(self, value: Any) -> Any:
        """`Refused` for what has no form."""
        kind = type(value)
        if kind in (int, bool, str):
            return value
        if value is None:
            return {"none": 0}
        if kind is list:
            return [self.plain(one) for one in value]
        if kind is tuple:
            return {"tuple": [self.plain(one) for one in value]}
        if kind is dict:
            return {"map": [[self.plain(key), self.plain(one)] for key, one in value.items()]}
        if kind is Order:
            return {"order": _noted(self._orders, value)}
        if kind is OrderList:
            return {"list": _noted(self._lists, value)}
        if WORDS.get(kind.__name__) is kind:
            return {"word": kind.__name__, "value": int(value)}
        if kind is PriceWatch:
            return {"made": "PriceWatch", "of": [value.instrument, value.direction, value.price]}
        if TUPLES.get(kind.__name__) is kind:
            return {"made": kind.__name__, "of": [self.plain(one) for one in value]}
        raise Refused(
            f"the state holds a {kind.__name__}, which a snapshot has no form for",
            hint="run without snapshots, and report it: `replay.state_values` must learn it",
        )

    def orders_and_lists(self) -> dict[str, Any]:
        """All that was met so far, and what these lead to; by number."""
        orders: dict[int, list[Any]] = {}
        lists: dict[int, list[Any]] = {}
        while len(orders) < len(self._orders) or len(lists) < len(self._lists):
            for number, order in list(self._orders.items()):
                if number not in orders:
                    orders[number] = self._fields(order, ORDER_FIELDS)
            for number, one in list(self._lists.items()):
                if number not in lists:
                    lists[number] = self._fields(one, LIST_FIELDS)
        return {"orders": [orders[one] for one in sorted(orders)], "lists": [lists[one] for one in sorted(lists)]}

    def _fields(self, one: Any, names: tuple[str, ...]) -> list[Any]:
        check_fields(one, names)
        return [self.plain(getattr(one, name)) for name in names]


class StateReader:
    """Values from plain words; `document` is what `orders_and_lists` gave."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._orders = {row[0]: Order.__new__(Order) for row in document["orders"]}
        self._lists = {row[0]: OrderList.__new__(OrderList) for row in document["lists"]}
        for row in document["orders"]:
            self._fill(self._orders[row[0]], ORDER_FIELDS, row)
        for row in document["lists"]:
            self._fill(self._lists[row[0]], LIST_FIELDS, row)

    def value(self, plain: Any) -> Any:
        if type(plain) is list:
            return [self.value(one) for one in plain]
        if type(plain) is not dict:
            return plain
        ((name, what), *_) = sorted(plain.items(), key=lambda item: item[0] in ("of", "value"))
        match name:
            case "none":
                return None
            case "tuple":
                return tuple(self.value(one) for one in what)
            case "map":
                return {self.value(key): self.value(one) for key, one in what}
            case "order":
                return self._orders[what]
            case "list":
                return self._lists[what]
            case "word":
                return WORDS[what](plain["value"])
        fields = [self.value(one) for one in plain["of"]]
        return PriceWatch(*fields) if what == "PriceWatch" else TUPLES[what](*fields)

    def _fill(self, one: Any, names: tuple[str, ...], row: list[Any]) -> None:
        for name, plain in zip(names, row, strict=True):
            setattr(one, name, self.value(plain))


def _noted(known: dict[int, Any], one: Any) -> int:
    number: int = one.number
    if not number or known.setdefault(number, one) is not one:
        raise Refused(f"two things of the state have the number {number}", hint="report it: a fault of the engine")
    return number


def check_fields(one: object, *known: tuple[str, ...]) -> None:
    """`Refused` where an object has a field that is in none of the tuples: state that nobody thought of."""
    names = [name for kind in type(one).__mro__ for name in _slots(kind)] + list(getattr(one, "__dict__", ()))
    strange = [name for name in names if not any(name in some for some in known)]
    if strange:
        raise Refused(
            f"a snapshot does not know {type(one).__name__}.{strange[0]}",
            hint="run without snapshots, and report it: `replay.snapshots` must learn it",
        )


def _slots(kind: type) -> tuple[str, ...]:
    found = kind.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)
