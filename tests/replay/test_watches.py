"""Watches: wakes at prices and volumes, equal to a naive loop over the prints, and verified from the record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replay.scene import ground, plan, recorded, rough_bars, rough_prints, rules, seeded_prints
from tests.replay.test_ghost import verified

from gnomon.errors import Invalid, NotFound, Refused
from gnomon.exchange.rules import Latency, Leg
from gnomon.market.block_index import BlockIndex
from gnomon.replay.bodies import Wake
from gnomon.replay.header import RecordType
from gnomon.replay.run import play
from gnomon.replay.verification import Outcome
from gnomon.replay.watches import volume_reached
from gnomon.trader.trader import Strategy

Rule = tuple[int, str, int]
"""At which wake of the run, in which direction, how many ticks from the last price: a watch to be set."""


class Watcher(Strategy):
    """Keeps where it was woken, and sets watches at some of its wakes."""

    plan: tuple[Rule, ...] = ()
    acts = False

    def on_start(self, desk: Any) -> None:
        self.woken: list[tuple[int, int, int]] = []
        self.set(desk)

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.woken.append((desk.now, trade.listing.number, trade.position))
        self.set(desk)
        if self.acts and len(self.woken) % 3 == 0:
            desk.buy(trade.listing.number, lots=1, limit=trade.price)

    def set(self, desk: Any) -> None:
        for wake, direction, off in self.plan:
            if wake == len(self.woken):
                for number in range(len(desk.instruments())):
                    price = max(1, (desk.price_ticks(number) or 10_000) + off)
                    desk.price_cross(direction, instrument=number, price_ticks=price)


def naive(
    tapes: Any, how: dict[str, Any], rules_: tuple[Rule, ...], feed_ns: int, start_ns: int
) -> list[tuple[int, int, int]]:
    """Every print of every tape in the order in which they are told, by the definitions."""
    rows = sorted(
        (int(tape.time_ns[row]) + feed_ns, number, row)
        for number, tape in enumerate(tapes)
        for row in range(len(tape))
        if tape.time_ns[row] >= start_ns
    )
    counted, printed, woken = [0] * len(tapes), [0] * len(tapes), []
    watches: list[tuple[int, bool, int, int]] = []  # instrument, up, ticks, knowable after

    def last(number: int, now: int) -> int:
        known = np.searchsorted(tapes[number].time_ns, now - feed_ns, "right")
        return int(tapes[number].price[known - 1]) if known else 10_000

    def ask(now: int) -> None:
        for wake, direction, off in rules_:
            if wake == len(woken):
                for number in range(len(tapes)):
                    watches.append((number, direction == "up", max(1, last(number, now) + off), now))

    watches += [(n, p > 0, abs(p), -1) for n in range(len(tapes)) for p in how.get("price_cross") or ()]
    ask(start_ns)
    for at_ns, number, row in rows:
        price = int(tapes[number].price[row])
        counted[number] += 1
        printed[number] += int(tapes[number].lots[row])
        met = [
            one
            for one in watches
            if one[0] == number and at_ns > one[3] and (price >= one[2] if one[1] else price <= one[2])
        ]
        for one in met:
            watches.remove(one)
        every, volume = how.get("every_nth_print", 0), how.get("volume", 0)
        if met or (every and counted[number] % every == 0) or (volume and printed[number] >= volume):
            printed[number] = 0
            woken.append((at_ns, number, row))
            ask(at_ns)
    return woken


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 2),
    st.sampled_from([0, 1, 7, 40]),
    st.sampled_from([0, 1, 90, 3_000]),
    st.lists(st.sampled_from([9_990, 10_004, -9_995, -10_001, 20_000]), max_size=3),
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["up", "down"]), st.integers(-6, 6)), max_size=4),
    st.sampled_from([0, 1_000, 60_000_000]),
)
def test_wakes_are_those_of_a_loop_over_every_print(
    seed: int, count: int, every: int, volume: int, prices: list[int], asked: list[Rule], feed_ns: int
) -> None:
    tapes = [rough_prints(seed + number, 250) for number in range(count)]
    how = {"every_nth_print": every, "volume": volume, "price_cross": tuple(prices)}
    kind = type("Drawn", (Watcher,), {"wake": how, "plan": tuple(asked), "acts": seed % 2 == 0})
    at = plan(ground(*tapes), rules(latency=Latency(Leg(feed_ns), Leg(0), Leg(0))))
    trader = kind()
    _, record = recorded(at, trader)
    expected = [one for one in naive(tapes, how, tuple(asked), feed_ns, at.start_ns) if one[0] < at.end_ns]
    assert trader.woken == expected
    assert verified(at, record).outcome is Outcome.VERIFIED


def test_a_volume_is_found_where_the_running_sum_reaches_it() -> None:
    prints = seeded_prints(600_000)
    index = BlockIndex.of_prints(prints.price, prints.lots, prints.side)
    sums = np.cumsum(prints.lots)
    chance = np.random.default_rng(3)
    for lots in (1, 60, 5_000, 400_000, 9_000_000, 29_000_000):
        for start in (0, 1, 63, 64, 4_096, 262_144, *chance.integers(0, 600_000, 20).tolist()):
            before = int(sums[start - 1]) if start else 0
            expected = int(np.searchsorted(sums, before + lots))
            for stop in (600_000, min(600_000, start + 5_000)):
                assert volume_reached(prints, index, start, stop, lots) == min(expected, stop)


def test_a_watch_stands_in_the_record_until_it_is_passed() -> None:
    kind = type(
        "Two", (Watcher,), {"wake": {"every_nth_print": 50, "price_cross": (20_000,)}, "plan": ((2, "up", -1),)}
    )
    at = plan(ground(rough_prints(4, 300)), rules())
    _, record = recorded(at, kind())
    filters = [one.body for one in record.entries() if one.type is RecordType.WAKE]
    assert all(isinstance(one, Wake) for one in filters)
    assert [len(one.watches) for one in filters if isinstance(one, Wake)] == [1, 2]
    deliveries = [one.seq for one in record.entries() if one.type is RecordType.DELIVER]
    second = [one for one in record.entries() if one.type is RecordType.WAKE][1]
    assert second.cause in deliveries


def test_a_trader_that_names_no_price_cross_is_refused_with_what_to_write() -> None:
    class Forgets(Strategy):
        def on_trade(self, desk: Any, _trade: Any) -> None:
            desk.price_cross("up", 12.0)

    with pytest.raises(Refused, match="no prices are watched") as caught:
        play(plan(ground(rough_prints(1, 20)), rules()), Forgets())
    assert '"price_cross": ()' in caught.value.hint


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"direction": "sideways", "price": 1.0}, Invalid),
        ({"direction": "up"}, Invalid),
        ({"direction": "up", "price": 1.0, "price_ticks": 10}, Invalid),
        ({"direction": "up", "price_ticks": 0}, Invalid),
        ({"direction": "up", "price": 1.0, "instrument": "X"}, NotFound),
    ],
)
def test_a_crossing_that_makes_no_sense_is_refused(words: dict[str, Any], error: type[Exception]) -> None:
    class Asks(Strategy):
        wake = {"price_cross": ()}  # noqa: RUF012 - class data of a strategy is written so

        def on_trade(self, desk: Any, _trade: Any) -> None:
            desk.price_cross(**words)

    with pytest.raises(error):
        play(plan(ground(rough_prints(1, 20)), rules()), Asks())


def test_prices_off_the_grid_are_crossed_by_the_next_tick_beyond() -> None:
    class Asks(Strategy):
        wake = {"price_cross": (), "every_nth_print": 0}  # noqa: RUF012 - class data of a strategy is written so

        def on_start(self, desk: Any) -> None:
            desk.price_cross("up", 1_000.01)
            desk.price_cross("down", 999.99)
            self.asked = list(desk.watches)

        def on_trade(self, desk: Any, trade: Any) -> None: ...

    trader = Asks()
    play(plan(ground(rough_prints(1, 20)), rules()), trader)
    assert trader.asked == [(0, 1, 10_001), (0, 2, 9_999)]


def test_bars_have_no_prints_to_watch() -> None:
    kind = type("Two", (Watcher,), {"wake": {"volume": 1, "price_cross": (1,)}, "plan": ((0, "up", 0),)})
    trader = kind()
    run, record = recorded(plan(ground(rough_bars(4, 30)), rules()), trader)
    assert (trader.woken, run.fills) == ([], 0)
    assert verified(plan(ground(rough_bars(4, 30)), rules()), record).outcome is Outcome.VERIFIED
