"""Sight: bars that were told are not asked for again, and nothing is answered from memory that may be old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from tests.replay.scene import MINUTE, ground, listing, plan, rough_bars, rules
from tests.trader.pulse.stand_in import facts_for

from gnomon.exchange.liquidity import Liquidity
from gnomon.replay.view import TapeView
from gnomon.trader.events import Candle
from gnomon.trader.pulse import native
from gnomon.trader.pulse.sight import Bars, Sight


class Watched:
    """A sight over a ground's own view, and what it asks for."""

    def __init__(self, seed: int = 1) -> None:
        how = plan(ground(rough_bars(seed, 80)), rules())
        self.bars = how.ground.tapes[0].bars
        none: dict[int, Liquidity] = {}
        self.view = TapeView(how.ground, none, 0)
        self.asked: list[str] = []
        self.now_ns = 0
        self.sight = Sight(facts_for(how), self.ask, hears_bars=True)
        self.candle = Candle(how.ground.listings[0])

    def ask(self, params: Mapping[str, str]) -> Any:
        self.asked.append(params["what"])
        return orjson.loads(orjson.dumps(native.answer(self.view, None, None, self.now_ns, params)))

    def tell(self, row: int) -> None:
        source = Candle(listing())
        bars = self.bars
        source.open_ns, source.close_ns = int(bars.open_ns[row]), int(bars.close_ns[row])
        source.open_ticks, source.high_ticks = int(bars.open[row]), int(bars.high[row])
        source.low_ticks, source.close_ticks = int(bars.low[row]), int(bars.close[row])
        source.volume_lots, source.position = int(bars.volume[row]), row
        self.now_ns = source.close_ns
        self.sight.closed([native.read_bar(orjson.loads(native.bar_words(source)), [self.candle])])

    def check(self, n: int) -> None:
        mine, true = (one.candles(0, MINUTE, n, self.now_ns) for one in (self.sight, self.view))
        for name, column in true.columns().items():
            assert mine.columns()[name].tolist() == column.tolist(), name
        assert self.sight.last(0, self.now_ns) == self.view.last(0, self.now_ns)


def test_what_was_told_is_not_asked_for_again() -> None:
    watched = Watched()
    for row in range(20, 70):
        watched.tell(row)
        watched.check(7)
    assert watched.asked == ["candles"]
    watched.check(60)
    watched.check(500)
    assert watched.asked.count("candles") <= 3


def test_between_bars_nothing_is_taken_from_memory_that_may_be_old() -> None:
    watched = Watched()
    for row in range(20, 60):
        watched.tell(row)
        watched.check(3)
        watched.now_ns += 30 * 10**9
        watched.check(3)
        following = int(watched.bars.close_ns[row + 1])
        watched.now_ns = following  # a timer at the very instant of the next close, before it is told
        watched.check(3)


def test_after_a_loss_everything_is_asked_for() -> None:
    watched = Watched()
    watched.tell(30)
    watched.check(5)
    asked = len(watched.asked)
    watched.sight.lost()
    watched.check(5)
    assert len(watched.asked) > asked


def test_arrays_that_were_given_away_stay_as_they_are() -> None:
    watched = Watched()
    watched.tell(20)
    given = watched.sight.candles(0, MINUTE, 5, watched.now_ns)
    before = given.close.tolist()
    for row in range(21, 60):
        watched.tell(row)
        watched.sight.candles(0, MINUTE, 5, watched.now_ns)
    assert given.close.tolist() == before


def test_a_bar_is_appended_once() -> None:
    watched = Watched()
    watched.tell(20)
    watched.check(5)
    bars = watched.sight._bars[0]
    assert isinstance(bars, Bars)
    count = len(bars)
    watched.tell(20)
    assert len(bars) == count
