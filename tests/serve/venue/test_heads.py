"""Heads of requests: read once, known again; bodies in chunks."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.serve.venue import heads as module
from gnomon.serve.venue.heads import CHUNKED, LINE, Heads, dechunked
from gnomon.serve.venue.refusal import VenueRefusal

LINE_1_1 = b"POST /api/v3/order?a=1 HTTP/1.1"


def test_a_head_says_key_length_and_whether_the_connection_stays() -> None:
    head = Heads().read(LINE_1_1, b"\r\nx-mbx-ApiKey:  abc \r\nContent-Length: 12\r\nX-Gnomon-Wake: 1-2")
    assert (head.api_key, head.length, head.keeps_alive, head.wake) == ("abc", 12, True, "1-2")
    head = Heads().read(LINE_1_1, b"\r\nConnection: CLOSE\r\nTransfer-Encoding: chunked\r\nExpect: 100-Continue")
    assert (head.api_key, head.length, head.keeps_alive, head.expects) == ("", CHUNKED, False, True)


def test_the_same_bytes_are_read_once() -> None:
    heads = Heads()
    block = b"\r\nHost: x\r\nX-MBX-APIKEY: abc"
    head = heads.read(LINE_1_1, block)
    assert heads.known[block] is head


@pytest.mark.parametrize(
    "block",
    [
        b"\r\nConnection: close",
        b"\r\nX-Gnomon-Wake: 1-2",
        b"\r\nExpect: 100-continue",
        b"\r\nConnection: Upgrade\r\nUpgrade: websocket",
        b"\r\nA: " + b"x" * 5_000,
    ],
)
def test_what_says_something_of_this_request_alone_is_not_kept(block: bytes) -> None:
    heads = Heads()
    heads.read(LINE_1_1, block)
    assert heads.known == {}


def test_no_more_is_kept_than_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    heads = Heads()
    for number in range(10):
        heads.read(LINE_1_1, b"\r\nA: %d" % number)
        assert len(heads.known) <= 3


@given(st.binary(max_size=60))
def test_random_lines_are_a_head_or_a_refusal(block: bytes) -> None:
    with suppress(VenueRefusal):
        assert Heads().read(LINE_1_1, b"\r\n" + block.replace(b"\r\n\r\n", b"")).length >= CHUNKED


@pytest.mark.parametrize(
    ("line", "groups"),
    [
        (b"GET / HTTP/1.1", (b"GET /", b"GET", b"/", None, b"1")),
        (b"GET /a?b=c?d HTTP/1.0", (b"GET /a", b"GET", b"/a", b"b=c?d", b"0")),
        (b"GET /a? HTTP/1.1", (b"GET /a", b"GET", b"/a", b"", b"1")),
    ],
)
def test_request_lines_are_cut_at_their_parts(line: bytes, groups: tuple[bytes, ...]) -> None:
    match = LINE.fullmatch(line)
    assert match is not None
    assert match.groups() == groups


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.binary(max_size=10))
def test_chunks_are_put_together_and_what_follows_is_left(parts: list[bytes], rest: bytes) -> None:
    data = b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    assert dechunked(b"head" + data + rest, 4) == (b"".join(parts), 4 + len(data))
    for end in range(len(data)):
        assert dechunked(data[:end], 0) is None


@given(st.binary(max_size=40))
def test_random_chunks_are_a_body_or_a_refusal(data: bytes) -> None:
    with suppress(VenueRefusal):
        found = dechunked(data, 0)
        assert found is None or found[1] <= len(data)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"x\r\n", 400),
        (b"-1\r\n", 400),
        (b"\r\n", 400),
        (b"1" * 9 + b"\r\n", 400),
        (b"1" * 2_000, 400),
        (b"fffff\r\n", 413),
    ],
)
def test_chunks_that_cannot_be_are_refused(data: bytes, status: int) -> None:
    with pytest.raises(VenueRefusal) as caught:
        dechunked(data, 0)
    assert caught.value.status == status
