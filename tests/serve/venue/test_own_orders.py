"""Own orders by themselves: when they are open, and when their list is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.serve.venue.courses import btc

from gnomon.exchange.order import FINAL, Status
from gnomon.serve.venue.own_orders import ALL_DONE, EXECUTING, STATUS_TEXTS, OwnList, OwnOrder
from gnomon.serve.venue.pairs import Pair

PAIR = Pair(btc(), "BTCUSDT", 0, 1)
LEG: dict[str, Any] = {"side": "SELL", "type": "LIMIT", "client": "mine", "lots": 5}


def made(status: Status = Status.NEW) -> OwnOrder:
    return OwnOrder(1, PAIR, LEG, status, 7)


@pytest.mark.parametrize("status", Status)
def test_an_order_is_open_until_its_status_is_final(status: Status) -> None:
    assert made(status).is_open == (status not in FINAL)


@pytest.mark.parametrize("status", Status)
def test_a_status_has_its_name(status: Status) -> None:
    assert STATUS_TEXTS[status] == status.name


def test_a_new_order_has_done_nothing() -> None:
    order = made()
    assert (order.client, order.is_buy, order.lots, order.time_ns, order.update_ns) == ("mine", False, 5, 7, 7)
    assert (order.executed, order.working_ns, order.list_number, order.fills, order.reason) == (0, -1, -1, (), "")
    assert not order.is_on_book
    order.working_ns = 8
    assert order.is_on_book


def test_a_list_is_open_while_one_of_its_orders_is() -> None:
    found = OwnList(3, PAIR, "OCO", "both", 7)
    found.orders = [made(), made(Status.EXPIRED)]
    found.orders[0].list = found
    assert (found.is_open, found.status, found.orders[0].list_number) == (True, EXECUTING, 3)
    found.orders[0].status = Status.FILLED
    assert (found.is_open, found.status) == (False, ALL_DONE)
