"""From a question in any spelling to one question, and to the row that answers it."""

from __future__ import annotations

from typing import Any

import pytest

from gnomon.errors import Invalid, NotFound
from gnomon.serve.gateway.boards import Boards
from gnomon.serve.gateway.latest import PARTS, Latest
from gnomon.serve.gateway.memory import KEEP_NS, KEEP_PASSING_NS
from gnomon.serve.gateway.reading import Reading
from gnomon.units import SECOND_NS


@pytest.fixture
def latest(world: Any) -> Latest:
    return Latest(Reading.of(world.engine, world.instruments, world.clock), Boards(world.scores))


def test_all_spellings_are_one_question(latest: Latest) -> None:
    spelled = {
        latest.wanted("BTCUSDT", "ewma", "1h", None, ("quantiles", "baseline")),
        latest.wanted("btc-usd", "ewma", "60min", None, ("baseline,quantiles",)),
        latest.wanted("binance:BTCUSDT", "ewma", "1H", "2199-01-01", (" quantiles , baseline,",)),
    }
    assert len(spelled) == 1
    assert spelled.pop().include == ("quantiles", "baseline")


def test_what_is_known_is_understood_without_the_database(latest: Latest) -> None:
    assert latest.wanted_at_once("BTCUSDT", "ewma", "1h", None, ()) is not None
    assert latest.wanted_at_once("NOPE", "ewma", "1h", None, ()) is None
    assert latest.wanted_at_once("BTCUSDT", "mine", "1h", None, ()) is None


def test_the_order_of_what_is_included_is_that_of_the_docs(latest: Latest) -> None:
    assert latest.wanted("BTCUSDT", "ewma", "1h", None, tuple(reversed(PARTS))).include == PARTS


@pytest.mark.parametrize(
    "question",
    [
        ("BTCUSDT", "nope", "1h", None, ()),
        ("BTCUSDT", "ewma", "soon", None, ()),
        ("BTCUSDT", "ewma", "1h", "soon", ()),
        ("BTCUSDT", "ewma", "1h", None, ("all",)),
    ],
)
def test_a_question_that_breaks_a_rule_is_invalid(latest: Latest, question: tuple[Any, ...]) -> None:
    with pytest.raises(Invalid):
        latest.wanted(*question)


def test_nothing_issued_is_not_found(latest: Latest) -> None:
    with pytest.raises(NotFound, match="ewma has issued no live 1h forecast of BTCUSDT"):
        latest.read(latest.wanted("BTCUSDT", "ewma", "1h", None, ()))


def test_how_long_an_answer_may_be_kept(world: Any, latest: Latest) -> None:
    world.issue()
    now_ns = world.clock.now_ns()
    asked = latest.wanted("BTCUSDT", "ewma", "1h", None, ())
    assert latest.read(asked).keep_until_ns == now_ns + KEEP_NS
    world.advance(3600)
    assert latest.read(asked).keep_until_ns == world.clock.now_ns() + KEEP_PASSING_NS
    past = latest.wanted("BTCUSDT", "ewma", "1h", "2024-05-01T12:30:00Z", ())
    assert latest.read(past).settled
    assert latest.read(past).keep_until_ns == world.clock.now_ns() + KEEP_NS


def test_a_past_of_seconds_ago_is_not_settled(world: Any, latest: Latest) -> None:
    world.issue()
    world.advance(5)
    past = latest.wanted("BTCUSDT", "ewma", "1h", "2024-05-01T12:30:00Z", ())
    assert not latest.read(past).settled
    assert latest.read(past).keep_until_ns == world.clock.now_ns()
    world.clock.advance_to(world.clock.now_ns() + SECOND_NS)
    assert latest.read(past).settled


def test_scores_of_a_past_are_those_known_then(world: Any, latest: Latest) -> None:
    number = world.issue()
    world.advance(60)
    world.score(number, 60_100.0)
    world.advance(60)
    then = latest.wanted("BTCUSDT", "ewma", "1h", "2024-05-01T12:30:30Z", ("scores",))
    now = latest.wanted("BTCUSDT", "ewma", "1h", None, ("scores",))
    assert b'"n":0' in latest.read(then).facts
    assert b'"n":3' in latest.read(now).facts
