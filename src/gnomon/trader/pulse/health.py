"""Health: a small server beside the bot. `/healthz`, `/readyz`, `/status`, and `/metrics` for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from gnomon.clock import Clock
from gnomon.errors import Unavailable
from gnomon.trader.pulse.tally import Histogram, Tally

HEAD: Final = "gnomon_pulse_"
METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Collector:
    """A tally as metrics, when they are asked for."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally = tally
        self._clock = clock

    def collect(self) -> Iterator[Any]:
        one, now_ns = self._tally, self._clock.now_ns()
        yield _gauge("up", "Whether the runtime is online or degraded.", one.state_at(now_ns) in ("online", "degraded"))
        yield _counters("events", "Events taken.", ["stream"], {(name,): n for name, n in one.events.items()})
        yield _gauge("event_lag_seconds", "From an event's time to now; 0 in lock-step.", one.lag_s)
        yield _gauge("queue_depth", "Events that wait.", one.queue_depth)
        yield _counter("queue_overflow", "Times that the queue stayed full.", one.overflows)
        yield _counter("decisions", "Decisions closed.", one.decisions)
        yield _counters("orders", "Orders sent.", ["side", "type"], dict(one.orders))
        yield _counters("order_rejects", "Orders refused.", ["code"], {(str(c),): n for c, n in one.rejects.items()})
        latency = HistogramMetricFamily(f"{HEAD}order_latency_seconds", "From request to answer.", labels=["clock"])
        for clock, histogram in one.latency.items():
            latency.add_metric([clock], histogram.buckets(), histogram.sum)
        yield latency
        yield _counter("fills", "Own fills.", one.fills)
        yield _counters("fees", "Fees paid.", ["asset"], {(name,): n for name, n in one.fees.items()})
        yield _histogram("slippage_bps", "Fill against the price at the decision.", one.slippage)
        yield _gauges("position", "Quantity held.", "symbol", {name: float(q) for name, q in one.positions.items()})
        links = one.links
        yield _gauges(
            "ws_connected", "1 while connected.", "stream", {n: float(x.is_connected) for n, x in links.items()}
        )
        yield _counters("ws_reconnects", "Connections opened anew.", ["stream"],
                        {(name,): x.reconnects for name, x in links.items()})  # fmt: skip
        yield _gauges("ws_uptime_seconds", "Since the newest connection.", "stream",
                      {name: x.uptime_s(now_ns) for name, x in links.items()})  # fmt: skip
        yield _counters("rest_errors", "Calls that failed.", ["status"], {(s,): n for s, n in one.rest_errors.items()})
        yield _counter("retries", "Calls made again.", one.retries)
        yield _counter("callback_errors", "Callbacks that raised.", one.callback_errors)
        yield _counters("telemetry_publish", "Reports of health.", ["result"],
                        {(result,): n for result, n in one.published.items()})  # fmt: skip
        yield _gauge("lockstep_wait_seconds", "Time spent waiting for the venue, in all.", one.wait_s)


def metrics(tally: Tally, clock: Clock) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(tally, clock))
    return generate_latest(registry)


class Health:
    """The server, in a thread of its own, until `close`."""

    def __init__(self, host: str, port: int, tally: Tally, clock: Clock, status: Callable[[], dict[str, Any]]) -> None:
        """`Unavailable` where the port is taken."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, kind, body = answer(self.path.partition("?")[0], tally, clock, status)
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: whoever asks every second is no news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise Unavailable(
                f"health cannot listen on {host}:{port}: {error}", hint="run.health_port, 0 for none"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(path: str, tally: Tally, clock: Clock, status: Callable[[], dict[str, Any]]) -> tuple[int, str, bytes]:
    """Status, content type and body of a path."""
    state = tally.state_at(clock.now_ns())
    if path == "/healthz":
        is_well = state in ("online", "degraded", "connecting")
        return 200 if is_well else 503, "application/json", orjson.dumps({"state": state, "reason": tally.degraded})
    if path == "/readyz":
        is_ready = state in ("online", "degraded")
        return 200 if is_ready else 503, "application/json", orjson.dumps({"state": state})
    if path == "/status":
        return 200, "application/json", orjson.dumps(status())
    if path == "/metrics":
        return 200, METRICS, metrics(tally, clock)
    return 404, "application/json", b'{"error":"not_found"}'


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(HEAD + name, says, value=float(value))


def _counter(name: str, says: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(HEAD + name, says, value=float(value))


def _gauges(name: str, says: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    found = GaugeMetricFamily(HEAD + name, says, labels=[label])
    for key, value in values.items():
        found.add_metric([key], value)
    return found


def _counters(name: str, says: str, labels: list[str], values: dict[Any, float]) -> CounterMetricFamily:
    found = CounterMetricFamily(HEAD + name, says, labels=labels)
    for key, value in values.items():
        found.add_metric([str(one) for one in key], float(value))
    return found


def _histogram(name: str, says: str, value: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(HEAD + name, says, buckets=value.buckets(), sum_value=value.sum)
