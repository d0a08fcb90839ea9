"""Rows of figures: every one has words for every run, whatever the run did."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.market_maker import run_of
from tests.score.by_hand import played

from gnomon.report.figures import EXECUTION, GROWTH, TRADING, stated
from gnomon.report.wording import ABSENT
from gnomon.score.runs import summary


@pytest.mark.parametrize("record", [run_of(hours=100), played([100.0, 101.0]), played([100.0])])
def test_every_figure_has_words(record) -> None:  # type: ignore[no-untyped-def]  # parametrised
    found = summary(record)
    names = [one.name for one in (*GROWTH, *TRADING, *EXECUTION)]
    assert len(set(names)) == len(names)
    for one in (*GROWTH, *TRADING, *EXECUTION):
        assert one.of(found), one.name
        assert "nan" not in one.of(found)
        assert "None" not in one.of(found)


def test_a_figure_reads_as_it_should() -> None:
    found = summary(run_of())
    read = {one.name: one.of(found).replace("\N{NO-BREAK SPACE}", " ") for one in (*GROWTH, *TRADING, *EXECUTION)}
    assert read["Equity at the opening"] == "10,000.00 USDT"
    assert read["Rejects"] == "3"
    assert read["Orders, accepted"] == f"{found.execution.orders}, {found.execution.orders - 3}"
    assert " USDT, " in read["Fees by asset"]
    assert read["Fees by asset"].endswith(" BNB")
    assert read["Latency to the venue, p99"] == "20 ms"
    held = {one.name: one.of_hold(found) for one in (*GROWTH, *TRADING)}
    assert held["Return"] != read["Return"]
    assert held["Fills"] == ""


def test_it_is_said_how_ratios_are_annualised() -> None:
    found = summary(run_of()).growth
    assert stated(found).startswith("Ratios from 959 simple returns over periods of 1h, 8760 of them a year")
    assert "few" not in stated(found)
    assert "the ratios say little" in stated(replace(found, n=5))
    assert "no ratios" in stated(replace(found, n=0))
    assert ABSENT not in stated(found)
