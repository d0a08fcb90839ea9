"""The rules of a run: how fills, fees and latency are decided. Frozen, canonical, part of the run's identity.

Rates are parts of 10^-8. A share of a print is a ratio of integers, so nothing is rounded before the last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from gnomon.errors import Invalid, nearest
from gnomon.exchange.draws import LatencyTable
from gnomon.exchange.fault_plan import FaultPlan
from gnomon.exchange.latency import LatencyCurve, curve_of
from gnomon.units import SECOND_NS
from gnomon.units import decimal as exact

RATE_ONE: Final = 100_000_000
"""A rate of 1: fees are parts of 10^-8."""

SHARE_ONE: Final = 1_000_000
"""A share of 1: shares of a print are counted in millionths."""


class Resting(StrEnum):
    """What a print does to a resting order."""

    QUEUE = "queue"  # at the price it first takes away the queue ahead
    THROUGH = "through"  # only prints beyond the price fill
    TOUCH = "touch"  # a print at the price fills


class Taker(StrEnum):
    """Where an order that takes liquidity finds it."""

    AUTO = "auto"
    WALK = "walk"
    QUOTE = "quote"
    NEXT_PRINT = "next_print"
    REST = "rest"


class Path(StrEnum):
    """The way the price went inside a bar."""

    ADAPTIVE = "adaptive"
    OHLC = "ohlc"
    OLHC = "olhc"


class FillMoment(StrEnum):
    """When a MARKET order on bars is filled."""

    NEXT_OPEN = "next_open"
    NEXT_CLOSE = "next_close"
    THIS_CLOSE = "this_close"


class Resolve(StrEnum):
    """Who decides a bar whose path decides the fills."""

    PATH = "path"
    WORST = "worst"
    FINER = "finer"  # finer candles or prints say which extreme came first; the path where they do not


class FeeAsset(StrEnum):
    """What a fee is taken from: the amount received, the quote on both sides, or a third asset at a discount."""

    RECEIVED = "received"
    QUOTE = "quote"
    OTHER = "other"


AUTO: Final = -1
"""Queue ahead and level sizes that a model decides."""

WHOLE: Final = 0
"""No volume share: whatever print qualifies fills the whole remainder."""


@dataclass(frozen=True, slots=True)
class Fills:
    """Section `fills` of a session's rules. `share` in millionths of a print, 0 for none; `ahead` in lots, -1 auto."""

    resting: Resting = Resting.QUEUE
    ahead: int = AUTO
    share: int = SHARE_ONE
    depth_power: int = 0  # 0 risk averse, 1 to 3 the power of the model
    taker: Taker = Taker.AUTO
    spread_ticks: int = 1
    level_lots: int = AUTO
    max_levels: int = 10
    slippage_ticks: int = 0
    taker_timeout_ns: int = SECOND_NS
    path: Path = Path.ADAPTIVE
    moment: FillMoment = FillMoment.NEXT_OPEN
    open_grace: tuple[int, int] = (1, 4)  # part of a bar's length
    resolve: Resolve = Resolve.PATH

    def __post_init__(self) -> None:
        bounds = {
            "ahead": (AUTO, None),
            "share": (0, SHARE_ONE),
            "depth_power": (0, 3),
            "spread_ticks": (0, None),
            "level_lots": (AUTO, None),
            "max_levels": (1, 1_000),
            "slippage_ticks": (0, None),
            "taker_timeout_ns": (1, None),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                raise Invalid(f"fills.{name} is {value}", hint=f"from {low}" + (f" to {high}" if high else ""))
        if self.level_lots == 0:
            raise Invalid("fills.level_lots is 0", hint="at least 1, or auto")
        part, whole = self.open_grace
        if whole < 1 or not 0 <= part < whole:
            raise Invalid(f"fills.open_grace is {part}/{whole}", hint="a fraction of the bar, e.g. 1/4")

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Fills:
        """From a session's words: `volume_share = "0.5"` or "none", `ahead = "auto" | "none" | {lots = 5}`."""
        known = {one.name for one in fields(cls)} - {"share"} | {"volume_share", "fill_moment", "depth_queue"}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise Invalid(f"fills has no setting {name!r}", hint=_near(name, known))
            values[_PLACES.get(name, name)] = _READ.get(name, int)(value)
        return cls(**values)


def _near(name: str, known: set[str]) -> str:
    close = nearest(name, sorted(known))
    return f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(sorted(known))}"


def _choice(kind: type[StrEnum]) -> Any:
    def read(value: Any) -> StrEnum:
        try:
            return kind(value)
        except ValueError:
            raise Invalid(f"{value!r} is no {kind.__name__}", hint=f"one of {', '.join(kind)}") from None

    return read


def _share(value: Any) -> int:
    if value in (None, "none"):
        return WHOLE
    parts = exact(value) * SHARE_ONE
    if parts != int(parts) or not 0 < parts <= SHARE_ONE:
        raise Invalid(f"volume_share is {value!r}", hint='a decimal above 0 up to 1 with six decimals, or "none"')
    return int(parts)


def _ahead(value: Any) -> int:
    if value in ("auto", "none"):
        return AUTO if value == "auto" else 0
    lots = value.get("lots") if isinstance(value, Mapping) else value
    if not isinstance(lots, int) or lots < 0:
        raise Invalid(f"ahead is {value!r}", hint='"auto", "none" or {lots = 50}')
    return lots


def _depth(value: Any) -> int:
    if value == "risk_averse":
        return 0
    words = str(value).split()
    if len(words) == 2 and words[0] == "power" and words[1] in ("1", "2", "3"):
        return int(words[1])
    raise Invalid(f"depth_queue is {value!r}", hint='"risk_averse" or "power 1" to "power 3"')


def _fraction(value: Any) -> tuple[int, int]:
    part, _, whole = str(value).partition("/")
    if not (part.isdigit() and whole.isdigit()):
        raise Invalid(f"open_grace is {value!r}", hint='a fraction such as "1/4"')
    return int(part), int(whole)


_PLACES: Final = {"volume_share": "share", "fill_moment": "moment", "depth_queue": "depth_power"}
_READ: Final[dict[str, Any]] = {
    "resting": _choice(Resting),
    "taker": _choice(Taker),
    "path": _choice(Path),
    "fill_moment": _choice(FillMoment),
    "resolve": _choice(Resolve),
    "volume_share": _share,
    "ahead": _ahead,
    "depth_queue": _depth,
    "open_grace": _fraction,
    "level_lots": lambda value: AUTO if value == "auto" else int(value),
}


@dataclass(frozen=True, slots=True)
class Fees:
    """Rates in parts of 10^-8, negative for a rebate. `other` names the third asset, `discount` multiplies its rate."""

    maker: int = 100_000
    taker: int = 100_000
    asset: FeeAsset = FeeAsset.RECEIVED
    other: str = ""
    discount: int = RATE_ONE

    def __post_init__(self) -> None:
        for name in ("maker", "taker"):
            if abs(getattr(self, name)) >= RATE_ONE:
                raise Invalid(f"fees.{name} is {getattr(self, name)} of 10^-8", hint="below 100 %")
        if (self.asset is FeeAsset.OTHER) != bool(self.other):
            raise Invalid(f"fees in {self.asset} with {self.other or 'no asset'} named", hint='e.g. {asset = "BNB"}')

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Fees:
        """Rates as decimals; `asset` is "received", "quote" or {asset = "BNB", discount = "0.75"}."""
        known = {"maker", "taker", "asset"}
        for name in given:
            if name not in known:
                raise Invalid(f"fees has no setting {name!r}", hint=_near(name, known))
        values: dict[str, Any] = {name: _rate(given[name]) for name in ("maker", "taker") if name in given}
        asset = given.get("asset", "received")
        if isinstance(asset, Mapping):
            values |= {"asset": FeeAsset.OTHER, "other": str(asset["asset"])}
            values["discount"] = _rate(asset.get("discount", "1"))
        else:
            values["asset"] = _choice(FeeAsset)(asset)
        return cls(**values)


def _rate(value: Any) -> int:
    parts = exact(value) * RATE_ONE
    if parts != int(parts):
        raise Invalid(f"rate {value!r} is finer than 10^-8", hint="write at most eight decimals")
    return int(parts)


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of latency: a constant in ns, quantiles from which each message draws its own, or a recording."""

    const_ns: int = 0
    table: LatencyTable | LatencyCurve | None = None

    def __post_init__(self) -> None:
        if self.const_ns < 0:
            raise Invalid(
                f"a latency of {self.const_ns} ns", hint="shift the recorder's clock at import: it is a look-ahead"
            )

    @property
    def slowest_ns(self) -> int:
        """The most that it takes."""
        return self.const_ns if self.table is None else self.table.slowest_ns

    @classmethod
    def parse(cls, given: Mapping[str, Any], leg: str = "feed") -> Leg:
        if "recorded" in given and set(given) <= {"recorded", "shift_ns"}:
            return cls(table=curve_of(given, leg))
        units = {"const_ns": 1, "const_us": 1_000, "const_ms": 1_000_000}
        if len(given) == 1:
            name, value = next(iter(given.items()))
            if name in units and isinstance(value, int):
                return cls(const_ns=value * units[name])
            if name == "table":
                return cls(table=LatencyTable(tuple(int(one) for one in value)))
        raise Invalid(f"latency leg {dict(given)!r}", hint="{const_ms = 10}, {table = [1,025 ns]} or {recorded = …}")


@dataclass(frozen=True, slots=True)
class Latency:
    """Feed (print to trader), entry (request to venue), reply (venue to trader)."""

    feed: Leg = Leg()
    entry: Leg = Leg()
    reply: Leg = Leg()
    may_overtake: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Latency:
        known = {"feed", "entry", "reply", "overtake"}
        for name in given:
            if name not in known:
                raise Invalid(f"latency has no leg {name!r}", hint=_near(name, known))
        legs = {name: Leg.parse(given[name], name) for name in ("feed", "entry", "reply") if name in given}
        return cls(**legs, may_overtake=bool(given.get("overtake", False)))


@dataclass(frozen=True, slots=True)
class Shorting:
    """Section `shorting`: shares may be sold short. Rates in parts of 10^-8 of the worth, the loan in bips a day."""

    initial: int = RATE_ONE // 2
    maintenance: int = 3 * RATE_ONE // 10
    borrow_bips_day: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.maintenance <= self.initial:
            raise Invalid(
                f"shorting.maintenance is {self.maintenance} of 10^-8, initial {self.initial}",
                hint="above 0, and initial no less than maintenance",
            )
        if self.borrow_bips_day < 0:
            raise Invalid(f"shorting.borrow_bips_day is {self.borrow_bips_day}", hint="0 or more")

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Shorting:
        """`initial` and `maintenance` as decimals, `borrow_bips_day` a whole number."""
        known = {one.name for one in fields(cls)}
        for name in given:
            if name not in known:
                raise Invalid(f"shorting has no setting {name!r}", hint=_near(name, known))
        values = {name: _rate(given[name]) for name in ("initial", "maintenance") if name in given}
        bips = given.get("borrow_bips_day", 0)
        if type(bips) is not int:
            raise Invalid(f"shorting.borrow_bips_day is {bips!r}", hint="a whole number of bips, such as 2")
        return cls(**values, borrow_bips_day=bips)


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that decides what a request becomes, but the data."""

    fills: Fills = Fills()
    fees: Fees = Fees()
    latency: Latency = Latency()
    balances: Mapping[str, Decimal] = field(default_factory=dict)  # opening, by asset
    shorting: Shorting | None = None  # nothing is sold short
    faults: FaultPlan = field(default_factory=FaultPlan)  # nothing goes wrong

    def __post_init__(self) -> None:
        if self.shorting is not None and self.fees.asset is not FeeAsset.QUOTE:
            raise Invalid(
                f"shorting with fees in {self.fees.asset}", hint='fees.asset = "quote": a loan goes back whole'
            )

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Rules:
        """From the table `[rules]` of a session. `preset` is one of realistic, ideal, hostile; the rest refines it."""
        known = {"fills", "fees", "latency", "balances", "preset", "shorting", "faults"}
        for name in given:
            if name not in known:
                raise Invalid(f"rules has no section {name!r}", hint=_near(name, known))
        fills = {**preset(str(given.get("preset", "realistic"))), **given.get("fills", {})}
        return cls(
            Fills.parse(fills),
            Fees.parse(given.get("fees", {})),
            Latency.parse(given.get("latency", {})),
            {str(name): exact(amount) for name, amount in given.get("balances", {}).items()},
            Shorting.parse(given["shorting"]) if "shorting" in given else None,
            FaultPlan.parse(given["faults"]) if "faults" in given else FaultPlan(),
        )

    def with_balances(self, balances: Mapping[str, Decimal]) -> Rules:
        return replace(self, balances=dict(balances))

    def document(self) -> dict[str, Any]:
        """JSON-ready, no default left out, integers and text alone."""
        shorting = {"shorting": _plain(self.shorting)} if self.shorting is not None else {}
        faults = {} if self.faults.is_empty else {"faults": self.faults.document()}
        return {
            **shorting,
            **faults,
            "fills": _plain(self.fills),
            "fees": _plain(self.fees),
            "latency": _plain(self.latency),
            "balances": {name: str(self.balances[name].normalize()) for name in sorted(self.balances)},
        }


def preset(name: str) -> dict[str, Any]:
    """Realistic: the defaults. Ideal: a touch fills whole. Hostile: a tenth of what goes through the price."""
    presets: dict[str, dict[str, Any]] = {
        "realistic": {},
        "ideal": {"resting": "touch", "volume_share": "none"},
        "hostile": {"resting": "through", "volume_share": "0.1", "slippage_ticks": 1, "resolve": "worst"},
    }
    if name not in presets:
        raise Invalid(f"no preset {name!r}", hint=_near(name, set(presets)))
    return presets[name]


def _plain(value: Any) -> Any:
    if isinstance(value, LatencyCurve):
        return value.document()
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, StrEnum):
        return str(value)
    if value is None:
        return "none"
    return list(value) if isinstance(value, tuple) else value
