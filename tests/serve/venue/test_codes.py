"""The texts of refusals: those of the specification, character by character."""

from __future__ import annotations

import pytest

from gnomon.serve.venue import codes
from gnomon.serve.venue.refusal import VenueRefusal


@pytest.mark.parametrize(
    ("refusal", "code", "status", "msg"),
    [
        (codes.bad_key_format(), -2014, 401, "API-key format invalid."),
        (codes.bad_key(), -2015, 401, "Invalid API-key, IP, or permissions for action."),
        (codes.bad_signature(), -1022, 400, "Signature for this request is not valid."),
        (codes.too_old(), -1021, 400, "Timestamp for this request is outside of the recvWindow."),
        (codes.too_early(), -1021, 400, "Timestamp for this request was 1000ms ahead of the server's time."),
        (
            codes.mandatory("signature"),
            -1102,
            400,
            "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.",
        ),
        (
            codes.either("orderId", "origClientOrderId"),
            -1102,
            400,
            "Param 'orderId' or 'origClientOrderId' must be sent, but both were empty/null!",
        ),
        (
            codes.illegal_characters("quantity", "^[0-9]$"),
            -1100,
            400,
            "Illegal characters found in parameter 'quantity'; legal range is '^[0-9]$'.",
        ),
        (codes.filter_failure("LOT_SIZE"), -1013, 400, "Filter failure: LOT_SIZE"),
        (codes.invalid_symbol(), -1121, 400, "Invalid symbol."),
        (codes.unknown_order(), -2011, 400, "Unknown order sent."),
        (codes.no_such_order(), -2013, 400, "Order does not exist."),
        (codes.half_replaced({}), -2021, 409, "Order cancel-replace partially failed."),
        (codes.not_replaced({}), -2022, 400, "Order cancel-replace failed."),
        (codes.no_such_path(), -1020, 404, "This operation is not supported."),
        (
            codes.too_many_orders(100, "10 SECONDS", 3),
            -1015,
            429,
            "Too many new orders; current limit is 100 orders per 10 SECONDS.",
        ),
        (
            codes.too_much_weight(6000, 7),
            -1003,
            429,
            (
                "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            ),
        ),
    ],
)
def test_a_refusal_says_its_code_its_status_and_its_text(
    refusal: VenueRefusal, code: int, status: int, msg: str
) -> None:
    assert (refusal.code, refusal.status, refusal.msg) == (code, status, msg)


def test_each_call_makes_another_refusal_so_that_no_traceback_is_shared() -> None:
    assert codes.bad_signature() is not codes.bad_signature()


def test_every_constant_refusal_has_a_negative_code_and_a_text() -> None:
    made = [one() for name, one in vars(codes).items() if callable(one) and getattr(one, "__name__", "") == "make"]
    assert len(made) > 30
    assert all(one.code < 0 and one.msg and 400 <= one.status < 600 for one in made)


def test_the_choice_of_a_session_names_those_that_live() -> None:
    assert "ses_a,ses_b" in codes.which_session("ses_a,ses_b").msg
    assert "No session is live" in codes.which_session("").msg
