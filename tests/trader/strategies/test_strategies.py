"""The strategies that come along, each against its rule written plainly."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trader.driver import START_NS, Drive, ListedNews, bars, listing, prints

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, NotFound, Refused
from gnomon.exchange.order import Quote, Side
from gnomon.exchange.rules import Rules
from gnomon.forecast.forecast import Forecast
from gnomon.market.events import CalendarEvent
from gnomon.trader.limits import Limits
from gnomon.trader.market import Issued
from gnomon.trader.purity import check
from gnomon.trader.strategies import buy_and_hold, crosses, forecast_follower, market_maker, mean_reversion
from gnomon.trader.strategies.catalog import PRESETS, kind, names, strategy
from gnomon.units import DAY_NS, MINUTE_NS

NOISE = np.random.default_rng(11)
WALK = (5000 + np.cumsum(NOISE.integers(-30, 31, 300))).tolist()


def test_buy_and_hold_buys_equal_parts_once() -> None:
    listings = [listing(0, "A"), listing(1, "B")]
    run = Drive(strategy("buy_and_hold"), {0: bars([1000] * 9), 1: bars([500] * 9)}, listings).run()
    assert len(run.desk.fills()) == 2
    assert {name: float(qty) for name, qty in run.desk.positions().items()} == {"A/USD": 5000.0, "B/USD": 10000.0}
    assert strategy("buy_and_hold").hook("trade") is None
    assert isinstance(run.trader, buy_and_hold.BuyAndHold)


@pytest.mark.parametrize("size", ["all", "fixed"])
def test_sma_cross_is_in_exactly_while_the_fast_mean_was_above(size: str) -> None:
    lots = 10_000
    run = Drive(strategy("sma_cross", {"fast": 5, "slow": 20, "size": size, "lots": lots}), bars(WALK)).run()
    wanted: list[tuple[int, str]] = []
    held = False
    for row in range(19, 299):  # an order decided at bar `row` fills at the open of the next
        fast, slow = sum(WALK[row - 4 : row + 1]) * 20, sum(WALK[row - 19 : row + 1]) * 5
        if fast != slow and (fast > slow) != held:
            held = not held
            wanted.append((row + 1, "BUY" if held else "SELL"))
    made = [(one.venue.print, one.side.name) for one in run.desk.fills()]
    if size == "fixed":
        assert made == wanted
        assert {one.lots for one in run.desk.fills()} == {lots}
    else:  # all in: a gap beyond the cash is not bought, and tried again
        assert made[0][1] == "BUY"
        assert len(made) > 5
    assert all(a[1] != b[1] for a, b in pairwise(made))


def test_ema_cross_follows_the_recursion() -> None:
    run = Drive(strategy("ema_cross", {"fast": 5, "slow": 20, "size": "fixed", "lots": 10}), bars(WALK)).run()
    fast = slow = float(WALK[0])
    held, wanted = False, []
    for row, close in enumerate(WALK[:-1]):
        fast, slow = fast + (close - fast) * 2 / 6, slow + (close - slow) * 2 / 21
        if row >= 19 and (fast > slow) != held:
            held = not held
            wanted.append(row + 1)
    assert [one.venue.print for one in run.desk.fills()] == wanted


def test_a_cross_refuses_lengths_in_the_wrong_order() -> None:
    with pytest.raises(Invalid, match="not below"):
        crosses.SmaCross(fast=50, slow=50)
    assert strategy("sma_cross_40_200").params.slow == 200


def test_mean_reversion_buys_below_and_sells_above_the_band() -> None:
    run = Drive(strategy("mean_reversion", {"bars": 20, "k": 1.5}), bars(WALK)).run()
    assert isinstance(run.trader, mean_reversion.MeanReversion)
    fills = run.desk.fills()
    assert len(fills) > 3
    for fill in fills:
        row = fill.venue.print - 1
        window = np.array(WALK[row - 19 : row + 1], float)
        score = (WALK[row] - window.mean()) / window.std()
        assert score < -1.5 if fill.side is Side.BUY else score > 1.5


def test_the_market_maker_requotes_every_n_prints_and_leans_against_its_inventory() -> None:
    tape = prints((6000 + np.cumsum(NOISE.integers(-3, 4, 600))).tolist(), step_ns=50_000_000)
    rules = Rules.parse({"preset": "ideal", "fees": {"asset": "quote"}})
    rules = rules.with_balances({"USD": Decimal(10**6), "BTC": Decimal(10)})
    maker = strategy("market_maker", {"every": 10, "distance": 4, "lots": 20, "skew": 2, "most": 3})
    assert isinstance(maker, market_maker.MarketMaker)
    assert maker.wakes().every_nth_print == 10
    run = Drive(maker, tape, rules=rules, every=10, limits=Limits(orders_per_bar=0)).run()
    quotes = [one for one in run.requests if isinstance(one, Quote)]
    assert len(quotes) == 60
    known = [(one.known_ns, one.lots if one.side is Side.BUY else -one.lots) for one in run.desk.fills()]
    assert len(known) > 10
    for k, quote in enumerate(quotes, 1):
        at_ns, price = int(tape.time_ns[10 * k - 1]), int(tape.price[10 * k - 1])
        inventory = sum(lots for when, lots in known if when <= at_ns)
        assert abs(inventory) <= 80
        middle = price - inventory * 2 // 20
        assert quote.bid == (middle - 4 if inventory < 60 else 0)
        assert quote.ask == (middle + 4 if inventory > -60 else 0)


# --- followers --------------------------------------------------------------------------------------------------------


def said(at_ns: int, ratio: float, *, p_up: float = 0.6, band: float = 0.02, instrument: str = "BTC/USD") -> Issued:
    levels = (0.1, 0.5, 0.9)
    middle = 500.0 * ratio
    quantiles = np.array([[middle * (1 - band / 2), middle, middle * (1 + band / 2)]])
    forecast = Forecast(
        "ewma", "1", "baseline", instrument, Timeframe.parse("1m"), at_ns, 500.0, np.array([at_ns]),
        np.array([at_ns + MINUTE_NS]), levels, quantiles, np.array([p_up]), 7, "hash",
    )  # fmt: skip
    return Issued(f"{instrument}@{at_ns}", at_ns, forecast)


def at(bar: int) -> int:
    return START_NS + bar * MINUTE_NS


def test_the_follower_buys_above_two_percent_and_sells_below_minus_one() -> None:
    ratios = {2: 1.019, 3: 1.021, 5: 0.995, 7: 0.989, 9: 1.03}
    news = ListedNews([said(at(bar), ratio) for bar, ratio in ratios.items()])
    run = Drive(strategy("forecast_follower"), bars([5000] * 12), news=news).run()
    assert [(one.venue.print, one.side.name) for one in run.desk.fills()] == [(3, "BUY"), (7, "SELL"), (9, "BUY")]
    read = [one.forecasts for one in run.diary.decisions if one.requests]
    assert read == [(f"BTC/USD@{at(bar)}",) for bar in (3, 7, 9)]
    assert len(list(forecast_follower.ForecastFollower.Params.__dataclass_fields__)) == 3


def test_the_band_sizer_holds_less_of_what_is_wide_and_half_before_a_decision() -> None:
    event = CalendarEvent("s:1", "s", "fomc", "FED", "FOMC", "high", at(8) + DAY_NS, START_NS, START_NS)
    forecasts = [said(at(2), 1.0, band=0.04), said(at(4), 1.0, p_up=0.51), said(at(6), 1.0, band=0.01)]
    run = Drive(strategy("band_sizer"), bars([5000] * 12), news=ListedNews(forecasts, [event])).run()
    weights = []
    held = 0
    for fill in run.desk.fills():
        held += fill.lots if fill.side is Side.BUY else -fill.lots
        weights.append((fill.venue.print, round(held * 0.5 / 10**6, 2)))
    assert weights == [(2, 0.5), (4, 0.0), (6, 1.0), (8, 0.5)]


class ByName(ListedNews):
    """Forecasts by instrument."""

    def forecast(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int) -> Issued | None:  # noqa: ARG002 - the port's words
        known = [
            one for one in self.issued if one.issued_ns <= now_ns and one.forecast.instrument[0] == "ABC"[instrument]
        ]
        return known[-1] if known else None


def test_rotation_holds_equal_sleeves_of_the_highest_ranks() -> None:
    listings = [listing(n, name) for n, name in enumerate("ABC")]
    tapes = {n: bars([5000] * 10) for n in range(3)}
    ranks = {2: (1.01, 1.02, 1.03), 6: (1.05, 1.02, 1.03)}
    news = ByName([
        replace(said(at(bar), ratio, instrument=f"{name}/USD"), id=f"{name}{bar}")
        for bar, ratios in ranks.items() for name, ratio in zip("ABC", ratios, strict=True)
    ])  # fmt: skip
    run = Drive(strategy("rotate", {"n": 2}), tapes, listings, news=news).run()
    moves = [(one.venue.print, one.instrument[0], one.side.name) for one in run.desk.fills()]
    assert moves == [(2, "B", "BUY"), (2, "C", "BUY"), (6, "B", "SELL"), (6, "A", "BUY")]


# --- the catalog ------------------------------------------------------------------------------------------------------


def test_every_name_makes_a_pure_strategy() -> None:
    assert len(names()) == 8 + len(PRESETS)
    for name in names():
        check(kind(name))
        assert strategy(name).wakes()


def test_strategies_are_found_by_module_and_by_file(tmp_path: Path) -> None:
    assert kind("gnomon.trader.strategies.crosses:SmaCross") is crosses.SmaCross
    file = tmp_path / "mine_42.py"
    file.write_text(
        "from gnomon.trader.trader import Strategy\nimport time\n"
        "class Mine(Strategy):\n    def on_bar(self, desk, bar):\n        desk.buy()\n"
        "class Late(Strategy):\n    def on_bar(self, desk, bar):\n        time.sleep(1)\n"
        "other = 5\nclass Alien:\n    pass\n"
    )
    assert strategy(f"{file}:Mine").hook("bar")
    with pytest.raises(Refused, match=r"time\.sleep"):
        strategy(f"{file}:Late")
    for spec, error, message in (
        ("sma_crss", NotFound, "sma_crss"),
        ("gnomon.nothing:X", NotFound, "gnomon.nothing"),
        (f"{tmp_path}/none.py:X", NotFound, "no file"),
        (f"{file}:Min", NotFound, "no 'Min'"),
        (f"{file}:other", Invalid, "no class"),
        (f"{file}:Alien", Invalid, "no Strategy"),
    ):
        with pytest.raises(error, match=message) as caught:
            strategy(spec)
        assert caught.value.hint


def test_parameters_reach_the_strategy_and_are_checked() -> None:
    made: Any = strategy("forecast_follower", {"forecaster": "fhs", "rise": 0.01})
    assert (made.params.forecaster, made.params.rise) == ("fhs", 0.01)
    with pytest.raises(Invalid, match=r"0\.5"):
        strategy("forecast_follower", {"rise": 0.5})
