"""Strategies as a configuration names them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.replay.scene import ground, listing, plan, rules, seeded_bars

from gnomon.errors import Invalid, NotFound, Refused
from gnomon.exchange.listing import Asset, Listing
from gnomon.replay.run import play
from gnomon.trader.pulse.strategies import bridged, built_in, fingerprint, load

FILE = '''
"""A strategy of a user."""
from gnomon.trader.trader import Strategy

class Hears(Strategy):
    def on_market_data(self, event):
        if event.close_ticks % 5 == 0:
            return {"side": "BUY", "type": "MARKET", "quantity": "0.01"}

class Plain:
    """No Strategy at all."""
    def __init__(self, divisor=5):
        self.divisor = divisor

    def on_market_data(self, event):
        if event.close_ticks % self.divisor == 0:
            return [{"side": "BUY", "type": "MARKET", "quantity": "0.01"}]

def made(**params):
    return Plain(**params)

class Candles(Strategy):
    """The same rule in the words of a Strategy."""
    def on_candle(self, desk, candle):
        if candle.close_ticks % 5 == 0:
            desk.buy(candle.instrument, qty="0.01")

NUMBER = 3
'''


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return str(path)


def test_built_in_ones_take_the_platforms_parameter_names() -> None:
    assert {"ema_cross", "buy_and_hold", "ema_cross_40_200"} <= {*built_in()}
    one = Listing(0, "BTCUSDT", Asset("BTC"), Asset("USDT"), Decimal("0.01"), Decimal("0.00001"))
    found: Any = load("ema_cross", {"fast_period": 10, "slow_period": 30, "quantity": 0.001}, listing=one)
    assert (found.params.fast, found.params.slow, found.params.size, found.params.lots) == (10, 30, "fixed", 100)


@pytest.mark.parametrize("name", ["Hears", "Plain", "made"])
def test_a_rule_makes_the_same_orders_whatever_it_is_written_as(file: str, name: str) -> None:
    how = plan(ground(seeded_bars(80)), rules())
    inside = play(how, load(f"{file}:Candles", {}))
    other = play(how, load(f"{file}:{name}", {}))
    assert inside.fills > 5
    assert other.digests.outputs == inside.digests.outputs


def test_what_cannot_trade_is_refused(file: str) -> None:
    with pytest.raises(NotFound, match="ema_cros") as error:
        load("ema_cros", {})
    assert "ema_cross" in error.value.hint
    with pytest.raises(Invalid, match="no class"):
        load(f"{file}:NUMBER", {})
    with pytest.raises(Invalid, match="does not take"):
        load(f"{file}:made", {"multiplier": 3})
    with pytest.raises(Invalid, match="never decides"):
        bridged(object())
    with pytest.raises(Invalid, match="fast"):
        load("ema_cross", {"fast": 90, "slow": 20})


def test_a_decision_without_a_side_is_refused() -> None:
    class Asks:
        def on_market_data(self, event: Any) -> Any:
            return {"type": "MARKET", "quantity": event.close}

    with pytest.raises(Invalid, match="side"):
        play(plan(ground(seeded_bars(10)), rules()), bridged(Asks()))
    assert listing().id


def test_code_that_leaves_the_desk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "peeks.py"
    path.write_text(
        "import time\nfrom gnomon.trader.trader import Strategy\n"
        "class Peeks(Strategy):\n    def on_bar(self, desk, bar):\n        time.time()\n"
    )
    with pytest.raises(Refused, match="leaves the desk"):
        load(f"{path}:Peeks", {})


def test_a_fingerprint_is_of_name_parameters_and_code() -> None:
    one = fingerprint("ema_cross", load("ema_cross", {}))
    assert len(one) == 64
    assert one == fingerprint("ema_cross", load("ema_cross", {}))
    assert one != fingerprint("ema_cross", load("ema_cross", {"fast": 19}))
    assert one != fingerprint("sma_cross", load("sma_cross", {}))
