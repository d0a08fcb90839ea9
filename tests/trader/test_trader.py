"""Strategies: what is refused at construction, which hook hears what, and when they are woken."""

from __future__ import annotations

from typing import Any

import pytest
from tests.trader.driver import Drive, bars, prints

from gnomon.errors import Invalid
from gnomon.trader.events import BestQuote, Degraded, Phase, Timer
from gnomon.trader.params import between
from gnomon.trader.trader import KINDS, Strategy, Wake


class Heard(Strategy):
    """Writes down every call."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.calls: list[Any] = []


def test_a_class_without_a_decision_hook_is_refused_at_construction() -> None:
    class Mute(Strategy):
        def on_start(self, desk: Any) -> None: ...

    with pytest.raises(Invalid, match="Mute never decides") as caught:
        Mute()
    assert "on_bar" in caught.value.hint


def test_a_class_with_both_on_bar_and_on_candle_is_refused() -> None:
    class Both(Strategy):
        def on_bar(self, _desk: Any, _bar: Any) -> None: ...

        def on_candle(self, desk: Any, candle: Any) -> None: ...

    with pytest.raises(Invalid, match="both on_bar and on_candle"):
        Both()


def test_a_misspelt_hook_or_parameter_is_refused_with_the_nearest() -> None:
    class Typo(Strategy):
        def on_bar(self, _desk: Any, _bar: Any) -> None: ...

        def on_fil(self, desk: Any, fill: Any) -> None: ...

    class Tuned(Strategy):
        class Params:
            fast: int = between(20, 5, 60)

        def on_bar(self, _desk: Any, _bar: Any) -> None: ...

    with pytest.raises(Invalid, match="on_fil") as caught:
        Typo()
    assert "on_fill" in caught.value.hint
    with pytest.raises(Invalid, match="fats") as caught:
        Tuned(fats=5)
    assert "fast" in caught.value.hint
    assert Tuned(fast=5).params.fast == 5
    assert Tuned().document()["params"] == {"fast": 20}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"warmup": -1}, "warmup"),
        ({"lookback": 0}, "lookback"),
        ({"universe": "BTC/USD"}, "universe"),
        ({"timeframe": "soon"}, "timeframe"),
        ({"wake": {"every_nth_prnt": 5}}, "every_nth_prnt"),
        ({"wake": {"every_nth_print": -5}}, "every_nth_print"),
        ({"Params": int}, "Params"),
    ],
)
def test_class_data_that_makes_no_sense_is_refused(data: dict[str, Any], message: str) -> None:
    hook = {"on_bar": lambda _self, _desk, _bar: None}
    with pytest.raises(Invalid, match=message):
        type("Odd", (Strategy,), {**hook, **data})()


def test_wakes_follow_from_the_hooks_and_class_data_overrides_them() -> None:
    class Trades(Strategy):
        wake = {"every_nth_print": 100}  # noqa: RUF012 - class data, as a user writes it

        def on_trade(self, desk: Any, trade: Any) -> None: ...

        def on_fill(self, desk: Any, fill: Any) -> None: ...

    class Timed(Strategy):
        def on_timer(self, desk: Any, name: str) -> None: ...

        def on_calendar(self, desk: Any, event: Any) -> None: ...

    assert Trades().wakes() == Wake(every_nth_print=100, own_events=True)
    assert Timed().wakes() == Wake(timers=True, news=True)
    assert Timed().hook("trade") is None
    with pytest.raises(Invalid, match="tick"):
        Timed().hook("tick")


def test_each_event_reaches_its_hook_and_the_fast_path_is_the_method_itself() -> None:
    class All(Heard):
        def on_timer(self, _desk: Any, name: str) -> None:
            self.calls.append(("timer", name))

        def on_session(self, _desk: Any, phase: str) -> None:
            self.calls.append(("session", phase))

        def on_degraded(self, _desk: Any, reason: str) -> None:
            self.calls.append(("degraded", reason))

        def on_quote(self, _desk: Any, quote: BestQuote) -> None:
            self.calls.append(("quote", quote.bid_ticks))

    one: Any = All()
    for event in (Timer("t"), Phase("day", 1), Degraded("stale"), BestQuote(0, 1, 2, 3)):
        one.handle(None, event)
    assert one.calls == [("timer", "t"), ("session", "day"), ("degraded", "stale"), ("quote", 2)]
    assert one.hook("timer") == one.on_timer
    assert {kind for kind in KINDS if one.hook(kind)} == {"timer", "session", "degraded", "quote"}


def test_on_candle_hears_each_instrument_in_the_order_of_the_universe() -> None:
    class Each(Heard):
        def on_candle(self, desk: Any, candle: Any) -> None:
            self.calls.append((desk.now, candle.instrument, candle.close_ticks))

    from tests.trader.driver import listing

    first, second = bars([100, 101]), bars([200, 201, 202])
    run = Drive(Each(), {0: first, 1: second}, [listing(0, "A"), listing(1, "B")]).run()
    names = [name for _, name, _ in run.trader.calls]
    assert names == ["A/USD", "B/USD", "A/USD", "B/USD", "B/USD"]
    assert [close for *_, close in run.trader.calls] == [100, 200, 101, 201, 202]


def test_on_market_data_is_an_alias_that_hears_prints_and_candles() -> None:
    class Seed(Heard):
        def on_market_data(self, _desk: Any, event: Any) -> None:
            self.calls.append(type(event).__name__)

    assert Drive(Seed(), bars([100, 101])).run().trader.calls == ["Candle", "Candle"]
    assert Drive(Seed(), prints([100, 101, 102])).run().trader.calls == ["Trade"] * 3
    assert Seed().wakes() == Wake(closed_bars=True, every_nth_print=1)


def test_run_trading_session_is_called_with_the_date_of_each_day() -> None:
    class Days(Heard):
        def on_bar(self, _desk: Any, _bar: Any) -> None: ...

        def run_trading_session(self, date: str) -> None:
            self.calls.append(date)

    run = Drive(Days(), bars([100]))
    for phase in ("open", "day", "close"):
        run.trader.handle(run.desk, Phase(phase))
    assert run.trader.calls == ["2023-11-14"]


def test_start_comes_first_and_stop_last() -> None:
    class Life(Heard):
        def on_start(self, desk: Any) -> None:
            self.calls.append(("start", desk.now))

        def on_bar(self, _desk: Any, bar: Any) -> None:
            self.calls.append(("bar", bar.time_ns))

        def on_stop(self, desk: Any) -> None:
            self.calls.append(("stop", desk.now))
            self.calls.append(desk.buy(lots=5).state.why)

    run = Drive(Life(), bars([100, 101])).run()
    assert [one[0] for one in run.trader.calls[:-1]] == ["start", "bar", "bar", "stop"]
    assert run.trader.calls[-1] == "the session is over"
    assert run.requests == []
