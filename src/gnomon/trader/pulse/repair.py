"""Repair: what the venue says of own orders when it is asked, as the reports that would have said so.

Events get lost with their stream and answers with their connection. Whoever has lost some asks for the orders that
it takes for open; each comes back as the reports that were missed, and the account's balances after them. Reports count
each fill once, whichever way it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from gnomon.exchange.listing import Filters, Listing
from gnomon.exchange.outcome import Outcome, Refusal
from gnomon.trader.orders import Order
from gnomon.trader.pulse import client, market
from gnomon.trader.pulse.prints import count
from gnomon.trader.pulse.reports import Reports

Query = Callable[[str, Mapping[str, str]], Any]
"""Asks one of the methods of the WebSocket API that change nothing; what JSON says. Raises `client.Refusal`."""

BY_FILTER: Final = (Refusal.PRICE_FILTER, Refusal.LOT_SIZE, Refusal.MARKET_LOT_SIZE, Refusal.NOTIONAL)
"""Refusals after which the filters may be others than those that are known."""

ENDED: Final = ("CANCELED", "EXPIRED", "EXPIRED_IN_MATCH")
Row = Mapping[str, Any]


class Repair:
    """Asks for what one account has missed. `symbols` are the listings by their names on the wire."""

    def __init__(self, query: Query, symbols: Mapping[str, Listing], reports: Reports) -> None:
        self._query = query
        self._symbols = symbols
        self._names = {one.id: symbol for symbol, one in symbols.items()}
        self._reports = reports

    def order(self, listing: Listing, client_id: str) -> Row | None:
        """An order as the venue has it; None where it has none of that client id."""
        params = {"symbol": self._names[listing.id], "origClientOrderId": client_id}
        try:
            found: Row = self._query("order.status", params)
        except client.Refusal as refused:
            if refused.number in client.NOT_THERE:
                return None
            raise
        return found

    def orders(self, wanted: Iterable[Order]) -> tuple[list[Row], list[Order]]:
        """Own orders as the venue has them, and those that it knows nothing of: open ones by one question for each
        symbol, the rest one by one."""
        named = [one for one in wanted if one.id]
        still: dict[str, Row] = {}
        for symbol in dict.fromkeys(self._names[one.listing.id] for one in named):
            still |= {one["clientOrderId"]: one for one in self._query("openOrders.status", {"symbol": symbol})}
        rows: list[Row] = []
        unknown: list[Order] = []
        for one in named:
            row = still.get(one.id) or self.order(one.listing, one.id)
            if row is None:
                unknown.append(one)
            else:
                rows.append(row)
        return rows, unknown

    def outcomes(self, rows: Sequence[Row]) -> list[Outcome]:
        """What orders as the venue has them tell that was not told before."""
        if not rows:
            return []
        events = [event for row in rows for event in self._as_reports(row)]
        account = self._query("account.status", {})
        balances = [{"a": one["asset"], "f": one["free"], "l": one["locked"]} for one in account["balances"]]
        return self._reports.outcomes([*events, {"e": "outboundAccountPosition", "B": balances}])

    def filters(self, listing: Listing) -> Filters:
        """The filters that hold by now."""
        info = self._query("exchangeInfo", {"symbol": self._names[listing.id]})
        return market.filters_of(info["symbols"][0], listing)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _as_reports(self, order: Row) -> list[Row]:
        listing = self._symbols[order["symbol"]]
        head = {
            "e": "executionReport", "s": order["symbol"], "c": order["clientOrderId"], "C": "", "S": order["side"],
            "i": order["orderId"], "g": order.get("orderListId", -1), "q": order["origQty"], "T": order["updateTime"],
            "r": "NONE", "n": "0", "N": None, "m": False, "l": "0", "L": "0",
        }  # fmt: skip
        first = "PENDING_NEW" if order["status"] == "PENDING_NEW" else "NEW"
        found: list[Row] = [{**head, "x": "NEW", "X": first, "z": "0"}]
        if count(order["executedQty"], listing.lot):
            found += self._trades(order, head, listing)
        if order["status"] in ENDED:
            found.append({**head, "x": order["status"], "X": order["status"], "z": order["executedQty"]})
        return found

    def _trades(self, order: Row, head: Row, listing: Listing) -> list[Row]:
        trades = self._query("myTrades", {"symbol": order["symbol"], "orderId": str(order["orderId"])})
        executed, done = count(order["executedQty"], listing.lot), 0
        found: list[Row] = []
        for one in trades:
            done += count(one["qty"], listing.lot)
            is_whole = order["status"] == "FILLED" and done >= executed
            found.append(
                {**head, "x": "TRADE", "X": "FILLED" if is_whole else "PARTIALLY_FILLED", "l": one["qty"],
                 "L": one["price"], "z": f"{done * listing.lot:f}", "n": one["commission"],
                 "N": one["commissionAsset"], "m": one["isMaker"], "t": one["id"], "T": one["time"]}
            )  # fmt: skip
        return found
