"""Faults in whole runs: when each is due, that it is recorded, and that it is the same from the inputs alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from tests.replay.scene import ground, listing, plan, random_session, recorded, rough_prints, rules
from tests.replay.test_ghost import verified

from gnomon.errors import Invalid, NotFound
from gnomon.exchange.draws import Draws
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.fault_plan import FaultKind, FaultPlan
from gnomon.exchange.order import Cancel, Place, Side
from gnomon.exchange.order import OrderType as Kind
from gnomon.exchange.rules import Latency, Leg
from gnomon.replay.bodies import Fault as FaultBody
from gnomon.replay.bodies import Fill, Reject, RequestCancel, RequestPlace
from gnomon.replay.faults import FOLDER, Fault, Faults, Point, named, pinned, plan_names
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record
from gnomon.replay.run import RunPlan
from gnomon.replay.session import Session
from gnomon.replay.verification import Outcome
from gnomon.trader.trader import Strategy
from gnomon.units import SECOND_NS

BUY = Place(0, Side.BUY, Kind.LIMIT, 5, 10_000)
START_NS = 1_000 * SECOND_NS


def faults_of(*entries: Any, seed: int = 7) -> Faults:
    return Faults(FaultPlan.parse(list(entries)), Draws(seed), [listing(0), listing(1)], START_NS)


def one(fault: str, when: Any, **more: Any) -> dict[str, Any]:
    return {"fault": fault, "when": when, **more}


def with_faults(how: RunPlan, *entries: Any) -> RunPlan:
    return replace(how, rules=replace(how.rules, faults=FaultPlan.parse(list(entries))))


def told(record: Record) -> list[tuple[FaultKind, int, int]]:
    """Kind, entry and entity of each FAULT record."""
    found = []
    for record_of in record.entries():
        if record_of.type is RecordType.FAULT:
            body = record_of.body
            assert isinstance(body, FaultBody)
            found.append((FaultKind(body.fault), body.plan, body.entity))
    return found


# --- when -----------------------------------------------------------------------------------------------------------


def due(faults: Faults, entity: int, now_ns: int = START_NS, method: str = "order.place", **more: Any) -> list[int]:
    return [found.entry for found in faults.due(Point.REQUEST, entity, now_ns, method, "A0", **more)]


def test_every_nth_counts_the_requests_that_it_is_for() -> None:
    faults = faults_of(one("slow_response", {"every_nth": 2}, **{"for": {"method": "order.cancel"}}))
    methods = ["order.place", "order.cancel", "order.cancel", "order.place", "order.cancel", "order.cancel"]
    assert [due(faults, n, method=method) for n, method in enumerate(methods, 1)] == [[], [], [1], [], [], [1]]


def test_a_request_number_and_an_order_number_name_one() -> None:
    faults = faults_of(one("slow_response", {"request_no": [2, 4]}), one("late_ack", {"order_no": 3}))
    assert [due(faults, n, order_no=n) for n in range(1, 5)] == [[], [1], [2], [1]]


def test_an_instant_is_met_by_the_first_request_from_then_on() -> None:
    faults = faults_of(one("slow_response", {"at": ["+10s", "+20s"]}))
    seconds = [9, 10, 11, 19, 25, 30]
    found = [due(faults, n, START_NS + at * SECOND_NS) for n, at in enumerate(seconds, 1)]
    assert found == [[], [1], [], [], [1], []]


def test_max_ends_it() -> None:
    faults = faults_of(one("slow_response", {"every_nth": 1}, max=2))
    assert [len(due(faults, n)) for n in range(1, 5)] == [1, 1, 0, 0]


def test_chance_is_drawn_by_identity_and_each_entry_has_luck_of_its_own() -> None:
    half = one("slow_response", {"probability": "0.5"})
    alone, both = faults_of(half), faults_of(half, half)
    first = [1 in due(alone, n) for n in range(1, 200)]
    pairs = [due(both, n) for n in range(1, 200)]
    assert [1 in pair for pair in pairs] == first
    assert [2 in pair for pair in pairs] != first
    assert 70 < sum(first) < 130
    (tally,) = alone._draws.tallies()
    assert (tally.component, tally.count) == ("fault", 199)


def test_what_is_certain_draws_nothing() -> None:
    faults = faults_of(one("slow_response", {"probability": 1}))
    assert due(faults, 1) == [1]
    assert faults._draws.tallies() == ()


def test_a_symbol_that_is_not_traded_is_refused() -> None:
    with pytest.raises(Invalid, match="A9, which is not traded"):
        faults_of(one("late_ack", {"every_nth": 1}, **{"for": {"symbol": "A9"}}))


@pytest.mark.parametrize("params", [{"tick": "0.15"}, {"step": "0.0005"}, {"min_qty": "0.0001"}])
def test_a_filter_off_its_grid_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="rule_change"):
        faults_of(one("rule_change", {"at": "+1s"}, params=params))


def test_filters_at_an_instant_are_those_changed_until_then() -> None:
    faults = faults_of(
        one("rule_change", {"at": "+10s"}, params={"tick": "0.5", "min_notional": "20"}, **{"for": {"symbol": "A0"}}),
        one("rule_change", {"at": "+20s"}, params={"step": "0.01", "min_qty": "0.02"}),
    )

    def at(number: int, seconds: int) -> tuple[int, int, int, int]:
        found = faults.filters_at(listing(number), START_NS + seconds * SECOND_NS)
        return found.step_ticks, found.min_notional_units, found.step_lots, found.min_lots

    assert at(0, 9) == (1, 0, 1, 1)
    assert at(0, 10) == (5, 2_000_000_000, 1, 1)
    assert at(0, 20) == (5, 2_000_000_000, 10, 20)
    assert at(1, 20) == (1, 0, 10, 20)


# --- a rate limit ---------------------------------------------------------------------------------------------------


def test_who_goes_on_after_a_limit_is_banned_and_for_longer() -> None:
    faults = faults_of(one("rate_limit", {"request_no": 2}, params={"seconds": 10, "ban_seconds": 60}))
    faults.write = lambda *_: 1
    at = [START_NS + seconds * SECOND_NS for seconds in (0, 1, 1, 5, 30, 64, 65)]
    turned = [bool(faults.sent(at_ns, number, BUY)) for number, at_ns in enumerate(at, 1)]
    assert turned == [False, True, True, True, True, True, False]
    untils = [(found.entity, (found.until_ns - START_NS) // SECOND_NS) for found in faults.happened]
    # the third was sent before its sender could know
    assert untils == [(2, 11), (3, 11), (4, 65), (5, 65), (6, 65)]
    assert faults.limit[1]


def test_a_limit_for_one_method_lets_others_through() -> None:
    faults = faults_of(one("rate_limit", {"request_no": 1}, **{"for": {"method": "order.place"}}))
    faults.write = lambda *_: 1
    assert faults.sent(START_NS, 1, BUY)
    assert not faults.sent(START_NS + 1, 2, Cancel(0, 1))


# --- whole runs -----------------------------------------------------------------------------------------------------


class Steady(Strategy):
    """Bids below the market at each fifth print, buys at each third of these, and cancels what is older."""

    wake = {"every_nth_print": 5}  # noqa: RUF012 - read once by the runtime, never changed
    heard: list[str]

    def on_start(self, _desk: Any) -> None:
        self.calls, self.heard = 0, []

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.calls += 1
        for order in desk.orders():
            desk.cancel(order)
        if self.calls % 3 == 0:
            desk.buy(lots=4)
        else:
            desk.buy(lots=6, limit=trade.price - 3)

    def on_order(self, _desk: Any, order: Any) -> None:
        self.heard.append(type(order.state).__name__)


def scene(*entries: Any, latency_ns: int = 1_000_000) -> RunPlan:
    leg = Leg(latency_ns)
    return with_faults(plan(ground(rough_prints(3, 400)), rules(latency=Latency(Leg(), leg, leg))), *entries)


def numbers(record: Record, kind: type) -> list[int]:
    return [found.body.number for found in record.inputs() if isinstance(found.body, kind)]


ALL = [
    one("unknown_status", {"every_nth": 6}),
    one("late_ack", {"every_nth": 7}),
    one("fill_first", {"every_nth": 2}),
    one("duplicate_report", {"every_nth": 2}),
    one("user_stream_lost", {"every_nth": 9}),
    one("gap", {"at": "+20s"}),
    one("rate_limit", {"every_nth": 13}, params={"seconds": 1, "ban_seconds": 2}),
    one("clock_skew", {"at": "+30s"}),
    one("rule_change", {"at": "+25s"}, params={"tick": "0.5", "min_notional": "1"}),
    one("cancel_race", {"every_nth": 2}),
    one("stale", {"at": "+5s"}),
    one("connection_end", {"probability": "0.1"}),
    one("shutdown_notice", {"order_no": 10}),
    one("slow_response", {"probability": "0.2"}),
]


def test_every_fault_happens_and_is_made_again_from_the_inputs() -> None:
    how = scene(*ALL)
    _, record = recorded(how, Steady())
    kinds = {kind for kind, _, _ in told(record)}
    assert kinds == set(FaultKind)
    found = verified(how, record)
    assert found.outcome is Outcome.VERIFIED, found.steps[-1]


@pytest.mark.parametrize("seed", range(14))
def test_random_sessions_with_faults_are_verified_from_their_inputs(seed: int) -> None:
    how, trader = random_session(seed)
    how = with_faults(how, *ALL)
    _, record = recorded(how, trader())
    assert told(record)
    found = verified(how, record)
    assert found.outcome is Outcome.VERIFIED, found.steps[-1]


def test_faults_move_config_and_outputs_and_a_run_repeats_with_them() -> None:
    without, _ = recorded(scene(), Steady())
    once, _ = recorded(scene(*ALL), Steady())
    twice, _ = recorded(scene(*ALL), Steady())
    assert once.digests == twice.digests
    assert once.digests.config != without.digests.config
    assert once.digests.outputs != without.digests.outputs


def test_what_is_only_of_the_wire_changes_no_input_and_no_fill() -> None:
    wire = [entry for entry in ALL if entry["fault"] not in ("rate_limit", "rule_change", "cancel_race")]
    without, plain = recorded(scene(), Steady())
    with_them, record = recorded(scene(*wire), Steady())
    assert (with_them.fills, with_them.orders) == (without.fills, without.orders)
    assert [found.body for found in record.outputs() if found.type is RecordType.FILL] == [
        found.body for found in plain.outputs() if found.type is RecordType.FILL
    ]


def test_a_request_that_is_turned_away_never_arrives_and_its_sender_hears_of_it() -> None:
    trader = Steady()
    _, record = recorded(scene(one("rate_limit", {"request_no": 4}, params={"seconds": 0})), trader)
    assert told(record) == [(FaultKind.RATE_LIMIT, 1, 4)]
    assert 4 in numbers(record, RequestPlace) + numbers(record, RequestCancel)
    about = [found for found in record.outputs() if getattr(found.body, "request", 0) == 4]
    assert about == []
    (fault,) = [found for found in record.outputs() if found.type is RecordType.FAULT]
    assert record.at(fault.cause).type is RecordType.REQUEST
    assert "Rejected" in trader.heard or 4 in numbers(record, RequestCancel)


def test_a_cancel_race_fills_the_order_at_its_own_price_before_the_cancel() -> None:
    how = scene(one("cancel_race", {"every_nth": 1}, params={"share": "0.5"}))
    _, record = recorded(how, Steady())
    races = [found for found in record.outputs() if found.type is RecordType.FAULT]
    assert len(races) > 3
    for race in races:
        fill = record.at(race.seq - 1)
        assert isinstance(fill.body, Fill) or record.at(race.seq - 2).type is RecordType.FILL
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_race_for_the_whole_order_makes_its_cancel_unknown() -> None:
    _, record = recorded(scene(one("cancel_race", {"every_nth": 1}, params={"share": 1})), Steady())
    raced = [body.entity for body in (found.body for found in record.outputs()) if isinstance(body, FaultBody)]
    refused = [body.request for body in (found.body for found in record.outputs()) if isinstance(body, Reject)]
    assert raced
    assert set(raced) <= set(refused)


def test_changed_filters_hold_from_their_instant_on() -> None:
    how = scene(one("rule_change", {"at": "+10s"}, params={"tick": "1000"}))
    _, record = recorded(how, Steady())
    refused = [found.t for found in record.outputs() if isinstance(found.body, Reject) and found.body.code == 10]
    (fault,) = [found for found in record.outputs() if found.type is RecordType.FAULT]
    assert fault.t == how.start_ns + 10 * SECOND_NS
    assert refused
    assert min(refused) > fault.t


def test_the_venue_shows_the_filters_that_hold() -> None:
    how = scene(one("rule_change", {"at": "+10s"}, params={"tick": "0.5"}))
    market = how.ground
    venue = Exchange(market.listings, {0: market.tapes[0].tape}, how.rules)
    faults = Faults(how.rules.faults, Draws(7), market.listings, how.start_ns)
    (change,) = faults.instants()
    faults.begin(change, venue)
    assert venue.listings[0].filters.step_ticks == 5
    assert market.listings[0].filters.step_ticks == 1
    assert venue.listings[0].filters == faults.filters_at(market.listings[0], change.time_ns)


def test_whoever_listens_is_told_each_fault_as_it_happens() -> None:
    heard: list[Fault] = []
    faults = faults_of(one("clock_skew", {"request_no": 1}))
    faults.listen = heard.append
    faults.sent(START_NS, 1, BUY)
    assert heard == faults.happened == [Fault(FaultKind.CLOCK_SKEW, 1, 1, START_NS, START_NS + 60 * SECOND_NS)]


# --- plans by name --------------------------------------------------------------------------------------------------

SHIPPED = {
    "everything@1": "1c6b51c5a54af9c7",
    "flaky-acks@1": "e6303aa67b2d03b6",
    "lost-streams@1": "570f72a72e9583f0",
    "rate-storm@1": "8facc7bc709e1991",
}
"""Versions are kept for ever: whoever means to change a plan adds a version."""


def test_the_plans_that_are_shipped_are_those_and_never_change() -> None:
    found = {}
    for path in sorted(FOLDER.glob("*.toml")):
        name, _, version = path.stem.rpartition("-")
        found[f"{name}@{version}"] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert found == SHIPPED


@pytest.mark.parametrize("name", list(SHIPPED))
def test_every_shipped_plan_is_a_plan(name: str) -> None:
    found = FaultPlan.parse(named([name]))
    assert not found.is_empty


def test_everything_has_the_whole_catalogue() -> None:
    assert {entry.fault for entry in FaultPlan.parse(named("everything")).entries} == set(FaultKind)


def test_a_plan_is_found_by_its_name_and_pinned_to_a_version() -> None:
    assert pinned("flaky-acks") == f"flaky-acks@{plan_names()['flaky-acks']}"
    with pytest.raises(NotFound, match="no fault plan 'flaky-aks'") as refused:
        pinned("flaky-aks")
    assert "flaky-acks" in (refused.value.hint or "")
    with pytest.raises(NotFound, match="no version '99'"):
        pinned("flaky-acks@99")


def test_names_and_entries_stand_beside_each_other_in_a_session() -> None:
    text = """
        [session]
        dataset = "x"
        [rules]
        faults = ["flaky-acks", { fault = "gap", when = { at = "+1m" } }]
    """
    found = Session.parse(text).rules.faults
    assert [entry.fault for entry in found.entries][-1] is FaultKind.GAP
    assert len(found.entries) == 1 + len(FaultPlan.parse(named("flaky-acks")).entries)
