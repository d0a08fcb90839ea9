"""Reports: what a venue says of own orders on the wire, as the outcomes that the desk knows.

A report holds what happened to an order, not what was locked for it: that is read off the balances which follow it
(`outboundAccountPosition`), and laid on the outcomes of the same moment. What only our own exchange knows of a fill,
the print that allowed it, stays 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import FINAL, Side, Status
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome, QuoteKind, Refusal, Rejected, Role, Rule

EXPIRES: Final[Mapping[str, int]] = {"INSUFFICIENT_LIQUIDITY": Refusal.NO_LIQUIDITY}
"""Why an order expired, where that is a refusal."""

REFUSALS: Final[tuple[tuple[str, Refusal], ...]] = (
    # what stands in a refusal's text
    ("insufficient balance", Refusal.INSUFFICIENT_BALANCE),
    ("immediately match", Refusal.WOULD_TAKE),
    ("trigger immediately", Refusal.WOULD_TRIGGER),
    ("Duplicate order", Refusal.DUPLICATE),
    ("Market is closed", Refusal.MARKET_CLOSED),
    ("relationship of the prices", Refusal.LIST_PRICES),
    ("liquidity", Refusal.NO_LIQUIDITY),
    ("No orders on book", Refusal.NO_LIQUIDITY),
    ("would change no state", Refusal.NO_CHANGE),
    ("MARKET_LOT_SIZE", Refusal.MARKET_LOT_SIZE),
    ("LOT_SIZE", Refusal.LOT_SIZE),
    ("PERCENT_PRICE_BY_SIDE", Refusal.PERCENT_PRICE_BY_SIDE),
    ("PERCENT_PRICE", Refusal.PERCENT_PRICE),
    ("PRICE", Refusal.PRICE_FILTER),
    ("NOTIONAL", Refusal.NOTIONAL),
    ("TRAILING_DELTA", Refusal.TRAILING_DELTA),
    ("ALGO_ORDERS", Refusal.MAX_STOP_ORDERS),
    ("MAX_NUM_ORDERS", Refusal.MAX_ORDERS),
    ("Invalid symbol", Refusal.UNKNOWN_INSTRUMENT),
    ("Unknown order", Refusal.UNKNOWN_ORDER),
    ("does not exist", Refusal.UNKNOWN_ORDER),
)

KEPT_ENDED: Final = 4096
"""Orders that have ended and are remembered: their reports may come after one was told by asking."""


@dataclass(slots=True)
class Reports:
    """Reads the user events of one account. `assets` are the desk's numbers of them by name."""

    listings: Mapping[str, Listing]  # by symbol
    assets: Mapping[str, int]
    fills: int = 0
    rejects: dict[int, int] = field(default_factory=dict)  # by code
    _requests: dict[str, int] = field(default_factory=dict)  # by client id
    _answered: set[int] = field(default_factory=set)  # requests that came to nothing
    _newest: dict[str, int] = field(default_factory=dict)  # execution id by symbol: they increase
    _locked: dict[str, int] = field(default_factory=dict)  # units by asset, as the desk has them
    _scales: dict[str, Asset] = field(default_factory=dict)
    _made: dict[int, tuple[int, Side]] = field(default_factory=dict)  # orders by number: instrument and side
    _by_number: dict[int, Listing] = field(default_factory=dict)
    _pending: set[int] = field(default_factory=set)  # orders that wait for another
    _executed: dict[int, int] = field(default_factory=dict)  # lots by order
    _over: list[tuple[int, str]] = field(default_factory=list)  # orders that have ended, to be forgotten
    _ended: dict[int, None] = field(default_factory=dict)  # the newest of them: what is still said of them is old

    def __post_init__(self) -> None:
        for one in self.listings.values():
            self._scales |= {one.base.name: one.base, one.quote.name: one.quote}
            self._by_number[one.number] = one

    def sent(self, request: int, clients: Sequence[str]) -> None:
        """A request is on its way: its orders will be reported under these ids."""
        for name in clients:
            self._requests[name] = request

    def outcomes(self, events: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """What the events of one moment say, in their order."""
        for number, own in self._over:
            self._ended[number] = None
            self._made.pop(number, None)
            self._pending.discard(number)
            self._executed.pop(number, None)
            self._requests.pop(own, None)
        self._over.clear()
        while len(self._ended) > KEPT_ENDED:
            del self._ended[next(iter(self._ended))]
        found: list[Outcome] = []
        for event in _in_order(events):
            kind = event.get("e")
            if kind == "executionReport":
                outcome = self._report(event)
                if outcome is not None:
                    found.append(outcome)
            elif kind == "outboundAccountPosition":
                self._balance(event["B"], found)
        return found

    def refused(self, request: int, code: int, msg: str, data: Any = None) -> list[Outcome]:
        """What an error answers to a request, once: nothing where it was reported before."""
        if request in self._answered:
            return []
        self._answered.add(request)
        self.rejects[code] = self.rejects.get(code, 0) + 1
        if isinstance(data, Mapping) and "refusal" in data:
            why = Refusal(int(data["refusal"]))
            return [Rejected(request, why, int(data.get("received", 0)), int(data.get("limit", 0)))]
        return [Rejected(request, refusal_of(msg))]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _report(self, event: Mapping[str, Any]) -> Outcome | None:
        execution = int(event.get("I", 0))
        if execution and execution <= self._newest.get(event["s"], 0):  # told twice
            return None
        if execution:  # what was asked for has no number
            self._newest[event["s"]] = execution
        listing = self.listings.get(event["s"])
        if listing is None:
            return None
        kind, number = event["x"], int(event["i"])
        own = event["C"] or event["c"]
        if kind == "REJECTED":
            request = self._requests.get(own, 0)
            found = self.refused(request, int(event.get("code", -2010)), str(event.get("r", "")), event.get("why"))
            return found[0] if found else None
        side = Side[event["S"]]
        if kind == "NEW":
            if number in self._ended or (number in self._made and number not in self._pending):
                return None  # known from asking, or a stop that was set off
            if number in self._made and event["X"] == "PENDING_NEW":
                return None  # it waits still
            self._pending.discard(number)
            if event["X"] == "PENDING_NEW":
                self._pending.add(number)
            self._made[number] = listing.number, side
            status = Status[event["X"]]
            return Accepted(number, self._requests.get(own, 0), status, 0, 0, max(0, int(event["g"])), listing.number,
                            side)  # fmt: skip
        if number not in self._made:  # an order of before this runtime, or of somebody else with the same key
            return None
        status = Status[event["X"]]
        if status in FINAL:
            self._over.append((number, own))
        executed = _count(event["z"], listing.lot)
        remaining = _count(event["q"], listing.lot) - executed
        if kind == "TRADE":
            if executed <= self._executed.get(number, 0):  # told before, by the other route
                return None
            self._executed[number] = executed
            return self._fill(event, listing, side, remaining)
        return Changed(number, status, executed, remaining, 0, EXPIRES.get(str(event.get("eR")), 0))

    def _fill(self, event: Mapping[str, Any], listing: Listing, side: Side, remaining: int) -> Filled:
        self.fills += 1
        lots, price = _count(event["l"], listing.lot), _count(event["L"], listing.tick)
        fee, fee_asset = self._fee(event, listing)
        role = Role.MAKER if event["m"] else Role.TAKER
        rule = Rule.MAKER_THROUGH if event["m"] else Rule.TAKER_QUOTE
        at_ns = int(event["T"]) * 1_000_000
        return Filled(
            int(event["i"]), self.fills, listing.number, side, price, lots, remaining, Status[event["X"]], rule, role,
            0, price, lots, 0, 0, 0, 0, 0, 0, 0, 0, 0, QuoteKind.NONE, at_ns, at_ns, 0, fee, fee_asset, 0, 0,
            self.assets[listing.base.name], self.assets[listing.quote.name], listing.base_units(lots),
            listing.notional(price, lots), False, False,
        )  # fmt: skip

    def _fee(self, event: Mapping[str, Any], listing: Listing) -> tuple[int, int]:
        """Units and asset; of an asset that nothing here trades, none."""
        name = event.get("N")
        if name is None or name not in self.assets:
            return 0, self.assets[listing.quote.name]
        return _count(event["n"], Decimal(1).scaleb(-self._scales[name].scale)), self.assets[name]

    def _balance(self, rows: Sequence[Mapping[str, Any]], found: list[Outcome]) -> None:
        """Lay what was locked or released on the newest outcome whose order is paid in that asset."""
        for row in rows:
            asset = self._scales.get(row["a"])
            if asset is None:
                continue
            units = _count(row["l"], Decimal(1).scaleb(-asset.scale))
            more = units - self._locked.get(asset.name, 0)
            if more and self._lay(more, asset.name, found):
                self._locked[asset.name] = units

    def _lay(self, more: int, asset: str, found: list[Outcome]) -> bool:
        for at in range(len(found) - 1, -1, -1):
            one = found[at]
            if isinstance(one, Accepted) and self._paid_in(one.number) == asset:
                found[at] = one._replace(lock=one.lock + more)
                return True
            if isinstance(one, Filled | Changed) and self._paid_in(one.number) == asset:
                found[at] = one._replace(released=one.released - more)
                return True
        return False

    def _paid_in(self, number: int) -> str:
        """The asset that an order gives."""
        instrument, side = self._made[number]
        listing = self._by_number[instrument]
        return listing.quote.name if side is Side.BUY else listing.base.name


def _in_order(events: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Reports of one moment as they were executed, which is not always how they arrive: a fill may come before the word
    that its order was accepted."""
    places = [at for at, one in enumerate(events) if one.get("e") == "executionReport"]
    ordered = sorted((events[at] for at in places), key=lambda one: (one["s"], int(one.get("I", 0))))
    if len({one["s"] for one in ordered}) > 1 or [events[at] for at in places] == ordered:
        return events
    found = list(events)
    for at, one in zip(places, ordered, strict=True):
        found[at] = one
    return found


def refusal_of(msg: str) -> Refusal:
    """By the words that clients match on."""
    return next((refusal for text, refusal in REFUSALS if text in msg), Refusal.BAD_COMBINATION)


def _count(text: str, step: Decimal) -> int:
    return int(Decimal(text) / step)
