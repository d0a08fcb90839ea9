"""The live adapter: plain streams and REST at the real venue, whose time goes on by itself."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve.venue.live_scene import FEES
from tests.trader.pulse.standing import Standing, standing

from gnomon.clock import Timeframe
from gnomon.trader.pulse.client import Rest, Signer
from gnomon.trader.pulse.feed import Arrived, Feed
from gnomon.trader.pulse.live import Live
from gnomon.trader.pulse.market import PublicSight, listing_of, public_facts
from gnomon.trader.pulse.sockets import Lost
from gnomon.trader.pulse.tally import Tally
from gnomon.trader.trader import Strategy
from gnomon.wallclock import WallClock


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path) as found:
        yield found


class Rounds(Strategy):
    """Buys at a bar, sells some bars later, and again; keeps what it is told."""

    def on_start(self, desk: Any) -> None:
        self.told: list[Any] = []
        self.bars = 0
        desk.after("5m", "five")

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.bars += 1
        closes = desk.candles(bar.candle.instrument, 3).close
        assert closes[-1] == bar.candle.close_ticks
        if self.bars % 6 == 1 and not desk.orders():
            desk.buy(bar.candle.instrument, qty="0.5")
        elif self.bars % 6 == 4 and desk.position_lots(0):
            desk.close(0)
        if self.bars == 3:
            desk.buy(bar.candle.instrument, qty="0.5", limit=bar.candle.close * 1.5, post_only=True)

    def on_order(self, desk: Any, order: Any) -> None:
        self.told.append((desk.now, type(order.state).__name__))

    def on_fill(self, desk: Any, fill: Any) -> None:
        self.told.append((desk.now, fill.side.name, str(fill.qty)))

    def on_timer(self, desk: Any, name: str) -> None:
        self.told.append((desk.now, name))

    def on_degraded(self, desk: Any, reason: str) -> None:
        self.told.append((desk.now, reason))


def alive(venue: Standing, created: Any, trader: Strategy, stops: Callable[[Any], bool], **run: Any) -> Live:
    """A live bot, until `stops` says so."""
    config = venue.config(created, "rounds", symbol="BTCUSDT", **run)
    clock, tally = WallClock(), Tally()
    signer = Signer(config.run.api_key, config.run.api_secret, 5000, lambda: clock.now_ns() // 1_000_000)
    rest = Rest(config.run.base_url, signer, 10.0, time.sleep, tally, clock)
    found: list[Live] = []
    began = time.monotonic()
    live = Live(
        config, public_facts(rest, config, clock.now_ns()), trader, rest, signer, tally, clock, time.sleep,
        lambda: stops(found[0]) or time.monotonic() - began > 40,
    )  # fmt: skip
    found.append(live)
    try:
        live.run()
    finally:
        live.close()
        rest.close()
    return live


@pytest.mark.slow
def test_a_strategy_trades_by_plain_streams(venue: Standing) -> None:
    created = venue.scene.create(session='pace = "600"', tier="unmodified")
    venue.launch(created)
    trader = Rounds()
    live = alive(venue, created, trader, lambda one: one._tally.fills >= 4 and trader.bars % 6 != 4)
    kinds = [one[1] for one in trader.told]
    assert live.failure is None
    assert kinds.count("BUY") >= 2
    assert kinds.count("SELL") >= 2
    assert "five" in kinds
    assert "Rejected" in kinds
    assert live._tally.rejects
    account = live._rest.get("/api/v3/account", signed=True)
    held = {one["asset"]: float(one["free"]) + float(one["locked"]) for one in account["balances"]}
    assert float(live.desk.cash) == pytest.approx(held["USDT"], abs=1e-8)
    assert float(live.desk.position(0)) == pytest.approx(held["BTC"], abs=1e-8)
    live._rest.close()


@pytest.mark.slow
def test_a_lost_user_stream_is_opened_again_and_what_it_missed_is_read(venue: Standing) -> None:
    created = venue.scene.create(session='pace = "300"', tier="unmodified")
    venue.launch(created)
    trader = Rounds()
    torn: list[bool] = []

    def stops(live: Live) -> bool:
        if trader.bars >= 1 and not torn:
            torn.append(True)
            live._feeds["user"]._stop.set()  # nothing more is heard of own orders
            live._messages.put(Arrived("user", b"", "lost: by the test", live._feeds["user"].generation))
        return trader.bars > 7

    live = alive(venue, created, trader, stops)
    assert "lost: by the test" in [one[1] for one in trader.told]
    assert live._tally.fills >= 2
    assert live._tally.links["user"].reconnects == 1


class Endless:
    """A socket that always has something to say."""

    def __init__(self) -> None:
        self.is_closed = False

    def receive(self, _timeout_s: float) -> bytes | None:
        return b"{}"

    def close(self) -> None:
        self.is_closed = True


def test_a_queue_that_stays_full_says_so_and_drops_nothing_in_silence() -> None:
    messages: queue.Queue[Arrived] = queue.Queue(4)
    socket = Endless()
    feed = Feed("market", lambda: socket, messages, 0.02, 0.0)  # type: ignore[arg-type,return-value]  # as a socket
    feed.open()
    time.sleep(0.2)
    heard = [messages.get(timeout=2) for _ in range(5)]
    assert [one.lost for one in heard] == ["", "", "", "", "overflow"]
    feed.close()
    assert socket.is_closed


class Silent(Endless):
    def receive(self, timeout_s: float) -> bytes | None:
        time.sleep(min(timeout_s, 0.01))
        return None


class Gone(Endless):
    def receive(self, _timeout_s: float) -> bytes | None:
        raise Lost("it has ended")


@pytest.mark.parametrize(("socket", "says"), [(Silent(), "stale feed"), (Gone(), "lost: it has ended")])
def test_a_feed_that_is_silent_or_gone_says_so(socket: Any, says: str) -> None:
    messages: queue.Queue[Arrived] = queue.Queue(4)
    feed = Feed("market", lambda: socket, messages, 0.02, 0.5)
    feed.open()
    assert messages.get(timeout=3).lost == says
    feed.close()


@pytest.mark.slow
def test_what_an_endpoint_says_is_what_a_desk_sees(venue: Standing) -> None:
    created = venue.scene.create(session='pace = "60"', tier="unmodified")
    venue.launch(created)
    config = venue.config(created, "rounds", symbol="BTCUSDT")
    clock, tally = WallClock(), Tally()
    signer = Signer(config.run.api_key, config.run.api_secret, 5000, lambda: clock.now_ns() // 1_000_000)
    rest = Rest(config.run.base_url, signer, 10.0, time.sleep, tally, clock)
    facts = public_facts(rest, config, 0)
    assert facts.plan.listings[0].tick <= 1
    sight = PublicSight(facts, rest)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        now_ns = int(rest.get("/api/v3/time")["serverTime"]) * 1_000_000
        candles = sight.candles(0, Timeframe.parse("1m"), 5, now_ns)
        if len(candles) >= 2:
            break
        sight.lost()
        time.sleep(0.2)
    assert len(candles) >= 2
    assert (candles.close_ns <= now_ns).all()
    assert candles.check() is candles
    rest.close()


def test_a_symbol_becomes_a_listing_with_its_filters() -> None:
    found = listing_of(
        {
            "symbol": "ETHBTC", "baseAsset": "ETH", "quoteAsset": "BTC",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.00001000"},
                {"filterType": "LOT_SIZE", "stepSize": "0.00010000", "minQty": "0.00100000"},
                {"filterType": "NOTIONAL", "minNotional": "0.00010000"},
            ],
        }
    )  # fmt: skip
    assert (found.id, str(found.tick), str(found.lot)) == ("ETHBTC", "0.00001", "0.0001")
    assert found.quote.scale == 9, "a tick of a lot is 10^-9"
    assert (found.filters.min_lots, found.filters.min_notional_units) == (10, 100_000)


@pytest.mark.slow
def test_an_order_whose_answer_is_lost_is_sent_once_and_found(venue: Standing) -> None:
    faults = 'faults = [{ fault = "unknown_status", when = { order_no = 1 }, max = 1 }]'
    created = venue.scene.create(session='pace = "300"', rules=f"{FEES}\n{faults}", tier="unmodified")
    venue.launch(created)
    trader = Rounds()
    live = alive(venue, created, trader, lambda _: trader.bars > 8)
    assert live._tally.rest_errors["5xx"] >= 1, "an answer was lost"
    assert venue.venue is not None
    place = next(iter(venue.venue._places.values()), None)
    assert place is not None
    clients = [one.client for one in place.course.account.orders.values()]
    assert len(clients) == len({*clients})
    assert len(clients) == sum(live._tally.orders.values()) - len([one for one in trader.told if one[1] == "Rejected"])
