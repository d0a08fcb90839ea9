"""Every fault of the catalogue, alone, over real sockets: on Pulse in lock-step and live, which bear it, and on a naive
bot, which does not. The checks are the same, and read the Record alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.clients.faulty import (
    Lived,
    Spendthrift,
    assert_borne,
    entry,
    in_lockstep,
    in_time,
    naively,
    recorded,
)
from tests.trader.pulse.standing import Standing, standing

from gnomon.exchange.fault_plan import KINDS
from gnomon.score.fault_verdicts import Verdict
from gnomon.trader.orders import Rejected

LOCKSTEP: dict[str, str] = {
    "unknown_status": entry("unknown_status", "every_nth = 3"),
    "late_ack": entry("late_ack", "every_nth = 3", "params = { seconds = 90 }"),
    "fill_first": entry("fill_first", "every_nth = 1"),
    "duplicate_report": entry("duplicate_report", "every_nth = 1"),
    "user_stream_lost": entry("user_stream_lost", 'at = ["+6m", "+18m"]', "params = { seconds = 200 }"),
    "gap": entry("gap", 'at = ["+6m", "+18m"]', "params = { seconds = 300 }"),
    "rate_limit": entry("rate_limit", "request_no = [4, 11]", "params = { seconds = 200 }"),
    "clock_skew": entry("clock_skew", 'at = "+10m"', "params = { seconds = 900, skew_seconds = 20 }"),
    "rule_change": entry("rule_change", 'at = "+10m"', 'params = { tick = "0.25", step = "0.07" }'),
    "cancel_race": entry("cancel_race", "every_nth = 1"),
    "stale": entry("stale", 'at = "+10m"', "params = { seconds = 900 }"),
    "connection_end": entry("connection_end", 'at = ["+6m", "+18m"]'),
    "shutdown_notice": entry("shutdown_notice", 'at = ["+6m", "+18m"]', "params = { seconds = 90 }"),
    "slow_response": entry("slow_response", "every_nth = 2", "params = { seconds = 90 }"),
}
"""In virtual time alone: how long a thing takes costs nothing."""

LIVE: dict[str, str] = {
    "unknown_status": entry("unknown_status", "every_nth = 3"),
    "late_ack": entry("late_ack", "order_no = [2, 4]", "params = { seconds = 300 }"),
    "fill_first": entry("fill_first", "order_no = [1, 3]", "params = { seconds = 300 }"),
    "duplicate_report": entry("duplicate_report", "every_nth = 1"),
    "user_stream_lost": entry("user_stream_lost", "every_nth = 4", "params = { seconds = 100 }"),
    "gap": entry("gap", "every_nth = 4", "params = { seconds = 100 }, max = 2"),
    "rate_limit": entry("rate_limit", "request_no = 3", "params = { seconds = 1 }"),
    "clock_skew": entry("clock_skew", 'at = "+3m"', "params = { seconds = 900, skew_seconds = 7200 }"),
    "rule_change": entry("rule_change", 'at = "+3m"', 'params = { tick = "0.25", step = "0.07" }'),
    "cancel_race": entry("cancel_race", "every_nth = 1"),
    "stale": entry("stale", 'at = "+3m"', "params = { seconds = 400 }"),
    "connection_end": entry("connection_end", 'at = ["+3m", "+8m"]'),
    "shutdown_notice": entry("shutdown_notice", 'at = ["+3m", "+8m"]', "params = { seconds = 60 }"),
    "slow_response": entry("slow_response", "request_no = [2, 4]", "params = { seconds = 300 }"),
}
"""At 600 virtual seconds a second: a bot that waits half a second has waited for five minutes."""

NAIVELY: dict[str, str] = LIVE | {
    "late_ack": entry("late_ack", "order_no = [3, 4]", "params = { seconds = 1200 }"),
    "fill_first": entry("fill_first", "every_nth = 1", "params = { seconds = 1200 }, max = 2"),
    "user_stream_lost": entry("user_stream_lost", "every_nth = 4", "max = 1"),
    "gap": entry("gap", "every_nth = 4", "max = 1"),
    "rate_limit": entry("rate_limit", "request_no = 3", "params = { seconds = 200 }"),
    "rule_change": entry("rule_change", 'at = "+3m"', 'params = { tick = "0.25" }'),
    "cancel_race": entry("cancel_race", "every_nth = 1", "params = { share = 1 }"),
    "stale": entry("stale", 'at = "+3m"', "params = { seconds = 600 }"),
    "connection_end": entry("connection_end", "every_nth = 4", "max = 1"),
    "shutdown_notice": entry("shutdown_notice", "every_nth = 4", "max = 1"),
    "slow_response": entry("slow_response", "order_no = 2", "params = { seconds = 1200 }"),
}

Shown = Callable[[Lived], bool]


def said(text: str) -> Shown:
    return lambda run: any(text in one for one in run.tally.log_tail)


def reconnected(times: int) -> Shown:
    return lambda run: run.tally.links["market"].reconnects >= times


def told(text: str) -> Shown:
    return lambda run: any(text in one for one in run.told)


IN_LOCKSTEP_SHOWS: dict[str, tuple[Shown, ...]] = {
    # that the fault was met, beside its record: what Pulse has noticed and done
    "unknown_status": (said("-1007"),),
    "user_stream_lost": (reconnected(2), told("lost")),
    "gap": (reconnected(2), told("lost")),
    "rate_limit": (said("-1003"),),
    "clock_skew": (lambda run: run.tally.retries > 0,),
    "rule_change": (said("-1013"), lambda run: Verdict.RECOVERED in run.verdicts("rule_change")),
    "connection_end": (reconnected(2),),
    "shutdown_notice": (reconnected(2), lambda run: not run.tally.log_tail),  # it has gone before it was closed
}
LIVE_SHOWS: dict[str, tuple[Shown, ...]] = {
    "unknown_status": (said("-1007"),),
    "late_ack": (said("timed out"),),
    "user_stream_lost": (told("lost"),),
    "gap": (reconnected(1), told("lost")),
    "rate_limit": (lambda run: run.tally.rest_errors["429"] > 0,),
    "clock_skew": (lambda run: run.tally.retries > 0,),
    "rule_change": (said("-1013"),),
    "stale": (said("stale feed"), told("stale feed")),
    "connection_end": (reconnected(2), told("lost")),
    "shutdown_notice": (reconnected(2), told("serverShutdown")),
    "slow_response": (said("timed out"),),
}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("faulty")) as found:
        recorded(found)
        yield found


@pytest.mark.parametrize("fault", KINDS)
def test_pulse_in_lockstep_bears_it_and_its_run_repeats(venue: Standing, fault: str) -> None:
    run, again = in_lockstep(venue, [LOCKSTEP[fault]]), in_lockstep(venue, [LOCKSTEP[fault]])
    assert_borne(run, {fault})
    assert run.stored.counts["fills"] > 10
    assert all(shows(run) for shows in IN_LOCKSTEP_SHOWS.get(fault, ()))
    assert venue.scene.replays.verify(run.stored).outcome.name == "VERIFIED"
    assert run.stored.fingerprint == again.stored.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("fault", KINDS)
def test_pulse_live_bears_it(venue: Standing, fault: str) -> None:
    run = in_time(venue, [LIVE[fault]])
    assert_borne(run, {fault})
    assert all(shows(run) for shows in LIVE_SHOWS.get(fault, ())), (run.told, run.tally.log_tail)
    assert venue.scene.replays.verify(run.stored).outcome.name == "VERIFIED"


@pytest.mark.slow
@pytest.mark.parametrize("fault", KINDS)
def test_a_naive_bot_fails_the_same_checks(venue: Standing, fault: str) -> None:
    run = naively(venue, [NAIVELY[fault]])
    assert set(run.faults) == {KINDS[fault]}
    assert Verdict.VIOLATED in run.verdicts(fault) or not run.report.is_within_exposure
    assert not run.report.is_borne


@pytest.mark.slow
def test_a_naive_bot_passes_them_where_nothing_goes_wrong(venue: Standing) -> None:
    run = naively(venue, [entry("late_ack", "order_no = 999")], timeout_s=5.0)
    assert run.faults == []
    assert run.report.is_borne, run.report
    assert run.stored.counts["fills"] > 4


def test_pulse_bears_all_of_them_in_one_run(venue: Standing) -> None:
    # two of the plan are due after the window
    late = [entry(one, 'at = "+50m"') for one in ("connection_end", "shutdown_notice")]
    plan = ['"everything"', *late]
    run, again = in_lockstep(venue, plan), in_lockstep(venue, plan)
    assert_borne(run, set(KINDS))
    assert run.stored.fingerprint == again.stored.fingerprint


def test_a_cancel_that_comes_after_the_whole_fill_leaves_nothing_to_cancel(venue: Standing) -> None:
    run = in_lockstep(venue, [entry("cancel_race", "every_nth = 1", "params = { share = 1 }")])
    assert_borne(run, {"cancel_race"})
    assert said("-2011")(run)


def test_an_order_that_was_refused_is_not_waited_for_where_nobody_has_said_so(venue: Standing) -> None:
    trader = Spendthrift()
    run = in_lockstep(venue, [entry("unknown_status", "every_nth = 1")], trader)
    assert_borne(run, {"unknown_status"})
    assert len(trader.dreams) > 3
    assert all(isinstance(one.state, Rejected) for one in trader.dreams)
