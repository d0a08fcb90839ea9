"""Runs side by side: differing settings first, honest pairing, verdicts, and divergences as they were told."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.report.market_maker import header, run_of
from tests.report.test_run_page import text_of

from gnomon.errors import Invalid
from gnomon.report.comparison import Entrant, comparison_page


def entrant(luck: int, **changes: object) -> Entrant:
    return Entrant(run_of(luck, run=f"run_{luck}", hours=400), header(**changes))


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return text_of(found[1])


def test_settings_that_differ_come_first() -> None:
    page = comparison_page([entrant(1), entrant(2, params={"half_spread": "6", "skew": "0.2"}, seed=8)])
    differing, alike = section(page, "settings").split("The same for all")
    assert "Seed 7 8" in differing
    assert "Parameter half_spread 5 6" in differing
    assert "Parameter every_nth_print 100 –" in differing
    assert "Fees" not in differing
    assert "Fees maker 2 bps" in alike
    assert "Parameter skew 0.2" in alike
    same = comparison_page([entrant(1), entrant(2)])
    assert "The settings are the same." in section(same, "settings")


def test_runs_are_paired_only_where_luck_was_shared() -> None:
    base = entrant(1)
    rules = {**header().rules, "Fees": "none"}
    undigested = {"digests": {}}
    for other, drawn in (
        (entrant(2), "in pairs"),
        (entrant(2, seed=8), "each by itself"),
        (entrant(2, digests={**header().digests, "config": "cd"}), "each by itself"),
        (entrant(2, digests={**header().digests, "dataset": "ab"}), "other data"),
        (entrant(2, dataset="another", **undigested), "other data"),
        (entrant(2, rules=rules, **undigested), "each by itself"),
    ):
        assert f" {drawn} " in section(comparison_page([base, other]), "pairs"), drawn


def test_every_pair_has_a_verdict_and_where_it_was_told_a_divergence() -> None:
    page = comparison_page(
        [entrant(1), entrant(2), entrant(3)], divergences={("run_2", "run_1"): "input record 4,112", ("x", "y"): "no"}
    )
    pairs = section(page, "pairs")
    assert [one for one in ("A − B", "A − C", "B − C") if one in pairs] == ["A − B", "A − C", "B − C"]
    assert pairs.count("First divergence: input record 4,112.") == 1
    assert pairs.count("A and B cannot be told apart (n = 399).") == 1


def test_the_number_of_trials_is_disclosed() -> None:
    page = comparison_page([entrant(1), entrant(2)], trials=48)
    figures = section(page, "figures")
    assert "Deflated Sharpe" in figures
    assert "48 worthless trials" in figures
    assert "Deflated" not in section(comparison_page([entrant(1), entrant(2)]), "figures")


def test_two_to_six_different_runs_are_compared() -> None:
    one = entrant(1)
    with pytest.raises(Invalid, match="1 runs to compare"):
        comparison_page([one])
    with pytest.raises(Invalid, match="7 runs"):
        comparison_page([replace(one, record=replace(one.record, run=f"run_{n}")) for n in range(7)])
    with pytest.raises(Invalid, match="the same run twice"):
        comparison_page([one, one])


def test_the_page_is_the_same_every_time() -> None:
    runs = [entrant(1), entrant(2)]
    assert comparison_page(runs) == comparison_page(runs)
