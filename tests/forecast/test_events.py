"""The encoder beside a loop over cells; training rows are live rows; nothing of the future shows; shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecast.naive_events import encode as naive
from tests.forecast.truncation import World, assert_blind_to_the_future, assert_sees, unlike

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid
from gnomon.forecast import catalog
from gnomon.forecast.events import (
    CHANNELS,
    ENCODER,
    ENCODER_HASH,
    EventEncoder,
    Leaders,
    event_context,
    fit_rows,
    surprise_scale,
)
from gnomon.forecast.forecast import Context, context_at
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Candles
from gnomon.market.events import N_CHANNELS, CalendarEvent, EventBook, Events
from gnomon.market.instrument import Instrument
from gnomon.market.synth import synthetic_candles
from gnomon.market.synthetic_events import synthetic_events
from gnomon.market.tape import History, Series, Tape
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Grid

HOUR, DAY = Timeframe.parse("1h"), Timeframe.parse("1d")
INSTRUMENTS = {
    symbol: shipped_instruments().find(symbol) for symbol in ("BTCUSDT", "EURUSD", "SPY", "QQQ", "DXY", "VIX")
}
COLUMN = {channel.name: column for column, channel in enumerate(CHANNELS)}
FUTURE = {kind: [c.future == kind for c in CHANNELS] for kind in ("scheduled", "masked", "zero")}


def sessions_of(instrument: Instrument) -> Sessions:
    return load_sessions(instrument.calendar)


# --- a small world by hand ------------------------------------------------------------------------------------------

NOON = parse_instant("2024-01-10T12:00")


def context_of(
    instrument: Instrument,
    timeframe: Timeframe,
    cutoff_ns: int,
    past: int = 30,
    horizon: int = 8,
    *,
    dropped: Sequence[int] = (),
    knows_previous: bool = True,
) -> Context:
    """A context of flat bars on the instrument's calendar; some of them may be missing."""
    sessions = sessions_of(instrument)
    cutoff_ns = sessions.newest_closed_ns(timeframe, cutoff_ns)
    bars = sessions.between(timeframe, cutoff_ns - (past + 5) * 4 * max(timeframe.nominal_ns, 8 * HOUR_NS), cutoff_ns)
    kept = np.setdiff1d(np.arange(len(bars)), len(bars) - 1 - np.array([*dropped, -1])[:-1])
    opens, closes = bars.open_ns[kept][-past:], bars.close_ns[kept][-past:]
    targets = sessions.future(timeframe, cutoff_ns, horizon)
    return Context(
        instrument=instrument.id,
        asset_class=instrument.asset_class,
        timeframe=timeframe,
        as_of_ns=cutoff_ns,
        data_cutoff_ns=cutoff_ns,
        tick=0.01,
        bars=np.ones((past, 6)),
        open_ns=opens,
        close_ns=closes,
        previous_close_ns=int(bars.close_ns[kept][-past - 1]) if knows_previous else None,
        target_open_ns=targets.open_ns,
        target_close_ns=targets.close_ns,
        local_ns=np.concatenate([opens, targets.open_ns]),
        five_session_bars=5,
    )


def event(kind: str = "cpi", at_ns: int = NOON, number: int = 0, **changed: Any) -> CalendarEvent:
    """A statement, listed thirty days before its time and knowable since, unless it says otherwise."""
    subject = {"fomc": "FED", "rate_decision": "ECB", "earnings": "AAPL"}.get(kind, "US")
    fields = {
        "id": f"test:{kind}-{at_ns}-{number}",
        "source": "test",
        "kind": kind,
        "subject": subject,
        "title": kind,
        "impact": "high",
        "scheduled_ns": at_ns,
        "listed_ns": at_ns - 30 * DAY_NS,
        "knowable_ns": at_ns - 30 * DAY_NS,
    }
    return CalendarEvent(**(fields | changed))


def released(kind: str = "cpi", at_ns: int = NOON, number: int = 0, **changed: Any) -> list[CalendarEvent]:
    """An event as it is listed, with a consensus where `forecast` is given, and as it is released on time."""
    listed = event(kind, at_ns, number, **{k: v for k, v in changed.items() if k in ("forecast", "unit", "impact")})
    return [listed, event(kind, at_ns, number, **({"released_ns": at_ns, "knowable_ns": at_ns} | changed))]


def encoded(statements: Sequence[CalendarEvent], context: Context, symbol: str = "BTCUSDT") -> Events:
    return EventEncoder(EventBook(statements)).encode(context, INSTRUMENTS[symbol])


def column(events: Events, name: str) -> np.ndarray:
    return np.where(events.mask[:, COLUMN[name]] == 1, events.values[:, COLUMN[name]], np.nan)


def surprises_before(at_ns: int, count: int, kind: str = "cpi", size: float = 0.1) -> list[CalendarEvent]:
    """Monthly releases that beat and miss by `size` in turn."""
    return [
        one
        for month in range(1, count + 1)
        for one in released(kind, at_ns - month * 30 * DAY_NS, forecast=1.0, actual=1.0 + size * (-1) ** month)
    ]


# --- facts written by hand ------------------------------------------------------------------------------------------


def test_a_release_falls_on_the_first_bar_that_closes_after_it() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + 3 * HOUR_NS)
    for minutes, close in ((-1, "12:00"), (0, "13:00"), (59, "13:00"), (60, "14:00")):
        at_ns = NOON + minutes * MINUTE_NS
        row = int(np.flatnonzero(column(encoded(released(at_ns=at_ns), context), "is_cpi"))[0])
        assert iso(context.close_ns[row])[11:16] == close


def test_a_release_while_the_market_is_closed_falls_on_the_next_bar() -> None:
    saturday = parse_instant("2024-03-09T15:00")
    context = context_of(INSTRUMENTS["SPY"], HOUR, parse_instant("2024-03-12T00:00"))
    row = int(np.flatnonzero(column(encoded(released(at_ns=saturday), context, "SPY"), "is_cpi"))[0])
    assert iso(context.open_ns[row]) == "2024-03-11T13:30:00Z"  # on Monday, after the change to summer time


def test_a_release_that_becomes_known_late_falls_on_the_bar_that_knows_of_it() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + 6 * HOUR_NS)
    late = released(at_ns=NOON, knowable_ns=NOON + 3 * HOUR_NS)
    row = int(np.flatnonzero(column(encoded(late, context), "is_cpi"))[0])
    assert context.close_ns[row] == NOON + 3 * HOUR_NS


def test_what_is_only_scheduled_shows_in_future_rows_alone() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    coming, missed = event(at_ns=NOON + 90 * MINUTE_NS), event(at_ns=NOON - 3 * HOUR_NS)
    assert np.flatnonzero(column(encoded([coming, missed], context), "is_cpi")).tolist() == [31]
    unlisted = replace(coming, knowable_ns=NOON + 1)
    assert not column(encoded([unlisted], context), "is_cpi").any()
    at_the_cutoff = column(encoded([event(at_ns=NOON)], context), "is_cpi")
    assert np.flatnonzero(at_the_cutoff).tolist() == [30]


def test_a_later_schedule_replaces_the_one_before_only_once_it_is_known() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    first = event("fomc", NOON + 2 * HOUR_NS)
    moved = replace(first, scheduled_ns=NOON + 5 * HOUR_NS, knowable_ns=NOON - 2 * HOUR_NS)
    events = encoded([first, moved], context)
    assert np.flatnonzero(column(events, "is_fomc")).tolist() == [35]
    angle = np.arctan2(events.values[:, COLUMN["days_to_fomc_sin"]], events.values[:, COLUMN["days_to_fomc_cos"]])
    hours = angle / (2 * np.pi) * 64 * 24
    assert hours[26:30] == pytest.approx([5, 7, 6, 5], abs=1e-3)  # closes at 9, 10 (told then), 11 and 12 o'clock


def test_a_surprise_is_standardised_by_the_surprises_before_it_alone() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + 3 * HOUR_NS)
    before = surprises_before(NOON, 10)
    now = released(forecast=1.0, actual=1.2)
    row = int(np.flatnonzero(column(encoded([*before, *now], context), "is_cpi"))[0])
    expected = 0.2 / np.std([0.1, -0.1] * 5, ddof=1)
    assert column(encoded([*before, *now], context), "cpi_surprise_z")[row] == pytest.approx(expected)
    wild = released(at_ns=NOON + DAY_NS, forecast=1.0, actual=9.0)
    revised = [replace(one, actual=one.actual + 5.0, knowable_ns=NOON - HOUR_NS) for one in before if one.actual]
    for later in (wild, revised, [replace(now[1], actual=-4.0, knowable_ns=NOON + MINUTE_NS)]):
        assert column(encoded([*before, *now, *later], context), "cpi_surprise_z")[row] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "size", "unit", "expected"),
    [
        ("cpi", 0.001, "%", 0.03 / 0.05),
        ("nfp", 0.001, "K", 0.03 / 10),
        ("nfp", 0.001, "persons", 0.03 / 1000 / 10),
        ("cpi", 0.001, "index", np.nan),
    ],
)
def test_a_deviation_has_a_floor_in_the_unit_of_its_kind(kind: str, size: float, unit: str, expected: float) -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + HOUR_NS)
    statements = [*surprises_before(NOON, 8, kind, size), *released(kind, forecast=1.0, actual=1.03)]
    events = encoded([replace(one, unit=unit) for one in statements], context)
    assert column(events, f"{kind}_surprise_z")[-9] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_a_surprise_is_masked_without_consensus_or_actual_or_six_releases_before() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + HOUR_NS)
    full = released(forecast=1.0, actual=1.2)
    late = [full[0], replace(full[1], actual=None), replace(full[1], knowable_ns=NOON + 2 * HOUR_NS)]
    with_the_release = [event(), full[1]]
    for count, statements in ((5, full), (6, full[1:]), (6, [full[0], replace(full[1], actual=None)]), (6, late)):
        z = column(encoded([*surprises_before(NOON, count), *statements], context), "cpi_surprise_z")
        assert np.flatnonzero(np.isnan(z)).tolist() == [29, *range(30, 38)], count
    z = column(encoded([*surprises_before(NOON, 6), *with_the_release], context), "cpi_surprise_z")
    assert np.isnan(z[29])  # a consensus that comes with the release is none
    assert not np.isnan(column(encoded([*surprises_before(NOON, 6), *full], context), "cpi_surprise_z")[:30]).any()


@pytest.mark.parametrize(("change", "score"), [(25, 0.5), (-50, -1.0), (75, 1.0), (0, 0.0), (None, np.nan)])
def test_the_hawkish_score_is_the_change_of_the_rate(change: float | None, score: float) -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + HOUR_NS)
    detail = {} if change is None else {"rate_change_bp": change}
    events = encoded(released("fomc", detail=detail), context)
    assert column(events, "fomc_hawkish_score")[29] == pytest.approx(score, nan_ok=True)
    assert column(events, "is_fomc")[29] == 1
    assert (column(events, "fomc_hawkish_score")[:29] == 0).all()


def test_flags_of_an_instrument_are_those_of_its_banks_and_shares() -> None:
    statements = [
        *released("rate_decision", NOON),
        *released("earnings", NOON - 2 * HOUR_NS),
        *released("fomc", NOON - 4 * HOUR_NS),
        *released("cpi", NOON - 6 * HOUR_NS, subject="DE"),
    ]
    statements[-2] = replace(statements[-2], subject="DE")
    rows = {}
    for symbol in ("EURUSD", "BTCUSDT"):
        context = context_of(INSTRUMENTS[symbol], HOUR, NOON + HOUR_NS)
        events = encoded(statements, context, symbol)
        rows[symbol] = {
            name: np.flatnonzero(column(events, name)[:30]).tolist()
            for name in ("is_rate_decision", "is_earnings", "is_fomc", "is_cpi")
        }
    assert rows["EURUSD"] == {"is_rate_decision": [25, 29], "is_earnings": [], "is_fomc": [25], "is_cpi": []}
    assert rows["BTCUSDT"] == {"is_rate_decision": [25], "is_earnings": [], "is_fomc": [25], "is_cpi": []}
    spy = context_of(INSTRUMENTS["SPY"], HOUR, NOON + DAY_NS)
    assert column(encoded(statements, spy, "SPY"), "is_earnings").sum() == 1


def test_impact_ahead_counts_what_is_due_within_a_day_or_a_bar() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    near = [event(kind, NOON + 20 * HOUR_NS) for kind in ("cpi", "nfp", "fomc")]
    other = [event("gdp", NOON + HOUR_NS, impact="medium"), event("other", NOON + HOUR_NS), event("rate_decision")]
    ahead = column(encoded([*near, *other], context), "impact_ahead")
    assert ahead[29] == 1.0
    assert ahead[24] == 0.0  # a bar that closes 25 hours before
    assert ahead[25] == 0.0  # exactly 24 hours: it falls on the first bar of the day after
    assert ahead[26] == 1.0
    assert column(encoded(near[:1], context), "impact_ahead")[-1] == pytest.approx(1 / 3)
    week = Timeframe.parse("1w")
    weekly = context_of(INSTRUMENTS["BTCUSDT"], week, NOON)
    far = [event("cpi", int(weekly.close_ns[-1]) + 6 * DAY_NS)]
    assert column(encoded(far, weekly), "impact_ahead")[29] == pytest.approx(1 / 3)


def test_without_an_event_ahead_the_way_to_it_is_masked() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    events = encoded(released(at_ns=NOON - 10 * HOUR_NS), context)
    way = column(events, "days_to_cpi_cos")
    assert np.isnan(way[21:]).all()
    assert (way[:21] > 0.99).all()


# --- leaders --------------------------------------------------------------------------------------------------------


def candles_of(
    name: str, timeframe: Timeframe, close_ns: Sequence[int], prices: Sequence[float], knowable_ns: Sequence[int] = ()
) -> Candles:
    closes = np.array(close_ns, np.int64)
    ticks = np.rint(np.array(prices) * 100).astype(np.int64)
    return Candles(
        instrument=name,
        timeframe=timeframe,
        basis="raw",
        tick=Grid.of("0.01"),
        lot=Grid.of("1"),
        money=Grid.of("0.01"),
        open_ns=closes - min(timeframe.nominal_ns, HOUR_NS),
        close_ns=closes,
        knowable_ns=np.array(knowable_ns, np.int64) if len(knowable_ns) else closes,
        open=ticks,
        high=ticks,
        low=ticks,
        close=ticks,
        volume=np.ones(len(closes), np.int64),
        amount=np.full(len(closes), -1),
        flags=np.zeros(len(closes), np.uint8),
    )


def tape_of(*candles: Candles | None) -> Tape:
    return Tape(Series(History(one)) for one in candles if one is not None)


def with_leaders(context: Context, *candles: Candles) -> Events:
    leaders = Leaders.of(tape_of(*candles), context.timeframe)
    return EventEncoder(EventBook([]), leaders).encode(context, INSTRUMENTS["BTCUSDT"])


def test_a_leader_is_masked_where_it_is_closed_and_absent() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    closes = [NOON - hours * HOUR_NS for hours in range(60, -1, -1)]
    prices = [100.0 + (hour % 7) for hour in range(61)]
    btc = candles_of("binance:BTCUSDT", HOUR, closes, prices)
    closed = candles_of("us:SPY", HOUR, closes[:-10], prices[:-10])
    events = with_leaders(context, btc, closed)
    assert not np.isnan(column(events, "btc_log_return")[:30]).any()
    assert np.isnan(column(events, "spy_log_return")).nonzero()[0].tolist() == list(range(20, 38))
    assert np.isnan(column(events, "dxy_log_return")).all()
    assert column(events, "leaders_open")[:30] == pytest.approx([2 / 3] * 20 + [1 / 3] * 10)
    assert (column(events, "leaders_open")[30:] == 0).all()


def test_a_leader_needs_twenty_returns_before_its_bar() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    closes = [NOON - hours * HOUR_NS for hours in range(25, -1, -1)]
    events = with_leaders(context, candles_of("binance:BTCUSDT", HOUR, closes, [100.0 + i % 3 for i in range(26)]))
    present = np.flatnonzero(events.mask[:, COLUMN["btc_log_return"]])
    assert context.close_ns[present[0]] == closes[21]  # one close, twenty returns, and its own


def test_a_bar_that_was_not_knowable_yet_and_a_revision_do_not_count() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    closes = [NOON - hours * HOUR_NS for hours in range(60, -1, -1)]
    prices = [100.0 + (hour % 7) for hour in range(61)]
    plain = with_leaders(context, candles_of("binance:BTCUSDT", HOUR, closes, prices))
    late = candles_of("binance:BTCUSDT", HOUR, closes, prices, [*closes[:-1], NOON + 1])
    assert with_leaders(context, late).mask[29, COLUMN["btc_log_return"]] == 0
    again = candles_of(
        "binance:BTCUSDT", HOUR, [*closes, *closes[5:50]], [*prices, *[7.0] * 45], [*closes, *[NOON - HOUR_NS] * 45]
    )
    assert not unlike(plain, with_leaders(context, again))


def test_the_vix_is_its_newest_close_for_five_days() -> None:
    days = [NOON - (259 - day) * DAY_NS for day in range(260)]
    levels = np.array([15 + 3 * np.sin(day / 9) + (day % 5) / 10 for day in range(260)])
    vix = candles_of("us:VIX", DAY, days, levels)
    levels = np.round(levels, 2)
    for wait_ns, is_there in ((0, True), (5 * DAY_NS, True), (5 * DAY_NS + HOUR_NS, False)):
        events = with_leaders(context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON + wait_ns), vix)
        expected = (levels[-1] - levels[-252:].mean()) / levels[-252:].std(ddof=1)
        found = column(events, "vix_level_z")[29]
        assert np.isnan(found) if not is_there else found == pytest.approx(expected, rel=1e-6)
    short = with_leaders(context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON), vix.take(slice(9, None)))
    assert np.isnan(column(short, "vix_level_z")).all()


def test_a_split_of_a_leader_is_no_return() -> None:
    from gnomon.market.instrument import Split

    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    closes = [NOON - hours * HOUR_NS for hours in range(60, -1, -1)]
    prices = np.array([100.0 + (hour % 7) for hour in range(61)])
    split = Split(closes[50] - HOUR_NS, 2, 1)
    halved = candles_of("us:SPY", HOUR, closes, np.where(np.arange(61) >= 50, prices / 2, prices))
    tape = Tape([Series(History(halved), (split,))])
    found = EventEncoder(EventBook([]), Leaders.of(tape, HOUR)).encode(context, INSTRUMENTS["BTCUSDT"])
    whole = with_leaders(context, candles_of("us:SPY", HOUR, closes, prices))
    assert found.values == pytest.approx(whole.values, abs=1e-6)


# --- the oracle -----------------------------------------------------------------------------------------------------

SPANS = {
    # a cutoff within each: the change to summer time, Good Friday, an early close, the change to winter time
    "summer time": parse_instant("2024-03-12T15:00"),
    "good friday": parse_instant("2024-04-01T17:00"),
    "early close": parse_instant("2024-07-05T16:00"),
    "winter time": parse_instant("2024-11-05T01:00"),
}

KINDS = ("fomc", "cpi", "cpi", "cpi", "nfp", "gdp", "pce", "earnings", "rate_decision", "rate_decision", "other")


@st.composite
def statements_about(draw: st.DrawFn, number: int, cutoff_ns: int, span_hours: int) -> list[CalendarEvent]:
    """One event as it was talked about: listed, moved, released, revised, each at times near bar edges."""
    half_hours = st.integers(-2 * span_hours, span_hours)
    kind = draw(st.sampled_from(KINDS))
    at_ns = cutoff_ns + draw(half_hours) * HOUR_NS // 2
    knowable_ns = at_ns - draw(st.integers(0, 4 * span_hours)) * HOUR_NS // 2
    subject = {"rate_decision": draw(st.sampled_from(("ECB", "FED", "BOJ"))), "cpi": "US"}.get(kind)
    said = event(
        kind, at_ns, number, listed_ns=knowable_ns, knowable_ns=knowable_ns, **({"subject": subject} if subject else {})
    )
    made = []
    for _ in range(draw(st.integers(1, 5))):
        made.append(said)
        change = draw(st.sampled_from(("moved", "consensus", "consensus", "release", "release", "release", "impact")))
        wait_ns = draw(st.sampled_from((1, HOUR_NS // 2, HOUR_NS, 3 * HOUR_NS, 30 * HOUR_NS)))
        said = replace(said, knowable_ns=said.knowable_ns + wait_ns)
        if change == "moved":
            said = replace(said, scheduled_ns=said.scheduled_ns + draw(half_hours) * HOUR_NS // 2)
        elif change == "consensus":
            said = replace(said, forecast=float(draw(st.integers(0, 5))))
        elif change == "impact":
            said = replace(said, impact=draw(st.sampled_from(("low", "high"))))
        else:
            released_ns = max(said.scheduled_ns, made[-1].knowable_ns)
            actual = draw(st.sampled_from((None, 0.0, 1.0, 2.0, 7.0)))
            detail = draw(st.sampled_from(({}, {"rate_change_bp": 25}, {"rate_change_bp": -75.0})))
            knowable_ns = max(said.knowable_ns, released_ns + draw(st.sampled_from((0, SECOND_NS, 5 * HOUR_NS))))
            said = replace(said, released_ns=released_ns, actual=actual, detail=detail, knowable_ns=knowable_ns)
    return made


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[CalendarEvent], list[Candles | None], Context, Instrument]:
    instrument = INSTRUMENTS[draw(st.sampled_from(("BTCUSDT", "EURUSD", "QQQ")))]
    timeframe = draw(st.sampled_from((HOUR, DAY)))
    asked_ns = SPANS[draw(st.sampled_from(sorted(SPANS)))] + draw(st.integers(0, 48)) * HOUR_NS
    context = context_of(
        instrument,
        timeframe,
        asked_ns,
        past=draw(st.integers(1, 30)),
        horizon=draw(st.integers(1, 8)),
        dropped=draw(st.lists(st.integers(1, 30), max_size=3)),
        knows_previous=draw(st.booleans()),
    )
    span_hours = 30 if timeframe == HOUR else 24 * 20
    count = draw(st.integers(0, 14))
    book = [draw(statements_about(number, context.data_cutoff_ns, span_hours)) for number in range(count)]
    if draw(st.booleans()):
        book.append(surprises_before(context.data_cutoff_ns - 40 * DAY_NS, draw(st.integers(3, 24)), size=0.02))
    leaders = [draw(leader(name, timeframe, context.data_cutoff_ns)) for name in ("BTCUSDT", "SPY", "DXY")]
    return (
        [one for made in book for one in made],
        [*leaders, draw(leader("VIX", DAY, context.data_cutoff_ns))],
        context,
        instrument,
    )


@st.composite
def leader(draw: st.DrawFn, symbol: str, timeframe: Timeframe, cutoff_ns: int) -> Candles | None:
    """A walk on the leader's calendar, with gaps, late bars and revisions; or nothing, too little, or no moves."""
    how = draw(st.sampled_from(("full", "full", "full", "none", "short", "flat")))
    if how == "none":
        return None
    luck = np.random.default_rng(draw(st.integers(0, 10**6)))
    instrument = INSTRUMENTS[symbol]
    bars = sessions_of(instrument).between(
        timeframe, cutoff_ns - 400 * max(timeframe.nominal_ns, 4 * HOUR_NS), cutoff_ns + 5 * DAY_NS
    )
    kept = np.sort(luck.permutation(len(bars))[: len(bars) - len(bars) // 50])[-25 if how == "short" else 0 :]
    closes = bars.close_ns[kept]
    prices = 50 * np.exp(np.cumsum(0.01 * luck.standard_normal(len(kept)) * (how != "flat")))
    late = np.where(luck.random(len(kept)) < 0.05, luck.integers(0, 40, len(kept)), 0) * HOUR_NS
    again = np.flatnonzero(luck.random(len(kept)) < 0.05)
    made = candles_of(
        instrument.id,
        timeframe,
        np.concatenate([closes, closes[again]]),
        np.concatenate([prices, prices[again] * 1.5]),
        np.concatenate([closes + late, closes[again] + late[again] + 1 + luck.integers(0, 40) * HOUR_NS]),
    )
    return replace(made, open_ns=np.concatenate([bars.open_ns[kept], bars.open_ns[kept][again]]))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(worlds())
def test_the_encoder_equals_a_loop_over_cells(
    world: tuple[list[CalendarEvent], list[Candles | None], Context, Instrument],
) -> None:
    statements, leaders, context, instrument = world
    found = EventEncoder(EventBook(statements), Leaders.of(tape_of(*leaders), context.timeframe)).encode(
        context, instrument
    )
    firsts = [None if one is None else History(one).first_revisions() for one in leaders]
    values, mask = naive(statements, firsts, context, instrument)
    for channel, name in enumerate(COLUMN):
        assert found.mask[:, channel].tolist() == mask[:, channel].astype(int).tolist(), name
        assert found.values[:, channel] == pytest.approx(values[:, channel], rel=2e-6, abs=2e-6), name
    check_ranges(found, len(context.open_ns))


def check_ranges(events: Events, past: int) -> None:
    for number, channel in enumerate(CHANNELS):
        assert channel.low <= events.values[:, number].min(), channel.name
        assert events.values[:, number].max() <= channel.high, channel.name
    assert not events.values[events.mask == 0].any()
    assert not events.mask[past:, FUTURE["masked"]].any()
    assert (events.mask[past:, FUTURE["zero"]] == 1).all()
    assert not events.values[past:, FUTURE["zero"]].any()


# --- the truncation test --------------------------------------------------------------------------------------------

END = {HOUR: parse_instant("2024-04-20"), DAY: parse_instant("2024-10-05")}
BEGIN = {HOUR: parse_instant("2024-01-01"), DAY: parse_instant("2021-06-01")}
BOOK_BEGIN = parse_instant("2021-01-01")


@pytest.fixture(scope="module")
def world() -> World:
    """Three instruments and the leaders, hourly for some months and daily for some years, with a synthetic calendar."""
    candles = [
        synthetic_candles(instrument, sessions_of(instrument), timeframe, BEGIN[timeframe], END[timeframe], seed=5)
        for instrument in INSTRUMENTS.values()
        for timeframe in (HOUR, DAY)
    ]
    candles = [_told_late(one) if one.instrument == "us:VIX" else one for one in candles]
    statements = synthetic_events(BOOK_BEGIN, END[DAY] + 90 * DAY_NS, 5)
    return World(tuple(candles), tuple(statements))


def _told_late(vix: Candles) -> Candles:
    """As FRED tells the VIX: on the next business day, at 09:00 New York."""
    return replace(vix, knowable_ns=np.append(vix.open_ns[1:], vix.close_ns[-1] + DAY_NS) - 30 * MINUTE_NS)


def cutoffs_of(instrument: Instrument, timeframe: Timeframe, count: int) -> list[int]:
    """Random instants, off the bars' edges too."""
    luck = np.random.default_rng([count, len(instrument.symbol), timeframe.nominal_ns // HOUR_NS])
    first_ns = BEGIN[timeframe] + (END[timeframe] - BEGIN[timeframe]) // 2
    return [int(at_ns) for at_ns in luck.integers(first_ns, END[timeframe] - 2 * DAY_NS, count)]


def context_in(
    world: World, tape: Tape, instrument: Instrument, timeframe: Timeframe, at_ns: int, rows: int
) -> Context:
    """The context of an instant with its events, as a live job would build it."""
    view = tape.as_of(at_ns)
    context = context_at(view, instrument, sessions_of(instrument), timeframe, 24, lookback_bars=rows)
    encoder = EventEncoder(world.book(), Leaders.of(tape, timeframe))
    return replace(context, events=encoder.encode(context, instrument))


def all_that_is_computed(instrument: Instrument, timeframe: Timeframe, rows: int = 260) -> Any:
    """Rows, forecasts and hash of an instant: what must not move with the future."""

    def compute(world: World, at_ns: int) -> dict[str, Any]:
        context = context_in(world, world.tape(), instrument, timeframe, at_ns, rows)
        assert context.events is not None
        forecasts = {
            name: catalog.forecaster(name).predict([context], 24, seed=1)[0].quantiles for name in catalog.BASELINES
        }
        return {
            "events": context.events,
            "hash": context.input_hash(),
            "forecasts": forecasts,
            "context": event_context(world.book(), context.events, context, instrument),
        }

    return compute


CASES = [(symbol, timeframe) for symbol in ("BTCUSDT", "EURUSD", "SPY") for timeframe in (HOUR, DAY)]


@pytest.mark.slow
@pytest.mark.parametrize(("symbol", "timeframe"), CASES, ids=str)
def test_nothing_of_the_future_shows_at_forty_cutoffs(world: World, symbol: str, timeframe: Timeframe) -> None:
    instrument = INSTRUMENTS[symbol]
    compute = all_that_is_computed(instrument, timeframe)
    assert assert_blind_to_the_future(world, compute, cutoffs_of(instrument, timeframe, 40)) == 40


@pytest.mark.slow
@pytest.mark.parametrize(("symbol", "timeframe"), CASES, ids=str)
def test_training_rows_of_the_whole_world_are_live_rows_of_the_cut_one(
    world: World, symbol: str, timeframe: Timeframe
) -> None:
    from tests.forecast.truncation import cut

    instrument = INSTRUMENTS[symbol]
    training = context_in(world, world.tape(), instrument, timeframe, END[timeframe] - DAY_NS, 10_000)
    assert training.events is not None
    for at_ns in cutoffs_of(instrument, timeframe, 40):
        small = cut(world, at_ns)
        live = context_in(small, small.tape(), instrument, timeframe, at_ns, 120)
        assert live.events is not None
        rows = np.searchsorted(training.open_ns, live.open_ns)
        assert (training.open_ns[rows] == live.open_ns).all()
        assert (training.events.values[rows] == live.events.values[:120]).all()
        assert (training.events.mask[rows] == live.events.mask[:120]).all()
        check_ranges(live.events, 120)


def test_a_change_before_the_cutoff_is_seen(world: World) -> None:
    instrument = INSTRUMENTS["SPY"]
    at_ns = sessions_of(instrument).newest_closed_ns(HOUR, cutoffs_of(instrument, HOUR, 1)[0])
    compute = all_that_is_computed(instrument, HOUR)
    assert_blind_to_the_future(world, compute, [at_ns])
    newest = max(
        (one for one in world.statements if one.kind == "cpi" and one.actual is not None and one.knowable_ns < at_ns),
        key=lambda one: one.knowable_ns,
    )
    revised = replace(newest, actual=newest.actual + 3.0)  # type: ignore[operator]  # it has one
    assert_sees(
        world, replace(world, statements=(*(s for s in world.statements if s != newest), revised)), compute, at_ns
    )
    coming = event("cpi", at_ns + 2 * HOUR_NS)
    assert_sees(world, replace(world, statements=(*world.statements, coming)), compute, at_ns)
    for name in ("us:SPY", "fx:DXY", "us:VIX"):
        touched = tuple(_touched(one, at_ns) if one.instrument == name else one for one in world.candles)
        assert_sees(world, replace(world, candles=touched), compute, at_ns)


def _touched(candles: Candles, at_ns: int) -> Candles:
    """The last bar known at the instant, a tenth higher."""
    row = np.flatnonzero(candles.knowable_ns <= at_ns)[-1]
    changed = {name: getattr(candles, name).copy() for name in ("open", "high", "low", "close")}
    for prices in changed.values():
        prices[row] = prices[row] * 11 // 10
    return replace(candles, **changed)


def test_an_encoder_that_looks_ahead_is_caught(world: World) -> None:
    def peeks(world: World, at_ns: int) -> list[float | None]:
        return [one.actual for one in world.statements if one.scheduled_ns <= at_ns + DAY_NS and one.kind == "nfp"]

    with pytest.raises(AssertionError, match="the future shows"):
        assert_blind_to_the_future(world, peeks, cutoffs_of(INSTRUMENTS["SPY"], HOUR, 40))


# --- shapes and documents -------------------------------------------------------------------------------------------


def events_of(rows: int, **changed: Any) -> Events:
    fields = {"values": np.ones((rows, 20), np.float32), "mask": np.ones((rows, 20), np.uint8), "encoder": ENCODER}
    return Events(**(fields | changed))


def test_both_shapes_are_accepted_and_a_missing_future_is_masked() -> None:
    assert fit_rows(None, 50, 10) is None
    whole = events_of(60)
    assert fit_rows(whole, 50, 10) is whole
    padded = fit_rows(events_of(50), 50, 10)
    assert padded is not None
    assert padded.values.shape == padded.mask.shape == (60, 20)
    assert (padded.values[:50] == 1).all()
    assert not padded.values[50:].any()
    assert not padded.mask[50:].any()


@pytest.mark.parametrize("rows", [0, 1, 49, 51, 59, 61])
def test_another_number_of_rows_is_refused(rows: int) -> None:
    with pytest.raises(Invalid, match="for 50 bars and 10 steps") as refusal:
        fit_rows(events_of(rows), 50, 10)
    assert "50 or 60" in refusal.value.hint


def test_another_encoder_is_refused() -> None:
    with pytest.raises(Invalid, match="events-0"):
        fit_rows(events_of(50, encoder="events-0"), 50, 10)


def test_the_table_of_the_encoder_is_pinned() -> None:
    """Whatever changes the numbers is another encoder: give it another id, and this hash follows."""
    assert (ENCODER, ENCODER_HASH) == ("events-1", "8d8a1a70191180ad227e45e3d8b191b0")
    assert len(CHANNELS) == N_CHANNELS == 20
    assert len(COLUMN) == 20


def test_leaders_of_another_timeframe_and_bars_without_closes_are_refused() -> None:
    context = context_of(INSTRUMENTS["BTCUSDT"], HOUR, NOON)
    encoder = EventEncoder(EventBook([]), Leaders.of(tape_of(), DAY))
    with pytest.raises(Invalid, match="leaders at 1d for a context at 1h"):
        encoder.encode(context, INSTRUMENTS["BTCUSDT"])
    with pytest.raises(Invalid, match="without the closes"):
        encoded([], replace(context, close_ns=None))
    with pytest.raises(Invalid, match="38 opens and 38 closes"):
        encoded([], replace(context, close_ns=context.close_ns[::-1]))  # type: ignore[index]  # it is there


def test_what_is_stored_with_a_forecast_names_what_is_on_and_what_comes() -> None:
    instrument = INSTRUMENTS["EURUSD"]
    context = context_of(instrument, HOUR, NOON + HOUR_NS)
    statements = [
        *surprises_before(NOON, 8),
        *released(forecast=1.0, actual=0.8),
        event("fomc", NOON + 3 * HOUR_NS),
        event("rate_decision", NOON + 4 * HOUR_NS),
        event("rate_decision", NOON + 4 * HOUR_NS, 1, subject="BOJ"),
        event("nfp", NOON + 30 * DAY_NS),
    ]
    book = EventBook(statements)
    events = EventEncoder(book).encode(context, instrument)
    document = event_context(book, events, context, instrument)
    assert document["encoder"] == "events-1"
    assert document["active"] == ["is_cpi"]
    assert document["ahead"] == [
        {"event": "fomc", "at": "2024-01-10T15:00:00Z", "in_hours": 2.0},
        {"event": "rate_decision:ECB", "at": "2024-01-10T16:00:00Z", "in_hours": 3.0},
    ]
    assert document["surprises"] == {"cpi": {"z": pytest.approx(-1.8708, abs=1e-3), "direction": "below"}}
    quiet = event_context(EventBook([]), encoded([], context, "EURUSD"), context, instrument)
    assert quiet == {"encoder": "events-1", "active": [], "ahead": [], "surprises": {}}


def test_the_scale_of_a_surprise_counts_what_it_is_made_of() -> None:
    book = EventBook(surprises_before(NOON, 25))
    std, n = surprise_scale(book.releases((("cpi", "US"),)), 0.05)
    assert n.tolist() == [*range(20), *[20] * 5]
    assert np.isnan(std[:6]).all()
    assert std[6] == pytest.approx(np.std([0.1, -0.1] * 3, ddof=1))
