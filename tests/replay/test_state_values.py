"""Values of a state in plain words, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gnomon.errors import Refused
from gnomon.exchange.exchange import Arrival, BarPoint, Entry, Printed
from gnomon.exchange.order import (
    Cancel,
    ListKind,
    Order,
    OrderList,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Side,
    Status,
)
from gnomon.exchange.recorded import BookMoved
from gnomon.exchange.takers import Deadline, Part
from gnomon.replay.bodies import PriceWatch
from gnomon.replay.digests import canonical
from gnomon.replay.state_values import ORDER_FIELDS, StateReader, StateWriter


def again(value: Any) -> Any:
    writer = StateWriter()
    plain = writer.plain(value)
    text = canonical({"value": plain, "linked": writer.orders_and_lists()})
    document = json.loads(text)
    return StateReader(document["linked"]).value(document["value"])


PLACE = Place(0, Side.BUY, OrderType.STOP_LOSS_LIMIT, 3, 9_000, stop=9_100, reduce_only=True)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**100,
        True,
        "tick\n",
        None,
        [],
        (),
        {},
        [1, (2, [3, None])],
        {(Side.BUY, 100): 5, (Side.SELL, 99): 1},
        {3: "c", 1: "a"},
        Status.PENDING_NEW,
        PriceWatch(0, 1, 10_000),
        Arrival(9, 8, 7, PLACE),
        Arrival(9, 8, 7, PlaceList(ListKind.OCO, (PLACE, PLACE))),
        Arrival(9, 8, 7, Replace(4, PLACE)),
        Arrival(9, 8, 7, Quote(0, 1, 2, 3, keep=False)),
        Arrival(9, 8, 7, Cancel(0, 4)),
        [Printed(0, 1), BarPoint(0, 1, 2), Entry(5, 6), Deadline(7, 8), BookMoved(0, 1, -1, 2, 3), Part(1, 2, 3, 4, 5)],
    ],
)
def test_a_value_is_read_back_as_it_was_put_down(value: Any) -> None:
    found = again(value)
    assert found == value
    assert repr(found) == repr(value), "types and the order of a map too"


def test_orders_and_lists_that_know_each_other_do_so_again() -> None:
    one, two = Order(0, Side.BUY, 10, 3, 1, 2), Order.of(PLACE, 3, 4)
    one.number, two.number = 1, 2
    pair = OrderList(1, ListKind.OCO, 9)
    pair.legs = [one, two]
    one.pair = two.pair = pair
    one.kept = (Part(1, 2, 3, 4, 5),)
    first, second = again([one, two])
    assert first.pair is second.pair
    assert first.pair.legs == [first, second]
    assert (first.pair.kind, first.pair.request, first.pair.working) == (ListKind.OCO, 9, None)
    for name in ORDER_FIELDS:
        if name != "pair":
            assert getattr(second, name) == getattr(two, name), name
    assert first.kept == one.kept
    assert first.side is Side.BUY


def test_what_has_no_form_is_refused_by_its_name() -> None:
    with pytest.raises(Refused, match="holds a float"):
        StateWriter().plain([1, 2.5])
    with pytest.raises(Refused, match="holds a set"):
        StateWriter().plain({"a": {1}})


def test_an_order_that_has_grown_is_refused() -> None:
    order: Any = Order(0, Side.BUY, 10, 3, 1, 2)
    order.number = 1
    order.mood = "good"
    writer = StateWriter()
    writer.plain(order)
    with pytest.raises(Refused, match=r"does not know Order\.mood"):
        writer.orders_and_lists()


def test_two_orders_of_one_number_are_refused() -> None:
    one, two = Order(0, Side.BUY, 10, 3, 1, 2), Order(0, Side.BUY, 10, 3, 1, 2)
    one.number = two.number = 1
    with pytest.raises(Refused, match="the number 1"):
        StateWriter().plain([one, two])
    with pytest.raises(Refused, match="the number 0"):
        StateWriter().plain(Order(0, Side.BUY, 10, 3, 1, 2))
