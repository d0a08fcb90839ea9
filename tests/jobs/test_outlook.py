"""The outlook of a session: what a ledger and a calendar held is frozen into the ground, whatever comes later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.jobs.replay import Replays
from gnomon.market.candles import Candles
from gnomon.market.dataset import Passport
from gnomon.market.instrument import Instruments
from gnomon.market.synthetic_events import synthetic_events
from gnomon.replay.header import RecordType
from gnomon.replay.session import Entry, Session
from gnomon.replay.verification import Outcome
from gnomon.store.store import Store
from gnomon.units import DAY_NS, HOUR_NS

HOUR = Timeframe.parse("1h")
FROM, TO = parse_instant("2024-02-01"), parse_instant("2024-02-06")


@pytest.fixture
def replays(filled: Store, bars: Sequence[Candles], configured: Instruments, tmp_path: Path) -> Replays:
    """Hourly bars, stored as a dataset too."""
    chosen = [one for one in bars if one.instrument == "binance:BTCUSDT"]
    filled.datasets.write(Passport.of(chosen, "hours"), chosen)
    filled.market.record(Passport.of(chosen, "hours"), chosen, [configured.find("BTCUSDT")], recorded_ns=TO)
    return Replays(filled, tmp_path / "home", configured, SimClock(parse_instant("2026-01-01")))


def session_text(forecasts: str, more: str = "") -> str:
    return f"""
[session]
dataset = "hours"
from = "2024-02-01"
to = "2024-02-06"
seed = 3
forecasts = {forecasts}
{more}
[rules]
balances = {{ USDT = "10000" }}

[[entry]]
name = "follower"
trader = "forecast_follower"
params = {{ rise = 0.01, fall = 0.005 }}
"""


@pytest.fixture
def issue(filled: Store, configured: Instruments) -> Callable[..., Any]:
    """Forecasts of every sixth hour of the window: live at that hour, or long after as a backfill."""

    def issued(lane: str, first_ns: int = FROM - DAY_NS, last_ns: int = TO, names: tuple[str, ...] = ("ewma",)) -> None:
        plan = Plan(tuple(subjects(filled, configured, HOUR, ["BTCUSDT"])), HOUR, 8, names)
        for at_ns in range(first_ns, last_ns, 6 * HOUR_NS):
            late = None if lane == "live" else at_ns
            predict(filled, plan, SimClock(at_ns if lane == "live" else parse_instant("2025-06-01")), as_of_ns=late)

    return issued


def test_live_rows_are_read_as_of_their_issue_and_later_rows_change_nothing(
    replays: Replays, issue: Callable[..., Any]
) -> None:
    issue("live", last_ns=FROM + 3 * DAY_NS)
    text = session_text('"ledger"')
    session = Session.parse(text)
    stage = replays.stage(session)
    archive = stage.ground.archive
    assert archive is not None
    assert archive.names == ("ewma",)
    assert [one.issued.issued_ns for one in archive.stated] == list(
        range(FROM - 6 * HOUR_NS, FROM + 3 * DAY_NS, 6 * HOUR_NS)
    )
    done = replays.run(stage, text, session.entries[0], 1, None)
    assert replays.verify(done.stored).outcome is Outcome.VERIFIED
    issue("live", first_ns=FROM + 3 * DAY_NS, names=("ewma", "drift"))
    later = replays.stage(session)
    assert later.ground.digest != stage.ground.digest
    assert later.ground.archive is not None
    assert later.ground.archive.names == ("drift", "ewma")
    assert replays.verify(done.stored).outcome is Outcome.VERIFIED, "its ground was frozen at its start"


def test_a_backfill_is_read_as_of_the_instant_that_it_looked_from(replays: Replays, issue: Callable[..., Any]) -> None:
    issue("backfill")
    stage = replays.stage(Session.parse(session_text('{ from = "backfill", variant = "h8:s0", latency_ms = 40 }')))
    archive = stage.ground.archive
    assert archive is not None
    times = [one.issued.issued_ns for one in archive.stated]
    assert times == [at_ns + 40_000_000 for at_ns in range(FROM - 6 * HOUR_NS, TO, 6 * HOUR_NS)]
    assert all(one.issued.forecast.data_cutoff_ns <= one.issued.issued_ns for one in archive.stated)
    none = replays.stage(Session.parse(session_text('{ from = "backfill", variant = "h9:s0" }')))
    assert none.ground.archive is None


def test_what_is_computed_says_what_a_backfill_of_the_same_instant_says(
    replays: Replays, issue: Callable[..., Any]
) -> None:
    issue("backfill", names=("ewma", "momentum"))
    backfill = replays.stage(Session.parse(session_text('"backfill"')))
    computed = replays.stage(
        Session.parse(session_text('{ from = "compute", names = ["ewma", "momentum"], horizon = 8 }'))
    )
    entry = Entry("a", "buy_and_hold")
    plan = computed.plan(entry, 1, 7)
    from gnomon.replay.run import Stage

    wire = Stage.set(plan, None, "off", keeps=False).course.wire
    assert wire is not None
    assert backfill.ground.archive is not None
    for one in backfill.ground.archive.stated:
        known = one.issued.forecast
        mine = wire.forecast(known.forecaster, 0, HOUR, one.issued.issued_ns)
        assert mine is not None
        assert mine.id == one.issued.id
        assert mine.issued_ns == one.issued.issued_ns


@pytest.mark.parametrize("trader", ["forecast_follower", "band_sizer", "rotate"])
def test_followers_trade_on_computed_baselines_and_are_verified(replays: Replays, trader: str) -> None:
    text = session_text('{ from = "compute", latency_ms = 5, horizon = 4 }')
    session = Session.parse(text)
    params: dict[str, Any] = {"forecaster": "momentum"}
    params |= {"forecast_follower": {"rise": 0.01, "fall": 0.005}, "band_sizer": {"edge": 0.0}}.get(trader, {})
    done = replays.run(replays.stage(session), text, Entry("one", trader, params), 1, None)
    assert done.stored.status == "completed"
    read = [one for one in replays.record_of(done.stored).entries() if one.type is RecordType.FORECAST]
    assert len(read) > 100
    assert (done.stored.counts["fills"] > 0) is (trader != "forecast_follower"), "a baseline never says 1 % an hour"
    assert replays.verify(done.stored).outcome is Outcome.VERIFIED


def test_the_calendar_of_the_store_is_part_of_the_ground(replays: Replays, filled: Store) -> None:
    text = session_text('{ from = "compute" }')
    session = Session.parse(text)
    bare = replays.stage(session)
    filled.events.record(synthetic_events(FROM - 60 * DAY_NS, TO + 60 * DAY_NS))
    stage = replays.stage(session)
    assert stage.ground.digest != bare.ground.digest
    archive = stage.ground.archive
    assert archive is not None
    assert archive.events is not None
    assert max(one.knowable_ns for one in archive.events) < TO
    done = replays.run(stage, text, Entry("sizer", "band_sizer", {}), 1, None)
    assert replays.verify(done.stored).outcome is Outcome.VERIFIED


def test_a_trader_whose_forecasts_are_not_there_is_refused_before_a_journal_exists(
    replays: Replays, issue: Callable[..., Any]
) -> None:
    text = session_text('"ledger"')
    session = Session.parse(text)
    with pytest.raises(Unavailable, match="needs forecasts of 'ewma', and none is stored") as caught:
        replays.run(replays.stage(session), text, session.entries[0], 1, None)
    assert 'forecasts = "compute"' in caught.value.hint
    assert not list(replays.journals.folder.glob("*")) if replays.journals.folder.exists() else True
    issue("live")
    with pytest.raises(NotFound, match="no forecasts of 'emwa'") as near:
        replays.run(replays.stage(session), text, Entry("f", "rotate", {"forecaster": "emwa"}), 1, None)
    assert "ewma" in near.value.hint


@pytest.mark.parametrize(
    ("forecasts", "message"),
    [
        ('"oracle"', "forecasts is 'oracle'"),
        ('{ from = "ledger", horizon = 3 }', "has no key 'horizon'"),
        ('{ from = "compute", latency_ms = -1 }', "latency_ms is -1"),
        ('{ from = "compute", names = ["ewna"] }', "no forecaster 'ewna'"),
    ],
)
def test_an_outlook_that_makes_no_sense_is_refused(replays: Replays, forecasts: str, message: str) -> None:
    with pytest.raises((Invalid, NotFound), match=message):
        replays.stage(Session.parse(session_text(forecasts)))
