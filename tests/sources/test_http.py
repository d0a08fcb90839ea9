"""Asking over HTTP, against a server on this machine that fails as real ones do."""

from __future__ import annotations

import gzip
import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.loopback import Fault, Loopback, Reply, Seen

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.sources.http import Answer, Http, HttpRetries, RateLimit, retry_after_s
from gnomon.units import HOUR_NS, SECOND_NS

NOW = parse_instant("2026-03-01T12:00:00Z")
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
FAST = RateLimit(weight=1_000_000)


@dataclass
class Time:
    """Seconds that pass when somebody sleeps."""

    now_s: float = 100.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, wait_s: float) -> None:
        self.slept.append(wait_s)
        self.now_s += wait_s

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def provider() -> Iterator[Loopback]:
    routes = {"/data": lambda seen: {"asked": dict(seen.params)}, "/file": lambda _: bytes(range(256)) * 40}
    with Loopback(routes, date=DATE) as server:
        yield server


@pytest.fixture
def time_() -> Time:
    return Time()


def client(provider: Loopback, time_: Time, **options: Any) -> Http:
    options = {"rate": FAST, "clock": SimClock(NOW), "timeout_s": 300.0, **options}
    return Http(provider.url, sleep=time_.sleep, monotonic=time_.monotonic, **options)


def failure(provider: Loopback, time_: Time, *faults: Fault, **options: Any) -> GnomonError:
    provider.script(*faults)
    with client(provider, time_, **options) as http, pytest.raises(GnomonError) as caught:
        http.json("/data")
    return caught.value


def test_a_document_and_who_asked(provider: Loopback, time_: Time) -> None:
    with client(provider, time_) as http:
        assert http.json("/data", {"limit": 5}) == {"asked": {"limit": "5"}}
        assert http.get("data").status == 200
    assert provider.requests[0].headers["user-agent"].startswith("gnomon/")
    assert [(asked.path, asked.status, asked.attempt) for asked in http.log] == [("/data", 200, 1), ("data", 200, 1)]
    assert time_.slept == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, body="<html>busy</html>"),
        Fault(status=408),
        Fault(reset=True),
        Fault(keep_bytes=5),
        Fault(keep_bytes=5, chunked=True),
        Fault(cut_bytes=9),
        Fault(cut_bytes=0),
        Fault(body="<html>please wait</html>"),
        Fault(body='{"a": NaN}'),
    ],
    ids=lambda fault: repr(fault)[:60],
)
def test_what_may_pass_is_asked_again_and_then_is_unavailable(provider: Loopback, time_: Time, fault: Fault) -> None:
    provider.script(fault, fault)
    with client(provider, time_) as http:
        assert http.json("/data") == {"asked": {}}
    assert [asked.attempt for asked in http.log] == [1, 2, 3]
    assert [bool(asked.problem) for asked in http.log] == [True, True, False]
    assert len(time_.slept) == 2
    error = failure(provider, time_, *[fault] * 5)
    assert isinstance(error, Unavailable)
    assert "after 5 attempts" in str(error)
    assert error.hint


def test_waits_grow_and_are_keyed_and_bounded() -> None:
    retries = HttpRetries(base_s=1.0, longest_s=8.0)
    waits = [retries.wait_s(attempt, "host", "/path") for attempt in range(1, 7)]
    assert waits == [retries.wait_s(attempt, "host", "/path") for attempt in range(1, 7)]
    assert waits != [retries.wait_s(attempt, "host", "/other") for attempt in range(1, 7)]
    assert all(0.5 * top <= wait <= top for wait, top in zip(waits, (1, 2, 4, 8, 8, 8), strict=True))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (401, Refused), (403, Refused), (404, NotFound), (410, NotFound), (422, Invalid), (451, Refused)],
)
def test_what_will_not_pass_is_said_at_once(
    provider: Loopback, time_: Time, status: int, kind: type[GnomonError]
) -> None:
    error = failure(provider, time_, Fault(status=status, body={"msg": "no such thing"}))
    assert type(error) is kind
    assert f"answers {status}" in str(error)
    assert "no such thing" in str(error)
    assert len(provider.requests) == 1


def test_too_many_requests_waits_as_long_as_told(provider: Loopback, time_: Time) -> None:
    provider.script(Fault(status=429, headers={"Retry-After": "7"}))
    with client(provider, time_) as http:
        http.json("/data")
    assert time_.slept == [7.0]


def test_a_wait_that_is_too_long_is_exhausted_and_bars_what_follows(provider: Loopback, time_: Time) -> None:
    provider.script(Fault(status=429, headers={"Retry-After": "300"}))
    with client(provider, time_) as http:
        for _ in range(2):
            with pytest.raises(Exhausted) as caught:
                http.json("/data")
            assert caught.value.detail["retry_after_s"] == 300.0
        assert len(provider.requests) == 1
        time_.now_s += 301
        assert http.json("/data") == {"asked": {}}


def test_a_ban_is_never_asked_against(provider: Loopback, time_: Time) -> None:
    provider.script(Fault(status=418, headers={"Retry-After": "20"}))
    with client(provider, time_) as http:
        for _ in range(3):
            with pytest.raises(Exhausted):
                http.json("/data")
            time_.now_s += 5
        assert len(provider.requests) == 1
        time_.now_s += 10
        http.json("/data")
    assert time_.slept == []


def test_a_provider_that_is_busy_says_when_to_come_back(provider: Loopback, time_: Time) -> None:
    provider.script(Fault(status=503, headers={"Retry-After": "11"}))
    with client(provider, time_) as http:
        http.json("/data")
    assert time_.slept == [11.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30.0), (DATE, 0.0), ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0), ("soon", None), ("", None), ("-5", None)],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, NOW) == seconds


def test_the_deadline_ends_the_attempts(provider: Loopback, time_: Time) -> None:
    retries = HttpRetries(attempts=50, base_s=10.0, deadline_s=25.0)
    error = failure(provider, time_, *[Fault(status=503)] * 50, retries=retries)
    assert isinstance(error, Unavailable)
    assert sum(time_.slept) < 25
    assert len(provider.requests) < 6


def test_a_server_that_does_not_answer_times_out(provider: Loopback, time_: Time) -> None:
    provider.script(Fault(delay_s=2.0))
    with client(provider, time_, timeout_s=0.5) as http:
        assert http.json("/data") == {"asked": {}}
    assert "timed out" in http.log[0].problem
    assert http.log[0].status == 0


def test_nobody_there_is_unavailable(time_: Time) -> None:
    with Loopback() as gone:
        pass
    error = failure(gone, time_, retries=HttpRetries(attempts=2))
    assert isinstance(error, Unavailable)


def test_a_body_larger_than_allowed_is_refused_though_it_is_packed(provider: Loopback, time_: Time) -> None:
    bomb = gzip.compress(b" " * 2_000_000)
    provider.routes["/bomb"] = lambda _: Reply(bomb, headers={"Content-Encoding": "gzip"})
    with client(provider, time_, largest_body_bytes=100_000) as http, pytest.raises(Invalid, match="more than 100,000"):
        http.json("/bomb")


def test_redirects_stay_on_the_host(provider: Loopback, time_: Time) -> None:
    provider.routes["/moved"] = lambda _: Reply(status=301, headers={"Location": "/data?x=1"})
    provider.routes["/away"] = lambda _: Reply(status=302, headers={"Location": "http://example.com/data"})
    provider.routes["/round"] = lambda _: Reply(status=302, headers={"Location": "/round"})
    with client(provider, time_, retries=HttpRetries(attempts=1)) as http:
        assert http.json("/moved") == {"asked": {"x": "1"}}
        with pytest.raises(Refused, match=r"another host, 'example\.com'"):
            http.json("/away")
        with pytest.raises(Unavailable, match="redirects more than"):
            http.json("/round")


def test_secrets_appear_nowhere(provider: Loopback, time_: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, header = "s3cr3tkey", "h3adersecret"
    provider.routes["/echo"] = lambda seen: Reply(f"bad key {seen.params['apikey']} {header}", status=400)
    with client(provider, time_, headers={"X-MBX-APIKEY": header}) as http:
        with pytest.raises(Invalid) as caught:
            http.json("/echo", {"apikey": secret, "symbol": "SPY"})
        provider.script(Fault(keep_bytes=2), path="/data")
        http.json("/data", {"Signature": secret, "api_key": secret, "token": secret})
    assert http.log[0].params == {"apikey": "***", "symbol": "SPY"}
    told = f"{http.log} {caught.value!r} {caught.value.document()} {caplog.text}"
    assert secret not in told
    assert header not in told
    assert provider.requests[0].headers["x-mbx-apikey"] == header


@pytest.mark.parametrize(
    "address", ["", "ftp://host", "api.binance.com", "http://", "https://me:pass@host/", "http://h/?q=1"]
)
def test_addresses_are_checked_and_passwords_not_repeated(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        Http(address, clock=SimClock(NOW), rate=FAST)
    assert "pass@" not in caught.value.message


def test_a_path_below_the_base_is_kept(provider: Loopback, time_: Time) -> None:
    provider.routes["/below/data"] = lambda _: {"below": True}
    with Http(f"{provider.url}/below/", clock=SimClock(NOW), rate=FAST, sleep=time_.sleep) as http:
        assert http.json("/data") == {"below": True}


# --- pace -------------------------------------------------------------------------------------------------------------


def test_the_bucket_gives_a_burst_and_then_its_rate(provider: Loopback, time_: Time) -> None:
    with client(provider, time_, rate=RateLimit(weight=60, per_s=60, burst=4)) as http:
        for _ in range(4):
            http.json("/data", weight=2)
    assert time_.slept == pytest.approx([2.0, 2.0])


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 30)), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_stretch_of_time_sees_more_than_burst_and_rate(asks: list[tuple[int, float]]) -> None:
    from gnomon.sources.http import _Pace

    time_ = Time()
    pace = _Pace(RateLimit(weight=60, per_s=60, burst=20), time_.monotonic, time_.sleep)
    taken = []
    for weight, pause_s in asks:
        time_.now_s += pause_s
        pace.take(weight)
        taken.append((time_.now_s, weight))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            elapsed_s = taken[last][0] - taken[first][0]
            assert sum(weight for _, weight in taken[first : last + 1]) <= 20 + elapsed_s + 1e-6


def test_the_providers_own_count_slows_us(provider: Loopback, time_: Time) -> None:
    rate = RateLimit(weight=60, per_s=60, burst=10, used_header="X-MBX-USED-WEIGHT-1M", limit=100)
    provider.script(Fault(headers={"x-mbx-used-weight-1m": "105"}), Fault(headers={"x-mbx-used-weight-1m": "20"}))
    with client(provider, time_, rate=rate) as http:
        http.json("/data")
        http.json("/data")
    assert time_.slept == pytest.approx([6.0])  # five too many, and one for the request


def test_threads_share_one_pace(provider: Loopback, time_: Time) -> None:
    with client(provider, time_, rate=RateLimit(weight=60, per_s=60, burst=1)) as http:
        threads = [threading.Thread(target=http.json, args=("/data",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(time_.slept) == 3


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_ns", "noted"), [(0, False), (4 * SECOND_NS, False), (-7 * HOUR_NS, True), (HOUR_NS, True)]
)
def test_the_servers_date_is_compared_with_the_clock(
    provider: Loopback, time_: Time, ahead_ns: int, noted: bool
) -> None:
    with client(provider, time_, clock=SimClock(NOW + ahead_ns)) as http:
        http.json("/data")
        http.json("/data")
    assert http.clock_ahead_ns == ahead_ns
    assert len(http.notes) == noted
    if noted:
        assert ("ahead of" if ahead_ns > 0 else "behind") in http.notes[0]


def test_a_date_that_is_none_is_no_clock(time_: Time) -> None:
    with Loopback({"/data": lambda _: {}}, date="yesterday") as provider, client(provider, time_) as http:
        http.json("/data")
        assert http.clock_ahead_ns is None


# --- what the adapter knows -------------------------------------------------------------------------------------------


def test_a_judge_decides_before_the_status(provider: Loopback, time_: Time) -> None:
    def judge(answer: Answer) -> GnomonError | None:
        document = json.loads(answer.body)
        return Unavailable("the venue says busy") if document.get("code") == -1 else None

    provider.script(Fault(body={"code": -1}), Fault(status=400, body={"code": -1}))
    with client(provider, time_, judge=judge) as http:
        assert http.json("/data") == {"asked": {}}
    assert [asked.problem for asked in http.log] == ["the venue says busy", "the venue says busy", ""]


# --- files ------------------------------------------------------------------------------------------------------------


def _ranged(content: bytes, etag: str = "") -> Any:
    def route(seen: Seen) -> Reply:
        wanted = seen.headers.get("range", "")
        headers = {"ETag": etag} if etag else {}
        if not wanted or (etag and seen.headers.get("if-range", etag) != etag):
            return Reply(content, headers=headers)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return Reply(b"", 416)
        headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return Reply(content[start:], 206, headers)

    return route


CONTENT = bytes(range(256)) * 40


def test_a_download_goes_on_where_it_was_cut(provider: Loopback, time_: Time) -> None:
    provider.routes["/file"] = _ranged(CONTENT, '"one"')
    provider.script(Fault(keep_bytes=4_000), Fault(status=502), Fault(keep_bytes=100))
    into = io.BytesIO()
    with client(provider, time_) as http:
        assert http.download("/file", into, largest_bytes=10**6) == len(CONTENT)
    assert into.getvalue() == CONTENT
    ranges = [seen.headers.get("range") for seen in provider.requests]
    assert ranges[0] is None
    assert ranges[1] == ranges[2]
    assert ranges[1] is not None
    assert ranges[3] is not None
    assert provider.requests[-1].headers["if-range"] == '"one"'


def test_a_download_begins_anew_without_ranges(provider: Loopback, time_: Time) -> None:
    provider.script(Fault(keep_bytes=4_000), Fault(keep_bytes=9_000))
    into = io.BytesIO()
    with client(provider, time_) as http:
        assert http.download("/file", into, largest_bytes=10**6) == len(CONTENT)
    assert into.getvalue() == CONTENT


def test_a_part_of_something_longer_is_thrown_away(provider: Loopback, time_: Time) -> None:
    provider.routes["/file"] = _ranged(CONTENT)
    into = io.BytesIO(b"x" * (len(CONTENT) + 5))
    with client(provider, time_) as http:
        http.download("/file", into, largest_bytes=10**6)
    assert into.getvalue() == CONTENT


def test_another_range_than_asked_for_is_not_used(provider: Loopback, time_: Time) -> None:
    provider.routes["/file"] = _ranged(CONTENT)
    wrong = Fault(headers={"Content-Range": "bytes 0-9/10240"})
    provider.script(wrong)
    into = io.BytesIO(CONTENT[:100])
    with client(provider, time_) as http:
        http.download("/file", into, largest_bytes=10**6)
    assert into.getvalue() == CONTENT


def test_a_download_that_is_too_large_stops(provider: Loopback, time_: Time) -> None:
    into = io.BytesIO()
    with client(provider, time_) as http, pytest.raises(Invalid, match="more than 5,000 bytes"):
        http.download("/file", into, largest_bytes=5_000)
    with client(provider, time_) as http, pytest.raises(NotFound):
        http.download("/nothing", into, largest_bytes=5_000)


@given(st.lists(st.integers(0, len(CONTENT)), max_size=4), st.booleans())
@settings(max_examples=15, deadline=None)
def test_wherever_a_download_is_cut_the_whole_arrives(cuts: list[int], ranges: bool) -> None:
    route = _ranged(CONTENT, '"e"') if ranges else lambda _: CONTENT
    time_ = Time()
    with Loopback({"/file": route}) as provider, client(provider, time_) as http:
        provider.script(*(Fault(keep_bytes=cut) for cut in cuts))
        into = io.BytesIO()
        http.download("/file", into, largest_bytes=10**6)
        assert into.getvalue() == CONTENT
