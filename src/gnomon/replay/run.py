"""A run: one trader's course through one session, from its ground and rules to its digests.

`play` puts the pieces together and lets the engine go; nothing in it decides a fill. `replay_inputs` does the same from
a Record's inputs, without the trader: what `gnomon verify` compares.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from gnomon.clock import iso
from gnomon.errors import GnomonError, Invalid, Refused
from gnomon.exchange.draws import Draws
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.outcome import Outcome
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules, Taker
from gnomon.exchange.search import first_crossing
from gnomon.exchange.shorting import ShortingExchange
from gnomon.market.lanes import Lane
from gnomon.replay.bodies import (
    SCHEMA,
    Attach,
    Branch,
    Decision,
    Detach,
    EndReason,
    Failure,
    ForecastSeen,
    Genesis,
    PriceWatch,
    Wake,
)
from gnomon.replay.digests import Digests, canonical, config_digest
from gnomon.replay.engine import FIRST_LAYER, TRADER, Replay, Search, Sitter
from gnomon.replay.faults import Faults
from gnomon.replay.feed import Feed, LaggedBars, LaggedTrades, LaggedView
from gnomon.replay.ghost import Ghost, Script
from gnomon.replay.ground import ENGINE_VERSION, Ground, check_walkable, tables
from gnomon.replay.journal import Journal, Mode, Sink
from gnomon.replay.keeper import JournalKeeper, Writer
from gnomon.replay.lent import lent
from gnomon.replay.needs import as_recorded, quiet_until, ready
from gnomon.replay.record import Record
from gnomon.replay.runners import print_by_print
from gnomon.replay.snapshots import KeptDraws, Snapshot, Taking, TakingReplay, restore, resumed
from gnomon.replay.streams import BarStream, Stream, TradeStream
from gnomon.replay.view import DepthView, TapeView
from gnomon.replay.wakes import Window, after_market, before_market, is_watching, wake_of, watch_streams
from gnomon.replay.watches import Filter
from gnomon.replay.wire import Compute, Wire
from gnomon.trader import plan as trader_plan
from gnomon.trader.decisions import Decision as Decided
from gnomon.trader.desk import Desk, Finished
from gnomon.trader.events import Bar, Candle, Trade
from gnomon.trader.limits import Limits
from gnomon.trader.sizing import Costs

FAILURE_CHARACTERS: Final = 16_000
"""The end of a traceback that is kept: it says what was raised, and where."""

ACCOUNTS: Final = ("free", "locked", "market", "fees", "opening")


@dataclass(frozen=True, slots=True, eq=False)
class RunPlan:
    """What a run is a function of, besides its trader. Window in UTC ns, [start, end)."""

    ground: Ground
    rules: Rules
    start_ns: int
    end_ns: int
    seed: int
    warmup_bars: int = 0
    entry: int = 0
    limits: Limits = field(default_factory=Limits)
    compute: Compute | None = None  # of forecasts; None: those of the ground's archive

    def __post_init__(self) -> None:
        first_ns, last_ns = self.ground.span()
        if not (self.start_ns < self.end_ns and self.start_ns < last_ns and first_ns < self.end_ns):
            raise Invalid(
                f"the window {iso(self.start_ns)} to {iso(self.end_ns)} is not in the dataset",
                hint=f"it holds {iso(first_ns)} to {iso(last_ns)}",
            )
        if self.rules.fills.taker is Taker.WALK:
            check_walkable(self.ground, self.start_ns)

    def config(self) -> str:
        """The canonical text that the config digest is over: everything that decides, no default left out."""
        return canonical(
            {
                "schema": SCHEMA,
                "engine": ENGINE_VERSION,
                "window": {"start_ns": self.start_ns, "end_ns": self.end_ns},
                "warmup_bars": self.warmup_bars,
                "seed": self.seed,
                "rules": self.rules.document(),
                "limits": self.limits,
                **({} if self.compute is None else {"forecasts": self.compute.document()}),
                **tables(self.ground),
            }
        )


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What came of a run. `told` holds every outcome with its time, where it was asked for; `error` is what a trader
    that failed has raised."""

    digests: Digests
    reason: EndReason
    why: str
    fills: int
    orders: int
    rejects: int
    ambiguous_bars: int
    balances: Mapping[str, Decimal]
    told: Sequence[tuple[int, Outcome]]
    error: Exception | None = None


class _Course(JournalKeeper):
    """The keeper of a run, which also counts, and keeps the outcomes for whoever reports on them."""

    def __init__(self, journal: Journal, assets: Mapping[int, tuple[int, int]], keeps: bool) -> None:
        super().__init__(journal, assets)
        self.told_outcomes: list[tuple[int, Outcome]] = []
        if keeps:
            self._writers = {kind: self._keeping(write) for kind, write in self._writers.items()}
        self.wire: Wire | None = None
        self.filter: Filter | None = None
        self.asked: Callable[[int], Sequence[tuple[int, int, int]]] = lambda _: ()
        self._read: dict[str, bytes] = {}  # forecasts, by id to their content hash

    def _keeping(self, write: Writer) -> Writer:
        def kept(lane: int, t: int, cause: int, source: int, one: Any) -> int:
            self.told_outcomes.append((t, one))
            return write(lane, t, cause, source, one)

        return kept

    def decided(self, decision: Decided) -> None:
        contents: tuple[bytes, ...] = ()
        if decision.forecasts:
            contents = tuple(self.content(name, decision.now_ns) for name in decision.forecasts)
        self.write_decision(decision.now_ns, decision.pack(), decision.notes, contents)

    def content(self, name: str, now_ns: int) -> bytes:
        """The content hash of a forecast, which is recorded when it is read for the first time."""
        if name not in self._read:
            assert self.wire is not None
            one = self.wire.answered[name]
            self._read[name] = one.content
            seen = ForecastSeen(one.instrument, one.issued.issued_ns, one.content)
            self.journal.put(seen, Lane.DELIVERY, now_ns, self.cause, TRADER)
        return self._read[name]

    def rewoken(self, now_ns: int) -> None:
        """Prices to be watched from now on: the filter as it stands then is recorded."""
        if self.filter is not None and (asked := self.asked(len(self.filter.waiting()))):
            wake = self.filter.extended([PriceWatch(*one) for one in asked], now_ns)
            self.journal.put(wake, Lane.DELIVERY, now_ns, self.cause, TRADER)

    def rewrite(self, decision: Decision | ForecastSeen | Detach, now_ns: int) -> None:
        """A decision, a forecast that was read for it, or an end from outside, as a Record has it."""
        self.journal.put(decision, Lane.DELIVERY, now_ns, self.cause, TRADER)


def play(
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
    taking: Taking | None = None,
    may_walk: bool = True,
) -> Played:
    """Run a trader through the plan. `branch` says from where in another run it goes on, and moves nothing else.
    `debug` refuses the use of trades and bars that were kept beyond their hook. `taking` keeps snapshots of the engine;
    a compiled loop has none. `may_walk` lets a trader who sends its standing pair alone be walked (`pair_run`),
    and one who sends MARKET orders on bars (`bar_run`).

    A trader that raises ends it: its open orders are cancelled, positions stay, the traceback stands in the journal.
    Then what it raised is raised here too, or with `raises=False` is in what is answered. One that computes its
    `quotes` as arrays runs in a compiled loop where that can be (`array_run`).
    """
    if hasattr(trader, "quotes"):
        from gnomon.replay.array_run import play_quotes  # which plays by hand what its loop does not cover

        return play_quotes(
            plan, trader, sink=sink, mode=mode, search=search, keeps=keeps, raises=raises, branch=branch, debug=debug
        )
    plan = ready(plan, trader)
    stage = Stage.set(plan, sink, mode, keeps, branch, _draws(plan, taking))
    depth = DepthView.of(plan.ground, plan.rules.latency.feed.slowest_ns)
    desk = Desk(desk_plan(plan), stage.view, stage.course.wire, depth, stage.course)
    wake = wake_of(trader.wakes(), plan.ground, stage.bar_layer, trader.hook)
    stage.attach(wake)
    engine = stage.engine(stage.streams(wake, _lending(trader.hook) if debug else trader.hook), desk, search, taking)
    stage.course.asked = lambda _: desk.take_watches()

    def begin() -> None:
        desk.begin(trader)
        engine.start()
        if may_walk and search is not print_by_print:
            walk(stage, engine, desk, keeps)
        engine.run()

    played = stage.run(engine, begin, desk.end)
    if played.error is not None and raises:
        raise played.error
    return played


def walk(stage: Stage, engine: Replay, desk: Desk, keeps: bool) -> None:
    """The course of a trader who says nothing but its standing pair, or on bars nothing but MARKET orders, for as long
    as it is that."""
    run: Any = None
    if len(engine.streams) == 1:
        (stream,) = engine.streams
        if isinstance(stream, TradeStream):
            from gnomon.replay.pair_run import PairRun  # which no other run needs

            run = PairRun.of(stage, engine, desk, keeps)
        elif isinstance(stream, BarStream):
            from gnomon.replay.bar_run import BarRun

            run = BarRun.of(stage, engine, desk, keeps)
    if run is not None:
        run.run()


def play_again(
    record: Record, plan: RunPlan, sink: Sink, search: Search = first_crossing, taking: Taking | None = None
) -> Played:
    """The same from a Record's inputs, without its trader: what `gnomon verify` compares with the Record."""
    script = Script.of(record)
    plan = as_recorded(plan, record.genesis.config)
    stage = Stage.set(plan, sink, "full", keeps=False, branch=record.branch, draws=_draws(plan, taking))
    ghost = Ghost(script, stage.course.rewrite, lambda: stage.journal.seq)
    stage.attach(script.wake, script.concurrency)
    engine = stage.engine(stage.streams(script.wake, ghost.hook, ghost.called), ghost, search, taking)
    stage.course.asked = ghost.take_watches

    def begin() -> None:
        ghost.now_ns = plan.start_ns
        ghost.begin()
        engine.start()
        engine.run()

    return stage.run(engine, begin, ghost.close_decision)


def play_from(
    snapshots: Sequence[Snapshot],
    record: Record,
    plan: RunPlan,
    sink: Sink,
    search: Search = first_crossing,
    taking: Taking | None = None,
) -> Played:
    """The same, but from the last of a run's snapshots on. What the Record holds before it is taken from there, bytes
    and all, and must have the snapshot's chain. The sink has those records already.

    `Refused` where ground, rules or journal are not those of the snapshot.
    """
    script, snapshot = Script.of(record), snapshots[-1]
    plan = as_recorded(plan, record.genesis.config)
    stage = Stage.set(plan, None, "off", keeps=False, draws=KeptDraws(plan.seed))
    if _genesis(plan, stage.exchange) != record.genesis:
        raise Refused("the ground, the rules or the engine are others now", hint="verify the run from its start")
    journal, calls = resumed(record, snapshot, sink)
    stage = replace(stage, journal=journal)
    stage.course.journal = journal
    ghost = Ghost(script, stage.course.rewrite, lambda: journal.seq)
    engine = stage.engine(stage.streams(script.wake, ghost.hook, ghost.called), ghost, search, taking)
    stage.course.asked = ghost.take_watches
    restore(snapshots, engine, stage.course)
    ghost.go_on(calls, snapshot.t)
    return stage.run(engine, engine.run, ghost.close_decision)


def _draws(plan: RunPlan, taking: Taking | None) -> Draws | None:
    return KeptDraws(plan.seed) if taking is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Everything of a run but who decides."""

    plan: RunPlan
    exchange: Exchange
    journal: Journal
    course: _Course
    draws: Draws
    view: TapeView
    feed: Feed | None  # whose latency is not a constant

    @classmethod
    def set(
        cls,
        plan: RunPlan,
        sink: Sink | None,
        mode: Mode,
        keeps: bool,
        branch: Branch | None = None,
        draws: Draws | None = None,
    ) -> Stage:
        ground, rules = plan.ground, plan.rules
        recorded = {one.listing.number: one.recorded for one in ground.tapes if one.recorded is not None}
        venue = Exchange if rules.shorting is None else ShortingExchange
        exchange = venue(ground.listings, {one.listing.number: one.tape for one in ground.tapes}, rules, recorded)
        journal = Journal(_genesis(plan, exchange), plan.start_ns, sink=sink, mode=mode, branch=branch)
        assets = {number: (book.purse.base, book.purse.quote) for number, book in exchange.books.items()}
        course = _Course(journal, assets, keeps)
        course.opened(plan.start_ns, exchange.open_balances())
        for book in exchange.books.values():
            book.see(plan.start_ns - 1)
        liquidity = {number: book.liquidity for number, book in exchange.books.items()}
        draws, leg = draws or Draws(plan.seed), rules.latency.feed
        feed = Feed(leg, draws) if leg.table is not None else None
        view = LaggedView(ground, liquidity, feed) if feed else TapeView(ground, liquidity, leg.const_ns)
        if ground.archive is not None or plan.compute is not None:
            course.wire = Wire(ground, view, leg.slowest_ns, plan.compute)
        return cls(plan, exchange, journal, course, draws, view, feed)

    @property
    def bar_layer(self) -> int:
        return FIRST_LAYER + len(self.plan.ground.tapes)

    def attach(self, wake: Wake, concurrency: int = 0) -> None:
        self.journal.put(Attach(0, concurrency), 0, self.plan.start_ns, 0, TRADER)
        self.journal.put(wake, 0, self.plan.start_ns, 0, TRADER)

    def streams(
        self, wake: Wake, hook: Callable[[str], Any], tell: Callable[..., object] | None = None
    ) -> list[Stream]:
        """What a filter asks for, in the order that decides among wakes of one instant."""
        plan, quiet_ns = self.plan, quiet_until(self.plan)
        feed_ns = plan.rules.latency.feed.slowest_ns  # where it varies, what is no print and no candle comes last
        window = Window(plan.ground, plan.start_ns, plan.end_ns, quiet_ns, feed_ns, self.bar_layer)
        watched = watch_streams(window, wake, hook("trade"))
        if is_watching(wake):
            self.course.filter = Filter(wake, watched)
        every = 0 if is_watching(wake) else wake.every_nth_print
        market = wake_streams(plan, every, hook("trade"), bool(wake.closed_bars), hook("bar"), quiet_ns, self.feed)
        said = after_market(window, wake, hook, tell, self.course.wire)
        return [*before_market(window, wake, hook), *watched.values(), *market, *said]

    def pieces(self, streams: Sequence[Stream], desk: Sitter, search: Search) -> tuple[Any, ...]:
        """What an engine is made of."""
        indexes = {one.listing.number: one.index for one in self.plan.ground.tapes}
        window = self.plan.start_ns, self.plan.end_ns
        return self.exchange, indexes, streams, desk, self.course, self.draws, *window, search

    def engine(self, streams: Sequence[Stream], desk: Sitter, search: Search, taking: Taking | None = None) -> Replay:
        pieces = self.pieces(streams, desk, search)
        engine = Replay(*pieces) if taking is None else TakingReplay(*pieces, taking=taking, keeper=self.course)
        if (faults := self.faults()) is not None:
            engine.suffer(faults)
        return engine

    def faults(self) -> Faults | None:
        """What goes wrong in this run; None where nothing does."""
        plan = self.plan
        if plan.rules.faults.is_empty:
            return None
        return Faults(plan.rules.faults, self.draws, plan.ground.listings, plan.start_ns)

    def run(self, engine: Replay, begin: Callable[[], None], end: Callable[[], None]) -> Played:
        reason, why, error, at_ns = EndReason.FAILED, "", None, self.plan.end_ns
        try:
            try:
                begin()
                reason = EndReason.WINDOW
            except Finished as finished:
                reason, why = getattr(finished, "ends", EndReason.STOPPED), finished.reason
                engine.wind_down()
            except Exception as raised:
                error = raised
                at_ns, unsent = engine.fail()
                self._note(raised, at_ns, unsent)
            if error is None:
                error = self._bid_farewell(end)
        finally:
            digests = _end(self.journal, self.exchange, self.draws, at_ns, reason)
        self.exchange.ledger.check()
        return _played(self.exchange, self.course, digests, reason, why if error is None else _in_words(error), error)

    def over(self) -> Played:
        """What came of a course that has reached the window's end, told by whoever went through it."""
        return self.closed(EndReason.WINDOW, "", self.plan.end_ns)

    def closed(self, reason: EndReason, why: str, at_ns: int) -> Played:
        """What came of a course that is over."""
        digests = _end(self.journal, self.exchange, self.draws, at_ns, reason)
        self.exchange.ledger.check()
        return _played(self.exchange, self.course, digests, reason, why, None)

    def _bid_farewell(self, end: Callable[[], None]) -> Exception | None:
        """The trader's last call, when its course is over: whatever it raises changes nothing of what came of it."""
        try:
            end()
        except Finished:
            return None
        except Exception as raised:
            self._note(raised, self.plan.end_ns, 0)
            return raised
        return None

    def _note(self, raised: Exception, at_ns: int, unsent: int) -> None:
        told = "".join(traceback.format_exception(raised))
        self.journal.put(Failure(unsent, told[-FAILURE_CHARACTERS:]), 0, at_ns, 0, TRADER)


def _lending(hook: Callable[[str], Any]) -> Callable[[str], Any]:
    """Hooks of the market's reused objects are given copies, which are refused afterwards."""

    def found(kind: str) -> Any:
        one = hook(kind)
        return lent(one) if one is not None and kind in ("trade", "bar") else one

    return found


def _in_words(error: Exception) -> str:
    """What was raised, on one line: the message of an error of ours, else kind and message."""
    if isinstance(error, GnomonError):
        return error.message
    return f"{type(error).__name__}: {error}".removesuffix(": ").split("\n")[0][:500]


def _genesis(plan: RunPlan, exchange: Exchange) -> Genesis:
    config = plan.config()
    layers = [f"{one.listing.id} {'candles' if one.is_bar_modelled else 'trades'}" for one in plan.ground.tapes]
    return Genesis(
        SCHEMA,
        ENGINE_VERSION,
        plan.ground.digest,
        config_digest(config),
        config,
        ("venue", "trader", *layers),
        tuple(one.id for one in plan.ground.listings),
        tuple(asset.name for asset in exchange.ledger.assets),
    )


def desk_plan(plan: RunPlan) -> trader_plan.Plan:
    """What the desk of a run is told of its session."""
    return trader_plan.Plan(
        listings=plan.ground.listings,
        start_ns=plan.start_ns,
        end_ns=plan.end_ns,
        timeframe=plan.ground.timeframe,
        seed=plan.seed,
        balances=plan.rules.balances,
        costs=Costs.of(plan.rules.fees, plan.rules.shorting.initial if plan.rules.shorting else 0),
        limits=plan.limits,
        digest=config_digest(plan.config()).hex(),
        entry=plan.entry,
    )


def wake_streams(
    plan: RunPlan,
    every_nth_print: int,
    on_trade: Callable[[Any, Any], object] | None,
    closed_bars: bool,
    on_bar: Callable[[Any, Any], object] | None,
    quiet_ns: int = 0,
    feed: Feed | None = None,
) -> list[Stream]:
    """The streams that a wake filter asks for, in the order of the layers. Nothing is told before `quiet_ns`."""
    feed_ns = plan.rules.latency.feed.const_ns
    start_ns = max(plan.start_ns, quiet_ns - feed_ns)
    streams: list[Stream] = []
    if every_nth_print and on_trade is not None:
        for one in plan.ground.tapes:
            if isinstance(one.tape, Prints):
                first = one.tape.until(start_ns - 1)
                rows = range(first + every_nth_print - 1, len(one.tape), every_nth_print)
                layer = FIRST_LAYER + one.listing.number
                trade = Trade(one.listing)
                if feed is not None:
                    streams.append(LaggedTrades(one.tape, trade, on_trade, rows, feed, layer))
                else:
                    streams.append(TradeStream(one.tape, trade, on_trade, rows, feed_ns, layer))
    if closed_bars and on_bar is not None:
        listings = [one.listing for one in plan.ground.tapes]
        bar = Bar({one.id: Candle(one) for one in listings})
        window = max(plan.start_ns, quiet_ns - feed_ns - 1), plan.end_ns
        bars = [one.bars for one in plan.ground.tapes]
        layer = FIRST_LAYER + len(listings)
        if feed is not None:
            streams.append(LaggedBars(bars, bar, on_bar, window, feed, layer))
        else:
            streams.append(BarStream(bars, bar, on_bar, window, feed_ns, layer))
    return streams


def _end(journal: Journal, exchange: Exchange, draws: Draws, at_ns: int, reason: EndReason) -> Digests:
    ledger = exchange.ledger
    lent = [-units for units in ledger.borrowed]
    columns = (ledger.free, ledger.locked, ledger.market, ledger.fees, ledger.opening, lent)
    balances = [
        (account, asset, units)
        for asset in range(len(ledger.assets))
        for account, column in enumerate(columns)
        if (units := column[asset])
    ]
    return journal.end(at_ns, reason, draws.tallies(), balances)


def _played(
    exchange: Exchange, course: _Course, digests: Digests, reason: EndReason, why: str, error: Exception | None
) -> Played:
    ledger = exchange.ledger
    return Played(
        digests,
        reason,
        why,
        exchange.working.fills_made,
        exchange.working.made,
        course.rejects,
        sum(book.ambiguous_bars for book in exchange.books.values()),
        {asset.name: asset.decimal(ledger.balance(number)) for number, asset in enumerate(ledger.assets)},
        course.told_outcomes,
        error,
    )
