"""Fills of a recorded book in words: the row that displayed them, and what stood around it."""

from __future__ import annotations

import pytest
from tests.replay.scene import recorded
from tests.replay.test_book_watch import SEEDS, session

from gnomon.exchange.outcome import Filled, Rule
from gnomon.replay.bodies import Fill
from gnomon.replay.explain import explain_fill, why_filled

SAID = {
    Rule.TAKER_WALK: "displayed by row",
    Rule.TAKER_QUOTE: "of the recorded",
    Rule.MAKER_BOOK: "were displayed at the order's price or inside it",
}


@pytest.mark.parametrize("rule", SAID, ids=lambda rule: rule.name)
def test_a_fill_names_the_row_that_displayed_it_and_marks_it_among_its_neighbours(rule: Rule) -> None:
    for seed in SEEDS:
        how, trader = session(seed)
        run, record = recorded(how, trader())
        for _, fill in run.told:
            if isinstance(fill, Filled) and fill.rule is rule and fill.level <= 1:
                said = explain_fill(record, how.ground, fill.fill)
                layer = "quotes" if fill.print_side > 0 else "depth"
                assert SAID[rule] in " ".join(said.sentences)
                assert f"row {fill.print} of the recorded {layer}" in " ".join(said.sentences)
                assert sum(line.startswith("→") for line in said.neighbours) <= 1
                assert said.neighbours
                return
    raise AssertionError(f"no run has a fill by {rule.name}")


def test_the_one_sentence_of_a_fill_names_a_row_of_the_recording_and_no_print() -> None:
    how, trader = session(4)
    _, record = recorded(how, trader())
    fills = [one.body for one in record.entries() if isinstance(one.body, Fill)]
    said = [why_filled(one, how.ground.listings[one.instrument]) for one in fills if one.rule == Rule.MAKER_BOOK]
    assert said
    assert all(" of the recorded " in one and "print" not in one for one in said)
