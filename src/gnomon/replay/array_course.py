"""The course of an array policy: the compiled loop, what it tells, and the journal of it.

The loop tells some thousand items at a time. It goes through the whole window before anything is written, to see
whether it covers it: a run whose items are few is told from what it left then, a longer one goes through the window
again, so that memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.exchange import kernels
from gnomon.exchange.ledger import Account
from gnomon.exchange.order import Side, Status
from gnomon.exchange.outcome import Filled, Outcome, Quoted, QuoteKind, Refusal, Rejected, Role, Rule
from gnomon.exchange.prints import AHEAD_WINDOW_NS
from gnomon.exchange.rules import AUTO, FeeAsset, Resting, Taker
from gnomon.market.lanes import Lane
from gnomon.replay import array_records as forms
from gnomon.replay.array_run import Policy
from gnomon.replay.engine import FIRST_LAYER, TRADER
from gnomon.replay.header import Flag, RecordType
from gnomon.replay.keeper import PRINT_SIDES
from gnomon.replay.run import Stage
from gnomon.units import IntArray

EVENTS: Final = 16_384
"""Items that the loop tells at a time."""

KEPT_STRETCHES: Final = 16
"""So many are kept from the first time through."""

_RESTING: Final = {
    Resting.QUEUE: kernels.QUEUE,
    Resting.THROUGH: kernels.THROUGH,
    Resting.TOUCH: kernels.TOUCH,
}
_PLACED: Final = {name: place for place, name in enumerate(kernels.PLACED_FIELDS)}
_FILLED: Final = {name: place for place, name in enumerate(kernels.FILLED_FIELDS)}


class Stretch(NamedTuple):
    """Items in their order, the rows of the arrivals and fills among them, and the state after them."""

    kinds: npt.NDArray[np.int8]
    placed: IntArray
    filled: IntArray
    state: IntArray


class Course:
    """One run of a policy on a stage that is set."""

    def __init__(self, stage: Stage, policy: Policy, keeps: bool) -> None:
        self._stage = stage
        self._policy = policy
        self._keeps = keeps
        self._book = stage.exchange.books[policy.tape.listing.number]
        self._feed_ns = stage.plan.rules.latency.feed.const_ns
        self._entry_ns = stage.plan.rules.latency.entry.const_ns or 1
        self._due_ns = policy.due_ns()
        self._kinds = np.zeros(EVENTS, np.int8)
        self._placed = np.zeros((EVENTS, len(kernels.PLACED_FIELDS)), np.int64)
        self._filled = np.zeros((EVENTS, len(kernels.FILLED_FIELDS)), np.int64)
        self._kept: list[Stretch] | None = []
        self._told = 0  # wakes in deliveries that are written
        self._request_seq = np.zeros(len(policy.at), np.int64)
        self._quoted_seq = np.zeros(len(policy.at), np.int64)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def rehearse(self) -> bool:
        """Whether the loop covers the whole window."""
        if max(self._stage.exchange.ledger.free) > kernels.LARGEST:
            return False
        state, ended = self._opening(), kernels.MORE
        for ended in self._loop(state):
            if self._kept is not None:
                self._kept.append(self._stretch(state))
                if len(self._kept) == KEPT_STRETCHES and ended == kernels.MORE:
                    self._kept = None
        return ended == kernels.DONE

    def run(self) -> None:
        """Tell it all: journal, outcomes, and the accounts of the exchange."""
        stretch = None
        for stretch in self._kept if self._kept is not None else self._again():
            self._tell(stretch)
        assert stretch is not None
        self._tell_rest()
        self._settle(stretch.state)

    def _again(self) -> Iterator[Stretch]:
        state = self._opening()
        for _ in self._loop(state):
            yield self._stretch(state)

    def _stretch(self, state: IntArray) -> Stretch:
        """What the loop has told, as its own: the loop writes over its columns."""
        items, placed, filled = (int(state[one]) for one in (kernels.ITEMS, kernels.PLACED, kernels.FILLED))
        return Stretch(
            self._kinds[:items].copy(), self._placed[:placed].copy(), self._filled[:filled].copy(), state.copy()
        )

    def _loop(self, state: IntArray) -> Iterator[int]:
        """Move a state on until the window ends; after each stretch how it ended."""
        policy = self._policy
        prints, quotes = policy.prints, policy.quotes
        terms = self._terms()
        pair = np.zeros((2, kernels.ORDER_FIELDS), np.int64)
        tables = [level.table for level in policy.tape.index.levels]
        told = self._kinds, self._placed, self._filled
        arguments: tuple[Any, ...] = (
            prints.time_ns, prints.price, prints.lots, prints.side, *tables, policy.at, quotes.bid_ticks,
            quotes.ask_ticks, np.ascontiguousarray(quotes.lots), terms, state, pair, self._printed(), *told,
        )  # fmt: skip
        ended = kernels.MORE
        while ended == kernels.MORE:
            ended = kernels.quote_on_prints(*arguments)
            yield ended

    def _opening(self) -> IntArray:
        book, ledger = self._book, self._stage.exchange.ledger
        state = np.zeros(kernels.STATE_FIELDS, np.int64)
        state[kernels.CLEAR] = book.position
        first_ns = self._stage.plan.start_ns - AHEAD_WINDOW_NS
        state[kernels.WINDOW_FIRST] = state[kernels.WINDOW_LAST] = self._policy.prints.until(first_ns)
        state[kernels.FREE_QUOTE] = ledger.free[book.purse.quote]
        state[kernels.FREE_BASE] = ledger.free[book.purse.base]
        return state

    def _printed(self) -> IntArray:
        """By price: prints and lots, where the queue ahead is modelled."""
        coarse = self._policy.tape.index.levels[-1]
        prices = int(coarse.max_any.max() - coarse.min_any.min()) + 1 if self._is_modelled() and len(coarse) else 1
        return np.zeros((2, prices), np.int64)

    def _is_modelled(self) -> bool:
        fills = self._stage.plan.rules.fills
        return fills.resting is Resting.QUEUE and fills.ahead == AUTO

    def _terms(self) -> IntArray:
        """What stays as it is, in the order of `kernels.TERMS`."""
        rules, policy, purse = self._stage.plan.rules, self._policy, self._book.purse
        fills, filters = rules.fills, policy.tape.listing.filters
        coarse = policy.tape.index.levels[-1]
        known = {
            "feed_ns": self._feed_ns,
            "entry_ns": self._entry_ns,
            "end_ns": self._stage.plan.end_ns,
            "resting": _RESTING[fills.resting],
            "share": fills.share,
            "ahead": fills.ahead,
            "is_synthetic": fills.taker is not Taker.REST,
            "spread": fills.spread_ticks,
            "notional_unit": purse.notional_unit,
            "lot_unit": purse.lot_unit,
            "rate": rules.fees.maker,
            "reserve_rate": purse.reserve_rate,
            "is_fee_in_quote": rules.fees.asset is FeeAsset.QUOTE,
            "keeps": policy.quotes.keep,
            "is_post_only": policy.quotes.post_only,
            "min_price": filters.min_price_ticks,
            "max_price": filters.max_price_ticks,
            "min_lots": filters.min_lots,
            "max_lots": filters.max_lots,
            "step_lots": filters.step_lots,
            "min_notional": filters.min_notional_units,
            "max_notional": filters.max_notional_units,
            "max_orders": filters.max_orders,
            "lowest_price": int(coarse.min_any.min()) if len(coarse) else 0,
        }
        return np.array([known[name] for name in kernels.TERMS], np.int64)

    # --- the journal --------------------------------------------------------------------------------------------------

    def _tell(self, stretch: Stretch) -> None:
        """Write a stretch."""
        kinds, placed, filled, state = stretch
        decided, arrived, fills = (int(state[one]) for one in (kernels.DECIDED, kernels.ARRIVED, kernels.FILLS))
        arrived, fills = arrived - len(placed), fills - len(filled)
        decided -= len(kinds) - len(placed) - len(filled)
        at = [np.flatnonzero(kinds == kind) for kind in (kernels.DECISION, kernels.ARRIVAL, kernels.FILL)]
        decisions, arrivals = decided + np.arange(len(at[0])), arrived + np.arange(len(at[1]))
        t = np.zeros(len(kinds), np.int64)
        t[at[0]] = self._due_ns[decisions]
        t[at[1]] = self._due_ns[arrivals] + self._entry_ns
        t[at[2]] = self._policy.prints.time_ns[filled[:, _FILLED["print"]]]
        told = self._told_before(t, at[0], decisions)
        before = np.concatenate([[self._told], told[:-1]])
        refused = placed[:, [_PLACED["code_1"], _PLACED["code_2"]]] > 0
        records = np.ones(len(kinds), np.int64)
        records[at[1]] += refused.sum(1)
        records[at[2]] = 2
        begins = told > before
        journal = self._stage.journal
        last = journal.seq + np.cumsum(records + begins)
        seq = last - records + 1  # of each item's own first record, which a delivery may precede
        self._request_seq[decisions], self._quoted_seq[arrivals] = seq[at[0]], seq[at[1]]
        groups = [
            self._delivers(seq[begins] - 1, before[begins], told[begins]),
            self._requests(t[at[0]], seq[at[0]], decisions),
            self._quoteds(t[at[1]], seq[at[1]], arrivals, placed),
            *self._rejects(t[at[1]], seq[at[1]], arrivals, placed, refused),
            *self._fills(t[at[2]], seq[at[2]], fills, filled),
        ]
        packed = forms.pack(groups, journal.next_seq())
        counts = packed.input_count, len(packed.ends) - packed.input_count
        journal.add_many(packed.chain.data, packed.ends.tolist(), packed.inputs.data, packed.outputs.data, counts)
        self._told = int(told[-1]) if len(told) else self._told
        self._stage.course.rejects += int(refused.sum())
        if self._keeps:
            self._keep(t.tolist(), kinds.tolist(), arrived, placed, fills, filled)

    def _told_before(self, t: IntArray, decisions_at: IntArray, decisions: IntArray) -> IntArray:
        """How many wakes were told before each item's own records; a decision's own wake among them."""
        policy = self._policy
        if policy.step > 1:
            is_wake = np.zeros(len(t), np.int64)
            is_wake[decisions_at] = 1
            return np.asarray(self._told + np.cumsum(is_wake))
        told = self._wakes_before(t)
        told[decisions_at] = policy.at[decisions] - policy.first + 1
        return told

    def _wakes_before(self, t: Any) -> IntArray:
        """Prints of the window that were told before an instant, of a trader who hears each."""
        prints = self._policy.prints
        return np.asarray(np.searchsorted(prints.time_ns, t - self._feed_ns, "left") - self._policy.first)

    def _delivers(self, seq: IntArray, before: IntArray, told: IntArray) -> forms.Rows:
        policy, time_ns = self._policy, self._policy.prints.time_ns
        first = policy.first + (before + 1) * policy.step - 1
        last = policy.first + told * policy.step - 1
        t = time_ns[last] + self._feed_ns
        began = time_ns[first] + self._feed_ns
        rows = forms.records(
            forms.DELIVER, RecordType.DELIVER, Lane.DELIVERY, TRADER, t, seq, last + 1,
            wakes=told - before, first=np.where(began, began, t), spans=1,
        )  # fmt: skip
        rows["flags"] = int(Flag.OUTPUT | Flag.CAUSE_IS_POSITION)
        rows["span"]["layer"] = self._layer
        rows["span"]["after"] = first + 1 - policy.step
        rows["span"]["upto"] = last + 1
        return rows

    @property
    def _layer(self) -> int:
        return FIRST_LAYER + self._policy.tape.listing.number

    def _requests(self, t: IntArray, seq: IntArray, decisions: IntArray) -> forms.Rows:
        quotes = self._policy.quotes
        return forms.records(
            forms.REQUEST, RecordType.REQUEST, Lane.DELIVERY, TRADER, t, seq, seq - 1, action=7, number=decisions + 1,
            arrival=t + self._entry_ns, instrument=self._policy.tape.listing.number, bid=quotes.bid_ticks[decisions],
            ask=quotes.ask_ticks[decisions], lots=np.asarray(quotes.lots)[decisions],
            flags=quotes.keep + 2 * quotes.post_only,
        )  # fmt: skip

    def _quoteds(self, t: IntArray, seq: IntArray, arrivals: IntArray, placed: IntArray) -> forms.Rows:
        purse = self._book.purse
        names = (
            "bid", "ask", "bid_gone", "ask_gone", "bid_ahead", "ask_ahead", "bid_lock", "ask_lock", "bid_released",
            "ask_released",
        )  # fmt: skip
        return forms.records(
            forms.QUOTED, RecordType.QUOTED, Lane.ARRIVAL, TRADER, t, seq, self._request_seq[arrivals],
            request=arrivals + 1, flags=placed[:, _PLACED["kept"]], quote_asset=purse.quote, base_asset=purse.base,
            **{name: placed[:, _PLACED[name]] for name in names},
        )  # fmt: skip

    def _rejects(
        self, t: IntArray, seq: IntArray, arrivals: IntArray, placed: IntArray, refused: npt.NDArray[np.bool_]
    ) -> Iterator[forms.Rows]:
        for number in range(2):
            which = np.flatnonzero(refused[:, number])
            code, received, limit = (
                placed[which, _PLACED[f"{name}_{number + 1}"]] for name in ("code", "received", "limit")
            )
            yield forms.records(
                forms.REJECT, RecordType.REJECT, Lane.ARRIVAL, TRADER, t[which], seq[which] + 1 + number,
                self._request_seq[arrivals[which]], request=arrivals[which] + 1, code=code, received=received,
                limit=limit,
            )  # fmt: skip

    def _fills(self, t: IntArray, seq: IntArray, fills: int, filled: IntArray) -> Iterator[forms.Rows]:
        one = _Fills(self._book, self._stage.plan.rules.fees, filled)
        prints, made = self._policy.prints, filled[:, _FILLED["made_by"]]
        decided_ns = self._due_ns[made]
        names = ("order", "side", "rule", "price", "lots", "remaining", "print", "ahead_before", "ahead_after",
                 "excess", "share_cap", "fee", "released")  # fmt: skip
        side = prints.side[one.row]
        yield forms.records(
            forms.FILL, RecordType.FILL, Lane.PRINT, self._layer, t, seq, self._quoted_seq[made],
            fill=fills + 1 + np.arange(len(filled)), instrument=self._policy.tape.listing.number, status=one.status,
            role=int(Role.MAKER), print_side=_WRITTEN_SIDES[side], flags=np.where(side, 0, 1),
            print_price=prints.price[one.row], print_lots=prints.lots[one.row], decided=decided_ns,
            arrived=decided_ns + self._entry_ns, rate=one.rate, fee_asset=one.fee_asset, asset=one.gives,
            **{name: filled[:, _FILLED[name]] for name in names},
        )  # fmt: skip
        for count, which in ((4, np.flatnonzero(one.fee == 0)), (6, np.flatnonzero(one.fee))):
            rows = forms.records(
                forms.posting(count), RecordType.POSTING, Lane.PRINT, self._layer, t[which], seq[which] + 1,
                seq[which], entries=count,
            )  # fmt: skip
            for place, (account, asset, units) in enumerate(one.postings()[:count]):
                entry = rows["entry"][:, place]
                entry["account"] = account[which]
                entry["asset"] = asset[which]
                forms.put(entry, "amount", units[which])
            yield rows

    def _tell_rest(self) -> None:
        """Wakes after the last record that is not a delivery."""
        policy = self._policy
        if policy.step > 1:
            return
        wakes = int(self._wakes_before(self._stage.plan.end_ns))
        if wakes > self._told:
            after, upto = policy.first + self._told, policy.first + wakes
            first_ns, last_ns = (int(policy.prints.time_ns[row]) + self._feed_ns for row in (after, upto - 1))
            self._stage.journal.deliver(
                Lane.DELIVERY, last_ns, upto, TRADER, [(self._layer, after, upto)], wakes=wakes - self._told,
                first=first_ns, cause_is_position=True,
            )  # fmt: skip

    # --- accounts and outcomes ----------------------------------------------------------------------------------------

    def _settle(self, state: IntArray) -> None:
        """Leave the exchange as if it had applied it all; resting orders apart, which nobody asks for after the end."""
        exchange, purse = self._stage.exchange, self._book.purse
        ledger = exchange.ledger
        places = (
            (purse.quote, kernels.FREE_QUOTE, kernels.LOCKED_QUOTE, kernels.FEES_QUOTE),
            (purse.base, kernels.FREE_BASE, kernels.LOCKED_BASE, kernels.FEES_BASE),
        )
        for asset, free, locked, fees in places:
            ledger.free[asset], ledger.locked[asset] = int(state[free]), int(state[locked])
            ledger.fees[asset] = int(state[fees])
            held = ledger.balance(asset) + ledger.fees[asset]
            ledger.market[asset] = -(held + ledger.opening[asset])
        exchange.working.made, exchange.working.fills_made = int(state[kernels.MADE]), int(state[kernels.FILLS])

    def _keep(
        self, t: list[int], kinds: list[int], arrived: int, placed: IntArray, fills: int, filled: IntArray
    ) -> None:
        """The outcomes of a stretch, for whoever reports on them."""
        quoted, done = iter(self._quoted_outcomes(arrived, placed)), iter(self._filled_outcomes(fills, filled))
        for at_ns, kind in zip(t, kinds, strict=True):
            if kind == kernels.ARRIVAL:
                self._stage.course.told_outcomes.extend((at_ns, one) for one in next(quoted))
            elif kind == kernels.FILL:
                self._stage.course.told_outcomes.append((at_ns, next(done)))

    def _quoted_outcomes(self, arrived: int, placed: IntArray) -> Iterator[list[Outcome]]:
        number = self._policy.tape.listing.number
        for request, row in enumerate(placed.tolist(), arrived + 1):
            bid, ask, bid_lock, ask_lock, kept, *rest = row[: kernels.FIRST_REFUSAL]
            said: list[Outcome] = [
                Quoted(request, number, bid, ask, bid_lock, ask_lock, bool(kept & 1), bool(kept & 2), *rest)
            ]
            for place in (kernels.FIRST_REFUSAL, kernels.FIRST_REFUSAL + 3):
                code, received, limit = row[place : place + 3]
                if code:
                    said.append(Rejected(request, Refusal(code), received, limit))
            yield said

    def _filled_outcomes(self, fills: int, filled: IntArray) -> Iterator[Filled]:
        one, prints, purse = (
            _Fills(self._book, self._stage.plan.rules.fees, filled),
            self._policy.prints,
            self._book.purse,
        )
        columns = (prints.price[one.row], prints.lots[one.row], prints.side[one.row],
                   self._due_ns[filled[:, _FILLED["made_by"]]], one.fee_asset, one.units, one.notional)  # fmt: skip
        rows = zip(filled.tolist(), *(column.tolist() for column in columns), strict=True)
        for count, (row, price, lots, side, decided_ns, fee_asset, units, notional) in enumerate(rows, fills + 1):
            order, of_side, at, given, left, rule, position, before, after, excess, cap, _, fee, released, *locked = row
            yield Filled(
                order, count, self._policy.tape.listing.number, Side(of_side), at, given, left,
                Status.PARTIALLY_FILLED if left else Status.FILLED, Rule(rule), Role.MAKER, position, price, lots, side,
                before, after, excess, cap, 0, 0, 0, 0, QuoteKind.NONE, decided_ns, decided_ns + self._entry_ns,
                one.rate, fee, fee_asset, 0 if side else 1, released, purse.base, purse.quote, units, notional,
                bool(locked[0]), bool(locked[1]),
            )  # fmt: skip


_WRITTEN_SIDES: Final = np.array([PRINT_SIDES[side] for side in (0, 1, -1)], np.int64)
"""By the aggressor; -1 is the last."""


class _Fills:
    """What follows from the columns of fills: assets, amounts, postings."""

    __slots__ = (
        "fee",
        "fee_asset",
        "gets",
        "gives",
        "is_bid",
        "is_fee_locked",
        "is_locked",
        "notional",
        "rate",
        "row",
        "status",
        "units",
    )  # fmt: skip

    def __init__(self, book: Any, fees: Any, filled: IntArray) -> None:
        purse = book.purse
        self.row = filled[:, _FILLED["print"]]
        self.is_bid = filled[:, _FILLED["side"]] == int(Side.BUY)
        self.status = np.where(filled[:, _FILLED["remaining"]], int(Status.PARTIALLY_FILLED), int(Status.FILLED))
        self.gives = np.where(self.is_bid, purse.quote, purse.base)
        self.gets = np.where(self.is_bid, purse.base, purse.quote)
        self.rate = fees.maker
        self.fee = filled[:, _FILLED["fee"]]
        in_quote = fees.asset is FeeAsset.QUOTE
        self.fee_asset = np.full(len(filled), purse.quote) if in_quote else self.gets
        lots = filled[:, _FILLED["lots"]]
        self.units = lots * purse.lot_unit
        self.notional = filled[:, _FILLED["price"]] * lots * purse.notional_unit
        self.is_locked = filled[:, _FILLED["is_locked"]] > 0
        self.is_fee_locked = filled[:, _FILLED["is_fee_locked"]] > 0

    def postings(self) -> list[tuple[IntArray, IntArray, IntArray]]:
        """Account, asset and units of each side, as `Filled.postings` has them."""
        paid = np.where(self.is_bid, self.notional, self.units)
        received = np.where(self.is_bid, self.units, self.notional)
        market, free = (np.full(len(paid), int(one)) for one in (Account.MARKET, Account.FREE))
        locked, fees = (np.full(len(paid), int(one)) for one in (Account.LOCKED, Account.FEES))
        return [
            (np.where(self.is_locked, locked, free), self.gives, -paid),
            (market, self.gives, paid),
            (market, self.gets, -received),
            (free, self.gets, received),
            (np.where(self.is_fee_locked, locked, free), self.fee_asset, -self.fee),
            (fees, self.fee_asset, self.fee),
        ]
