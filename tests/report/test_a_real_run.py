"""From the engine to the page: a run on synthetic bars, its Record as columns, its figures against its own balances."""

from __future__ import annotations

import json

import pytest
from tests.report.market_maker import header
from tests.report.test_run_page import text_of

from gnomon.clock import Timeframe, parse_instant
from gnomon.exchange.rules import Rules
from gnomon.market.synth import synthetic_candles
from gnomon.replay.ground import Ground, tape_of
from gnomon.replay.listings import Traded, listings
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play
from gnomon.report.run_page import run_page
from gnomon.score.played import run_record
from gnomon.score.run_record import RunRecord
from gnomon.score.runs import summary
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar
from gnomon.trader.trader import Strategy

HOUR = Timeframe.parse("1h")
WINDOW = parse_instant("2024-01-01"), parse_instant("2024-02-01")


class InAndOut(Strategy):
    """Four fifths in on every fortieth bar, out again twenty bars later."""

    def on_start(self, desk: Desk) -> None:  # noqa: ARG002 - the hook's own signature
        self.bars = 0

    def on_bar(self, desk: Desk, bar: Bar) -> None:  # noqa: ARG002 - the hook's own signature
        self.bars += 1
        if self.bars % 20 == 0:
            desk.target({"binance:BTCUSDT": "0.8" if self.bars % 40 else "0"})


@pytest.fixture(scope="module")
def ran() -> tuple[Played, RunRecord]:
    bitcoin = shipped_instruments().find("BTCUSDT")
    bars = synthetic_candles(bitcoin, load_sessions("always"), HOUR, *WINDOW, kind="walk", seed=3)
    [listing] = listings([Traded(bitcoin, bars.tick, bars.lot)])
    ground = Ground((tape_of(listing, None, [bars], HOUR, None),), HOUR, bytes(32))
    rules = Rules.parse({"balances": {"USDT": "10000"}, "fees": {"maker": "0.001", "taker": "0.001"}})
    kept = Kept()
    played = play(RunPlan(ground, rules, *WINDOW, seed=7), InAndOut(), sink=kept, mode="full")
    return played, run_record("run_real", Record(kept), ground, "always", WINDOW)


def test_the_figures_are_those_of_the_balances(ran: tuple[Played, RunRecord]) -> None:
    played, record = ran
    found = summary(record)
    assert found.execution.fills == played.fills > 10
    assert (found.execution.orders, sum(found.execution.rejects.values())) == (played.orders, played.rejects)
    cash, held = float(played.balances["USDT"]), float(played.balances["BTC"])
    assert found.growth.end == pytest.approx(cash + held * record.marks.price[-1, 0])
    assert record.fills.position_after[-1] == pytest.approx(held)
    assert found.execution.fees_bps == pytest.approx(10.0, rel=1e-3)
    assert found.execution.exposure == pytest.approx(0.5, abs=0.05)
    json.dumps(found.row(), allow_nan=False)


def test_its_page_lists_its_fills(ran: tuple[Played, RunRecord]) -> None:
    played, record = ran
    page = run_page(record, header(digests={"outputs": played.digests.outputs.hex()}))
    assert page.count('<tr id="fill-') == played.fills
    assert played.digests.outputs.hex() in text_of(page)
