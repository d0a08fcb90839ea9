"""Panels: alignment, causality at seeded cuts, parity of the vector forms with the hooks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trader.driver import START_NS, Drive, ListedNews, bars, candles_of, listing, prints
from tests.trader.test_desk import _issued

from gnomon.errors import Invalid, Refused, Unavailable
from gnomon.exchange.rules import Rules
from gnomon.trader.limits import Limits
from gnomon.trader.panel import (
    CUTS,
    Panel,
    PrintPanel,
    Quotes,
    QuoteScript,
    checked_quotes,
    checked_weights,
    cuts,
    panel_of,
)
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS

NOISE = np.random.default_rng(5)
CLOSES = [(5000 + np.cumsum(NOISE.integers(-40, 41, 120))).tolist() for _ in range(2)]
LISTINGS = [listing(0, "A"), listing(1, "B")]
TAPES = {n: bars(closes) for n, closes in enumerate(CLOSES)}
SERIES = [candles_of(LISTINGS[n], tape) for n, tape in TAPES.items()]


class Momentum(Strategy):
    """Half in whatever closed above its mean of five."""

    lookback = 6

    def weights(self, panel: Panel) -> Any:
        close = panel.close
        rows = np.zeros_like(close)
        for row in range(4, len(close)):
            rows[row] = np.where(close[row] > close[row - 4 : row + 1].mean(axis=0), 0.5, 0.0)
        return rows


class Hooked(Strategy):
    """The same by hand."""

    def on_bar(self, desk: Any, _bar: Any) -> None:
        panel = desk.panel(6)
        desk.target(dict(zip(panel.instruments, Momentum().weights(panel)[-1].tolist(), strict=True)))


class Peeking(Strategy):
    def weights(self, panel: Panel) -> Any:
        ahead = np.vstack([panel.close[1:], panel.close[-1:]])
        return np.where(ahead > panel.close, 0.5, 0.0)


def test_series_are_aligned_by_their_closes_and_gaps_are_masked() -> None:
    short = SERIES[1].take(np.r_[0:3, 5:7])
    panel = panel_of([SERIES[0].take(slice(0, 6)), short])
    assert panel.instruments == ("A/USD", "B/USD")
    assert panel.time.tolist() == [START_NS + MINUTE_NS * k for k in range(1, 8)]
    assert panel.mask.tolist() == [[True, True]] * 3 + [[True, False]] * 2 + [[True, True], [False, True]]
    assert np.isnan(panel.close[3, 1])
    assert panel.close[0, 0] == SERIES[0].close[0] / 10
    assert len(panel[2:]) == 5


def test_weights_that_use_later_bars_are_refused_with_the_bar() -> None:
    panel = panel_of(SERIES)
    rows = checked_weights(Momentum(), panel, seed=7)
    assert rows.shape == (120, 2)
    with pytest.raises(Refused, match="weights look ahead at bar") as caught:
        checked_weights(Peeking(), panel, seed=7)
    assert caught.value.detail["kind"] == "look_ahead"
    assert caught.value.detail["bar"] + 1 in cuts(120, 7)


def test_cuts_are_drawn_by_identity_within_the_panel() -> None:
    assert cuts(100, 7) == cuts(100, 7) != cuts(100, 8)
    assert cuts(1, 7) == [1]
    assert cuts(0, 7) == []
    assert len(cuts(10**6, 7)) == CUTS


def test_a_class_with_weights_alone_trades_like_the_same_hooks_by_hand() -> None:
    vector, hooked = (Drive(kind(), TAPES, LISTINGS).run() for kind in (Momentum, Hooked))
    assert len(vector.desk.fills()) > 20
    assert vector.requests == hooked.requests
    assert vector.diary.packed() == hooked.diary.packed()
    assert vector.desk.equity == hooked.desk.equity


def test_the_last_row_by_bar_is_the_row_of_the_whole() -> None:
    panel = panel_of(SERIES)
    whole = checked_weights(Momentum(), panel, seed=1)
    for k in range(6, 120):
        assert Momentum().weights(panel[k - 6 : k])[-1].tobytes() == whole[k - 1].tobytes()


def test_weights_of_a_wrong_shape_are_refused() -> None:
    class Flat(Strategy):
        def weights(self, panel: Panel) -> Any:
            return panel.close[-1]

    with pytest.raises(Invalid, match="shape"):
        checked_weights(Flat(), panel_of(SERIES), seed=1)


def test_forecasts_of_a_panel_are_those_known_at_each_bar() -> None:
    news = ListedNews([_issued(START_NS + k * 3 * MINUTE_NS, k) for k in range(1, 3)])
    seen: list[Any] = []

    class Told(Strategy):
        def on_bar(self, desk: Any, _bar: Any) -> None:
            seen.append(desk.panel().forecast("ewma").median[:, 0].tolist())

    Drive(Told(), bars(CLOSES[0][:7]), news=news).run()
    assert np.isnan(seen[1]).all()
    np.testing.assert_array_equal(seen[-1], [np.nan, np.nan, 602.0, 602.0, 602.0, 603.0, 603.0])
    with pytest.raises(Unavailable, match="ewma"):
        panel_of(SERIES).forecast("ewma")


# --- quotes -----------------------------------------------------------------------------------------------------------

TAPE = prints((6000 + np.cumsum(NOISE.integers(-2, 3, 400))).tolist(), step_ns=50_000_000, lots=40)
PANEL = PrintPanel("BTC/USD", TAPE.time_ns, TAPE.price, TAPE.lots, TAPE.side)


class Around(Strategy):
    every = 7

    def quotes(self, panel: PrintPanel) -> Quotes:
        price = panel.price_ticks[self.every - 1 :: self.every]
        return Quotes(self.every, price - 3, price + 3, 10)


class AroundByHand(Strategy):
    wake = {"every_nth_print": 7}  # noqa: RUF012 - class data, as a user writes it

    def on_trade(self, desk: Any, trade: Any) -> None:
        desk.quote_ticks(trade.price_ticks - 3, trade.price_ticks + 3, 10)


class Scripted(Strategy):
    def __init__(self, script: QuoteScript) -> None:
        super().__init__()
        self.script = script

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.script(desk, trade)


def test_quotes_mean_exactly_a_quote_at_each_of_their_wakes() -> None:
    rules = Rules.parse({"preset": "ideal", "fees": {"maker": "0.0005", "taker": "0.0005", "asset": "quote"}})
    rules = rules.with_balances({"USD": Decimal(10_000), "BTC": Decimal(10)})
    whole = checked_quotes(Around(), PANEL, seed=3)
    runs = [
        Drive(trader, TAPE, rules=rules, every=7, limits=Limits(orders_per_bar=0)).run()
        for trader in (Scripted(QuoteScript(whole)), AroundByHand())
    ]
    assert len(runs[0].requests) == 400 // 7
    assert len(runs[0].desk.fills()) > 10
    assert runs[0].requests == runs[1].requests
    assert runs[0].told == runs[1].told


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32))
def test_quotes_that_use_later_prints_are_refused(ahead: int, seed: int) -> None:
    class Peeks(Strategy):
        def quotes(self, panel: PrintPanel) -> Quotes:
            price = np.concatenate([panel.price_ticks[ahead:], np.full(min(ahead, len(panel)), 1)])[: len(panel)]
            return Quotes(np.arange(len(panel)), price, price + 1, 1)

    checked_quotes(Around(), PANEL, seed)
    with pytest.raises(Refused, match="quotes look ahead"):
        checked_quotes(Peeks(), PANEL, seed)


@pytest.mark.parametrize(
    "quotes",
    [
        Quotes(np.array([3, 2]), np.array([1, 1]), np.array([2, 2]), 1),
        Quotes(np.array([3, 400]), np.array([1, 1]), np.array([2, 2]), 1),
        Quotes(np.array([3, 4]), np.array([1]), np.array([2, 2]), 1),
        Quotes(np.array([3, 4]), np.array([1, -1]), np.array([2, 2]), 1),
        Quotes(np.array([3, 4]), np.array([1, 1]), np.array([2, 2]), 0),
    ],
)
def test_quotes_out_of_order_range_or_sign_are_refused(quotes: Quotes) -> None:
    with pytest.raises(Invalid):
        quotes.spread_over(400)
