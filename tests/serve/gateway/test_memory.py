"""Ready answers: how they are rendered, how long they are kept, what drops them."""

from __future__ import annotations

from collections.abc import Hashable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import NotFound
from gnomon.serve.gateway.memory import KEEP_PASSING_NS, MAX_ANSWERS, MAX_SPELLINGS, Answer, Memory, facts_of
from gnomon.units import SECOND_NS

ISSUED_NS = 1_000 * SECOND_NS
VALID_NS = 5_000 * SECOND_NS
SLOT = ("binance:BTCUSDT", "1h")


def answer(**changed: object) -> Answer:
    facts, etag = facts_of({"symbol": "BTCUSDT"}, "7-0-")
    fields = {
        "slot": SLOT,
        "facts": facts,
        "etag": etag,
        "issued_at_ns": ISSUED_NS,
        "valid_until_ns": VALID_NS,
        "keep_until_ns": VALID_NS,
    }
    return Answer(**(fields | changed))  # type: ignore[arg-type]  # the fields are checked by the dataclass's users


def header(messages: list[dict[str, object]], name: bytes) -> bytes:
    return dict(messages[0]["headers"])[name]  # type: ignore[call-overload]  # a list of pairs


@pytest.mark.parametrize(
    ("at_s", "max_age"),
    [(1_000, 1800), (3_199.5, 1800), (3_200, 1800), (3_200.1, 1799), (4_999, 1), (4_999.5, 0), (5_000, 0), (9_000, 0)],
)
def test_max_age_ends_when_the_forecast_does_and_after_half_an_hour_at_most(at_s: float, max_age: int) -> None:
    full, unchanged = answer().ready(round(at_s * SECOND_NS))
    expected = b"public, max-age=%d, stale-if-error=86400" % max_age
    assert header(full, b"cache-control") == header(unchanged, b"cache-control") == expected


@given(st.integers(0, 10_000), st.integers(0, SECOND_NS - 1))
def test_the_age_is_the_whole_seconds_since_the_issue(seconds: int, more_ns: int) -> None:
    full, _ = answer().ready(ISSUED_NS + seconds * SECOND_NS + more_ns)
    assert orjson.loads(full[1]["body"]) == {"symbol": "BTCUSDT", "age_seconds": seconds}
    assert header(full, b"content-length") == str(len(full[1]["body"])).encode()


def test_a_reader_whose_clock_is_behind_sees_no_negative_age() -> None:
    full, _ = answer().ready(ISSUED_NS - 3 * SECOND_NS)
    assert orjson.loads(full[1]["body"])["age_seconds"] == 0


def test_a_settled_past_has_the_age_of_then_and_never_changes() -> None:
    seen = answer(seen_at_ns=ISSUED_NS + 60 * SECOND_NS, settled=True)
    first = seen.ready(ISSUED_NS + 100 * SECOND_NS)
    assert first == seen.ready(ISSUED_NS + 10**6 * SECOND_NS)
    assert orjson.loads(first[0][1]["body"])["age_seconds"] == 60
    assert header(first[0], b"cache-control") == b"public, max-age=86400, immutable"


def test_a_past_that_may_still_gain_a_row_is_not_cached_outside() -> None:
    full, _ = answer(seen_at_ns=ISSUED_NS + SECOND_NS).ready(ISSUED_NS + 2 * SECOND_NS)
    assert header(full, b"cache-control") == b"no-cache"


def test_within_a_second_the_same_messages_are_sent_again() -> None:
    one = answer()
    assert one.ready(ISSUED_NS + 10)[0] is one.ready(ISSUED_NS + 20)[0]
    assert one.ready(ISSUED_NS + 10)[0] is not one.ready(ISSUED_NS + SECOND_NS)[0]


def test_the_etag_is_strong_and_changes_with_any_fact() -> None:
    etags = {
        facts_of({"stale": stale}, identity)[1] for stale in (True, False) for identity in ("7-0-", "7-3-", "7-0-qu")
    }
    assert len(etags) == 6
    assert all(one.startswith(b'"') and one.endswith(b'"') for one in etags)


def test_an_answer_is_kept_until_its_time_and_not_a_nanosecond_longer() -> None:
    memory = Memory()
    memory.keep("key", answer(keep_until_ns=100))
    assert memory.answer("key", 99) is not None
    assert memory.answer("key", 100) is None
    assert len(memory) == 0


def test_the_least_recently_used_answer_makes_room() -> None:
    memory = Memory()
    for key in range(MAX_ANSWERS):
        memory.keep(key, answer())
    assert memory.answer(0, 0) is not None  # so the oldest is now 1
    memory.keep("new", answer())
    assert len(memory) == MAX_ANSWERS
    assert memory.answer(1, 0) is None
    assert memory.answer(0, 0) is not None


def test_spellings_lead_to_one_answer_and_are_bounded() -> None:
    memory = Memory()
    memory.keep("key", answer())
    for number in range(MAX_SPELLINGS + 10):
        memory.keep_spelling(number, "key")
    assert memory.spelled(MAX_SPELLINGS, 0) is memory.answer("key", 0)
    assert memory.spelled(0, 0) is None


def test_a_newer_forecast_drops_its_slot_alone_and_every_unknown_symbol() -> None:
    memory, gone = Memory(), NotFound("nothing")
    other = ("binance:ETHUSDT", "1h")
    memory.keep("mine", answer())
    memory.keep("other", answer(slot=other))
    for key, slot in (("my absence", SLOT), ("other absence", other), ("unknown", None)):
        memory.keep_absence(key, slot, gone, 0)
    memory.drop([SLOT])
    assert (memory.answer("mine", 0), memory.absence("my absence", 0), memory.absence("unknown", 0)) == (None,) * 3
    assert memory.answer("other", 0) is not None
    assert memory.absence("other absence", 0) is gone


def test_an_absence_is_remembered_for_five_seconds() -> None:
    memory, gone = Memory(), NotFound("nothing")
    memory.keep_absence("key", SLOT, gone, 0)
    assert memory.absence("key", KEEP_PASSING_NS - 1) is gone
    assert memory.absence("key", KEEP_PASSING_NS) is None


@given(st.lists(st.tuples(st.sampled_from(["keep", "ask", "drop"]), st.integers(0, 5), st.integers(1, 4)), max_size=60))
def test_memory_answers_as_a_dictionary_with_times_does(steps: list[tuple[str, int, int]]) -> None:
    memory, naive, now_ns = Memory(), dict[Hashable, Answer](), 0
    for what, key, amount in steps:
        now_ns += amount
        slot = (str(key % 2), "1h")
        if what == "keep":
            naive[key] = answer(slot=slot, keep_until_ns=now_ns + 3 * amount)
            memory.keep(key, naive[key])
        elif what == "drop":
            memory.drop([slot])
            naive = {other: one for other, one in naive.items() if one.slot != slot}
        expected = naive.get(key)
        if expected is not None and now_ns >= expected.keep_until_ns:
            expected = None
        assert memory.answer(key, now_ns) is expected
