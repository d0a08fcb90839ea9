"""Care: what a bot in lock-step does where the venue's words get lost, and where it is told to be silent.

While nothing is planned to go wrong, own events come as the exchange words them and are never lost: then there is
nothing to do. Else they come in Binance's words, and this is what is done at the next wake, before the strategy hears
of it:

| what has happened | what is done |
|---|---|
| the venue has closed the connection | kept bars are forgotten; prices, open orders and balances are asked for |
| no own event has come since | open orders are asked for at each wake: the stream may be deaf still |
| an answer said that nobody knows | the order is asked for by its client id |
| -1021 | the server's time is asked for: later stamps follow it |
| a filter has refused an order | exchangeInfo is asked for: later orders fit |
| 429, 418 | nothing is sent until the stated time: the strategy's requests are refused here |
| no bar for two of its lengths | likewise, until one comes |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gnomon.exchange.outcome import Outcome, Rejected
from gnomon.trader.orders import Order, Pending
from gnomon.trader.pulse import client
from gnomon.trader.pulse.repair import BY_FILTER, Query, Repair

if TYPE_CHECKING:
    from gnomon.trader.pulse.lockstep import Lockstep

MS: Final = 1_000_000
TOO_OFTEN: Final = (418, 429)
SILENT_BARS: Final = 2
"""So many lengths of a bar without one, and the feed is stale."""


class Care:
    """Of one bot. `query` asks the venue, `resync` follows the server's clock, given in ms."""

    def __init__(self, bot: Lockstep, query: Query, resync: Callable[[int], object], patience_ns: int) -> None:
        """`patience_ns`: an order that the venue does not know for so long in virtual time was never made."""
        self._bot = bot
        self._query = query
        self._resync = resync
        self._patience_ns = patience_ns
        self._repair = Repair(query, bot.by_symbol, bot.reports)
        self._was_cut = self._is_deaf = self._hears = False
        self._doubtful: dict[int, None] = {}  # requests that nobody can say anything of
        self._is_late = False
        self._outdated: dict[int, None] = {}  # instruments whose filters may be others
        self._silent_until_ns = 0

    @property
    def is_needed(self) -> bool:
        """Whether own events can be lost."""
        return not self._bot.facts.has_outcomes

    # --- what happens -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The venue has closed the connection: what it said meanwhile is not said again."""
        self._was_cut = self.is_needed

    def answered(self, request: int, answer: Mapping[str, Any], outcomes: Sequence[Outcome]) -> None:
        """A request was refused, or nobody knows; `outcomes` are what the refusal says."""
        if not self.is_needed:
            return
        error, now_ns = answer["error"], self._bot.desk.now_ns
        if answer.get("status") in TOO_OFTEN:
            data = error.get("data") or {}
            until_ns = int(data.get("retryAfter", 0)) * MS
            self._silent_until_ns = max(self._silent_until_ns, until_ns, now_ns + 1)
        elif error["code"] == client.LATE:
            self._is_late = True
        elif any(isinstance(one, Rejected) and one.refusal in BY_FILTER for one in outcomes):
            self._outdated |= dict.fromkeys(one.number for one in self._bot.facts.plan.listings)
        elif not outcomes:
            self._doubtful[request] = None

    def told(self) -> None:
        """An own event has come: what came before it is asked for once more."""
        self._hears = True

    def holds(self, now_ns: int) -> bool:
        """Whether nothing may be sent."""
        return now_ns < self._silent_until_ns or (self.is_needed and self._bot.sight.silent_bars(now_ns) >= SILENT_BARS)

    # --- what is done about it ----------------------------------------------------------------------------------------

    def mend(self) -> str:
        """Ask for whatever may be wrong; why the strategy should know, empty where it need not."""
        if not (self._was_cut or self._is_deaf or self._doubtful or self._is_late or self._outdated):
            return ""
        if self._bot.desk.now_ns < self._silent_until_ns:
            return ""
        try:
            return self._mended()
        except client.Refusal as refused:
            if refused.status not in TOO_OFTEN:
                raise
            self._silent_until_ns = int((refused.data or {}).get("retryAfter", 0)) * MS
            return ""  # what is left is asked for when one may

    def _mended(self) -> str:
        bot = self._bot
        if self._is_late:
            self._resync(int(self._query("time", {})["serverTime"]))
            self._is_late = False
        for number in list(self._outdated):
            bot.desk.rules_changed(number, self._repair.filters(bot.desk.session.listings[number]))
            del self._outdated[number]
        if self._was_cut:
            bot.sight.lost()
            for one in bot.facts.plan.listings:
                bot.sight.last(one.number, bot.desk.now_ns)
            self._reconcile(list(bot.desk.orders()))
            self._was_cut, self._is_deaf, self._hears = False, True, False
            return "lost: own events may be missing"
        if self._is_deaf:
            self._reconcile(list(bot.desk.orders()))
            self._is_deaf = not self._hears
        elif self._doubtful:
            self._reconcile([one for one in bot.desk.orders() if one.request in self._doubtful])
        return ""

    def _reconcile(self, orders: Sequence[Order]) -> None:
        """Orders that nobody knows of yet stay in doubt, and are refused when they have been for too long."""
        bot = self._bot
        rows, unknown = self._repair.orders(orders)
        told = self._repair.outcomes(rows)
        now_ns = bot.desk.now_ns
        self._doubtful = {}
        for one in unknown:
            if isinstance(one.state, Pending) and now_ns - one.state.since_ns < self._patience_ns:
                self._doubtful[one.request] = None
            else:
                told += bot.reports.refused(one.request, -2013, "Order does not exist.")
        if told:
            bot.heard(told)
            bot.desk.hear(now_ns, told)


class Careless:
    """For whoever has no socket that could be lost."""

    def answered(self, request: int, answer: Mapping[str, Any], outcomes: Sequence[Outcome]) -> None:
        """Nothing is done."""

    def told(self) -> None:
        """Nothing is done."""

    def holds(self, _now_ns: int) -> bool:
        return False

    def mend(self) -> str:
        return ""
