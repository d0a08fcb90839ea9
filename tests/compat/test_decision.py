"""Bots with `decisionFunction(row)`: what a row holds, and how decisions become trades."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.trader.driver import START_NS, Drive, bars, listing

from gnomon.compat.decision import FIELDS, DecisionTrader, trader_of
from gnomon.errors import Invalid
from gnomon.exchange.order import Side
from gnomon.trader.strategies.indicators import COLUMNS, Frame

NOISE = np.random.default_rng(9)
CLOSES = [(5000 + np.cumsum(NOISE.integers(-25, 26, 90))).tolist() for _ in range(3)]
FIRST = 27
"""The first row that has an ADX."""


class Scripted:
    """Decides by the number of the row, and keeps the rows."""

    def __init__(self, decisions: dict[int, int] | None = None) -> None:
        self.decisions = decisions or {}
        self.rows: list[Any] = []
        self.asked: list[tuple[str, str]] = []

    def decisionFunction(self, row: Any) -> int:  # noqa: N802 - the seed's name
        self.asked.append((row["symbol"], getattr(self, "_current_ticker", "")))
        self.rows.append({name: row[name] for name in ("close", "momentum_rsi", "timestamp", "trend_adx")})
        return self.decisions.get(len(self.rows), 0)


class RsiBot:
    """As people write them."""

    def decisionFunction(self, row: Any) -> int:  # noqa: N802 - the seed's name
        if row["momentum_rsi"] < 49:
            return 1
        return -1 if row.momentum_rsi > 51 else 0


def test_rows_come_in_order_after_the_warm_up_and_hold_the_indicators_of_then() -> None:
    bot = Scripted()
    tape = bars(CLOSES[0])
    Drive(DecisionTrader(bot), tape).run()
    assert len(bot.rows) == 90 - FIRST
    assert bot.asked[0] == ("BTC/USD", "BTC/USD")
    whole = Frame(*[np.asarray(one) / 10 for one in (tape.open, tape.high, tape.low, tape.close)], tape.volume / 1000)
    for k, row in enumerate(bot.rows):
        assert row["close"] == tape.close[FIRST + k] / 10
        assert row["momentum_rsi"] == pytest.approx(whole.filled("momentum_rsi")[FIRST + k])
        assert row["trend_adx"] == pytest.approx(whole.filled("trend_adx")[FIRST + k])
    assert bot.rows[0]["timestamp"] == "2023-11-14T22:40:00Z"
    assert START_NS == 1_699_999_980_000_000_000


def test_a_row_is_a_mapping_and_has_attributes() -> None:
    class Looks:
        def decisionFunction(self, row: Any) -> int:  # noqa: N802 - the seed's name
            assert len(row) == len(FIELDS) + len(COLUMNS) == len(list(row))
            assert row.get("nothing", 7) == 7
            assert row.close == row["close"]
            with pytest.raises(KeyError):
                row["nothing"]
            with pytest.raises(AttributeError):
                _ = row.nothing
            assert np.isfinite([row[name] for name in COLUMNS]).all()
            return 0

    Drive(DecisionTrader(Looks()), bars(CLOSES[0][:31])).run()


def test_one_instrument_is_all_in_or_all_out_at_the_next_open() -> None:
    bot = Scripted({1: -1, 3: 1, 4: 1, 8: 0, 9: -1, 10: -1})
    flat = [5000 + k % 2 for k in range(60)]
    run = Drive(DecisionTrader(bot), bars(flat)).run()
    fills = run.desk.fills()
    assert [(one.venue.print - FIRST, one.side) for one in fills] == [(3, Side.BUY), (9, Side.SELL)]
    assert float(fills[0].qty) * fills[0].price == pytest.approx(1_000_000, rel=1e-3)
    assert run.desk.position() == 0


def test_an_rsi_bot_trades_by_its_rule() -> None:
    tape = bars(CLOSES[0])
    run = Drive(trader_of(RsiBot), tape).run()
    rsi = Frame(*[np.asarray(one) / 10 for one in (tape.open, tape.high, tape.low, tape.close)], tape.volume).filled(
        "momentum_rsi"
    )
    assert len(run.desk.fills()) >= 2
    for fill in run.desk.fills():
        at = fill.venue.print - 1
        assert rsi[at] < 49 if fill.side is Side.BUY else rsi[at] > 51


def test_several_instruments_are_sleeves_funded_by_one_trimmed_by_zero_left_by_minus_one() -> None:
    listings = [listing(n, name) for n, name in enumerate("ABC")]
    tapes = {n: bars([5000 + (k + n) % 2 for k in range(60)]) for n in range(3)}

    class Sleeves:
        n = 0

        def decisionFunction(self, row: Any) -> int:  # noqa: N802 - the seed's name
            self.n += 1
            step, name = (self.n - 1) // 3, row["symbol"][0]
            assert row["symbol"] == self._current_ticker  # type: ignore[attr-defined]  # set by the shim
            if step < 3:
                return int(name != "C")  # A and B funded, C never
            return {"A": -1, "B": 0, "C": 1}[name]

    run = Drive(DecisionTrader(Sleeves()), tapes, listings).run()
    moves = [(one.venue.print - FIRST, one.instrument[0], one.side.name) for one in run.desk.fills()]
    assert moves == [(1, "A", "BUY"), (1, "B", "BUY"), (4, "A", "SELL"), (4, "C", "BUY")]
    held = {name[0]: float(qty) * 500 for name, qty in run.desk.positions().items()}
    assert held == {"B": pytest.approx(333_333, rel=1e-2), "C": pytest.approx(333_333, rel=1e-2)}


def test_what_is_no_decision_is_refused() -> None:
    with pytest.raises(Invalid, match="answered 5"):
        Drive(DecisionTrader(Scripted({1: 5})), bars(CLOSES[0])).run()


def test_a_bot_that_only_makes_iterations_cannot_be_replayed() -> None:
    class Live:
        def makeOneIteration(self) -> int:  # noqa: N802 - the seed's name
            return 0

    with pytest.raises(NotImplementedError, match="event-driven"):
        DecisionTrader(Live())
    with pytest.raises(Invalid, match="no decisionFunction"):
        DecisionTrader(object())
    assert DecisionTrader(RsiBot()).document()["bot"].endswith(":RsiBot")
