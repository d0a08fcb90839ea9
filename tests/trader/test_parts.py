"""The smaller parts: tickets, limits, plans, the account, brackets, decisions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.trader.driver import START_NS, Drive, listing, prints
from tests.trader.test_desk import Script

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.exchange.order import OrderType, Place, PlaceList, Quote, Side, TimeInForce
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules
from gnomon.trader.account import Account
from gnomon.trader.brackets import Bracket
from gnomon.trader.decisions import NOTHING_SEEN, Decision, Seen, canonical
from gnomon.trader.limits import Accepted, Limits, Refused, Standing, check
from gnomon.trader.plan import Plan, base36
from gnomon.trader.sizing import Costs
from gnomon.trader.ticket import Purse, Size, Wish, size_of, time_in_force, written
from gnomon.units import MINUTE_NS

ONE = listing()
PURSE = Purse(free_units=1000 * 10**8, held_lots=500, equity_units=1300 * 10**8, last_ticks=6000)
COSTS = Costs(0, 100_000, is_quoted=True)


def test_exactly_one_size_is_taken_and_none_means_all() -> None:
    assert size_of(None, None, None, None) == Size("all")
    assert size_of(5, None, None, None) == Size("lots", 5)
    for two in ((5, 1, None, None), (None, None, 1, 1)):
        with pytest.raises(Invalid, match="two sizes"):
            size_of(*two)
    assert time_in_force("ioc") is TimeInForce.IOC


@pytest.mark.parametrize(
    ("wish", "place"),
    [
        (Wish(Side.BUY, Size("lots", 7)), Place(0, Side.BUY, OrderType.MARKET, 7)),
        (Wish(Side.BUY, Size("qty", "0.0079"), limit=600.08), Place(0, Side.BUY, OrderType.LIMIT, 7, 6000)),
        (Wish(Side.SELL, Size("qty", 0.007), limit=600.01, post_only=True),
         Place(0, Side.SELL, OrderType.LIMIT_MAKER, 7, 6001)),
        (Wish(Side.SELL, Size("all"), stop=590.06), Place(0, Side.SELL, OrderType.STOP_LOSS, 500, stop=5900)),
        (Wish(Side.BUY, Size("lots", 1), limit=611, stop=610, tif="FOK"),
         Place(0, Side.BUY, OrderType.STOP_LOSS_LIMIT, 1, 6110, TimeInForce.FOK, 6100)),
        (Wish(Side.SELL, Size("lots", 900), reduce_only=True),
         Place(0, Side.SELL, OrderType.MARKET, 500, reduce_only=True)),
    ],
)  # fmt: skip
def test_words_become_ticks_and_lots(wish: Wish, place: Place) -> None:
    assert written(ONE, wish, PURSE, COSTS) == place


def test_limits_answer_with_a_type() -> None:
    place = Place(0, Side.BUY, OrderType.LIMIT, 5, 6000)
    standing, limits = Standing(49, 199, 1000), Limits()
    assert check((place,), 1000, standing, limits) == Accepted((place,))
    for more in (Standing(50, 0, 1000), Standing(0, 200, 1000), Standing(0, 0, 999)):
        answer = check((place,), 1000, more, limits)
        assert isinstance(answer, Refused)
        assert "the limit is" in answer.reason
    assert isinstance(check((place,), 10**9, Standing(10**6, 10**6, 0), Limits(0, 0, 0)), Accepted)
    with pytest.raises(Invalid, match="open_orders"):
        Limits(open_orders=-1)


def plan(**more: Any) -> Plan:
    given = {"listings": (ONE,), "start_ns": 0, "end_ns": 10, "timeframe": Timeframe.parse("1m"), **more}
    return Plan(**given)


def test_a_plan_counts_bars_and_names_its_run() -> None:
    one = plan(digest="s", deployment="d")
    assert [one.bar(at) for at in (-5, 0, MINUTE_NS - 1, MINUTE_NS, 10 * MINUTE_NS)] == [0, 0, 0, 1, 10]
    assert one.bar_end_ns(1) == 2 * MINUTE_NS
    assert one.run == plan(digest="s", deployment="d").run != plan(digest="sd").run
    assert [base36(value) for value in (0, 35, 36, 36**3)] == ["0", "z", "10", "1000"]
    longest = plan(entry=10**6).id_of(10**8, 10**4)
    assert len(longest) <= 36
    for wrong in ({"listings": ()}, {"start_ns": 10}, {"listings": (listing(1),)}):
        with pytest.raises(Invalid):
            plan(**wrong)


class Still:
    now_ns = 0


def test_equity_counts_what_has_a_price_in_the_home_asset_once() -> None:
    listings = [listing(0, "BTC"), listing(1, "ETH"), listing(2, "ETH", quote="BTC")]
    account = Account(Still(), listings, {"USD": Decimal(100), "BTC": Decimal(2), "ETH": Decimal("0.0005")}, [])
    assert account.equity_units({}) == 100 * 10**8
    assert account.equity_units({0: 6000, 1: 500, 2: 7}) == 100 * 10**8 + 2 * 600 * 10**8 + 5 * 50 * 10**4
    assert account.position_lots(0) == 2000
    assert account.position_lots(1) == 0
    with pytest.raises(Invalid, match="XRP"):
        Account(Still(), listings, {"XRP": Decimal(1)}, [])


def test_canonical_bytes_tell_everything_apart() -> None:
    values = [
        None, True, 1, 1.0, "1", b"1", (1,), [1], (1, 2), ((1,), 2), (1, (2,)), np.array([1]), np.array([1], np.int32),
        np.array([1.0]), "", (), Quote(0, 1, 2, 3), Place(0, Side.BUY, OrderType.LIMIT, 1, 2),
    ]  # fmt: skip
    packed = [canonical(one) for one in values]
    assert len(set(packed)) == len(values)
    assert canonical(np.arange(6)[::2]) == canonical(np.array([0, 2, 4], ">i8"))
    with pytest.raises(TypeError, match="dict"):
        canonical({})
    assert Seen().digest() == NOTHING_SEEN
    assert Decision(1, 2, NOTHING_SEEN, (), (), ()).pack() != Decision(2, 1, NOTHING_SEEN, (), (), ()).pack()


# --- brackets ---------------------------------------------------------------------------------------------------------


def guarded(
    tape: Prints, *, fees: dict[str, str] | None = None, share: str = "none", **guards: float
) -> tuple[Script, Drive]:
    script = Script({3: lambda desk, _: desk.buy(lots=100, limit=600.0, **guards)})
    rules = Rules.parse(
        {"fills": {"resting": "touch", "volume_share": share}, "fees": {"maker": "0", "taker": "0", **(fees or {})}}
    )
    return script, Drive(script, tape, rules=rules).run()


def test_a_pair_guards_the_fill_and_the_target_closes_it() -> None:
    path = [6010] * 5 + [6000] * 3 + [6010, 6021] + [6010] * 5
    _, run = guarded(prints(path, side=[0] * len(path)), tp=602.0, sl=598.0)
    pair = run.requests[1]
    assert isinstance(pair, PlaceList)
    assert [(one.type, one.lots, one.price, one.stop) for one in pair.orders] == [
        (OrderType.LIMIT_MAKER, 100, 6020, 0), (OrderType.STOP_LOSS, 100, 0, 5980),
    ]  # fmt: skip
    assert [one.price_ticks for one in run.desk.fills()] == [6000, 6020]
    assert run.desk.position() == 0
    assert run.desk.orders() == []


def test_the_stop_of_a_pair_closes_it_on_the_other_side() -> None:
    path = [6010] * 5 + [6000] * 3 + [5990, 5979] + [5970] * 5
    _, run = guarded(prints(path, side=[0] * len(path)), tp=602.0, sl=598.0)
    assert run.desk.position() == 0
    assert run.desk.fills()[-1].price_ticks < 5980
    assert run.desk.orders() == []


def test_guards_follow_partial_fills() -> None:
    path = [6010] * 5 + [6000] * 4 + [6005] * 3
    tape = prints(path, side=[0] * len(path), lots=30)
    _, run = guarded(tape, share="1", tp=602.0, sl=598.0)
    pairs = [one for one in run.requests if isinstance(one, PlaceList)]
    assert [one.orders[0].lots for one in pairs] == [30, 30, 30, 10]
    assert sum(order.lots for order in run.desk.orders() if order.type is OrderType.STOP_LOSS) == 100


def test_a_fee_in_the_base_asset_is_not_guarded_because_it_is_not_there_to_sell() -> None:
    path = [6010] * 5 + [6000] * 3 + [6005] * 3
    _, run = guarded(prints(path, side=[0] * len(path)), fees={"maker": "0.001", "asset": "received"}, sl=598.0)
    assert run.requests[1] == Place(0, Side.SELL, OrderType.STOP_LOSS, 99, stop=5980, client=2)


def test_a_guard_that_comes_too_late_leaves_by_market() -> None:
    path = [6010] * 5 + [6000, 5970, 5970] + [5971] * 6  # through the stop before the answer arrives
    script = Script({3: lambda desk, _: desk.buy(lots=100, limit=600.0, sl=598.0)})
    rules = Rules.parse(
        {"preset": "ideal", "fees": {"maker": "0", "taker": "0"}, "latency": {"reply": {"const_ms": 1_500}}}
    )
    run = Drive(script, prints(path, side=[0] * len(path)), rules=rules).run()
    assert [one.type for one in run.requests] == [OrderType.LIMIT, OrderType.STOP_LOSS, OrderType.MARKET]
    assert run.desk.position() == 0
    assert any("leave by MARKET" in note for one in run.diary.decisions for note in one.notes)


def test_bracket_prices_are_snapped_and_must_stand_on_their_sides() -> None:
    one = Bracket.of(ONE, Side.BUY, 610.04, 590.06, 6000)
    assert (one.tp_ticks, one.sl_ticks) == (6101, 5900)
    one = Bracket.of(ONE, Side.SELL, 590.04, 610.06, 6000)
    assert (one.tp_ticks, one.sl_ticks) == (5900, 6101)
    for tp, sl in ((590, None), (None, 610), (590, 610)):
        with pytest.raises(Invalid):
            Bracket.of(ONE, Side.BUY, tp, sl, 6000)


def test_the_first_instant_is_the_start_of_the_plan() -> None:
    assert Drive(Script({}), prints([6000])).desk.now == START_NS
