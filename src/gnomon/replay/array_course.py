"""The course of an array policy: its loop, compiled or walked by Python, what it tells, and the journal of it.

The loop tells some thousand items at a time. It goes through the whole window before anything is written, to see
whether it covers it: a run whose items are few is told from what it left then, a longer one goes through the window
again, so that memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gnomon.exchange import course
from gnomon.exchange.ledger import Account
from gnomon.exchange.order import Side, Status
from gnomon.exchange.outcome import Filled, Outcome, Quoted, QuoteKind, Refusal, Rejected, Role, Rule
from gnomon.exchange.pair_walk import PairWalk
from gnomon.exchange.prints import AHEAD_WINDOW_NS, Prints
from gnomon.exchange.rules import AUTO, FeeAsset, Resting, Taker
from gnomon.market.lanes import Lane
from gnomon.replay import array_records as forms
from gnomon.replay.engine import FIRST_LAYER, TRADER
from gnomon.replay.ground import Tape
from gnomon.replay.header import Flag, RecordType
from gnomon.replay.keeper import PRINT_SIDES
from gnomon.replay.run import Stage
from gnomon.units import IntArray

EVENTS: Final = 16_384
"""Items that the loop tells at a time."""

KEPT_STRETCHES: Final = 16
"""So many are kept from the first time through."""

_RESTING: Final = {
    Resting.QUEUE: course.QUEUE,
    Resting.THROUGH: course.THROUGH,
    Resting.TOUCH: course.TOUCH,
}
_PLACED: Final = {name: place for place, name in enumerate(course.PLACED_FIELDS)}
_FILLED: Final = {name: place for place, name in enumerate(course.FILLED_FIELDS)}


class Stretch(NamedTuple):
    """Items in their order, the rows of the arrivals and fills among them, and the state after them."""

    kinds: npt.NDArray[np.int8]
    placed: IntArray
    filled: IntArray
    state: IntArray


class Asked(Protocol):
    """What was asked for, a column each: `Policy`, and what a hook has said so far."""

    @property
    def tape(self) -> Tape: ...

    @property
    def prints(self) -> Prints: ...

    @property
    def first(self) -> int: ...

    @property
    def step(self) -> int: ...

    @property
    def at(self) -> IntArray: ...

    @property
    def quotes(self) -> Any: ...

    @property
    def decides_at_each_wake(self) -> bool: ...

    def due_ns(self) -> IntArray: ...

    def flags(self, decisions: IntArray, /) -> Any: ...


class Course:
    """One run of a policy on a stage that is set."""

    def __init__(self, stage: Stage, policy: Asked, keeps: bool, is_compiled: bool) -> None:
        self._stage = stage
        self._policy = policy
        self._keeps = keeps
        self._book = stage.exchange.books[policy.tape.listing.number]
        self._feed_ns = stage.plan.rules.latency.feed.const_ns
        self._entry_ns = stage.plan.rules.latency.entry.const_ns or 1
        self._due_ns = policy.due_ns()
        self._is_compiled = is_compiled
        self._scatter: forms.Scatter | None = None
        self._kinds = np.zeros(0, np.int8)
        self._placed = np.zeros((0, len(course.PLACED_FIELDS)), np.int64)
        self._filled = np.zeros((0, len(course.FILLED_FIELDS)), np.int64)
        self._kept: list[Stretch] | None = []
        self.told = 0  # wakes in deliveries that are written
        self._request_seq = np.zeros(len(policy.at), np.int64)
        self._quoted_seq = np.zeros(len(policy.at), np.int64)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def rehearse(self) -> bool:
        """Whether the loop covers the whole window."""
        if max(self._stage.exchange.ledger.free) > course.LARGEST:
            return False
        state, ended = self._opening(), course.MORE
        for ended in self._loop(state):
            if self._kept is not None:
                self._kept.append(self._stretch(state))
                if len(self._kept) == KEPT_STRETCHES and ended == course.MORE:
                    self._kept = None
        return ended == course.DONE

    def run(self) -> None:
        """Tell it all: journal, outcomes, and the accounts of the exchange."""
        stretch = None
        for stretch in self._kept if self._kept is not None else self._again():
            self.tell(stretch)
        assert stretch is not None
        self._tell_rest()
        state = stretch.state
        funds = state[course.FREE_QUOTE : course.FEES_BASE + 1].tolist()
        self.settle(funds, int(state[course.MADE]), int(state[course.FILLS]))

    def _again(self) -> Iterator[Stretch]:
        state = self._opening()
        for _ in self._loop(state):
            yield self._stretch(state)

    def _stretch(self, state: IntArray) -> Stretch:
        """What the loop has told, as its own: the loop writes over its columns."""
        items, placed, filled = (int(state[one]) for one in (course.ITEMS, course.PLACED, course.FILLED))
        return Stretch(
            self._kinds[:items].copy(), self._placed[:placed].copy(), self._filled[:filled].copy(), state.copy()
        )

    def _loop(self, state: IntArray) -> Iterator[int]:
        """Move a state on until the window ends; after each stretch how it ended."""
        return self._compiled(state) if self._is_compiled else self._walked(state)

    def _compiled(self, state: IntArray) -> Iterator[int]:
        from gnomon.exchange.kernels import quote_on_prints, scatter  # which bring numba

        self._scatter = scatter
        policy = self._policy
        prints, quotes = policy.prints, policy.quotes
        pair = np.zeros((2, course.ORDER_FIELDS), np.int64)
        tables = [level.table for level in policy.tape.index.levels]
        self._kinds = np.zeros(EVENTS, np.int8)
        self._placed = np.zeros((EVENTS, len(course.PLACED_FIELDS)), np.int64)
        self._filled = np.zeros((EVENTS, len(course.FILLED_FIELDS)), np.int64)
        arguments: tuple[Any, ...] = (
            prints.time_ns, prints.price, prints.lots, prints.side, *tables, policy.at, quotes.bid_ticks,
            quotes.ask_ticks, np.ascontiguousarray(quotes.lots), self._terms(), state, pair, self._printed(),
            self._kinds, self._placed, self._filled,
        )  # fmt: skip
        ended = course.MORE
        while ended == course.MORE:
            ended = quote_on_prints(*arguments)
            yield ended

    def _walked(self, state: IntArray) -> Iterator[int]:
        policy = self._policy
        quotes = policy.quotes
        columns = policy.at, quotes.bid_ticks, quotes.ask_ticks, np.asarray(quotes.lots)
        walk = PairWalk(policy.prints, policy.tape.index, columns, self._terms(), state, EVENTS)
        ended = course.MORE
        while ended == course.MORE:
            ended = walk.go_on()
            if ended != course.UNCOVERED:
                self._kinds, self._placed, self._filled = walk.kinds, walk.placed, walk.filled
            yield ended

    def opening(self) -> tuple[IntArray, IntArray]:
        """Terms and state at the start, for a walk by other means."""
        return self._terms(), self._opening()

    def extend(self, due_ns: IntArray) -> None:
        """More decisions are known now."""
        self._due_ns = due_ns
        count = len(due_ns)
        self._request_seq, self._quoted_seq = (
            np.concatenate([one, np.zeros(count - len(one), np.int64)]) if count > len(one) else one
            for one in (self._request_seq, self._quoted_seq)
        )

    def request_seq(self, decision: int) -> int:
        """Seq of the request of a decision."""
        return self._request_seq.item(decision)

    def quoted_seq(self, arrival: int) -> int:
        """Seq of what came of it."""
        return self._quoted_seq.item(arrival)

    def _opening(self) -> IntArray:
        book, ledger = self._book, self._stage.exchange.ledger
        state = np.zeros(course.STATE_FIELDS, np.int64)
        state[course.CLEAR] = book.position
        first_ns = self._stage.plan.start_ns - AHEAD_WINDOW_NS
        state[course.WINDOW_FIRST] = state[course.WINDOW_LAST] = self._policy.prints.until(first_ns)
        state[course.FREE_QUOTE] = ledger.free[book.purse.quote]
        state[course.FREE_BASE] = ledger.free[book.purse.base]
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
        """What stays as it is, in the order of `course.TERMS`."""
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
        return np.array([known[name] for name in course.TERMS], np.int64)

    # --- the journal --------------------------------------------------------------------------------------------------

    def tell(self, stretch: Stretch) -> None:
        """Write a stretch."""
        kinds, placed, filled, state = stretch
        decided, arrived, fills = (int(state[one]) for one in (course.DECIDED, course.ARRIVED, course.FILLS))
        arrived, fills = arrived - len(placed), fills - len(filled)
        decided -= len(kinds) - len(placed) - len(filled)
        at = [np.flatnonzero(kinds == kind) for kind in (course.DECISION, course.ARRIVAL, course.FILL)]
        decisions, arrivals = decided + np.arange(len(at[0])), arrived + np.arange(len(at[1]))
        t = np.zeros(len(kinds), np.int64)
        t[at[0]] = self._due_ns[decisions]
        t[at[1]] = self._due_ns[arrivals] + self._entry_ns
        t[at[2]] = self._policy.prints.time_ns[filled[:, _FILLED["print"]]]
        told = self._told_before(t, at[0], decisions)
        before = np.concatenate([[self.told], told[:-1]])
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
        packed = forms.pack(groups, journal.next_seq(), self._scatter)
        counts = packed.input_count, len(packed.ends) - packed.input_count
        journal.add_many(packed.chain, packed.ends.tolist(), packed.inputs, packed.outputs, counts)
        self.told = int(told[-1]) if len(told) else self.told
        self._stage.course.rejects += int(refused.sum())
        if self._keeps:
            self._keep(t.tolist(), kinds.tolist(), arrived, placed, fills, filled)

    def _told_before(self, t: IntArray, decisions_at: IntArray, decisions: IntArray) -> IntArray:
        """How many wakes were told before each item's own records; a decision's own wake among them."""
        policy = self._policy
        if policy.decides_at_each_wake:
            is_wake = np.zeros(len(t), np.int64)
            is_wake[decisions_at] = 1
            return np.asarray(self.told + np.cumsum(is_wake))
        told = self._wakes_before(t)
        told[decisions_at] = (policy.at[decisions] - policy.first + 1) // policy.step
        return told

    def _wakes_before(self, t: Any) -> IntArray:
        """Wakes that were told before an instant."""
        policy = self._policy
        rows = np.searchsorted(policy.prints.time_ns, t - self._feed_ns, "left") - policy.first
        return np.asarray(np.maximum(rows, 0) // policy.step)

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
            flags=self._policy.flags(decisions),
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
        if wakes > self.told:
            after, upto = policy.first + self.told, policy.first + wakes
            first_ns, last_ns = (int(policy.prints.time_ns[row]) + self._feed_ns for row in (after, upto - 1))
            self._stage.journal.deliver(
                Lane.DELIVERY, last_ns, upto, TRADER, [(self._layer, after, upto)], wakes=wakes - self.told,
                first=first_ns, cause_is_position=True,
            )  # fmt: skip

    # --- accounts and outcomes ----------------------------------------------------------------------------------------

    def settle(self, funds: Sequence[int], made: int, fills: int) -> None:
        """Leave the exchange as if it had applied it all; resting orders apart, which nobody asks for after the end.
        `funds` are free and locked of the quote and of the base, then the fees of both."""
        exchange, purse = self._stage.exchange, self._book.purse
        ledger = exchange.ledger
        free_quote, locked_quote, free_base, locked_base, fees_quote, fees_base = funds
        ledger.stand(purse.quote, free_quote, locked_quote, fees_quote)
        ledger.stand(purse.base, free_base, locked_base, fees_base)
        exchange.working.made, exchange.working.fills_made = made, fills

    def _keep(
        self, t: list[int], kinds: list[int], arrived: int, placed: IntArray, fills: int, filled: IntArray
    ) -> None:
        """The outcomes of a stretch, for whoever reports on them."""
        quoted, done = iter(self._quoted_outcomes(arrived, placed)), iter(self._filled_outcomes(fills, filled))
        for at_ns, kind in zip(t, kinds, strict=True):
            if kind == course.ARRIVAL:
                self._stage.course.told_outcomes.extend((at_ns, one) for one in next(quoted))
            elif kind == course.FILL:
                self._stage.course.told_outcomes.append((at_ns, next(done)))

    def _quoted_outcomes(self, arrived: int, placed: IntArray) -> Iterator[list[Outcome]]:
        number = self._policy.tape.listing.number
        for request, row in enumerate(placed.tolist(), arrived + 1):
            bid, ask, bid_lock, ask_lock, kept, *rest = row[: course.FIRST_REFUSAL]
            said: list[Outcome] = [
                Quoted(request, number, bid, ask, bid_lock, ask_lock, bool(kept & 1), bool(kept & 2), *rest)
            ]
            for place in (course.FIRST_REFUSAL, course.FIRST_REFUSAL + 3):
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
