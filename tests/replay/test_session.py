"""Sessions: a plan as a person writes it, faults that name their key, and the table of states (sessions.md 4.1)."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from gnomon.clock import parse_instant
from gnomon.errors import Conflict, Invalid, NotFound, Refused
from gnomon.exchange.rules import FeeAsset
from gnomon.replay.session import ACTIONS, MOVES, Drive, Session, Status, document_of, move, pace_of, with_plans

TEXT = """
[session]
dataset = "spy"
instruments = ["ARCA:SPY"]
from = "2013-10-07"
to = "2013-10-08"
timeframe = "1m"
warmup = 30
seed = 7

[rules]
fees = { maker = "0.0002", taker = "0.0005", asset = "quote" }
latency = { entry = { const_ms = 10 } }
balances = { USD = "100000" }

[[entry]]
name = "maker"
trader = "market_maker"
params = { distance_ticks = 3 }

[[entry]]
trader = "sma_cross"
balances = { USD = "5" }
"""


def test_a_session_is_read_as_it_is_written() -> None:
    session = Session.parse(TEXT)
    assert (session.datasets, session.instruments, str(session.timeframe)) == (("spy",), ("ARCA:SPY",), "1m")
    assert (session.from_ns, session.to_ns) == (parse_instant("2013-10-07"), parse_instant("2013-10-08"))
    assert (session.warmup_bars, session.seed, session.drive) == (30, 7, Drive.IN_PROCESS)
    assert (session.rules.fees.maker, session.rules.fees.asset) == (20_000, FeeAsset.QUOTE)
    assert session.rules.latency.entry.const_ns == 10_000_000
    assert session.rules.balances == {"USD": Decimal(100_000)}
    first, second = session.entries
    assert (first.name, first.trader, first.params) == ("maker", "market_maker", {"distance_ticks": 3})
    assert (second.name, second.balances) == ("sma_cross", {"USD": Decimal(5)})


def test_several_datasets_are_taken_together() -> None:
    assert Session.parse('[session]\ndataset = ["a", "b"]').datasets == ("a", "b")


def test_what_is_left_out_has_its_default() -> None:
    session = Session.parse('[session]\ndataset = "x"')
    assert (session.seed, session.entries, session.to_ns, session.journal) == (None, (), 0, "full")


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("[session]", "[sesion]", "the file has no key 'sesion'", "session"),
        ("warmup = 30", "warmpu = 30", "[session] has no key 'warmpu'", "warmup"),
        ('trader = "market_maker"', 'tradr = "market_maker"', "[[entry]] 1 has no key 'tradr'", "trader"),
        ('trader = "sma_cross"', 'name = "x"', "[[entry]] 2 names no trader", "trader ="),
        ("latency = {", "latncy = {", "rules has no section 'latncy'", "latency"),
        ("maker = ", "makr = ", "fees has no setting 'makr'", "maker"),
        ("entry = { const_ms", "entri = { const_ms", "latency has no leg 'entri'", "entry"),
        ('dataset = "spy"', "", "[session] names no dataset", "gnomon datasets"),
        ("warmup = 30", "warmup = -1", "warmup is -1", "0 or more"),
        ("warmup = 30", 'warmup = "3"', "warmup is '3'", "0 or more"),
        ("warmup = 30", "warmup = true", "warmup is True", "0 or more"),
        ("seed = 7", "seed = 18446744073709551616", "seed 18446744073709551616", "2^64 - 1"),
        ("seed = 7", 'drive = "paused"', "drive 'paused'", "lockstep"),
        ('to = "2013-10-08"', 'to = "2013-10-07"', "the window ends at", "first instant"),
        ("seed = 7", "seed = ", "the session is not TOML", "docs/replay.md"),
        ('dataset = "spy"', "dataset = 3", "3 is neither a name nor a list of names", '"a"'),
        ("seed = 7", "halts = 3", "halts is 3, not a list of tables", "docs/replay.md"),
        ("seed = 7", 'rate_limits = "of"', "rate_limits is 'of'", "did you mean off?"),
        ("seed = 7", "forecasts = 3", "forecasts is 3, not a table", "docs/replay.md"),
        ('trader = "sma_cross"', 'trader = "sma_cross"\nparams = 3', "params of [[entry]] 2 is 3", "docs/replay.md"),
        (TEXT, "session = 3", "[session] is 3, not a table", "docs/replay.md"),
        (TEXT, "entry = 3\n[session]\ndataset = 'spy'", "entry is 3, not a list of tables", "docs/replay.md"),
        (TEXT, "rules = 3\n[session]\ndataset = 'spy'", "[rules] is 3, not a table", "docs/replay.md"),
    ],
)
def test_a_fault_names_its_key_and_what_was_meant(old: str, new: str, message: str, hint: str) -> None:
    assert old in TEXT
    with pytest.raises(Invalid) as error:
        Session.parse(TEXT.replace(old, new, 1))
    assert message in str(error.value)
    assert hint in str(error.value.hint)


def test_the_largest_seed_is_a_seed() -> None:
    assert Session.parse('[session]\ndataset = "x"\nseed = 18446744073709551615').seed == 2**64 - 1


@pytest.mark.parametrize(
    ("words", "drive"),
    [('drive = "inprocess"', Drive.IN_PROCESS), ('drive = "paced"\npace = "60"', Drive.PACED),
     ('pace = "lockstep"', Drive.LOCKSTEP), ('drive = "lockstep"', Drive.LOCKSTEP)],
)  # fmt: skip
def test_the_drive_is_said_by_name_or_by_the_pace_lockstep(words: str, drive: Drive) -> None:
    assert Session.parse(f'[session]\ndataset = "x"\n{words}').drive is drive


def test_on_the_wire_an_entry_need_not_name_its_trader() -> None:
    text = '[session]\ndataset = "x"\npace = "lockstep"\n[[entry]]\nname = "mine"\n[[entry]]\ntrader = "sma_cross"\n'
    assert [(one.name, one.trader) for one in Session.parse(text).entries] == [
        ("mine", "remote"),
        ("sma_cross", "sma_cross"),
    ]
    with pytest.raises(Invalid, match="names no trader"):
        Session.parse(text.replace('pace = "lockstep"', ""))


@pytest.mark.parametrize(
    ("given", "pace"),
    [
        ("max", "max"),
        ("lockstep", "lockstep"),
        ("60", "60"),
        (60, "60"),
        ("1.50x", "1.5"),
        ("0.1", "0.1"),
        (10_000, "10000"),
    ],
)
def test_a_pace_is_a_word_or_a_factor(given: object, pace: str) -> None:
    assert pace_of(given) == pace


@pytest.mark.parametrize("given", ["", "0", "0.09", "10001", "-1", "nan", "inf", "fast", None, "1e3000"])
def test_a_pace_that_is_neither_is_refused(given: object) -> None:
    with pytest.raises(Invalid, match="pace is"):
        pace_of(given)


# --- the table of sessions.md 4.1 -----------------------------------------------------------------------------------

C, S, R, P = Status.CREATED, Status.STARTING, Status.RUNNING, Status.PAUSED
DONE = (Status.COMPLETED, Status.STOPPED, Status.FAILED)

TABLE: dict[tuple[Status, str], Status] = {
    (C, "start"): S,
    (S, "attached"): R,
    (S, "timeout"): Status.FAILED,
    (R, "pause"): P,
    (P, "step"): P,
    **{(one, action): one for one in (R, P) for action in ("seek", "pace")},
    **{(one, "stop"): Status.STOPPED for one in (R, P)},
    **{(one, "end"): Status.COMPLETED for one in (R, P)},  # paused: by a step
    **{(one, "error"): Status.FAILED for one in (S, R, P)},
    (P, "resume"): R,
    (P, "start"): R,  # a synonym
    **{(one, "start"): S for one in DONE},
    **{(one, "delete"): one for one in (C, *DONE)},
    **{(one, "enable"): one for one in Status},
    **{(one, "disable"): P if one is R else one for one in Status},
    # repeating what is in effect changes nothing
    (P, "pause"): P,
    (R, "resume"): R,
    (R, "start"): R,
    (S, "start"): S,
    (Status.STOPPED, "stop"): Status.STOPPED,
}
EVENTS = {"attached", "timeout", "end", "error"}
EVERY = sorted({action for _, action in TABLE} | {action for _, action in MOVES} | {"fly"})


@pytest.mark.parametrize(("status", "action"), list(product(Status, EVERY)))
def test_every_status_and_action_answers_as_the_table_says(status: Status, action: str) -> None:
    if (status, action) in TABLE:
        assert move(status, action) is TABLE[status, action]
        return
    with pytest.raises(Conflict) as error:
        move(status, action)
    allowed = sorted(name for where, name in TABLE if where is status and name not in EVENTS)
    assert error.value.detail == {
        "error": "illegal_transition", "status": str(status), "action": action, "allowed": allowed,
    }  # fmt: skip


@pytest.mark.parametrize(("status", "action"), list(product(Status, EVERY)))
def test_a_disabled_session_takes_no_control(status: Status, action: str) -> None:
    if action in ACTIONS and action not in ("enable", "disable", "delete"):
        with pytest.raises(Refused) as error:
            move(status, action, enabled=False)
        assert error.value.detail["error"] == "session_disabled"
    elif (status, action) in TABLE:
        assert move(status, action, enabled=False) is TABLE[status, action]  # its events go on


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("journal", "ful", "did you mean full?"),
        ("journal", 3, "one of full, digest"),
        ("forecasts", "ledgers", "did you mean ledger?"),
        ("time_check", "strict", "one of lenient, virtual, wall, off"),
    ],
)
def test_a_word_that_means_nothing_is_refused_with_those_that_do(key: str, value: object, hint: str) -> None:
    with pytest.raises(Invalid, match=f"{key} is {value!r}") as refused:
        Session.of({"session": {"dataset": "x", key: value}})
    assert refused.value.hint == hint
    defaults = Session.of({"session": {"dataset": "x"}})
    assert (defaults.journal, str(defaults.forecasts.origin), defaults.time_check) == ("full", "ledger", "lenient")


def test_a_text_gets_more_plans_of_faults_with_their_versions() -> None:
    text = '[session]\ndataset = "x"\n[rules]\nfaults = ["rate-storm"]\n'
    pinned = with_plans(text, ["flaky-acks"])
    assert document_of(pinned)["rules"]["faults"] == {"entry": ["rate-storm@1", "flaky-acks@1"]}
    assert with_plans(pinned) == pinned
    found = Session.parse(pinned).rules.faults
    assert found == Session.parse(with_plans('[session]\ndataset = "x"\n', ["rate-storm", "flaky-acks"])).rules.faults


def test_a_text_without_faults_stays_as_it_is() -> None:
    text = '[session]\ndataset = "x"   # spaced\n'
    assert with_plans(text) == text


def test_a_plan_that_there_is_not_is_refused() -> None:
    with pytest.raises(NotFound, match="no fault plan 'flaky'"):
        with_plans('[session]\ndataset = "x"\n', ["flaky"])
