"""The stage of a session: its dataset opened, its instruments listed, its window found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid, NotFound, nearest
from gnomon.exchange.listing import Listing
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import Resolve
from gnomon.jobs.outlook import compute_of, with_outlook
from gnomon.market.block_index import BlockIndex
from gnomon.market.calendar import Hours
from gnomon.market.candles import Candles
from gnomon.market.dataset import AnySeries, hash_of_digests, series_digest
from gnomon.market.depth import Depth
from gnomon.market.instrument import Instrument, Instruments
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.replay.digests import canonical, dataset_digest
from gnomon.replay.ground import Ground, Tape, finest, finest_of, recorded_of, tape_of
from gnomon.replay.listings import Traded, bounded, listings
from gnomon.replay.run import RunPlan
from gnomon.replay.session import Entry, Halt, Session
from gnomon.replay.wire import Compute
from gnomon.sources.sessions import load_sessions
from gnomon.store.store import Store

ALWAYS: Final = "always"
"""The calendar of a market that never closes."""

DEFAULT_TIMEFRAME: Final = "1m"
"""Of the candles that are made of prints, where a session names none and the dataset has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A session's ground, and what is known of its dataset."""

    session: Session
    ground: Ground
    calendar: str
    dataset: str  # content hash of the bundle
    start_ns: int
    end_ns: int
    compute: Compute | None = None
    frozen_seq: int = 0  # of the ledger's lane: the last row that is part of the ground

    def plan(self, entry: Entry, number: int, seed: int) -> RunPlan:
        """What a run of one entry is a function of, besides its trader."""
        rules = self.session.rules
        if entry.balances:
            rules = rules.with_balances({**rules.balances, **entry.balances})
        if not rules.balances:
            quote = self.ground.listings[0].quote.name
            raise Invalid(
                f"entry {entry.name} has no balance", hint=f'add balances = {{ {quote} = "10000" }} to [rules]'
            )
        return RunPlan(
            self.ground, rules, self.start_ns, self.end_ns, seed, self.session.warmup_bars, number,
            compute=self.compute,
        )  # fmt: skip


class Shelf:
    """The series of datasets, and the block index that is kept with each."""

    def __init__(self, store: Store, hashes: Sequence[str]) -> None:
        self._files = store.datasets
        self._placed = [
            (content, number, one) for content in hashes for number, one in enumerate(store.datasets.open(content)[1])
        ]

    @property
    def series(self) -> list[AnySeries]:
        return [one for _, _, one in self._placed]

    def index(self, series: AnySeries) -> BlockIndex:
        """Mapped from its files; made anew by them where it is absent or wrong."""
        content, number = next((content, number) for content, number, one in self._placed if one is series)
        return self._files.block_index(content, number)


def stage_of(store: Store, configured: Instruments, session: Session, upto_seq: int | None = None) -> Stage:
    """Open a session's dataset. `NotFound` for an unknown one, `Invalid` for instruments or a window it has not.

    Forecasts of a ledger are those of its chain up to `upto_seq`, by default all that are there now.
    """
    passports = [store.market.dataset(name) for name in session.datasets]
    shelf = Shelf(store, [passport["hash"] for passport in passports])
    series = shelf.series
    known = configured.with_added(store.market.instruments())
    by_instrument = _by_instrument(series, session.instruments)
    _refuse_twice(by_instrument)
    instruments = [known.find(name) for name in by_instrument]
    timeframe = session.timeframe or _timeframe(by_instrument)
    ground = _ground(by_instrument, instruments, timeframe, shelf, session)
    first_ns, last_ns = ground.span()
    window = session.from_ns or first_ns, min(session.to_ns or last_ns, last_ns)
    if window[0] >= window[1]:
        raise Invalid(
            f"the window from {iso(window[0])} on is not in the dataset",
            hint=f"it holds {iso(first_ns)} to {iso(last_ns)}",
        )
    ground, frozen_seq = with_outlook(store, ground, session.forecasts, by_instrument, window, upto_seq)
    return Stage(
        session,
        ground,
        _calendar(instruments),
        hash_of_digests(series_digest(one) for rows in by_instrument.values() for one in rows),
        *window,
        compute_of(session.forecasts, instruments),
        frozen_seq,
    )


def _by_instrument(series: Sequence[AnySeries], wanted: Sequence[str]) -> dict[str, list[AnySeries]]:
    found: dict[str, list[AnySeries]] = {}
    for one in series:
        found.setdefault(one.instrument, []).append(one)
    if not wanted:
        return found
    chosen: dict[str, list[AnySeries]] = {}
    for name in wanted:
        match = [one for one in found if name.upper() in (one.upper(), one.partition(":")[2].upper())]
        if not match:
            close = nearest(name, found)
            hint = f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(sorted(found))}"
            raise NotFound(f"the dataset has no instrument {name!r}", hint=hint)
        chosen[match[0]] = found[match[0]]
    return chosen


def _refuse_twice(by_instrument: Mapping[str, Sequence[AnySeries]]) -> None:
    """`Invalid` where datasets hold the same series of an instrument: all but one of them would go unread."""
    for name, rows in by_instrument.items():
        counted = Counter(one.key for one in rows)
        for key, n in counted.items():
            if n > 1:
                what = " ".join(str(one) for one in key if one)
                raise Invalid(
                    f"{n} of the datasets hold {what}: a session reads one", hint=f"name one dataset that holds {name}"
                )


def _timeframe(by_instrument: dict[str, list[AnySeries]]) -> Timeframe:
    """The finest that every instrument has candles of; of prints alone, one minute."""
    candles = [{one.timeframe for one in rows if isinstance(one, Candles)} for rows in by_instrument.values()]
    common = set.intersection(*candles) if candles else set()
    if common:
        return min(common)
    if all(any(isinstance(one, Trades) for one in rows) for rows in by_instrument.values()):
        return Timeframe.parse(DEFAULT_TIMEFRAME)
    raise Invalid("the instruments have no candles of one timeframe", hint="choose with `instruments` in [session]")


def _ground(
    by_instrument: dict[str, list[AnySeries]],
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    shelf: Shelf,
    session: Session,
) -> Ground:
    traded, rows, hours = [], [], {}
    resolves = session.rules.fills.resolve is Resolve.FINER
    halts = _halts(session, by_instrument)
    for instrument, series in zip(instruments, by_instrument.values(), strict=True):
        trades = next((one for one in series if isinstance(one, Trades)), None)
        candles = [one for one in series if isinstance(one, Candles) and one.basis == "raw"] or [
            one for one in series if isinstance(one, Candles)
        ]
        head = trades if trades is not None else finest_of(candles)
        tick, lot = head.tick, head.lot
        met: AnySeries | None = head
        if trades is not None:
            tick, lot = finest(trades, [one for one in series if isinstance(one, Quotes | Depth)])
            if (tick, lot) != (head.tick, head.lot):  # the index that is kept counts in other steps
                trades, met = trades.regrid(tick, lot), None
                candles = [one.regrid(tick, lot, one.money) for one in candles]
        traded.append(Traded(instrument, tick, lot))
        recorded = recorded_of(series, tick, lot) if trades is not None else None
        rows.append((trades, candles, recorded, met))
        if instrument.calendar != ALWAYS or instrument.id in halts:
            hours[instrument.id] = _hours(instrument.calendar, head, halts.get(instrument.id, ()))
    listed = listings(traded, hours=hours, are_shorted=session.rules.shorting is not None)
    for bound in session.filters:
        listed = bounded(listed, bound)
    tapes = tuple(
        _tape(listing, trades, candles, timeframe, shelf, recorded, met, resolves)
        for listing, (trades, candles, recorded, met) in zip(listed, rows, strict=True)
    )
    parts = [(" ".join(one.key), series_digest(one)) for series in by_instrument.values() for one in series]
    tables = canonical({"listings": [one.document() for one in listed]}).encode()
    return Ground(tapes, timeframe, dataset_digest([*parts, ("instruments", tables)]))


def _hours(calendar: str, series: Trades | Candles, halts: Sequence[Halt]) -> Hours:
    """The trading hours of the time that a series covers, less its halts."""
    rows = (series.time_ns, series.time_ns) if isinstance(series, Trades) else (series.open_ns, series.close_ns)
    hours = load_sessions(calendar).hours(int(rows[0][0]), int(rows[1][-1]))
    for halt in halts:
        hours = hours.without(halt.from_ns, halt.to_ns)
    return hours


def _halts(session: Session, instruments: Iterable[str]) -> dict[str, list[Halt]]:
    """Halts by instrument. `NotFound` for one that the session has not."""
    found: dict[str, list[Halt]] = {}
    known = {name.partition(":")[2].upper(): name for name in instruments} | {
        name.upper(): name for name in instruments
    }
    for halt in session.halts:
        name = known.get(halt.instrument.upper())
        if name is None:
            raise NotFound(f"a halt of {halt.instrument!r}", hint=f"the session has {', '.join(sorted(instruments))}")
        found.setdefault(name, []).append(halt)
    return found


def _tape(
    listing: Listing,
    trades: Trades | None,
    candles: Sequence[Candles],
    timeframe: Timeframe,
    shelf: Shelf,
    recorded: Recorded | None,
    met: AnySeries | None,
    resolves: bool,
) -> Tape:
    """`met` is the series whose index is kept, None where it has to be made."""
    if trades is not None and not len(trades):
        met = finest_of(candles) if candles else None
    index = shelf.index(met) if met is not None else None
    return tape_of(listing, trades, candles, timeframe, index, recorded, resolves)


def _calendar(instruments: Sequence[Instrument]) -> str:
    """The calendar that annual figures use: that of the instruments, `always` where they differ."""
    calendars = {one.calendar for one in instruments}
    return calendars.pop() if len(calendars) == 1 else ALWAYS
