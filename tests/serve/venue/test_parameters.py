"""Parameters are read once, and refused in the venue's words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from gnomon.serve.venue import parameters
from gnomon.serve.venue.parameters import Span
from gnomon.serve.venue.refusal import VenueRefusal


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(VenueRefusal) as found:
        call()
    return found.value.code, found.value.msg


def test_a_parameter_that_is_missing_is_mandatory_and_one_that_is_empty_is_empty() -> None:
    assert refusal(lambda: parameters.needed({}, "side")) == (
        -1102,
        "Mandatory parameter 'side' was not sent, was empty/null, or malformed.",
    )
    assert refusal(lambda: parameters.needed({"side": ""}, "side")) == (-1105, "Parameter 'side' was empty.")
    assert parameters.given({}, "side") is None


def test_numbers_are_digits_inside_int64() -> None:
    assert parameters.number({"orderId": "12"}, "orderId") == 12
    assert parameters.number({}, "orderId") is None
    for text in ("-1", "1.5", "x", "1e3", "١"):
        code, msg = refusal(partial(parameters.number, {"orderId": text}, "orderId"))
        assert (code, msg) == (
            -1100,
            "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'.",
        )
    assert refusal(lambda: parameters.number({"orderId": "9" * 20}, "orderId"))[0] == -1108
    assert refusal(lambda: parameters.needed_number({}, "orderId"))[0] == -1102


def test_client_ids_are_one_to_36_plain_characters() -> None:
    assert parameters.client_id({"c": "x-TKT5PX2F_1"}, "c") == "x-TKT5PX2F_1"
    for text in ("a b", "ü", "a" * 37, "a\n", "a'--"):
        code, msg = refusal(partial(parameters.client_id, {"c": text}, "c"))
        assert (code, msg) == (
            -1100,
            "Illegal characters found in parameter 'c'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        )


def test_symbols_are_capital() -> None:
    assert parameters.symbol_text({"symbol": "BTCUSDT"}) == "BTCUSDT"
    assert refusal(lambda: parameters.symbol_text({"symbol": "btcusdt"}))[0] == -1100
    assert refusal(lambda: parameters.symbol_text({}))[0] == -1102


def test_a_choice_is_one_of_some_words() -> None:
    assert parameters.choice({}, "mode", {"A": 1}, "B") == "B"
    assert refusal(lambda: parameters.choice({"mode": "C"}, "mode", {"A": 1}, "B")) == (
        -1130,
        "Data sent for parameter 'mode' is not valid.",
    )


def test_flags_are_true_or_false() -> None:
    assert parameters.flag({"f": "true"}, "f")
    assert not parameters.flag({"f": "FALSE"}, "f")
    assert not parameters.flag({}, "f")
    assert refusal(lambda: parameters.flag({"f": "1"}, "f"))[0] == -1130


def test_a_limit_is_500_unless_said_and_1000_at_most() -> None:
    assert parameters.limit({}) == 500
    assert parameters.limit({"limit": "3"}) == 3
    assert parameters.limit({"limit": "5000"}) == 1_000
    assert refusal(lambda: parameters.limit({"limit": "0"}))[0] == -1130


def test_times_are_ms_or_us() -> None:
    ms = 1_690_000_000_000
    assert parameters.span({"startTime": str(ms)}) == Span(ms, None)
    assert parameters.span({"startTime": str(ms * 1_000), "endTime": str(ms * 1_000 + 5_000)}) == Span(ms, ms + 5)


def test_a_span_is_a_day_at_most() -> None:
    ms, day = 1_690_000_000_000, 86_400_000
    assert parameters.span({"startTime": str(ms), "endTime": str(ms + day)}) == Span(ms, ms + day)
    sent = {"startTime": str(ms), "endTime": str(ms + day + 1)}
    assert refusal(lambda: parameters.span(sent)) == (-1127, "More than 24 hours between startTime and endTime.")
    assert refusal(lambda: parameters.span({"startTime": str(ms), "endTime": str(ms - 1)}))[0] == -1128


def test_a_span_holds_both_of_its_ends() -> None:
    span = Span(1_000, 2_000)
    assert [span.holds(one * 1_000_000) for one in (999, 1_000, 2_000, 2_001)] == [False, True, True, False]
    assert span.holds(2_000 * 1_000_000 + 999_999)
    assert Span(None, None).is_open
    assert not span.is_open
