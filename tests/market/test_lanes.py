"""Lanes: their numbers are stored, and their order is the rule of the replay."""

from __future__ import annotations

from gnomon.market.lanes import Lane


def test_the_lanes_stand_in_their_order_with_numbers_that_never_change() -> None:
    assert {lane.name: int(lane) for lane in Lane} == {
        "BAR": 10,
        "RULE": 20,
        "PRINT": 30,
        "BOOK": 40,
        "NEWS": 50,
        "ARRIVAL": 60,
        "TIMER": 70,
        "DELIVERY": 80,
    }


def test_an_order_never_trades_with_a_print_of_its_own_instant() -> None:
    keys = [(5, Lane.ARRIVAL, 0, 0), (5, Lane.PRINT, 9, 9), (5, Lane.DELIVERY, 0, 0), (5, Lane.BAR, 1, 0)]
    assert [Lane(lane).name for _, lane, _, _ in sorted(keys)] == ["BAR", "PRINT", "ARRIVAL", "DELIVERY"]
