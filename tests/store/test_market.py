"""Datasets, instruments and candles: recorded once, read back as a tape."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid, NotFound
from gnomon.market.candles import COLUMNS, Candles
from gnomon.market.instrument import Split
from gnomon.store.engine import reading
from gnomon.store.market import MarketStore, Recorded
from gnomon.units import HOUR_NS, Grid

NOW_NS = 2 * 10**18
HOUR = Timeframe.parse("1h")
KEY = ("binance:BTCUSDT", HOUR, "raw")
TABLES = ("instruments", "datasets", "dataset_series", "candle_series", "candles")


@pytest.fixture
def store(engine: Engine) -> MarketStore:
    return MarketStore(engine)


def counts(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES]


def record(store: MarketStore, make: Any, *series: Any, recorded_ns: int = NOW_NS, **passport: Any) -> Recorded:
    symbols = {one.instrument.partition(":")[2] for one in series}
    given = [make.instrument(symbol) for symbol in sorted(symbols)]
    return store.record(make.passport(series, **passport), series, given, recorded_ns=recorded_ns)


def test_what_was_recorded_is_on_the_tape(store: MarketStore, make: SimpleNamespace) -> None:
    bars = make.candles(100)
    assert record(store, make, bars) == Recorded(True, 100, 0, 0)
    series = store.tape([KEY]).series(*KEY)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(series.history.rows, name), getattr(bars, name))
    assert series.history.rows.tick == bars.tick


def test_the_same_content_again_changes_nothing(store: MarketStore, engine: Engine, make: Any) -> None:
    bars = make.candles(100)
    record(store, make, bars)
    before = counts(engine)
    assert record(store, make, bars, recorded_ns=NOW_NS + 1, name="other") == Recorded(False, 0, 100, 0)
    assert counts(engine) == before
    assert [one["name"] for one in store.datasets()] == ["bars"]


def test_a_grown_file_brings_its_new_bars_and_its_corrections(store: MarketStore, make: SimpleNamespace) -> None:
    bars = make.candles(100)
    record(store, make, bars.take(slice(0, 60)))
    changed = replace(bars, volume=bars.volume + (np.arange(100) == 10))
    assert record(store, make, changed) == Recorded(True, 40, 59, 1)
    history = store.tape([KEY]).series(*KEY).history
    assert len(history) == 101
    assert history.first_revisions().volume[10] == bars.volume[10]
    assert history.as_of(NOW_NS - 1).volume[10] == bars.volume[10]
    assert history.as_of(NOW_NS).volume[10] == bars.volume[10] + 1
    assert len(history.as_of(NOW_NS)) == 100


def test_a_broken_series_records_nothing(store: MarketStore, engine: Engine, make: Any) -> None:
    good, bad = make.candles(10), make.candles(10, instrument="binance:ETHUSDT", tick=Grid.of("1"))
    with pytest.raises(Invalid):
        record(store, make, good, replace(bad, low=bad.high + 1))
    assert counts(engine) == [0] * 5


def test_a_failure_at_the_last_series_leaves_nothing_of_the_first(
    store: MarketStore, engine: Engine, make: Any
) -> None:
    record(store, make, make.candles(10, instrument="binance:ETHUSDT"))
    before = counts(engine)
    too_fine = make.candles(5, first=10, instrument="binance:ETHUSDT", tick=Grid.of("1E-18"))
    with pytest.raises(Invalid, match="overflow"):
        record(store, make, make.candles(10), too_fine)
    assert counts(engine) == before


def test_a_series_of_an_unknown_instrument_is_refused(store: MarketStore, make: SimpleNamespace) -> None:
    bars = make.candles(10)
    with pytest.raises(Invalid, match="binance:BTCUSDT"):
        store.record(make.passport([bars]), [bars], [make.instrument("ETHUSDT")], recorded_ns=NOW_NS)
    record(store, make, bars)
    more = make.candles(10, first=10)
    assert store.record(make.passport([more]), [more], [], recorded_ns=NOW_NS).candles_added == 10  # known by now


def test_trades_are_listed_but_stay_in_their_files(store: MarketStore, engine: Engine, make: Any) -> None:
    assert record(store, make, make.trades(20)) == Recorded(True, 0, 0, 0)
    assert counts(engine) == [1, 1, 1, 0, 0]
    assert store.datasets()[0]["series"][0]["kind"] == "trades"
    assert store.series() == []


def test_datasets_are_listed_with_their_passports(store: MarketStore, make: SimpleNamespace) -> None:
    first, second = make.candles(10), make.candles(20)
    record(store, make, first, recorded_ns=NOW_NS)
    record(store, make, second, recorded_ns=NOW_NS + 1, name="more")
    expected = [
        make.passport([first]).row() | {"recorded_at": iso(NOW_NS)},
        make.passport([second], "more").row() | {"recorded_at": iso(NOW_NS + 1)},
    ]
    assert store.datasets() == expected


def test_a_dataset_is_found_by_name_hash_or_the_beginning_of_one(store: MarketStore, make: SimpleNamespace) -> None:
    hashes = []
    for rows in (10, 20):
        bars = make.candles(rows)
        hashes.append(make.passport([bars]).hash)
        record(store, make, bars, recorded_ns=NOW_NS + rows)
    assert store.dataset("bars")["hash"] == hashes[1]  # the newest of that name
    assert store.dataset(hashes[0])["rows"] == 10
    assert store.dataset(hashes[0][:12])["hash"] == hashes[0]
    with pytest.raises(NotFound) as refusal:
        store.dataset("bras")
    assert refusal.value.detail["nearest"] == ["bars"]
    with pytest.raises(NotFound):
        store.dataset(hashes[0][:3])


def test_a_beginning_that_several_hashes_share_is_refused(
    store: MarketStore, engine: Engine, make: SimpleNamespace
) -> None:
    for number in (1, 2):
        bars = make.candles(number + 1)
        passport = replace(make.passport([bars]), hash=f"abcd{number:060}")
        store.record(passport, [bars], [make.instrument()], recorded_ns=NOW_NS)
    with pytest.raises(Invalid, match="2 datasets begin with abcd"):
        store.dataset("abcd")
    assert counts(engine)[1] == 2


def test_instruments_are_remembered_as_the_newest_import_described_them(store: MarketStore, make: Any) -> None:
    assert store.instruments() == []
    bars, more = make.candles(10), make.candles(10, first=10)
    store.record(make.passport([bars]), [bars], [make.instrument(), make.instrument("ABC")], recorded_ns=NOW_NS)
    split = make.instrument(splits=(Split(NOW_NS, 2, 1),), name="Bitcoin")
    store.record(make.passport([more]), [more], [split], recorded_ns=NOW_NS)
    assert store.instruments() == [make.instrument("ABC"), split]


def test_series_are_counted_without_their_revisions(store: MarketStore, make: SimpleNamespace) -> None:
    bars = make.candles(30)
    record(store, make, bars, make.candles(5, instrument="binance:ETHUSDT", basis="split"))
    record(store, make, replace(bars, volume=bars.volume + 1))
    btc, eth = store.series()
    assert (btc.instrument, btc.timeframe, btc.basis, btc.rows) == ("binance:BTCUSDT", "1h", "raw", 30)
    assert (btc.first_ns, btc.last_ns) == (int(bars.open_ns[0]), int(bars.close_ns[-1]))
    assert (btc.tick, btc.lot) == (bars.tick, bars.lot)
    assert (eth.instrument, eth.basis, eth.rows) == ("binance:ETHUSDT", "split", 5)
    assert store.timeframes() == ["1h"]


def with_revisions(store: MarketStore, make: Any) -> Candles:
    bars: Candles = make.candles(60)
    record(store, make, bars)
    record(store, make, replace(bars, volume=bars.volume + (np.arange(60) % 5 == 0)))
    return bars


@pytest.mark.parametrize("limit", [None, 0, 1, 7, 1000])
@pytest.mark.parametrize("first, last", [(None, None), (10, None), (None, 20), (10, 20), (20, 10)])
def test_a_window_of_the_tape_is_the_window_of_the_whole(
    store: MarketStore, make: Any, limit: int | None, first: int | None, last: int | None
) -> None:
    bars = with_revisions(store, make)
    whole = store.tape([KEY]).series(*KEY).history.rows
    first_ns = None if first is None else make.start_ns + first * HOUR_NS
    last_ns = None if last is None else make.start_ns + last * HOUR_NS
    found = store.tape([KEY], first_ns=first_ns, last_ns=last_ns, limit=limit).series(*KEY).history.rows
    opens = bars.open_ns[: len(bars) if last is None else last]
    opens = opens if limit is None else opens[max(0, len(opens) - limit) :]
    opens = opens[opens >= (0 if first_ns is None else first_ns)]
    naive = whole.take(np.isin(whole.open_ns, opens))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(naive, name))


def test_a_series_that_is_not_stored_is_not_on_the_tape(store: MarketStore, make: SimpleNamespace) -> None:
    record(store, make, make.candles(10))
    absent = ("binance:ETHUSDT", HOUR, "raw")
    tape = store.tape([KEY, absent, KEY])
    assert tape.keys() == (("binance:BTCUSDT", "1h", "raw"),)
    with pytest.raises(NotFound):
        tape.series(*absent)


def test_splits_travel_with_their_instrument(store: MarketStore, make: SimpleNamespace) -> None:
    record(store, make, make.candles(10), make.candles(10, instrument="binance:ETHUSDT"))
    other = ("binance:ETHUSDT", HOUR, "raw")
    split = Split(make.start_ns, 2, 1)
    tape = store.tape([KEY, other], splits={"binance:ETHUSDT": (split,)})
    assert tape.series(*KEY).splits == ()
    assert tape.series(*other).splits == (split,)


def test_two_importers_at_once_record_every_bar_once(engine: Engine, make: SimpleNamespace) -> None:
    whole = {
        symbol: make.candles(200, instrument=f"binance:{symbol}", tick=Grid.of(tick))
        for symbol, tick in (("AAA", "0.01"), ("BBB", "0.05"), ("CCC", "1"))
    }

    def one(worker: int) -> int:
        store, done = MarketStore(engine), 0
        for first in range(0, 200, 25):
            order = list(whole.values())[:: (1, -1)[worker % 2]]
            part = [bars.take(slice(max(0, first - 5 * worker), first + 25)) for bars in order]
            done += record(store, make, *part).candles_added
        return done

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 600
    assert [one.rows for one in MarketStore(engine).series()] == [200, 200, 200]
    assert counts(engine)[4] == 600
