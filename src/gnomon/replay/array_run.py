"""Runs of array policies: `quotes(panel)` computed ahead, then its whole course in one loop.

A run of a policy is exactly that of a trader who sends `desk.quote_ticks` at the same wakes: the same records, byte for
byte. What the loop does not cover (a quote that takes, a drawn latency, another hook beside `quotes`, amounts too large
for int64) goes the ordinary way, with the same result. The loop is compiled where numba is and pays: for the runner
`kernel`, for very many quotes, and where something else has loaded it. Otherwise Python walks over what NumPy finds.

| `Quotes.at`         | wakes                     | the trader that it equals                                        |
|---------------------|---------------------------|------------------------------------------------------------------|
| an integer n        | every n-th print          | `wake = {"every_nth_print": n}`, a quote in each `on_trade`      |
| positions           | every print               | `on_trade` at every print, a quote at these                      |

The panel holds the prints of the window after its warm-up, and positions count from its first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gnomon import compiled
from gnomon.errors import Invalid
from gnomon.exchange.listing import Listing
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import AUTO, FeeAsset, Resting, Taker
from gnomon.exchange.search import first_crossing
from gnomon.replay.bodies import Branch
from gnomon.replay.bodies import Wake as WakeSet
from gnomon.replay.engine import Search
from gnomon.replay.ground import Tape
from gnomon.replay.journal import Mode, Sink
from gnomon.replay.needs import quiet_until, ready
from gnomon.replay.run import Played, RunPlan, Stage, play
from gnomon.replay.runners import print_by_print
from gnomon.trader.panel import PrintPanel, Quotes, checked_quotes
from gnomon.trader.trader import KINDS, Hook, Strategy, Wake
from gnomon.units import INT64_MAX, IntArray

MOST_PRICES: Final = 1 << 22
"""Of a modelled queue: prices from the lowest print to the highest. Beyond that the tables would outgrow the tape."""

MANY_QUOTES: Final = 100_000
"""So many take Python about as much longer than numba as numba takes to load."""

LARGEST_NS: Final = INT64_MAX // 2
LARGEST: Final = 2**60
"""Of a product of a price, lots and a unit."""


def play_quotes(
    plan: RunPlan,
    trader: Any,
    *,
    sink: Sink | None = None,
    mode: Mode = "digest",
    search: Search = first_crossing,
    keeps: bool = True,
    raises: bool = True,
    branch: Branch | None = None,
    debug: bool = False,
    in_one_loop: bool = True,
) -> Played:
    """Run an array policy through the plan, as `play` does; by hand, quote by quote, where the loop may not or cannot,
    and where the runner is the naive one.

    Raises what the policy raises, `Refused` where it looks ahead, `Invalid` where no instrument has prints, or where it
    decides in `on_trade` too: before anything is written.
    """
    plan = ready(plan, trader)
    policy = Policy.of(plan, trader)
    may_loop = in_one_loop and search is not print_by_print
    if may_loop and _is_alone(trader) and policy.is_covered():
        from gnomon.replay.array_course import Course  # which may bring numba

        stage = Stage.set(plan, sink, mode, keeps, branch)
        course = Course(stage, policy, keeps, _is_worth_compiling(policy, search))
        if course.rehearse():
            stage.attach(WakeSet(0, policy.step, 0, (), ()))
            course.run()
            return stage.over()
    by_hand = ByHand(trader, policy)
    return play(
        plan, by_hand, sink=sink, mode=mode, search=search, keeps=keeps, raises=raises, branch=branch, debug=debug,
        may_walk=in_one_loop,
    )  # fmt: skip


def _is_worth_compiling(policy: Policy, search: Search) -> bool:
    is_wanted = search is not first_crossing or len(policy.at) >= MANY_QUOTES or "numba" in sys.modules
    return is_wanted and compiled.AVAILABLE


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What a policy asks for, as positions of the tape: the quotes at rows `at`, out of wakes at every `step`-th row
    from `first` on."""

    plan: RunPlan
    tape: Tape
    first: int
    step: int
    at: IntArray
    quotes: Quotes

    @classmethod
    def of(cls, plan: RunPlan, trader: Any) -> Policy:
        tape = next((one for one in plan.ground.tapes if isinstance(one.tape, Prints)), None)
        if tape is None:
            raise Invalid("quotes needs prints, and no instrument here has them", hint="import trades, or write on_bar")
        if trader.hook("trade") is not None:
            raise Invalid("a trader with both on_trade and quotes", hint="keep one: they are the same wakes")
        prints = tape.tape
        assert isinstance(prints, Prints)
        start_ns = max(plan.start_ns, quiet_until(plan) - plan.rules.latency.feed.const_ns)
        first, stop = prints.until(start_ns - 1), prints.until(plan.end_ns - 1)
        rows = slice(first, stop)
        panel = PrintPanel(
            tape.listing.id, prints.time_ns[rows], prints.price[rows], prints.lots[rows], prints.side[rows]
        )
        said = _Said(trader)
        quotes = checked_quotes(said, panel, plan.seed)
        return cls(plan, tape, first, said.step, np.asarray(quotes.at + first, np.int64), quotes)

    @property
    def prints(self) -> Prints:
        assert isinstance(self.tape.tape, Prints)
        return self.tape.tape

    def due_ns(self) -> IntArray:
        """When each of its wakes is told."""
        return np.asarray(self.prints.time_ns[self.at], np.int64) + self.plan.rules.latency.feed.const_ns

    @property
    def decides_at_each_wake(self) -> bool:
        return self.step > 1

    def flags(self, _decisions: IntArray) -> int:
        """Of each quote, as a request says them: 1 keep, 2 post-only."""
        return self.quotes.keep + 2 * self.quotes.post_only

    def is_covered(self) -> bool:
        """Whether the loop has a rule for all that may happen, and int64 holds every product; but for orders that
        take, which only the course itself shows."""
        return covers(self.plan, self.tape) and self._fits(self.tape.listing) and self._is_within_limits()

    def _fits(self, listing: Listing) -> bool:
        quotes = self.quotes
        if not (len(self.prints) and len(self.at)):
            return True
        dearest = max(int(quotes.bid_ticks.max()), int(quotes.ask_ticks.max()))
        most = int(np.asarray(quotes.lots).max())
        return 2 * listing.notional(dearest, most) <= LARGEST and listing.base_units(most) <= LARGEST

    def _is_within_limits(self) -> bool:
        """Whether the desk would let every quote go: so many a bar."""
        most, frame = self.plan.limits.orders_per_bar, self.plan.ground.timeframe.nominal_ns
        if not most:
            return True
        due_ns = self.due_ns()
        bars = np.maximum(0, due_ns[due_ns < self.plan.end_ns] - self.plan.start_ns) // frame
        return not len(bars) or int(np.unique(bars, return_counts=True)[1].max()) <= most


def covers(plan: RunPlan, tape: Tape) -> bool:
    """Whether these rules and this tape are such that a pair can be walked: by bounds of everything but the quotes."""
    rules, listing, prints = plan.rules, tape.listing, tape.tape
    latency, fills = rules.latency, rules.fills
    if not (
        isinstance(prints, Prints)
        and len(plan.ground.tapes) == 1
        and rules.shorting is None
        and rules.faults.is_empty
        and tape.recorded is None
        and plan.compute is None
        and not (latency.feed.table or latency.entry.table or latency.reply.table)
        and rules.fees.asset in (FeeAsset.QUOTE, FeeAsset.RECEIVED)
        and fills.taker in (Taker.REST, Taker.AUTO, Taker.QUOTE)
        and listing.base.name != listing.quote.name
        and listing.hours is None
        and not listing.filters.has_bands
    ):
        return False
    if not len(prints):
        return True
    coarse = tape.index.levels[-1]
    lowest, highest = int(coarse.min_any.min()), int(coarse.max_any.max())
    return (
        sum(coarse.sum_qty.tolist()) * 1_000_000 <= INT64_MAX
        and int(prints.time_ns[-1]) + latency.feed.const_ns + latency.entry.const_ns <= LARGEST_NS
        and plan.end_ns <= LARGEST_NS
        and max(fills.ahead, fills.spread_ticks, highest) <= LARGEST
        and (fills.resting is not Resting.QUEUE or fills.ahead != AUTO or highest - lowest < MOST_PRICES)
    )


class _Said:
    """The policy, as `checked_quotes` asks it; `step` is what it said of its wakes when it was asked first."""

    def __init__(self, trader: Any) -> None:
        self._trader = trader
        self.step = 0

    def quotes(self, panel: PrintPanel) -> Quotes:
        quotes: Quotes = self._trader.quotes(panel)
        step = quotes.at if isinstance(quotes.at, int) else 1
        self.step = self.step or step
        return quotes


def _is_alone(trader: Any) -> bool:
    """Whether the trader decides by `quotes` and hears nothing else."""
    kind = type(trader)
    return (
        isinstance(trader, Strategy)
        and (kind.start, kind.stop, kind.hook, kind.wakes)
        == (Strategy.start, Strategy.stop, Strategy.hook, Strategy.wakes)
        and not any(hasattr(trader, name) for name in ("on_start", "on_stop"))
        and all(trader.hook(one) is None for one in KINDS)
        and trader.wakes() == Wake()
    )


class ByHand:
    """The trader that sends the quotes of a policy one by one; whatever other hooks it has are called too."""

    def __init__(self, trader: Any, policy: Policy) -> None:
        quotes = policy.quotes
        columns = [np.asarray(one).tolist() for one in (policy.at, quotes.bid_ticks, quotes.ask_ticks, quotes.lots)]
        self._trader = trader
        self._number = policy.tape.listing.number
        self._step = policy.step
        self._flags = quotes.post_only, quotes.keep
        self._rows: Iterator[tuple[int, ...]] = iter(zip(*columns, strict=True))
        self._next = next(self._rows, None)
        self.start, self.stop = trader.start, trader.stop
        self.required = getattr(trader, "required", tuple)
        self.timeframe = getattr(trader, "timeframe", None)

    def wakes(self) -> Wake:
        found: Wake = replace(self._trader.wakes(), every_nth_print=self._step)
        return found

    def hook(self, kind: str) -> Hook | None:
        found: Hook | None = self._send if kind == "trade" else self._trader.hook(kind)
        return found

    def _send(self, desk: Any, trade: Any) -> None:
        row = self._next
        if row is not None and trade.position == row[0] and trade.listing.number == self._number:
            self._next = next(self._rows, None)
            desk.quote_ticks(*row[1:], self._number, *self._flags)
