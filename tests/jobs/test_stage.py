"""The stage of a session: datasets taken together, instruments chosen, candles and window found."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.sources.files.test_feed import depth, quote, trade

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.exchange.rules import Taker
from gnomon.jobs.ingest import ImportOptions, import_files
from gnomon.jobs.stage import stage_of
from gnomon.market.block_index import BlockIndex
from gnomon.replay.session import Entry, Session
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Hours of two pairs, an hour apart."""
    found = Store.open(f"sqlite:///{tmp_path / 'gnomon.db'}", tmp_path / "datasets")
    for number, name in enumerate(("BTCUSDT", "ETHUSDT")):
        first = np.datetime64("2024-01-01T00:00") + np.timedelta64(number, "h")
        times = (first + np.arange(50) * np.timedelta64(1, "h")).astype(str)
        rows = [f"{at},{100 + i},{101 + i},{99 + i},{100 + i},5" for i, at in enumerate(times)]
        path = tmp_path / f"{name}-1h.csv"
        path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
        clock = SimClock(parse_instant("2024-06-01"))
        import_files(found, shipped_instruments(), [path], ImportOptions(), clock, reject_folder=tmp_path / "rejects")
    return found


def session(**table: object) -> Session:
    rules = {"balances": {"USDT": "1000"}}
    return Session.of({"session": {"dataset": ["BTCUSDT-1h", "ETHUSDT-1h"], **table}, "rules": rules})


def test_datasets_are_taken_together_and_the_window_is_their_span(store: Store) -> None:
    stage = stage_of(store, shipped_instruments(), session())
    assert [one.id for one in stage.ground.listings] == ["binance:BTCUSDT", "binance:ETHUSDT"]
    assert [one.base.name for one in stage.ground.listings] == ["BTC", "ETH"]
    assert stage.ground.timeframe == Timeframe.parse("1h")
    assert (stage.start_ns, stage.end_ns) == (parse_instant("2024-01-01"), parse_instant("2024-01-03T03:00"))
    assert all(one.is_bar_modelled for one in stage.ground.tapes)


def test_an_instrument_is_chosen_by_its_symbol_and_moves_the_digest(store: Store) -> None:
    both, one = (stage_of(store, shipped_instruments(), session(**more)) for more in ({}, {"instruments": ["ETHUSDT"]}))
    assert [each.id for each in one.ground.listings] == ["binance:ETHUSDT"]
    assert one.ground.digest != both.ground.digest
    with pytest.raises(NotFound, match="no instrument 'ETHUSD'"):
        stage_of(store, shipped_instruments(), session(instruments=["ETHUSD"]))


def test_two_datasets_of_one_series_are_refused_as_one_of_them_would_go_unread(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "later-BTCUSDT-1h.csv"
    path.write_text("timestamp,open,high,low,close,volume\n2024-02-01T00:00,1,2,1,2,5\n2024-02-01T01:00,1,2,1,2,5\n")
    options = ImportOptions(instrument="BTCUSDT")
    [report] = import_files(
        store, shipped_instruments(), [path], options, SimClock(parse_instant("2024-06-01")), reject_folder=tmp_path
    )
    with pytest.raises(Invalid, match="2 of the datasets hold binance:BTCUSDT 1h raw: a session reads one"):
        stage_of(store, shipped_instruments(), session(dataset=["BTCUSDT-1h", report.dataset]))


def test_the_same_content_is_the_same_ground(store: Store) -> None:
    first, second = (stage_of(store, shipped_instruments(), session()) for _ in range(2))
    assert first.ground.digest == second.ground.digest
    assert first.dataset == second.dataset


def test_a_plan_takes_the_balances_of_its_entry_and_refuses_none(store: Store) -> None:
    stage = stage_of(store, shipped_instruments(), session())
    plan = stage.plan(Entry("a", "buy_and_hold", balances={"BTC": Decimal(2)}), 1, 9)
    assert {name: str(units) for name, units in plan.rules.balances.items()} == {"USDT": "1000", "BTC": "2"}
    bare = stage_of(store, shipped_instruments(), Session.of({"session": {"dataset": "BTCUSDT-1h"}}))
    with pytest.raises(Invalid, match="has no balance"):
        bare.plan(Entry("a", "buy_and_hold"), 1, 9)


def test_a_timeframe_that_is_not_there_is_refused_with_those_that_are(store: Store) -> None:
    with pytest.raises(Invalid, match="no candles of 5m") as caught:
        stage_of(store, shipped_instruments(), session(timeframe="5m"))
    assert "1h" in caught.value.hint


def test_the_block_index_kept_with_the_dataset_is_mapped_and_none_is_built(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    monkeypatch.setattr(BlockIndex, "_built", lambda *anything: built.append(anything))
    stage = stage_of(store, shipped_instruments(), session())
    assert built == []
    monkeypatch.undo()
    for one in stage.ground.tapes:
        rows = one.bars
        assert one.index.digest() == BlockIndex.of_ranges(rows.low, rows.high, rows.volume).digest()
        assert isinstance(one.index.levels[0].table.base, np.memmap)


@pytest.mark.parametrize("damage", ["flip", "absent", "of another"])
def test_a_block_index_that_is_wrong_is_made_anew(store: Store, tmp_path: Path, damage: str) -> None:
    hashes = [store.market.dataset(name)["hash"] for name in ("BTCUSDT-1h", "ETHUSDT-1h")]
    folders = [tmp_path / "datasets" / one / "0" for one in hashes]
    before = [(folder / "index_64.npy").read_bytes() for folder in folders]
    if damage == "flip":
        (folders[0] / "index_64.npy").write_bytes(before[0][:-1] + bytes([before[0][-1] ^ 1]))
    elif damage == "absent":
        (folders[0] / "index.json").unlink()
    else:
        for name in ("index_64.npy", "index_4096.npy", "index_262144.npy", "index.json"):
            (folders[0] / name).write_bytes((folders[1] / name).read_bytes())
    stage = stage_of(store, shipped_instruments(), session())
    for one in stage.ground.tapes:
        rows = one.bars
        assert one.index.digest() == BlockIndex.of_ranges(rows.low, rows.high, rows.volume).digest()
    assert [(folder / "index_64.npy").read_bytes() for folder in folders] == before


def test_a_listing_is_traded_in_the_hours_of_its_calendar(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "SPY-1d.csv"
    rows = [f"2024-01-{day:02},470,472,468,471,1000" for day in (2, 3, 4, 5, 8)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    clock = SimClock(parse_instant("2024-06-01"))
    import_files(store, shipped_instruments(), [path], ImportOptions(), clock, reject_folder=tmp_path / "rejects")
    (shares,) = stage_of(store, shipped_instruments(), session(dataset="SPY-1d")).ground.listings
    hours = shares.hours
    assert hours is not None
    for instant, is_open in (("04T14:29", False), ("04T14:30", True), ("04T20:59", True), ("04T21:00", False)):
        assert hours.is_open(parse_instant(f"2024-01-{instant}")) is is_open
    assert hours.next_open_ns(parse_instant("2024-01-06")) == parse_instant("2024-01-08T14:30")
    assert "hours" in shares.document()
    pairs = stage_of(store, shipped_instruments(), session()).ground.listings
    assert [one.hours for one in pairs] == [None, None]
    assert "hours" not in pairs[0].document()


def test_a_halt_is_a_hole_in_the_hours_of_its_instrument(store: Store) -> None:
    halt = {"instrument": "ethusdt", "from": "2024-01-01T10:00", "to": "2024-01-01T12:00"}
    btc, eth = stage_of(store, shipped_instruments(), session(halts=[halt])).ground.listings
    assert btc.hours is None
    assert eth.hours is not None
    for hour, is_open in ((9, True), (10, False), (11, False), (12, True)):
        assert eth.hours.is_open(parse_instant(f"2024-01-01T{hour:02}:00")) is is_open
    with pytest.raises(NotFound, match="a halt of 'SPY'"):
        stage_of(store, shipped_instruments(), session(halts=[{**halt, "instrument": "SPY"}]))
    for wrong in ({"instrument": "ethusdt"}, {**halt, "to": halt["from"]}, {**halt, "why": "news"}):
        with pytest.raises(Invalid, match="halt 1"):
            session(halts=[wrong])


def test_a_session_bounds_what_may_be_ordered(store: Store) -> None:
    bounds = {"min_qty": "0.001", "max_qty": "9000", "min_notional": "5", "max_orders": 20}
    plain = stage_of(store, shipped_instruments(), session())
    bound = stage_of(store, shipped_instruments(), session(filters=[{"instrument": "ethusdt", **bounds}]))
    btc, eth = bound.ground.listings
    assert btc == plain.ground.listings[0]
    assert Decimal(eth.filters.min_lots) * eth.lot == Decimal("0.001")
    assert Decimal(eth.filters.max_lots) * eth.lot == 9000
    assert eth.filters.min_notional_units == eth.quote.units(Decimal(5))
    assert (eth.filters.max_orders, eth.filters.max_stop_orders) == (20, 50)
    assert bound.ground.digest != plain.ground.digest
    bands = {"multiplier_up": "1.2", "multiplier_down": "0.8", "ask_multiplier_up": "5", "avg_price_mins": 5}
    banded = stage_of(store, shipped_instruments(), session(filters=[bands])).ground.listings[0].filters
    assert (banded.bid_up, banded.bid_down, banded.ask_up, banded.ask_down, banded.avg_price_mins) == (
        120_000_000, 80_000_000, 500_000_000, 80_000_000, 5
    )  # fmt: skip
    with pytest.raises(Invalid, match="multiplier_up"):
        stage_of(store, shipped_instruments(), session(filters=[{"multiplier_up": "1.0000000001"}]))
    both = stage_of(store, shipped_instruments(), session(filters=[{"min_notional": 5}])).ground.listings
    assert all(one.filters.min_notional_units == one.quote.units(Decimal(5)) for one in both)


@pytest.mark.parametrize(
    "wrong", [{"least": "5"}, {"max_orders": "1.5"}, {"min_notional": "-1"}, {"min_notional": "dear"}]
)
def test_a_filter_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        session(filters=[wrong])


def test_a_filter_off_the_grid_or_of_no_instrument_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="min_qty = 1E-11 of binance:BTCUSDT"):
        stage_of(store, shipped_instruments(), session(filters=[{"min_qty": "0.00000000001"}]))
    with pytest.raises(NotFound, match="filters of 'SPY'"):
        stage_of(store, shipped_instruments(), session(filters=[{"instrument": "SPY", "max_orders": 3}]))


@pytest.fixture
def feed(tmp_path: Path) -> Store:
    """A recording of prints, quotes and depth, whose book is known from its second message on."""
    found = Store.open(f"sqlite:///{tmp_path / 'feed.db'}", tmp_path / "feeds")
    rows = [
        trade(1, 1),
        quote(5, 2),
        depth(4, 2, [["61800.10", "1"]], [["61800.40", "2"]]),
        depth(6, 3, [["61800.20", "2.5"]], [["61800.30", "0.25"]], previous=4),
        trade(2, 90),
    ]
    path = tmp_path / "feed.txt"
    path.write_text("\n".join(rows) + "\n")
    clock = SimClock(parse_instant("2025-01-01"))
    import_files(found, shipped_instruments(), [path], ImportOptions(), clock, reject_folder=tmp_path / "rejects")
    return found


def of_feed(**more: object) -> Session:
    return Session.of({"session": {"dataset": "feed", **more}, "rules": {"balances": {"USDT": "1000"}}})


def test_what_is_recorded_of_a_book_is_handed_on(feed: Store) -> None:
    (tape,) = stage_of(feed, shipped_instruments(), of_feed()).ground.tapes
    assert tape.recorded is not None
    assert tape.recorded.quotes is not None
    assert tape.recorded.ladder is not None
    assert (len(tape.tape), len(tape.recorded.quotes), len(tape.recorded.ladder.depth)) == (2, 1, 4)
    assert tape.recorded.ladder.first_valid == 1


def test_a_walk_of_a_session_begins_where_the_book_is_known(feed: Store) -> None:
    def walk(**more: object) -> Session:
        rules = {"balances": {"USDT": "1000"}, "fills": {"taker": "walk"}}
        return Session.of({"session": {"dataset": "feed", **more}, "rules": rules})

    entry = Entry("a", "market_maker")
    with pytest.raises(Invalid, match=r"may be walked from 2024-08-08T23:54:16\.003Z") as caught:
        stage_of(feed, shipped_instruments(), walk()).plan(entry, 1, 9)
    assert 'from = "2024-08-08T23:54:16.003Z"' in caught.value.hint
    later = stage_of(feed, shipped_instruments(), walk(**{"from": "2024-08-08T23:54:16.003Z"}))
    assert later.plan(entry, 1, 9).rules.fills.taker is Taker.WALK
