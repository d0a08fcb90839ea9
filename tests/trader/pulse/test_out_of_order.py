"""What a runtime makes of answers that leave things open, and of reports that come in another order."""

from __future__ import annotations

import pytest

from gnomon.trader.pulse.lockstep import is_open
from gnomon.trader.pulse.reports import _in_order


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (504, -1007, True),
        (400, -1007, True),
        (400, -1006, True),
        (503, -1000, True),
        (400, -2010, False),
        (429, -1003, False),
    ],
)
def test_an_answer_leaves_open_what_came_of_a_request(status: int, code: int, expected: bool) -> None:
    assert is_open(status, code) is expected


def report(execution: int, kind: str, symbol: str = "BTCUSDT") -> dict[str, object]:
    return {"e": "executionReport", "I": execution, "x": kind, "s": symbol}


def test_a_fill_that_comes_before_its_order_is_taken_after_it() -> None:
    balance = {"e": "outboundAccountPosition"}
    came = [report(7, "TRADE"), report(6, "NEW"), balance]
    assert _in_order(came) == [report(6, "NEW"), report(7, "TRADE"), balance]


def test_what_comes_in_order_or_of_several_symbols_stays_as_it_is() -> None:
    came = [report(6, "NEW"), report(7, "TRADE")]
    assert _in_order(came) is came
    mixed = [report(9, "TRADE", "ETHUSDT"), report(6, "NEW")]
    assert _in_order(mixed) is mixed
