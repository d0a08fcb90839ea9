"""Parameters and payloads of requests, beside the slow road of the standard library."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.serve.venue.requests import form, signed_payload, split_part, without_signature

NAMES = st.text("abcXYZ019", min_size=1, max_size=6)
VALUES = st.text(max_size=12).filter(lambda text: "\ud800" not in text)


def test_the_query_wins_over_the_body() -> None:
    assert form(b"symbol=BTCUSDT&side=BUY", b"side=SELL&type=MARKET")[0] == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
    }


def test_a_name_in_query_and_body_is_no_duplicate_but_twice_in_one_part_is() -> None:
    assert not form(b"side=BUY", b"side=SELL")[1]
    assert form(b"side=BUY&side=BUY")[1]
    assert form(b"a=1", b"side=BUY&side=BUY")[1]


@pytest.mark.parametrize(
    ("raw", "params"),
    [
        (b"", {}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"=a", {}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=%5B%22BTCUSDT%22%5D", {"a": '["BTCUSDT"]'}),
        (b'a=["BTCUSDT","BNBUSDT"]', {"a": '["BTCUSDT","BNBUSDT"]'}),
        (b"a=1+2", {"a": "1 2"}),
        (b"a=%zz", {"a": "%zz"}),
    ],
)
def test_odd_queries_are_read_as_they_stand(raw: bytes, params: dict[str, str]) -> None:
    assert form(raw)[0] == params
    assert form(b"", raw)[0] == params


def test_bytes_that_are_no_text_do_not_raise() -> None:
    assert form(b"\xff=\xfe&a=1")[0]["a"] == "1"


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.booleans())
def test_forms_are_read_as_the_standard_library_reads_them(params: dict[str, str], by_plus: bool) -> None:
    escape = quote_plus if by_plus else quote
    raw = "&".join(f"{name}={escape(value)}" for name, value in params.items())
    assert form(raw.encode())[0] == dict(parse_qsl(raw, keep_blank_values=True))
    assert form(raw.encode())[0] == params


@pytest.mark.parametrize(
    ("query", "body", "payload"),
    [
        (b"a=1&b=2&signature=ff", b"", b"a=1&b=2"),
        (b"", b"a=1&b=2&signature=ff", b"a=1&b=2"),
        (b"a=1", b"b=2&signature=ff", b"a=1b=2"),
        (b"a=1&signature=ff", b"b=2", b"a=1b=2"),
        (b"signature=ff&a=1", b"", b"a=1"),
        (b"a=1&signature=ff&b=2", b"", b"a=1&b=2"),
        (b"signature=ff", b"", b""),
        (b"a=1&mysignature=ff", b"", b"a=1&mysignature=ff"),
        (b"b=%5B%22&signature=ff%3D%3D", b"", b"b=%5B%22"),
        (b"b=2&a=1", b"", b"b=2&a=1"),
    ],
)
def test_the_payload_is_query_and_body_as_they_came_without_the_signature(
    query: bytes, body: bytes, payload: bytes
) -> None:
    assert signed_payload(query, body) == payload


@given(st.lists(st.tuples(NAMES, st.text("abc%2B.", max_size=5)), max_size=5), st.integers(0, 5))
def test_a_signature_leaves_no_trace_wherever_it_stood(pairs: list[tuple[str, str]], place: int) -> None:
    plain = [f"{name}={value}" for name, value in pairs]
    with_it = [*plain[:place], "signature=abc%3D", *plain[place:]]
    assert without_signature("&".join(with_it).encode()) == "&".join(plain).encode()


@given(st.binary(max_size=60) | st.text('ab=&"\\\\%+2:{},\n é', max_size=40).map(str.encode))
def test_the_short_way_reads_what_the_long_way_reads(raw: bytes) -> None:
    assert form(raw) == split_part(raw)
