"""Signed calls and what is done when they fail, against a server that fails in every way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gnomon.clock import SimClock
from gnomon.trader.pulse.bulletin import Bulletin
from gnomon.trader.pulse.client import Refusal, Rest, Signer, Unknown, Unreached
from gnomon.trader.pulse.config import Telemetry
from gnomon.trader.pulse.sockets import Lost, Rejected, WebSocket
from gnomon.trader.pulse.tally import Tally

NOW_MS = 1_700_000_000_000


class Answers:
    """What the server says next, and what it was asked."""

    def __init__(self) -> None:
        self.next: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.port = 0


@pytest.fixture
def server() -> Iterator[Answers]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers.asked.append((self.command, self.path, body, dict(self.headers)))
            status, headers, said = answers.next.pop(0) if answers.next else (200, {}, {})
            if status == 0:  # no answer at all
                self.close_connection = True
                return
            text = json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = do_PUT = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None: ...

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    answers.port = found.server_address[1]
    thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield answers
    found.shutdown()
    found.server_close()
    thread.join(60)


class Bed:
    def __init__(self, server: Answers, prefix: str = "") -> None:
        self.slept: list[float] = []
        self.tally = Tally()
        self.signer = Signer("key", "secret", 5000, lambda: NOW_MS)
        clock = SimClock(NOW_MS * 1_000_000)
        url = f"http://127.0.0.1:{server.port}{prefix}"
        self.rest = Rest(url, self.signer, 5.0, self.slept.append, self.tally, clock)


def test_a_signature_is_over_what_is_sent(server: Answers) -> None:
    bed = Bed(server)
    bed.rest.once("POST", "/api/v3/order", {"symbol": "LTCBTC", "quantity": "1"})
    _, path, body, headers = server.asked[0]
    text = body.decode()
    payload, _, signature = text.rpartition("&signature=")
    assert path == "/api/v3/order"
    assert payload == f"symbol=LTCBTC&quantity=1&recvWindow=5000&timestamp={NOW_MS}"
    assert signature == bed.signer.signature(payload)
    assert headers["X-MBX-APIKEY"] == "key"
    bed.rest.close()


def test_the_published_example_of_a_signature() -> None:
    """From the exchange's own documentation."""
    signer = Signer(
        "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j", 5000, lambda: 1499827319559,
    )  # fmt: skip
    params = {
        "symbol": "LTCBTC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "0.1",
    }  # fmt: skip
    signed = signer.query(params)
    assert signed.endswith("signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71")


def test_a_get_is_tried_four_times_with_growing_patience(server: Answers) -> None:
    bed = Bed(server)
    server.next = [(500, {}, {}), (503, {}, {}), (0, {}, {}), (200, {}, {"serverTime": 1})]
    assert bed.rest.get("/api/v3/time") == {"serverTime": 1}
    assert bed.slept == [0.25, 0.5, 1.0]
    assert bed.tally.retries == 3
    server.next = [(500, {}, {})] * 4
    with pytest.raises(Unreached):
        bed.rest.get("/api/v3/time")
    bed.rest.close()


@pytest.mark.parametrize(
    "answer", [(500, {}, {}), (0, {}, {}), (400, {}, {"code": -1007, "msg": "Timeout"}), (504, {}, {"code": -1006})]
)
def test_an_order_whose_outcome_is_unknown_is_sent_once(server: Answers, answer: Any) -> None:
    bed = Bed(server)
    server.next = [answer]
    with pytest.raises(Unknown):
        bed.rest.once("POST", "/api/v3/order", {"symbol": "X"})
    assert len(server.asked) == 1
    bed.rest.close()


@pytest.mark.parametrize("status", [429, 418])
def test_retry_after_is_honoured(server: Answers, status: int) -> None:
    bed = Bed(server)
    server.next = [(status, {"Retry-After": "7"}, {"code": -1003, "msg": "slow"}), (200, {}, {"ok": 1})]
    assert bed.rest.once("POST", "/api/v3/order", {}) == {"ok": 1}
    assert bed.slept == [7.0]
    bed.rest.close()


def test_a_stamp_that_is_off_reads_the_servers_time_once(server: Answers) -> None:
    bed = Bed(server)
    late = (400, {}, {"code": -1021, "msg": "Timestamp"})
    server.next = [late, (200, {}, {"serverTime": NOW_MS + 9_000}), (200, {}, {"ok": 1})]
    assert bed.rest.get("/api/v3/account", signed=True) == {"ok": 1}
    assert f"timestamp={NOW_MS + 9_000}" in server.asked[2][1]
    server.next = [late, (200, {}, {"serverTime": NOW_MS}), late]
    with pytest.raises(Refusal, match="-1021"):
        bed.rest.get("/api/v3/account", signed=True)
    bed.rest.close()


def test_a_refusal_says_its_code_and_whether_it_is_about_the_key(server: Answers) -> None:
    bed = Bed(server)
    server.next = [(400, {}, {"code": -2010, "msg": "Account has insufficient balance for requested action."})]
    with pytest.raises(Refusal) as refused:
        bed.rest.once("POST", "/api/v3/order", {})
    assert (refused.value.number, refused.value.is_key) == (-2010, False)
    server.next = [(401, {}, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})]
    with pytest.raises(Refusal) as refused:
        bed.rest.once("POST", "/api/v3/order", {})
    assert refused.value.is_key
    bed.rest.close()


def test_what_is_no_exchanges_stands_beside_the_sessions_of_a_venue(server: Answers) -> None:
    bed = Bed(server, "/s/ses_1")
    bed.rest.get("/api/v3/time")
    bed.rest.get("/sim/v1/plan")
    assert [one[1] for one in server.asked] == ["/s/ses_1/api/v3/time", "/sim/v1/plan"]
    bed.rest.close()


def test_health_is_reported_in_the_words_of_the_platform(server: Answers) -> None:
    bed = Bed(server)
    bed.tally.orders["BUY", "MARKET"] += 3
    bed.tally.rejects[-2010] += 1
    how = Telemetry(enabled=True)
    bulletin = Bulletin(how, bed.rest, bed.tally, SimClock(NOW_MS * 1_000_000), lambda: {"version": "1"}, "host/1")
    server.next = [(202, {}, {"accepted": 1, "duplicates": 0, "interval_s": 9, "server_time": "x"}), (500, {}, {})]
    assert bulletin.publish() == "accepted"
    assert bulletin._interval_s == 9
    assert bulletin.publish() == "refused"
    said = json.loads(server.asked[0][2])
    assert server.asked[0][1] == "/api/v1/live/telemetry"
    assert (said["schema"], said["seq"], said["instance"]) == (1, 1, "host/1")
    assert said["orders"]["sent"] == 3
    assert said["orders"]["rejected"] == {"-2010": 1}
    assert said["state"] in ("connecting", "online", "degraded")
    assert dict(bed.tally.published) == {"accepted": 1, "refused": 1}


def test_a_socket_says_what_kept_it_from_opening(server: Answers) -> None:
    server.next = [(401, {}, {"code": -2015, "msg": "Invalid API-key"})]
    with pytest.raises(Rejected) as rejected:
        WebSocket(f"ws://127.0.0.1:{server.port}/ws-api/v3", 5)
    assert rejected.value.status == 401
    with pytest.raises(Lost):
        WebSocket("ws://127.0.0.1:9/ws", 1)
