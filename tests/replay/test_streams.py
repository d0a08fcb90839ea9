"""Streams: every wake once and in time, however many are told together, against the columns themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.replay.scene import listing, rough_bars, rough_prints

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.replay import streams
from gnomon.replay.streams import NEVER_NS, BarStream, TradeStream
from gnomon.trader.events import Bar, Candle, Trade


class Clock:
    """As much of a desk as a stream needs."""

    def __init__(self) -> None:
        self.now_ns, self.outbox, self.is_deciding = 0, [], False


PRINTS = rough_prints(2, 500)


@pytest.fixture(params=[1, 7, 4_096], ids=["single", "small", "usual"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_WAKES", request.param)


def trades(every: int = 3, feed_ns: int = 0, hook: Any = None) -> tuple[TradeStream, list[tuple[int, ...]]]:
    seen: list[tuple[int, ...]] = []

    def see(clock: Any, trade: Trade) -> None:
        row = clock.now_ns, trade.time_ns, trade.position, trade.price_ticks, trade.lots, trade.side
        seen.append(row)
        if hook is not None:
            hook(clock, trade)

    rows = range(every - 1, len(PRINTS), every)
    return TradeStream(PRINTS, Trade(listing()), see, rows, feed_ns, 2), seen


def expected(every: int, feed_ns: int) -> list[tuple[int, ...]]:
    rows = range(every - 1, len(PRINTS), every)
    columns = (PRINTS.price, PRINTS.lots, PRINTS.side)
    times = PRINTS.time_ns.tolist()
    return [(times[row] + feed_ns, times[row], row, *(int(column[row]) for column in columns)) for row in rows]


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(("every", "feed_ns"), [(1, 0), (3, 0), (7, 5_000), (499, 0), (500, 1)])
def test_every_nth_print_is_told_once_at_its_time(every: int, feed_ns: int) -> None:
    stream, seen = trades(every, feed_ns)
    clock, told = Clock(), []
    while stream.next_ns != NEVER_NS:
        due_ns = stream.next_ns
        stream.run(clock, due_ns + 70_000_000)
        after, upto, wakes, first_ns = stream.told
        assert first_ns == due_ns
        told.append((after, upto, wakes))
    assert seen == expected(every, feed_ns)
    assert sum(wakes for _, _, wakes in told) == len(seen)
    assert all(upto - after == wakes * every for after, upto, wakes in told)
    assert [after for after, _, _ in told] == [0, *(upto for _, upto, _ in told[:-1])]


@pytest.mark.usefixtures("blocks")
def test_nothing_is_told_at_or_after_the_limit_but_the_first() -> None:
    stream, seen = trades(2)
    clock = Clock()
    while stream.next_ns != NEVER_NS:
        before, limit_ns = len(seen), stream.next_ns + 50_000_001
        stream.run(clock, limit_ns)
        assert all(row[0] < limit_ns for row in seen[before:])
    before = len(seen)
    stream, seen = trades(2)
    stream.run(clock, 0)  # due already: one is told
    assert len(seen) == 1 < before


@pytest.mark.usefixtures("blocks")
def test_a_request_ends_the_run_of_wakes() -> None:
    def ask(clock: Any, trade: Trade) -> None:
        if trade.position % 5 == 0:
            clock.outbox.append(trade.position)

    stream, seen = trades(1, hook=ask)
    clock = Clock()
    while stream.next_ns != NEVER_NS:
        stream.run(clock, NEVER_NS)
        assert len(clock.outbox) <= 1
        assert stream.is_flowing is not bool(clock.outbox)
        assert not clock.outbox or seen[-1][2] == clock.outbox[0]
        clock.outbox.clear()
    assert seen == expected(1, 0)


@pytest.mark.usefixtures("blocks")
def test_the_wake_at_which_a_hook_fails_was_told() -> None:
    def fail(_clock: Any, trade: Trade) -> None:
        if trade.position == 7:
            raise ArithmeticError

    def run_all(stream: TradeStream) -> None:
        while True:
            stream.run(Clock(), NEVER_NS)

    stream, seen = trades(1, hook=fail)
    with pytest.raises(ArithmeticError):
        run_all(stream)
    assert (seen[-1][2], stream.told[1]) == (7, 8)


def test_a_range_without_rows_has_no_wake() -> None:
    assert TradeStream(PRINTS, Trade(listing()), print, range(500, 500, 3), 0, 2).next_ns == NEVER_NS
    assert TradeStream(Prints.empty(), Trade(listing()), print, range(2, 0, 3), 0, 2).next_ns == NEVER_NS


# --- bars -----------------------------------------------------------------------------------------------------------

TAPES = rough_bars(1, 60), rough_bars(2, 45)


def bars(tapes: tuple[Bars, ...], window: tuple[int, int], feed_ns: int = 0) -> tuple[BarStream, list[Any]]:
    listings = [listing(number) for number in range(len(tapes))]
    seen: list[Any] = []

    def see(clock: Any, bar: Bar) -> None:
        candles = [
            (one.position, one.open_ns, one.close_ns, one.open_ticks, one.high_ticks, one.low_ticks, one.close_ticks,
             one.volume_lots) if one.is_new else None
            for one in bar.candles.values()
        ]  # fmt: skip
        seen.append((clock.now_ns, bar.time_ns, candles))

    return BarStream(tapes, Bar({one.id: Candle(one) for one in listings}), see, window, feed_ns, 4), seen


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("feed_ns", [0, 9])
def test_every_close_is_told_once_with_the_candles_that_closed_then(count: int, feed_ns: int) -> None:
    tapes = TAPES[:count]
    start_ns, end_ns = int(TAPES[0].close_ns[3]), int(TAPES[0].close_ns[-4])
    stream, seen = bars(tapes, (start_ns, end_ns), feed_ns)
    told = 0
    while stream.next_ns != NEVER_NS:
        stream.run(Clock(), stream.next_ns + 10**12)
        assert stream.told[0] == told
        told = stream.told[1]
    closes = sorted({at for one in tapes for at in one.close_ns.tolist() if start_ns < at <= end_ns})
    assert [at_ns for _, at_ns, _ in seen] == closes
    assert [now_ns for now_ns, _, _ in seen] == [at_ns + feed_ns for at_ns in closes]
    for _, at_ns, candles in seen:
        for tape, candle in zip(tapes, candles, strict=True):
            rows = np.flatnonzero(tape.close_ns == at_ns).tolist()
            columns = (tape.open_ns, tape.close_ns, tape.open, tape.high, tape.low, tape.close, tape.volume)
            assert candle == ((rows[0], *(int(one[rows[0]]) for one in columns)) if rows else None)
    assert told == len(closes)


def test_an_instrument_without_bars_never_has_a_new_candle() -> None:
    none = Bars(*[np.empty(0, np.int64)] * 7)
    stream, seen = bars((TAPES[0], none), (0, 2 * 10**18))
    while stream.next_ns != NEVER_NS:
        stream.run(Clock(), NEVER_NS)
    assert len(seen) == 60
    assert all(candles[1] is None for _, _, candles in seen)
