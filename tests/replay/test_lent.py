"""Lent objects: kept beyond their hook they refuse to be read; whoever keeps numbers notices nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.scene import ground, plan, random_session, rough_bars, rough_prints, rules

from gnomon.errors import Refused
from gnomon.replay.run import play
from gnomon.trader.trader import Strategy


@pytest.mark.parametrize("seed", range(500, 506))
def test_looking_for_kept_objects_moves_no_digest(seed: int) -> None:
    how, trader = random_session(seed)
    assert play(how, trader(), debug=True).digests == play(how, trader()).digests


class KeepsTrades(Strategy):
    def on_trade(self, _desk: Any, trade: Any) -> None:
        before, self.last = getattr(self, "last", None), trade
        if before is not None:
            self.rise = trade.price_ticks - before.price_ticks


class KeepsBars(Strategy):
    def on_bar(self, _desk: Any, bar: Any) -> None:
        before, self.last = getattr(self, "last", None), bar
        if before is not None:
            self.rise = bar.candle.close - before.candle.close


class KeepsBarsByName(Strategy):
    def on_bar(self, _desk: Any, bar: Any) -> None:
        before, self.last = getattr(self, "last", None), bar
        if before is not None:
            self.rise = before["t:A0"]


class KeepsCandles(Strategy):
    def on_candle(self, _desk: Any, candle: Any) -> None:
        before, self.last = getattr(self, "last", None), candle
        if before is not None:
            self.rise = candle.close - before.close


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (KeepsTrades, "a trade was kept .* asked for its 'price_ticks' now"),
        (KeepsBars, "a bar was kept .* asked for its 'candle' now"),
        (KeepsBarsByName, "a bar was kept .* asked for its 't:A0' now"),
        (KeepsCandles, "a candle was kept .* asked for its 'close' now"),
    ],
)
def test_a_kept_object_says_so_where_it_would_lie(kind: type[Strategy], what: str) -> None:
    how = plan(ground(rough_prints(1, 300) if kind is KeepsTrades else rough_bars(1, 60)), rules())
    silent = kind()
    play(how, silent)
    if kind is not KeepsBarsByName:
        assert silent.rise == 0, "without it a strategy reads the newest out of what it kept"  # type: ignore[attr-defined]  # set by its hook
    with pytest.raises(Refused, match=what) as refused:
        play(how, kind(), debug=True)
    assert refused.value.hint.startswith("keep the numbers")
