"""Sessions: the plan of a replay, as a person writes it, and the states that it goes through.

One TOML file drives `gnomon replay`, a session on the wire and the user interface:

    [session]
    dataset = "spy"
    from = "2013-10-07"
    to = "2013-10-08"
    seed = 7

    [rules]
    fees = { maker = "0.0002", taker = "0.0005" }
    latency = { entry = { const_ms = 10 } }
    balances = { USD = "100000" }

    [[entry]]
    name = "maker"
    trader = "market_maker"
    params = { distance = 3 }
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Conflict, Invalid, Refused, nearest
from gnomon.exchange.draws import U64_MAX
from gnomon.exchange.rules import Rules
from gnomon.forecast.forecast import DEFAULT_LOOKBACK_BARS
from gnomon.replay.faults import named, with_names
from gnomon.units import decimal as exact

SESSION_KEYS: Final = (
    "name", "dataset", "instruments", "from", "to", "timeframe", "warmup", "drive", "pace", "seed", "time_check",
    "forecasts", "journal", "stall_s", "start_policy", "start_timeout_s", "together", "halts", "filters", "rate_limits",
    "ahead",
)  # fmt: skip
OUTLOOK_KEYS: Final = {
    "ledger": ("from",),
    "backfill": ("from", "variant", "latency_ms"),
    "compute": ("from", "names", "latency_ms", "horizon", "lookback", "seed"),
}
MILLISECOND_NS: Final = 1_000_000
HALT_KEYS: Final = ("instrument", "from", "to")
BOUNDS: Final = {
    "min_price": "price", "max_price": "price", "min_qty": "qty", "max_qty": "qty", "step": "qty",
    "market_max_qty": "qty", "min_notional": "money", "max_notional": "money",
    "max_orders": "count", "max_stop_orders": "count", "multiplier_up": "rate", "multiplier_down": "rate",
    "bid_multiplier_up": "rate", "bid_multiplier_down": "rate", "ask_multiplier_up": "rate",
    "ask_multiplier_down": "rate", "avg_price_mins": "count",
}  # fmt: skip
"""What a session may bound, and in what."""
ENTRY_KEYS: Final = ("name", "trader", "params", "balances", "tier")
TIERS: Final = ("auto", "native", "shim", "unmodified")

REMOTE: Final = "remote"
"""The trader of an entry whose bot is on the wire, where none is named."""

SLOWEST: Final = Decimal("0.1")
FASTEST: Final = Decimal(10_000)
"""Virtual seconds a second of the wall."""

JOURNALS: Final = ("full", "digest")
RATE_LIMITS: Final = ("virtual", "wall", "off")
TIME_CHECKS: Final = ("lenient", "virtual", "wall", "off")


class Drive(StrEnum):
    """How virtual time moves."""

    IN_PROCESS = "inprocess"
    LOCKSTEP = "lockstep"
    PACED = "paced"


@dataclass(frozen=True, slots=True)
class Entry:
    """One trader's place in a session. `balances` replace those of the rules, asset by asset."""

    name: str
    trader: str
    params: Mapping[str, Any] = field(default_factory=dict)
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    tier: str = "auto"  # on the wire: how the venue knows that the bot has decided; auto: by how it connects


class Origin(StrEnum):
    """Where a replay's forecasts come from."""

    LEDGER = "ledger"
    BACKFILL = "backfill"
    COMPUTE = "compute"


@dataclass(frozen=True, slots=True)
class Outlook:
    """The forecasts of a session: `"ledger"`, `"backfill"`, `"compute"`, or a table with these words.

    | word | of | means |
    |---|---|---|
    | `from` | all | where they come from |
    | `variant` | backfill | that variant alone, e.g. h24:s0 |
    | `latency_ms` | backfill, compute | how long after the instant they look from they can be read |
    | `names` | compute | the forecasters that may be asked; all baselines where none is named |
    | `horizon`, `lookback`, `seed` | compute | bars, bars, an integer |
    """

    origin: Origin = Origin.LEDGER
    variant: str = ""
    names: tuple[str, ...] = ()
    latency_ns: int = 0
    horizon_bars: int = 24
    lookback_bars: int = DEFAULT_LOOKBACK_BARS
    seed: int = 0

    @classmethod
    def of(cls, value: Any) -> Outlook:
        """Of a word or a table; `Invalid` names what is at fault."""
        table = {"from": value} if isinstance(value, str) else _table(value, "forecasts")
        words = {"forecasts": table["from"]} if "from" in table else {}
        origin = Origin(_word(words, "forecasts", tuple(map(str, Origin))))
        _known(table, OUTLOOK_KEYS[origin], f"forecasts = {origin}")
        return cls(
            origin,
            str(table.get("variant", "")),
            _names(table.get("names", [])),
            _whole(table.get("latency_ms", 0), "forecasts.latency_ms") * MILLISECOND_NS,
            max(1, _whole(table.get("horizon", 24), "forecasts.horizon")),
            max(1, _whole(table.get("lookback", DEFAULT_LOOKBACK_BARS), "forecasts.lookback")),
            _whole(table.get("seed", 0), "forecasts.seed"),
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """Filters of one instrument, or of all where none is named: by the words of `BOUNDS`; 0 switches a bound off."""

    instrument: str
    limits: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Halt:
    """No trading in one instrument for a while: [from, to), UTC ns."""

    instrument: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Session:
    """The plan. Several datasets are taken together; without `instruments`, all that they hold.

    Times in UTC ns: `from_ns` and `to_ns` are 0 for the ends of the data.
    """

    datasets: tuple[str, ...]
    name: str = ""
    instruments: tuple[str, ...] = ()
    from_ns: int = 0
    to_ns: int = 0
    timeframe: Timeframe | None = None
    warmup_bars: int = 0
    drive: Drive = Drive.IN_PROCESS
    pace: str = "max"
    seed: int | None = None
    rules: Rules = field(default_factory=Rules)
    entries: tuple[Entry, ...] = ()
    journal: str = "full"
    forecasts: Outlook = field(default_factory=Outlook)
    time_check: str = "lenient"
    halts: tuple[Halt, ...] = ()
    filters: tuple[Bound, ...] = ()
    rate_limits: str = "virtual"
    ahead_wakes: int = 0  # that a native bot in lock-step may be told at once

    @classmethod
    def parse(cls, text: str) -> Session:
        """The session of a TOML text, or of the JSON that a sweep writes; `Invalid` names the key at fault."""
        return cls.of(document_of(text))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Session:
        _known(document, ("session", "rules", "entry"), "the file")
        table = _table(document.get("session", {}), "[session]")
        _known(table, SESSION_KEYS, "[session]")
        if not table.get("dataset"):
            raise Invalid("[session] names no dataset", hint="`gnomon datasets` lists what is stored")
        window = {name: _instant(table[key]) for name, key in (("from_ns", "from"), ("to_ns", "to")) if key in table}
        drive = _drive(table.get("drive", "inprocess"), str(table.get("pace", "max")))
        entries = enumerate(_list(document, "entry"), 1)
        session = cls(
            datasets=_names(table["dataset"]),
            name=str(table.get("name", "")),
            instruments=_names(table.get("instruments", [])),
            timeframe=Timeframe.parse(str(table["timeframe"])) if "timeframe" in table else None,
            warmup_bars=_whole(table.get("warmup", 0), "warmup"),
            drive=drive,
            pace=str(table.get("pace", "max")),
            seed=_seed(table.get("seed")),
            rules=Rules.parse(_with_plans(_table(document.get("rules", {}), "[rules]"))),
            entries=tuple(_entry(one, number, is_wired=drive is not Drive.IN_PROCESS) for number, one in entries),
            journal=_word(table, "journal", JOURNALS),
            forecasts=Outlook.of(table.get("forecasts", "ledger")),
            time_check=_word(table, "time_check", TIME_CHECKS),
            halts=tuple(_halt(one, number) for number, one in enumerate(_list(table, "halts"), 1)),
            filters=tuple(_bound(one, number) for number, one in enumerate(_list(table, "filters"), 1)),
            rate_limits=_word(table, "rate_limits", RATE_LIMITS),
            ahead_wakes=_whole(table.get("ahead", 0), "ahead"),
            **window,
        )
        if session.to_ns and session.from_ns >= session.to_ns:
            raise Invalid(
                f"the window ends at {iso(session.to_ns)}, before it starts at {iso(session.from_ns)}",
                hint="`from` is the first instant, `to` the first one after the last",
            )
        return session


def pace_of(value: Any) -> str:
    """`lockstep`, `max`, or a factor from 0.1 to 10000, as its shortest text; `Invalid` otherwise."""
    if value in ("lockstep", "max"):
        return str(value)
    try:
        factor = exact(str(value).removesuffix("x"))
    except Invalid:
        factor = Decimal(0)
    if not SLOWEST <= factor <= FASTEST:
        raise Invalid(f"pace is {value!r}", hint=f"lockstep, max, or a factor from {SLOWEST} to {FASTEST}")
    return f"{factor.normalize():f}"


def document_of(text: str) -> dict[str, Any]:
    """The tables of a session's text. `Invalid` where it is neither TOML nor JSON."""
    try:
        found: dict[str, Any] = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise Invalid(f"the session is not TOML: {error}", hint="see docs/replay.md for an example") from None
    return found


def _known(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            close = nearest(key, keys)
            hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(keys)}"
            raise Invalid(f"{where} has no key {key!r}", hint=hint)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{where} is {value!r}, not a table", hint="see docs/replay.md for an example")
    return value


def with_plans(text: str, names: Sequence[str] = ()) -> str:
    """A session's text with these plans of faults beside its own, all pinned to their versions, so that it says the
    same for ever. The text as it is where it has no faults. `NotFound` for a plan that there is not."""
    document = document_of(text)
    rules = document.get("rules", {})
    given = rules.get("faults", []) if isinstance(rules, dict) else []
    if not (given or names):
        return text
    document["rules"] = {**rules, "faults": with_names(given, names)}
    return json.dumps(document, default=str, sort_keys=True)


def _with_plans(rules: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rules with the entries of fault plans in the place of their names."""
    return {**rules, "faults": named(rules["faults"])} if "faults" in rules else rules


def _list(table: Mapping[str, Any], key: str) -> list[Any]:
    """The tables under a key; none where it is absent."""
    value = table.get(key, [])
    if not isinstance(value, list):
        raise Invalid(f"{key} is {value!r}, not a list of tables", hint="see docs/replay.md for an example")
    return value


def _entry(value: Any, number: int, *, is_wired: bool) -> Entry:
    """One entry. On the wire nobody needs to say what the bot is: it connects."""
    where = f"[[entry]] {number}"
    table = _table(value, where)
    _known(table, ENTRY_KEYS, where)
    if is_wired and not table.get("trader"):
        table = {**table, "trader": REMOTE}
    if not table.get("trader"):
        raise Invalid(f"[[entry]] {number} names no trader", hint='e.g. trader = "sma_cross"')
    given = _table(table.get("balances", {}), f"balances of {where}")
    balances = {str(name): exact(amount) for name, amount in given.items()}
    name = str(table.get("name", table["trader"]))
    params = dict(_table(table.get("params", {}), f"params of {where}"))
    return Entry(name, str(table["trader"]), params, balances, _word(table, "tier", TIERS))


def _word(table: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    """One of the words that a key may have; the first is the default."""
    value = table.get(key, allowed[0])
    if value not in allowed:
        close = nearest(str(value), allowed)
        raise Invalid(
            f"{key} is {value!r}", hint=f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(allowed)}"
        )
    return str(value)


def _halt(value: Any, number: int) -> Halt:
    table = _table(value, f"halt {number}")
    _known(table, HALT_KEYS, f"halt {number}")
    if any(not table.get(key) for key in HALT_KEYS):
        raise Invalid(f"halt {number} is {dict(table)!r}", hint='{ instrument = "SPY", from = "…", to = "…" }')
    halt = Halt(str(table["instrument"]), _instant(table["from"]), _instant(table["to"]))
    if halt.from_ns >= halt.to_ns:
        raise Invalid(f"halt {number} ends before it begins", hint="`from` is its first instant, `to` the one after it")
    return halt


def _bound(value: Any, number: int) -> Bound:
    table = _table(value, f"filter {number}")
    _known(table, ("instrument", *BOUNDS), f"filter {number}")
    limits = {name: exact(table[name]) for name in BOUNDS if name in table}
    for name, limit in limits.items():
        if limit < 0 or (BOUNDS[name] == "count" and limit % 1):
            raise Invalid(f"filter {number}: {name} = {table[name]!r}", hint="0 switches a bound off; counts are whole")
    return Bound(str(table.get("instrument", "")), limits)


def _names(value: Any) -> tuple[str, ...]:
    """One name or a list of them."""
    if not isinstance(value, str | list):
        raise Invalid(f"{value!r} is neither a name nor a list of names", hint='write "a" or ["a", "b"]')
    return tuple(str(one) for one in value) if isinstance(value, list) else (str(value),)


def _instant(value: Any) -> int:
    return parse_instant(str(value))


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Invalid(f"{name} is {value!r}", hint="a whole number, 0 or more")
    return value


def _drive(value: Any, pace: str) -> Drive:
    if pace == "lockstep":
        return Drive.LOCKSTEP
    try:
        return Drive(value)
    except ValueError:
        raise Invalid(f"drive {value!r}", hint=f"one of {', '.join(Drive)}") from None


def _seed(value: Any) -> int | None:
    if value is None:
        return None
    seed = _whole(value, "seed")
    if seed > U64_MAX:
        raise Invalid(f"seed {seed}", hint="from 0 to 2^64 - 1")
    return seed


# --- states ---------------------------------------------------------------------------------------------------------


class Status(StrEnum):
    """Where a session stands."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


ACTIONS: Final = ("start", "pause", "resume", "step", "seek", "pace", "stop", "delete", "enable", "disable")
"""What an operator can do to a session. The other moves are events: attached, timeout, end, error."""

DISABLED: Final = ("enable", "disable", "delete")
"""What can be done to a session that is disabled."""

ENDED: Final = (Status.COMPLETED, Status.STOPPED, Status.FAILED)

MOVES: Final[dict[tuple[Status, str], Status]] = {
    (Status.CREATED, "start"): Status.STARTING,
    **{(one, "start"): Status.STARTING for one in ENDED},
    (Status.STARTING, "attached"): Status.RUNNING,
    (Status.STARTING, "timeout"): Status.FAILED,
    (Status.RUNNING, "pause"): Status.PAUSED,
    (Status.PAUSED, "resume"): Status.RUNNING,
    (Status.PAUSED, "start"): Status.RUNNING,
    (Status.PAUSED, "step"): Status.PAUSED,
    (Status.RUNNING, "seek"): Status.RUNNING,
    (Status.PAUSED, "seek"): Status.PAUSED,
    (Status.RUNNING, "pace"): Status.RUNNING,
    (Status.PAUSED, "pace"): Status.PAUSED,
    (Status.RUNNING, "stop"): Status.STOPPED,
    (Status.PAUSED, "stop"): Status.STOPPED,
    (Status.RUNNING, "end"): Status.COMPLETED,
    (Status.RUNNING, "error"): Status.FAILED,
    # a step that comes to the window's end, or fails, ends it as running on would have
    (Status.PAUSED, "end"): Status.COMPLETED,
    (Status.PAUSED, "error"): Status.FAILED,
    (Status.STARTING, "error"): Status.FAILED,
    # what is in effect already changes nothing
    (Status.PAUSED, "pause"): Status.PAUSED,
    (Status.RUNNING, "resume"): Status.RUNNING,
    (Status.RUNNING, "start"): Status.RUNNING,
    (Status.STARTING, "start"): Status.STARTING,
    (Status.STOPPED, "stop"): Status.STOPPED,
    # the row goes
    **{(one, "delete"): one for one in (Status.CREATED, *ENDED)},
    **{(one, "enable"): one for one in Status},
    **{(one, "disable"): one for one in Status},
    (Status.RUNNING, "disable"): Status.PAUSED,
}
"""Every move there is."""


def move(status: Status, action: str, *, enabled: bool = True) -> Status:
    """The status after an action or an event.

    `Conflict` with what is allowed where there is no such move, `Refused` for what a disabled session does not take.
    """
    if not enabled and action in ACTIONS and action not in DISABLED:
        raise Refused(
            f"the session is disabled and cannot {action}",
            hint="enable it first",
            detail={"error": "session_disabled", "status": str(status), "action": action, "allowed": ["enable"]},
        )
    try:
        return MOVES[status, action]
    except KeyError:
        allowed = sorted(name for where, name in MOVES if where is status and name in ACTIONS)
        raise Conflict(
            f"a {status} session cannot {action}",
            hint=f"now: {', '.join(allowed)}",
            detail={"error": "illegal_transition", "status": str(status), "action": action, "allowed": allowed},
        ) from None
