"""Traders by name: ours as they are, bots that decide by row wrapped, and whatever else refused with a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gnomon.compat.decision import DecisionTrader
from gnomon.compat.named import trader_of, tunable
from gnomon.errors import GnomonError, NotFound
from gnomon.trader.strategies.crosses import SmaCross

BOTS = """
class Oversold:
    def __init__(self, low=30, high=70):
        self.low, self.high = low, high

    def decisionFunction(self, row):
        rsi = row["momentum_rsi"]
        return 1 if rsi < self.low else -1 if rsi > self.high else 0


def oversold(row, low=30, high=70):
    rsi = row["momentum_rsi"]
    return 1 if rsi < low else -1 if rsi > high else 0


class Live:
    def makeOneIteration(self):
        return 0


class Bare:
    def init(self):
        pass

    def next(self):
        pass


class Misspelt:
    def decisionFunktion(self, row):
        return 0


def reads_the_clock(row):
    import time

    return int(time.time()) % 2


TEN = 10
"""


@pytest.fixture(autouse=True)
def bots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bots.py").write_text(BOTS)


def test_a_strategy_of_ours_is_itself() -> None:
    found = trader_of("sma_cross", {"fast": 7})
    assert type(found) is SmaCross
    assert found.params.fast == 7


def test_a_class_and_a_function_decide_by_row() -> None:
    row: dict[str, Any] = {"momentum_rsi": 35.0}
    for name in ("Oversold", "oversold"):
        plain, eager = trader_of(f"bots.py:{name}"), trader_of(f"bots.py:{name}", {"low": 40})
        assert isinstance(plain, DecisionTrader)
        assert isinstance(eager, DecisionTrader)
        assert (plain.bot.decisionFunction(row), eager.bot.decisionFunction(row)) == (0, 1)
        assert plain.document()["bot"] == f"bots:{name}"


@pytest.mark.parametrize(
    ("name", "param", "message", "hint"),
    [
        ("Live", "", "event-driven", "decisionFunction"),
        ("Bare", "", "has next, and is no Strategy", "gnomon.compat.backtesting.Strategy"),
        ("Misspelt", "", "is no trader", "did you mean decisionFunction? it has decisionFunktion"),
        ("TEN", "", "is no trader: int", "decisionFunction(row)"),
        ("reads_the_clock", "", "leaves the desk", "use desk.now"),
        ("Oversold", "lo=3", "unexpected keyword argument 'lo'", "did you mean low? it takes (low=30, high=70)"),
        ("oversold", "lo=3", "unexpected keyword argument 'lo'", "did you mean low? it takes (row, low=30, high=70)"),
        ("Overbought", "", "has no 'Overbought'", ""),
    ],
)
def test_what_is_no_trader_is_refused_with_what_would_be_one(name: str, param: str, message: str, hint: str) -> None:
    key, _, value = param.partition("=")
    with pytest.raises(GnomonError) as refused:
        trader_of(f"bots.py:{name}", {key: value} if key else {})
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_file_whose_import_is_not_here_names_what_stands_in_for_it() -> None:
    Path("cross.py").write_text("from backtesting import Strategy\n")
    with pytest.raises(NotFound, match=r"cross\.py imports backtesting, which is not here") as refused:
        trader_of("cross.py:Cross")
    assert refused.value.hint == "import gnomon.compat.backtesting instead"


def test_only_a_strategy_of_ours_has_ranges_to_sweep() -> None:
    assert tunable("sma_cross") is SmaCross.Params
    assert tunable("bots.py:Oversold") is None
    assert tunable("bots.py:oversold") is None


def test_two_files_of_one_name_are_each_read_for_what_they_use() -> None:
    trader_of("bots.py:Oversold")
    Path("other").mkdir()
    Path("other/bots.py").write_text(BOTS.replace("rsi = row", "import time; time.time(); rsi = row"))
    with pytest.raises(GnomonError, match="leaves the desk"):
        trader_of("other/bots.py:oversold")
    assert trader_of("bots.py:oversold")
