"""Reports: the events of the user stream. Each holds what it tells as it was, and is written when somebody listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from gnomon.exchange.order import Status
from gnomon.exchange.outcome import Filled, Role
from gnomon.serve.venue.own_orders import NOT_YET, STATUS_TEXTS, OwnList, OwnOrder
from gnomon.serve.venue.pairs import Scale

MS_NS: Final = 1_000_000
NO_UNITS: Final = "0"
TRADE_GROUP: Final = 1
"""Every account is a trade group of its own."""


class Event:
    """One event of the user stream. `body` is its JSON, without the wrapper of any transport."""

    __slots__ = ("_body", "time_ns")

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns
        self._body = b""

    @property
    def body(self) -> bytes:
        if not self._body:
            self._body = orjson.dumps(self.document())
        return self._body

    def document(self) -> dict[str, Any]:
        raise NotImplementedError


class PreventedMatch:
    """Two orders of the account that would have traded with each other. Lots that each lost, 0 for none."""

    __slots__ = ("maker", "maker_lots", "mode", "number", "price", "taker", "taker_lots", "time_ns")

    def __init__(self, number: int, time_ns: int, mode: str, taker: OwnOrder, maker: OwnOrder) -> None:
        self.number = number
        self.time_ns = time_ns
        self.mode = mode
        self.taker = taker
        self.maker = maker
        self.price: int = maker.leg["price"]
        self.taker_lots = 0
        self.maker_lots = 0

    def document(self) -> dict[str, Any]:
        pair = self.maker.pair
        found: dict[str, Any] = {
            "symbol": pair.symbol,
            "preventedMatchId": self.number,
            "takerOrderId": self.taker.number,
            "makerSymbol": pair.symbol,
            "makerOrderId": self.maker.number,
            "tradeGroupId": TRADE_GROUP,
            "selfTradePreventionMode": self.mode,
            "price": pair.ticks.text(self.price),
        }
        if self.taker_lots:
            found["takerPreventedQuantity"] = pair.lots.text(self.taker_lots)
        if self.maker_lots:
            found["makerPreventedQuantity"] = pair.lots.text(self.maker_lots)
        found["transactTime"] = self.time_ns // MS_NS
        return found


class ExecutionReport(Event):
    """`executionReport`: an order was accepted, filled, changed or ended."""

    __slots__ = (
        *("_asked_client", "_execution", "_fee_asset", "_fee_scale", "_filled", "_kind", "_match", "_order"),
        *("_prevented_now", "_was"),
    )

    def __init__(self, time_ns: int, order: OwnOrder, kind: str, execution: int, asked_client: str = "") -> None:
        """`kind` is x, `execution` I; `asked_client` the id of the cancel or amendment that led to it."""
        self.time_ns = time_ns
        self._body = b""
        self._order = order
        self._kind = kind
        self._execution = execution
        self._asked_client = asked_client
        self._filled: Filled | None = None
        self._match: PreventedMatch | None = None
        self._was = (
            order.status, order.client, order.lots, order.executed, order.quote_executed, order.working_ns,
            order.prevented, order.reason,
        )  # fmt: skip

    def with_fill(self, filled: Filled, fee_asset: str, fee_scale: Scale) -> ExecutionReport:
        self._filled = filled
        self._fee_asset = fee_asset
        self._fee_scale = fee_scale
        return self

    def with_match(self, match: PreventedMatch | None, lots: int) -> ExecutionReport:
        self._match = match
        self._prevented_now = lots
        return self

    def document(self) -> dict[str, Any]:
        order, filled = self._order, self._filled
        status, client, ordered, executed, quote_executed, working_ns, _, _ = self._was
        pair, leg, at_ms = order.pair, order.leg, self.time_ns // MS_NS
        lots, ticks, quote = pair.lots.text, pair.ticks.text, pair.quote_units.text
        found: dict[str, Any] = {
            "e": "executionReport",
            "E": at_ms,
            "s": pair.symbol,
            "c": self._asked_client or client,
            "S": leg["side"],
            "o": leg["type"],
            "f": leg["tif"],
            "q": lots(ordered),
            "p": ticks(leg["price"]),
            "P": ticks(leg["stop"]),
            "F": pair.lots.zero,
            "g": order.list_number,
            "C": client if self._asked_client else "",
            "x": self._kind,
            "X": STATUS_TEXTS[status],
            "r": "NONE",
            "i": order.number,
            "l": lots(filled.lots) if filled is not None else pair.lots.zero,
            "z": lots(executed),
            "L": ticks(filled.price) if filled is not None else pair.ticks.zero,
            "n": self._fee_scale.text(filled.fee) if filled is not None else NO_UNITS,
            "N": self._fee_asset if filled is not None else None,
            "T": at_ms,
            "t": filled.fill if filled is not None else NOT_YET,
            "I": self._execution,
            "w": working_ns >= 0 and status <= Status.PARTIALLY_FILLED,
            "m": filled is not None and filled.role is Role.MAKER,
            "M": filled is not None,
            "O": order.time_ns // MS_NS,
            "Z": quote(quote_executed),
            "Y": quote(filled.notional) if filled is not None else pair.quote_units.zero,
            "Q": quote(leg["quote"]),
            "V": leg["stp"],
        }
        self._add_conditional(found)
        return found

    def _add_conditional(self, found: dict[str, Any]) -> None:
        order, leg = self._order, self._order.leg
        _, _, _, _, _, working_ns, prevented, reason = self._was
        lots = order.pair.lots.text
        if working_ns >= 0:
            found["W"] = working_ns // MS_NS
        if leg["trailing"]:
            found["d"] = leg["trailing"]
            found["D"] = order.time_ns // MS_NS if not leg["stop"] else NOT_YET
        if "strategyId" in leg:
            found["j"] = leg["strategyId"]
        if "strategyType" in leg:
            found["J"] = leg["strategyType"]
        if self._match is not None:
            match = self._match
            other = match.maker if match.taker is order else match.taker
            met = min(one for one in (match.taker_lots, match.maker_lots) if one)
            found["v"] = match.number
            found["A"] = lots(prevented)
            found["B"] = lots(self._prevented_now)
            found["u"] = TRADE_GROUP
            found["U"] = other.number
            found["Cs"] = order.pair.symbol
            found["pl"] = lots(met)
            found["pL"] = order.pair.ticks.text(match.price)
            found["pY"] = order.pair.quote_units.text(order.pair.listing.notional(match.price, met))
        if reason:
            found["eR"] = reason


class AccountPosition(Event):
    """`outboundAccountPosition`: free and locked of the assets that may have changed."""

    __slots__ = ("_balances",)

    def __init__(self, time_ns: int, balances: Sequence[tuple[str, Scale, int, int]]) -> None:
        """`balances` are asset, scale, free and locked units."""
        self.time_ns = time_ns
        self._body = b""
        self._balances = balances

    def document(self) -> dict[str, Any]:
        at_ms = self.time_ns // MS_NS
        balances = [
            {"a": asset, "f": scale.text(free), "l": scale.text(locked)}
            for asset, scale, free, locked in self._balances
        ]
        return {"e": "outboundAccountPosition", "E": at_ms, "u": at_ms, "B": balances}


class BalanceUpdate(Event):
    """`balanceUpdate`: a credit, or a charge that belongs to no trade."""

    __slots__ = ("_asset", "_delta")

    def __init__(self, time_ns: int, asset: str, delta: str) -> None:
        super().__init__(time_ns)
        self._asset = asset
        self._delta = delta

    def document(self) -> dict[str, Any]:
        at_ms = self.time_ns // MS_NS
        return {"e": "balanceUpdate", "E": at_ms, "a": self._asset, "d": self._delta, "T": at_ms}


class ListStatus(Event):
    """`listStatus`: an order list was placed, or is done."""

    __slots__ = ("_list", "_orders", "_status")

    def __init__(self, time_ns: int, order_list: OwnList) -> None:
        super().__init__(time_ns)
        self._list = order_list
        self._status = order_list.status
        self._orders = [(one.number, one.client) for one in order_list.orders]

    def document(self) -> dict[str, Any]:
        one, at_ms = self._list, self.time_ns // MS_NS
        symbol = one.pair.symbol
        return {
            "e": "listStatus",
            "E": at_ms,
            "s": symbol,
            "g": one.number,
            "c": one.contingency,
            "l": self._status[0],
            "L": self._status[1],
            "r": "NONE",
            "C": one.client,
            "T": at_ms,
            "O": [{"s": symbol, "i": number, "c": client} for number, client in self._orders],
        }
