"""Forecasts and the calendar in a replay: as of the clock, recorded, verified, and the same whatever comes later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replay.outlooks import ALWAYS, Follows, Listens, at, computing, event, grounded, said, steady_bars
from tests.replay.scene import MINUTE, ground, plan, recorded, rough_prints, rules
from tests.replay.test_ghost import verified

from gnomon.errors import NotFound, Unavailable
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.forecast import as_stored, context_at
from gnomon.market.tape import AsOf, History, Series, Tape
from gnomon.replay.archive import Archive
from gnomon.replay.bodies import Decision, ForecastSeen
from gnomon.replay.header import RecordType
from gnomon.replay.run import play
from gnomon.replay.verification import Outcome
from gnomon.replay.wire import Wire
from gnomon.trader.trader import Strategy
from gnomon.units import INT64_MAX, MINUTE_NS

SAID = [said(0, at(bar) + 5, 1.01 if bar % 3 else 0.99) for bar in range(4, 60, 2)]


def test_a_forecast_is_read_from_the_instant_of_its_issue_on() -> None:
    trader = Follows()
    run, record = recorded(plan(grounded(steady_bars(1, 70), stated=SAID), rules()), trader)
    expected = []
    for bar in range(70 - 1):
        known = [one for one in SAID if one.issued.issued_ns <= at(bar)]
        expected.append((at(bar), known[-1].issued.id if known else None))
    assert trader.seen == expected
    assert run.fills > 5
    assert verified(plan(grounded(steady_bars(1, 70), stated=SAID), rules()), record).outcome is Outcome.VERIFIED


def test_what_was_read_stands_once_as_an_input_and_by_its_hash_in_each_decision() -> None:
    _, record = recorded(plan(grounded(steady_bars(1, 40), stated=SAID), rules()), Follows())
    seen = [one.body for one in record.entries() if one.type is RecordType.FORECAST]
    read = [one.body.forecasts for one in record.entries() if isinstance(one.body, Decision)]
    contents = {one.content: one for one in SAID}
    assert [one.content for one in seen if isinstance(one, ForecastSeen)] == list(dict.fromkeys(sum(read, ())))
    assert all(contents[one.content].issued.issued_ns == one.issued for one in seen if isinstance(one, ForecastSeen))
    assert sum(len(one) for one in read) > len(seen) > 10


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 50), st.integers(0, 2**32))
def test_garbage_in_the_future_moves_nothing_before_it(cut: int, seed: int) -> None:
    """Forecasts and events that come later than a bar may say anything."""
    chance = np.random.default_rng(seed)
    events = [event(n, at(n + 5), at(n)) for n in range(0, 60, 7)]
    garbage = [
        one if one.issued.issued_ns <= at(cut) else said(0, one.issued.issued_ns, chance.uniform(0.5, 2))
        for one in SAID
    ]
    strange = [one for one in events if one.knowable_ns <= at(cut)] + [event(99, at(cut), at(cut) + 1)]

    class Reads(Follows):
        def on_bar(self, desk: Any, bar: Any) -> None:
            super().on_bar(desk, bar)
            self.seen.append((desk.now, str([one.id for one in desk.calendar(ahead="1h", back="1h")])))

    found = []
    for stated, listed in ((SAID, events), (garbage, strange)):
        trader = Reads()
        play(plan(grounded(steady_bars(1, 70), stated=stated, events=listed), rules()), trader)
        found.append([one for one in trader.seen if one[0] <= at(cut)])
    assert found[0] == found[1]
    assert len(found[0]) == 2 * cut + 2


def test_equal_archives_have_one_digest_and_others_another() -> None:
    events = [event(1, at(9), at(3))]
    base = Archive(SAID, grounded(events=events).archive.events)  # type: ignore[union-attr]  # it has one
    again = Archive(list(reversed(SAID)), base.events)
    assert base.parts() == again.parts()
    assert Archive(SAID[:-1], base.events).parts() != base.parts()
    assert Archive([*SAID[:-1], said(0, SAID[-1].issued.issued_ns + 1, 1.01)], base.events).parts() != base.parts()
    assert Archive(SAID, grounded(events=[event(1, at(10), at(3))]).archive.events).parts() != base.parts()  # type: ignore[union-attr]  # it has one
    assert Archive().parts() == []


def test_news_are_told_after_the_bars_of_their_instant_events_first() -> None:
    bars = steady_bars(1, 30)
    statements = [
        event(1, at(20), at(5)), event(1, at(21), at(8)), event(1, at(21), at(12), released_ns=at(12)),
        event(2, at(20), at(5)), event(1, at(21), at(14), released_ns=at(12), actual=3.0),
    ]  # fmt: skip
    trader = Listens()
    how = plan(grounded(bars, stated=[said(0, at(5), 1.1), said(0, at(9) + 7, 0.9)], events=statements), rules())
    _, record = recorded(how, trader)
    assert [(now, what) for now, what, _ in trader.told if at(4) < now <= at(5)] == [
        (at(5), "bar"), (at(5), "calendar"), (at(5), "calendar"), (at(5), "forecast"),
    ]  # fmt: skip
    assert [said for _, what, said in trader.told if what == "calendar"] == [
        ("s:1", None),
        ("s:2", None),
        ("s:1", at(12)),
    ]
    assert [now for now, what, _ in trader.told if what == "forecast"] == [at(5), at(9) + 7]
    assert verified(how, record).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("latency_ns", [0, 1, 2 * MINUTE_NS + 3])
def test_a_computed_forecast_is_that_of_the_newest_bar_seen_by_then(latency_ns: int) -> None:
    bars, feed_ns = steady_bars(2, 120), 70
    how = computing(grounded(bars), latency_ns=latency_ns, feed_ns=feed_ns)
    trader = Follows(forecaster="ewma")
    _, record = recorded(how, trader)
    stated = {row: _by_hand(how, row, feed_ns) for row in range(49, 120)}
    for now, name in trader.seen:
        known = [row for row in stated if at(row) + feed_ns + latency_ns <= now]
        assert name == (stated[known[-1]].id if known else None)
    assert any(name for _, name in trader.seen)
    assert verified(how, record).outcome is Outcome.VERIFIED


def _by_hand(how: Any, row: int, feed_ns: int) -> Any:
    """The forecast of a bar from a tape that ends there."""
    from gnomon.replay.archive import Stated
    from gnomon.replay.view import TapeView

    candles = TapeView(how.ground, {}, 0).candles(0, MINUTE, row + 1, at(row))
    context = context_at(
        AsOf(Tape([Series(History(candles))]), at(row)), how.compute.instruments[0], ALWAYS, MINUTE, 4,
        lookback_bars=80,
    )  # fmt: skip
    (one,) = forecaster("ewma").predict([context], 4)
    return Stated.of(0, at(row) + feed_ns, as_stored(one)).issued


def test_computed_forecasts_are_told_of_those_that_are_needed_at_every_bar() -> None:
    how = computing(grounded(steady_bars(2, 90), steady_bars(3, 90)), latency_ns=11)
    trader = Listens(forecaster="momentum")
    _, record = recorded(how, trader)
    told = [now for now, what, _ in trader.told if what == "forecast"]
    assert told == [at(row) + 11 for row in range(49, 89) for _ in range(2)]
    assert all("momentum@" in said for _, what, said in trader.told if what == "forecast")
    assert verified(how, record).outcome is Outcome.VERIFIED
    assert (
        play(how, Listens(forecaster="ewma")).digests.config != play(how, Listens(forecaster="momentum")).digests.config
    )


def test_a_bar_that_is_off_the_calendar_has_no_forecast_and_the_one_before_stands() -> None:
    bars = steady_bars(2, 80)
    ragged = replace(bars, close_ns=bars.close_ns.copy())
    ragged.close_ns[70] -= 5
    how = computing(grounded(ragged))
    wire = Wire(how.ground, _view(how), 0, how.compute)
    known, at_70 = (wire.forecast("ewma", 0, MINUTE, at(row)) for row in (69, 70))
    assert known is not None
    assert at_70 is known
    assert wire.forecast("ewma", 0, MINUTE, at(71)) is not known


def _view(how: Any) -> Any:
    from gnomon.replay.view import TapeView

    return TapeView(how.ground, {}, 0)


def test_a_panel_reads_forecasts_as_known_at_each_bar() -> None:
    class Weighs(Strategy):
        lookback = 10

        def weights(self, panel: Any) -> Any:
            outlook = panel.forecast("oracle")
            return np.where(np.nan_to_num(outlook.median / panel.close) > 1, 0.5, 0.0)

    stated = [said(0, at(bar) + 5, 1.01 if bar % 3 else 0.99, base=1_000.0) for bar in range(4, 60, 2)]
    how = plan(grounded(steady_bars(1, 70), stated=stated), rules())
    run, record = recorded(how, Weighs())
    assert run.fills
    assert any(one.body.forecasts for one in record.entries() if isinstance(one.body, Decision))
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_where_nothing_is_said_the_desk_says_that_it_is_not_there() -> None:
    class Asks(Strategy):
        def on_bar(self, desk: Any, _bar: Any) -> None:
            self.answers = []
            for ask in (desk.forecast, desk.calendar, lambda: desk.search("war")):
                try:
                    self.answers.append(ask())
                except Unavailable as error:
                    self.answers.append(str(error))

    trader = Asks()
    play(plan(ground(rough_prints(1, 400)), rules()), trader)
    assert trader.answers == [
        "this session has no forecasts", "this session has no calendar", "this session has nothing to search",
    ]  # fmt: skip
    play(plan(grounded(steady_bars(1, 9), events=[event(1, at(3), at(1))]), rules()), trader)
    assert [type(one) for one in trader.answers] == [str, list, str]


def test_a_computed_forecaster_that_is_not_there_is_named_with_the_nearest() -> None:
    how = computing(grounded(steady_bars(2, 90)))
    with pytest.raises(NotFound, match="no forecasts of 'ewna'") as caught:
        play(how, Follows(forecaster="ewna"))
    assert "ewma" in caught.value.hint
    wire = Wire(how.ground, _view(how), 0, how.compute)
    with pytest.raises(NotFound, match="no forecasts of 'ewna'"):
        wire.forecast("ewna", 0, MINUTE, INT64_MAX)
    with pytest.raises(NotFound, match="no forecasts of 5m"):
        wire.forecast("ewma", 0, MINUTE.parse("5m"), at(80))
