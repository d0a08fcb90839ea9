"""Answers by wake key: the first one again, now or when it comes."""

from __future__ import annotations

from typing import Any

from gnomon.serve.venue import codes, gate
from gnomon.serve.venue.gate import Answers, Gate
from gnomon.serve.venue.refusal import VenueRefusal

Got = list[tuple[Any, VenueRefusal | None]]


def test_a_repeated_key_gets_the_first_answer() -> None:
    answers, got = Answers(), Got()
    assert not answers.repeat("1-0", lambda *one: got.append(one))
    answers.keep("1-0", {"orderId": 1}, None)
    assert answers.repeat("1-0", lambda *one: got.append(one))
    assert got == [({"orderId": 1}, None)]
    assert not answers.repeat("1-1", lambda *one: got.append(one))


def test_whoever_asks_again_while_the_answer_is_under_way_waits_for_it() -> None:
    answers, got = Answers(), Got()
    refusal = codes.unknown_order()
    assert not answers.repeat("1-0", lambda *one: got.append(one))
    assert answers.repeat("1-0", lambda *one: got.append(one))
    assert got == []
    answers.keep("1-0", None, refusal)
    assert got == [(None, refusal)]


def test_the_oldest_keys_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(gate, "MOST_ANSWERS", 2)
    answers = Answers()
    for wake in ("1-0", "1-1", "1-2"):
        assert not answers.repeat(wake, lambda *_: None)
        answers.keep(wake, wake, None)
    assert not answers.repeat("1-0", lambda *_: None)


def test_the_number_of_the_wake_that_an_answer_was_goes_with_it_and_is_forgotten_with_it(monkeypatch: Any) -> None:
    monkeypatch.setattr(gate, "MOST_ANSWERS", 1)
    answers, numbers = Answers(), list[int]()
    for _ in range(2):
        answers.repeat("3-1", lambda *_: numbers.append(answers.number("3-1")))
    answers.keep("3-1", {}, None, 7)
    assert numbers == [7]
    answers.repeat("4-1", lambda *_: None)
    assert answers.number("3-1") == answers.number("4-1") == 0


def test_a_gate_begins_with_nothing_in_work() -> None:
    assert (Gate().requests, Gate().in_work) == (0, 0)


def test_whoever_waits_for_an_answer_when_the_run_ends_is_told_that_nobody_knows() -> None:
    gate, told = Gate(), list[tuple[str, int]]()

    class Asked:
        def __init__(self, name: str) -> None:
            self.name = name

        def reply(self, value: Any, refusal: VenueRefusal | None) -> None:
            assert value is None
            assert refusal is not None
            del gate.waiting[self]
            told.append((self.name, refusal.code))

    gate.waiting = {Asked("first"): None, Asked("second"): None}
    gate.end()
    assert told == [("first", -1007), ("second", -1007)]
    assert (gate.in_work, gate.is_over) == (0, True)
