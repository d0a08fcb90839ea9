"""State of a strategy: saved as JSON in the middle of a run, taken over by another object, and nothing is different."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from tests.replay.scene import ground, plan, recorded, rough_prints, rules

from gnomon.errors import Invalid
from gnomon.replay.run import play
from gnomon.trader.trader import Strategy


class Averages(Strategy):
    """Buys below a mean of what it has seen, with a memory of all kinds."""

    class Params:
        over: int = 9

    def on_start(self, _desk: Any) -> None:
        self.prices: list[int] = []
        self.counts: dict[str, Any] = {"bought": 0, "mean": None, "is_long": False}

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.prices = [*self.prices, trade.price_ticks][-self.params.over :]
        mean = sum(self.prices) / len(self.prices)
        self.counts["mean"] = mean
        if trade.price_ticks < mean - 1 and not self.counts["is_long"]:
            self.counts["bought"] += 1
            self.counts["is_long"] = True
            desk.buy(lots=1 + self.counts["bought"] % 5)
        elif trade.price_ticks > mean + 1 and self.counts["is_long"]:
            self.counts["is_long"] = False
            desk.sell(lots=1)


class Reborn(Averages):
    """At one print it hands its state over to another object of the class, through JSON."""

    at = 0

    def on_trade(self, desk: Any, trade: Any) -> None:
        if trade.position == self.at:
            text = json.dumps(self.save())
            other = type(self)(over=self.params.over)
            other.load(json.loads(text))
            assert other.save() == json.loads(text)
            vars(self).clear()
            vars(self).update(vars(other))
        super().on_trade(desk, trade)


@pytest.mark.parametrize("at", [0, 1, 77, 240])
def test_a_run_whose_trader_is_exchanged_in_the_middle_is_the_same(at: int) -> None:
    how = plan(ground(rough_prints(3, 300)), rules())
    whole, record = recorded(how, Averages(over=5))
    exchanged, again = recorded(how, type("Reborn", (Reborn,), {"at": at})(over=5))
    assert whole.fills > 10
    assert exchanged.digests == whole.digests
    assert [one.raw for one in again.entries()] == [one.raw for one in record.entries()]


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: 2}, {1, 2}, float("nan"), deque([1]), [{"a": (1,)}], object(), b"x"],
    ids=["tuple", "numbered", "set", "nan", "deque", "nested", "object", "bytes"],
)
def test_what_json_would_not_bring_back_is_refused_by_its_name(value: Any) -> None:
    one = Averages()
    one.kept = value
    with pytest.raises(Invalid, match=r"Averages\.kept is") as caught:
        one.save()
    assert caught.value.detail == {"attribute": "kept"}


def test_a_class_may_write_its_own() -> None:
    class Own(Averages):
        def on_start(self, desk: Any) -> None:
            super().on_start(desk)
            self.window = deque([1, 2])

        def save(self) -> dict[str, Any]:
            return {"window": list(self.window)}

        def load(self, state: Any) -> None:
            self.window = deque(state["window"])

    one, other = Own(), Own()
    play(plan(ground(rough_prints(3, 20)), rules()), one)
    other.load(one.save())
    assert other.window == one.window


def test_what_was_saved_is_not_what_goes_on_changing() -> None:
    one = Averages()
    one.prices = [1]
    saved = one.save()
    one.prices.append(2)
    assert saved == {"prices": [1]}
    other = Averages()
    other.load(saved)
    saved["prices"].append(3)
    assert other.save() == {"prices": [1]}
