"""Orders of the wire in real runs: latency, bars, several instruments, the engine that everybody runs on."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import orjson
import pytest
from tests.replay.scene import RICH, ground, plan, rough_bars, rough_prints, rules

from gnomon.exchange.rules import Fees, Fills, Latency, Leg, Taker
from gnomon.replay.live import Said
from gnomon.replay.run import RunPlan
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import LATER, Call
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.order_entry import HANDLERS as ENTRY
from gnomon.serve.venue.order_lists import HANDLERS as LISTS
from gnomon.serve.venue.queries import HANDLERS as QUERIES
from gnomon.serve.venue.refusal import VenueRefusal

HANDLERS = {**ENTRY, **LISTS, **QUERIES}
SECOND = 1_000_000_000
PLANS: dict[str, Any] = {
    "at once": lambda: plan(ground(rough_prints(1, 4_000)), rules()),
    "late": lambda: plan(
        ground(rough_prints(2, 4_000)), rules(latency=Latency(entry=Leg(40_000_000), reply=Leg(3 * SECOND)))
    ),
    "next print": lambda: plan(ground(rough_prints(3, 4_000)), rules(Fills(taker=Taker.NEXT_PRINT))),
    "bars": lambda: plan(ground(rough_bars(4, 300)), rules()),
    "two": lambda: plan(ground(rough_prints(5, 2_000), rough_prints(6, 2_000)), rules()),
    "fees": lambda: plan(ground(rough_prints(7, 4_000)), rules(fees=Fees(-10_000, 50_000))),
}


class Bot:
    """Asks for whatever it likes; time goes on until each answer, as for a client that waits for it."""

    def __init__(self, how: RunPlan, seed: int) -> None:
        self.course = BotCourse("run-1", how, lambda _plan, exchange, run: Account(exchange, run), None)
        self.course.drive(self, lambda _due_ns, event: self.events.append(event.body))
        self.events: list[bytes] = []
        self.dice = random.Random(seed)
        self.course.run.open(Said())
        self.asked = self.answered = 0

    def hurry(self, course: BotCourse, number: int) -> None:
        """Half of the time it goes on asking, before the answer to what it asked is there."""
        if self.dice.random() < 0.5:
            course.bring(number, lambda _: None)

    def call(self, method: str, **params: Any) -> None:
        self.asked += 1
        course: Any = self.course
        call = Call(method, {name: str(one) for name, one in params.items()}, course, self.reply, True)
        try:
            value = HANDLERS[method](call)
        except VenueRefusal:
            self.answered += 1
            return
        if value is not LATER:
            self.reply(value, None)

    def reply(self, value: Any, refusal: VenueRefusal | None) -> None:
        self.answered += 1
        orjson.dumps(value if refusal is None else refusal.document())

    def go(self, times: int, tries: bool = False) -> None:
        """`tries`: it also asks what changes nothing."""
        dice, course = self.dice, self.course
        asking = random.Random(1)
        for _ in range(times):
            course.advance(course.now_ns + dice.randrange(1, 3 * SECOND))
            if course.now_ns > course.plan.end_ns - 10 * SECOND:  # an answer that is due later is never given
                return
            pair = course.account.pairs[dice.randrange(len(course.account.pairs))]
            last = course.exchange.books[pair.number].last_price() or 10_000
            method, params = self.some(pair.symbol, last, dice)
            if tries:
                self.call("account.status")
                self.call("order.test", **self.order(pair.symbol, last, asking))
            self.call(method, **params)

    def some(self, symbol: str, last: int, dice: random.Random) -> tuple[str, dict[str, Any]]:
        what = dice.choice(["place"] * 5 + ["cancel", "replace", "oco", "all"])
        number = dice.randrange(1, 2 + len(self.course.account.orders))
        if what == "place":
            return "order.place", self.order(symbol, last, dice)
        if what == "cancel":
            return "order.cancel", {"symbol": symbol, "orderId": number}
        if what == "replace":
            mode = dice.choice(["STOP_ON_FAILURE", "ALLOW_FAILURE"])
            order = self.order(symbol, last, dice)
            return "order.cancelReplace", order | {"cancelReplaceMode": mode, "cancelOrderId": number}
        if what == "all":
            return "openOrders.cancelAll", {"symbol": symbol}
        legs = {"aboveType": "LIMIT_MAKER", "abovePrice": f"{(last + 9) / 10:.1f}"}
        legs |= {"belowType": "STOP_LOSS", "belowStopPrice": f"{(last - 9) / 10:.1f}"}
        return "orderList.place.oco", {"symbol": symbol, "side": "SELL", "quantity": "0.02"} | legs

    def order(self, symbol: str, last: int, dice: random.Random) -> dict[str, Any]:
        found = {"symbol": symbol, "side": dice.choice(["BUY", "SELL"]), "quantity": f"{dice.randrange(1, 60) / 1000}"}
        if dice.random() < 0.3:
            return found | {"type": "MARKET"}
        price = f"{(last + dice.randrange(-8, 9)) / 10:.1f}"
        return found | {"type": "LIMIT", "price": price, "timeInForce": dice.choice(["GTC", "GTC", "IOC", "FOK"])}


@pytest.mark.parametrize("name", PLANS)
def test_every_call_is_answered_once_and_the_books_agree(name: str) -> None:
    bot = Bot(PLANS[name](), seed=11)
    bot.go(400)
    bot.course.advance(bot.course.plan.end_ns)
    assert bot.answered == bot.asked > 50
    account = bot.course.account
    balances = {asset: Decimal(0) for asset in account._names} | {
        asset: amount for asset, amount in bot.course.plan.rules.balances.items() if asset in RICH
    }
    fills = 0
    for rows in account.fills.values():
        for fill in rows:
            fills += 1
            one, pair, sign = fill.filled, fill.order.pair, 1 if fill.order.is_buy else -1
            balances[pair.listing.base.name] += sign * Decimal(pair.lots.text(one.lots))
            balances[pair.listing.quote.name] -= sign * Decimal(pair.quote_units.text(one.notional))
            balances[account._names[one.fee_asset]] -= Decimal(account.scales[one.fee_asset].text(one.fee))
    assert fills > 10
    ledger = account.ledger
    for number, asset in enumerate(account._names):
        held = Decimal(account.scales[number].text(ledger.free[number] + ledger.locked[number]))
        assert held == balances[asset]


@pytest.mark.parametrize("name", ["at once", "bars", "two"])
def test_asking_changes_nothing(name: str) -> None:
    found = []
    for tries in (False, True):
        bot = Bot(PLANS[name](), seed=12)
        bot.go(150, tries)
        bot.course.advance(bot.course.plan.end_ns)
        played = bot.course.run.played or bot.course.run.close()
        found.append((played.digests, bot.events))
    assert found[0] == found[1]
