"""Strategies written for backtesting.py run at our desk: fills at the next open, parameters, indicators, guards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.trader.driver import Drive, bars

from gnomon.compat.backtesting import SMA, Strategy, cross, crossover
from gnomon.errors import Invalid, Unavailable
from gnomon.exchange.bars import Bars
from gnomon.exchange.order import Side

NOISE = np.random.default_rng(3)
CLOSES = (5000 + np.cumsum(NOISE.integers(-40, 41, 250))).tolist()
TAPE = bars(CLOSES)


class SmaCross(Strategy):
    """The strategy of the library's front page, as it stands there."""

    n1 = 10
    n2 = 20

    def init(self) -> None:
        price = self.data.Close
        self.ma1 = self.I(SMA, price, self.n1)
        self.ma2 = self.I(SMA, price, self.n2)

    def next(self) -> None:
        if crossover(self.ma1, self.ma2):
            self.buy(size=0.9)
        elif crossover(self.ma2, self.ma1):
            self.position.close()


def plain_crosses(closes: list[int], n1: int, n2: int) -> list[tuple[int, str]]:
    """(bar of the fill, side), by hand."""
    one, two = SMA(closes, n1), SMA(closes, n2)
    made, held = [], False
    for row in range(n2, len(closes) - 1):
        if one[row - 1] < two[row - 1] and one[row] > two[row] and not held:
            made.append((row + 1, "BUY"))
            held = True
        elif two[row - 1] < one[row - 1] and two[row] > one[row] and held:
            made.append((row + 1, "SELL"))
            held = False
    return made


def moves(run: Drive) -> list[tuple[int, str]]:
    return [(one.venue.print, one.side.name) for one in run.desk.fills()]


def test_the_front_page_strategy_trades_the_crosses_at_the_next_open() -> None:
    run = Drive(SmaCross(), TAPE).run()
    wanted = plain_crosses(CLOSES, 10, 20)
    assert len(wanted) > 6
    assert moves(run) == wanted
    for fill in run.desk.fills():
        assert fill.price_ticks == TAPE.open[fill.venue.print]


def test_parameters_are_class_attributes_and_misspelt_ones_are_refused() -> None:
    run = Drive(SmaCross(n1=5, n2=30), TAPE).run()
    assert moves(run) == plain_crosses(CLOSES, 5, 30)
    with pytest.raises(Invalid, match="n_1") as caught:
        SmaCross(n_1=5)
    assert "n1" in caught.value.hint
    for name in ("next", "warmup", "data"):
        with pytest.raises(Invalid, match=name):
            SmaCross(**{name: 5})

    class Half(Strategy):
        def init(self) -> None: ...

    with pytest.raises(Invalid, match="has no next"):
        Half()


def test_an_indicator_that_looks_ahead_sees_nothing() -> None:
    def ahead(values: Any) -> Any:
        return np.append(np.asarray(values)[1:], np.asarray(values)[-1:])

    class Peek(SmaCross):
        def init(self) -> None:
            self.ma1 = self.I(ahead, self.data.Close)
            self.ma2 = self.I(SMA, self.data.Close, 20)

    noise = TAPE.close.copy()
    noise[150:] = NOISE.integers(4000, 6000, 100)
    other = replace(TAPE, close=noise, open=np.append(TAPE.open[:151], noise[150:-1]))
    other = replace(other, high=np.maximum(other.open, other.close) + 3, low=np.minimum(other.open, other.close) - 3)
    runs = [Drive(Peek(), one).run() for one in (TAPE, other)]
    before = [[one for one in moves(run) if one[0] < 150] for run in runs]
    assert before[0]
    assert before[0] == before[1]


class Watcher(Strategy):
    """Keeps what it sees."""

    def init(self) -> None:
        self.seen: list[Any] = []
        self.middle = (self.data.High + self.data.Low) / 2
        self.smooth = self.I(SMA, self.middle, 3)
        self.twice = self.I(lambda a, b: np.vstack([np.asarray(a), np.asarray(b)]), self.smooth, self.data.Open)

    def next(self) -> None:
        self.seen.append(
            (len(self.data), float(self.data.Close[-1]), float(self.smooth), self.twice[1][-1], self.data.Close > 500.0)
        )


def test_series_are_written_in_init_and_read_in_next() -> None:
    run = Drive(Watcher(), bars(CLOSES[:9])).run()
    tape = bars(CLOSES[:9])
    middle = (tape.high + tape.low) / 20
    assert [one[0] for one in run.trader.seen] == [4, 5, 6, 7, 8, 9]  # from the bar after the first value
    for n, close, smooth, opened, above in run.trader.seen:
        assert close == tape.close[n - 1] / 10
        assert smooth == pytest.approx(middle[n - 3 : n].mean())
        assert opened == pytest.approx(tape.open[n - 1] / 10)
        assert bool(above) == (close > 500)
    assert run.trader.data.index[0] == np.datetime64(int(tape.open_ns[0]), "ns")
    assert len(run.trader.data.Close) == 9


class Once(Strategy):
    """Does one thing at one bar."""

    at = 3

    def init(self) -> None:
        self.came: Any = None

    def act(self) -> Any:
        raise NotImplementedError

    def next(self) -> None:
        if len(self.data) == self.at:
            self.came = self.act()


def flat_then(*closes: int) -> Bars:
    return bars([5000] * 4 + list(closes))


def test_guards_leave_at_their_prices() -> None:
    class Guarded(Once):
        def act(self) -> Any:
            return self.buy(size=10, sl=490.0, tp=520.0, tag="guarded")

    won = Drive(Guarded(), flat_then(5050, 5150, 5250, 5250)).run()
    assert [(one.side, one.price_ticks) for one in won.desk.fills()] == [(Side.BUY, 5000), (Side.SELL, 5200)]
    lost = Drive(Guarded(), flat_then(4950, 4880, 4880)).run()
    assert [(one.side, one.price_ticks) for one in lost.desk.fills()] == [(Side.BUY, 5000), (Side.SELL, 4900)]
    assert won.trader.came.tag == "guarded"
    assert won.desk.position() == lost.desk.position() == 0


def test_limit_and_stop_orders_wait_and_can_be_cancelled() -> None:
    class Waits(Once):
        def act(self) -> Any:
            return self.buy(size=2, limit=480.0), self.buy(size=3, stop=530.0)

        def next(self) -> None:
            super().next()
            if len(self.data) == 5:
                self.waiting = [(one.size, one.limit, one.stop) for one in self.orders]
                self.orders[1].cancel()

    run = Drive(Waits(), flat_then(5000, 5000, 4790, 5400)).run()
    assert run.trader.waiting == [(2.0, 480.0, None), (3.0, None, 530.0)]
    assert [(one.side, one.price_ticks) for one in run.desk.fills()] == [(Side.BUY, 4800)]


def test_the_position_knows_its_profit_and_closes_in_parts() -> None:
    class Parts(Once):
        def act(self) -> Any:
            return self.buy(size=10)

        def next(self) -> None:
            super().next()
            if len(self.data) == 6:
                self.state = self.position.size, self.position.pl, self.position.pl_pct, self.position.is_long
                self.position.close(0.5)
            if len(self.data) == 8:
                self.half = self.position.size, self.position.pl
                self.sell(size=3)

    run = Drive(Parts(), flat_then(5000, 5500, 5500, 5600, 5600, 5600)).run()
    assert run.trader.state == (10.0, pytest.approx(500.0), pytest.approx(10.0), True)
    assert run.trader.half == (5.0, pytest.approx(300.0))
    assert float(run.desk.position()) == 2.0
    assert run.trader.equity == pytest.approx(float(run.desk.equity))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda self: self.buy(size=0), "size of 0"),
        (lambda self: self.buy(size=1.5), "size of 1.5"),
        (lambda self: self.sell(size=5), "nothing is held"),
        (lambda self: self.position.close(2), "portion of 2"),
    ],
)
def test_wrong_sizes_are_refused(act: Any, message: str) -> None:
    class Wrong(Once):
        def act(self) -> Any:
            with pytest.raises(Invalid, match=message):
                act(self)

    assert Drive(Wrong(), flat_then(5000)).run().requests == []


def test_trades_are_said_to_be_elsewhere_and_there_is_no_desk_before_the_run() -> None:
    one = SmaCross()
    with pytest.raises(Unavailable, match="trades"):
        _ = one.trades
    with pytest.raises(Invalid, match="no desk"):
        one.buy()


def test_crossing_takes_numbers_too() -> None:
    assert crossover([1, 3], 2)
    assert not crossover([3, 1], 2)
    assert cross([3, 1], 2)
    assert not cross([2, 2], 2)
    assert np.isnan(SMA([1, 2], 3)).all()


def test_warm_up_bars_are_there_before_the_first_call() -> None:
    class Warm(Watcher):
        warmup = 5

    tape = bars(CLOSES[:9])
    run = Drive(Warm(), tape, start_ns=int(tape.close_ns[5]) + 1).run()
    assert run.trader.seen[0][0] <= 7
    assert run.trader.data.Close[0] == tape.close[1] / 10
