"""Answers as bytes, beside the parsers of the standard library."""

from __future__ import annotations

import io
import json
from http.client import HTTPResponse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.serve.venue import codes
from gnomon.serve.venue.answers import date_line, http_answer, order_headers, refusal_headers, socket_answer
from gnomon.serve.venue.limits import Limits
from gnomon.units import SECOND_NS


class _Once:
    """What `HTTPResponse` reads from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._content)


@given(
    st.sampled_from([200, 400, 401, 404, 409, 410, 413, 418, 429, 431, 500, 504]),
    st.binary(max_size=50) | st.just(b"x" * 9_000),
    st.booleans(),
    st.integers(0, 20_000),
)
def test_the_standard_library_reads_what_is_answered(status: int, body: bytes, keeps_alive: bool, used: int) -> None:
    made = http_answer(status, body, keeps_alive, b"Date: now\r\n", used, b"Retry-After: 7\r\n")
    response: Any = HTTPResponse(_Once(made))  # type: ignore[arg-type]  # a file is all that it asks of a socket
    response.begin()
    assert response.status == status
    assert response.read() == body
    headers = {name.lower(): value for name, value in response.getheaders()}
    assert headers["x-mbx-used-weight"] == headers["x-mbx-used-weight-1m"] == str(used)
    assert headers["retry-after"] == "7"
    assert ("connection" in headers) is not keeps_alive


def test_dates_are_those_of_http() -> None:
    assert date_line(784_111_777 * SECOND_NS + 999_999_999) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_headers_of_orders_and_refusals() -> None:
    limits = Limits()
    limits.admit_orders(0, 3)
    assert order_headers(limits) == b"X-MBX-ORDER-COUNT-10S: 3\r\nX-MBX-ORDER-COUNT-1D: 3\r\n"
    assert refusal_headers(codes.too_many_orders(1, "1 DAY", 9)) == b"Retry-After: 9\r\n"
    assert refusal_headers(codes.bad_key()) == b""


@pytest.mark.parametrize("request_id", [None, 0, -7, "a", 'quo"te'])
def test_answers_of_the_socket_are_json_with_their_id(request_id: Any) -> None:
    assert json.loads(socket_answer(request_id, 200, b"[1]", None, [])) == {
        "id": request_id,
        "status": 200,
        "result": [1],
        "rateLimits": [],
    }
    assert json.loads(socket_answer(request_id, 400, None, codes.half_replaced({"a": 1}), None)) == {
        "id": request_id,
        "status": 400,
        "error": {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": {"a": 1}},
    }
