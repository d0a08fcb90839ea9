"""Every refusal of the exchange has a code and a text."""

from __future__ import annotations

import pytest

from gnomon.exchange.outcome import Refusal, Rejected
from gnomon.serve.venue.order_refusals import FILTERS, amend_refused, refused


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_is_said(refusal: Refusal) -> None:
    found = refused(Rejected(1, refusal))
    assert found.code in (-1013, -1014, -1112, -1121, -2010, -2011)
    assert found.status == 400
    assert (found.code == -1013) == (refusal in FILTERS)


def test_a_filter_is_named() -> None:
    assert refused(Rejected(1, Refusal.MARKET_LOT_SIZE)).msg == "Filter failure: MARKET_LOT_SIZE"


def test_a_book_without_orders_is_told_apart_from_one_that_is_too_thin() -> None:
    assert refused(Rejected(1, Refusal.NO_LIQUIDITY), {"quote": 0}).code == -1112
    assert refused(Rejected(1, Refusal.NO_LIQUIDITY), {"quote": 5}).msg.startswith("Order book liquidity is less")


def test_amendments_are_refused_by_how_they_miss() -> None:
    assert amend_refused(Rejected(1, Refusal.NO_CHANGE, 5, 4)).msg.endswith("(quantity increase) is not supported.")
    assert amend_refused(Rejected(1, Refusal.NO_CHANGE, 4, 4)).msg.startswith("The requested action would change")
    assert amend_refused(Rejected(1, Refusal.NO_CHANGE, 3, 4)).msg == "This action is disabled on this account."
    assert amend_refused(Rejected(1, Refusal.UNKNOWN_ORDER, 3)).msg == "Unknown order sent."
    assert amend_refused(Rejected(1, Refusal.NOTIONAL)).code == -1013
