"""What jobs leave: outcomes of transactions, progress, and the request to stop."""

from __future__ import annotations

from sqlalchemy import Engine

from gnomon.store.engine import writing
from gnomon.store.job_notes import JobNotes, keep_outcome, outcome_of


def test_an_outcome_is_kept_under_its_job_and_step(engine: Engine) -> None:
    with writing(engine) as connection:
        assert outcome_of(connection, "j", "s") == (False, None)
        keep_outcome(connection, "j", "s", None, 1)
        keep_outcome(connection, "j", "t", {"a": [1]}, 1)
        assert outcome_of(connection, "j", "s") == (True, None)
        assert outcome_of(connection, "j", "t") == (True, {"a": [1]})


def test_notes_are_numbered_and_repeating_one_changes_nothing(engine: Engine) -> None:
    notes = JobNotes(engine)
    notes.write("j", 1_001, {"done": 1}, 5)
    notes.write("j", 1_001, {"done": 9}, 6)
    notes.write("j", 2_001, {"done": 2}, 7)
    assert notes.read("j") == [(1_001, 5, {"done": 1}), (2_001, 7, {"done": 2})]
    assert notes.read("j", after=1_001) == [(2_001, 7, {"done": 2})]
    assert notes.newest(["j", "none"]) == {"j": {"done": 2}}


def test_a_request_to_stop_stands_until_it_is_taken_back(engine: Engine) -> None:
    notes = JobNotes(engine)
    assert not notes.is_asked_to_stop("j")
    notes.ask_to_stop("j", 1)
    notes.ask_to_stop("j", 2)
    assert notes.is_asked_to_stop("j")
    assert notes.newest(["j"]) == {}
    notes.let_go_on("j")
    assert not notes.is_asked_to_stop("j")
    notes.write("j", 1_001, {"done": 1}, 5)
    notes.forget(["j"])
    assert notes.read("j") == []
