"""Replays: sessions run in process, their journals, figures and rows kept.

Everything here composes: the ground comes from the store, the run from `replay`, the figures from `score`, the page
from `report`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gnomon.clock import Clock, iso
from gnomon.errors import GnomonError, Invalid, NotFound, Unavailable
from gnomon.jobs.run_ids import new_id
from gnomon.jobs.stage import Stage, stage_of
from gnomon.market.instrument import Instruments
from gnomon.replay.bodies import Branch, EndReason, Genesis
from gnomon.replay.engine import Search
from gnomon.replay.ground import ENGINE_VERSION
from gnomon.replay.needs import ready
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again, play_from
from gnomon.replay.runners import JUMP
from gnomon.replay.runners import runner as search_of
from gnomon.replay.session import Drive, Entry, Session, document_of
from gnomon.replay.snapshots import Snapshot, Taking, copy_before, fitting
from gnomon.replay.verification import Outcome, Verification, verify
from gnomon.score.fault_verdicts import fault_report
from gnomon.score.label import BY_WALL
from gnomon.score.played import run_record
from gnomon.score.run_record import RunRecord
from gnomon.score.runs import Summary, summary
from gnomon.store.journals import Journals
from gnomon.store.labels import LabelStore
from gnomon.store.run_snapshots import RunSnapshots
from gnomon.store.runs import RunStore, StoredRun
from gnomon.store.store import Store
from gnomon.trader.purity import guard
from gnomon.trader.strategies.catalog import strategy
from gnomon.trader.trader import Strategy

Traders = Callable[[str, Mapping[str, Any]], Strategy]
"""A trader of a name and parameters, ready to begin."""

STATUS = {
    EndReason.WINDOW: "completed",
    EndReason.STOPPED: "stopped",
    EndReason.SEEK: "stopped",
    EndReason.FAILED: "failed",
}


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A run that is over, with what its report is made of."""

    stored: StoredRun
    record: RunRecord
    summary: Summary


class Replays:
    """The runs of one home and database."""

    def __init__(
        self, store: Store, home: Path, configured: Instruments, clock: Clock, traders: Traders | None = None
    ) -> None:
        """`traders` makes a trader of its name and parameters; without it the catalog does."""
        self._traders = traders or trader_of
        self._store = store
        self._configured = configured
        self._clock = clock
        self.journals = Journals(home)
        self.runs = RunStore(store.engine)
        self.labels = LabelStore(store.engine)

    def stage(self, session: Session, upto_seq: int | None = None) -> Stage:
        """The session's ground; its forecasts are those of the ledger's chain up to a row, by default all."""
        return stage_of(self._store, self._configured, session, upto_seq)

    def run(
        self,
        stage: Stage,
        text: str,
        entry: Entry,
        number: int,
        seed: int | None,
        runner: str = JUMP,
        branch: Branch | None = None,
        debug: bool = False,
        snapshots: int = 0,
    ) -> Done:
        """One entry of a session, kept: journal, figures, row. `text` is the session as it was written.

        `runner` moves no digest; one that is not the usual is noted in the side log. `snapshots`, if not 0: after so
        many records each; a compiled loop keeps none.

        A trader that raises is no error here: its run is kept too, as failed, with what it raised as the reason.
        """
        session = stage.session
        search = search_of(runner)
        chosen = seed if seed is not None else session.seed
        plan = stage.plan(entry, number, secrets.randbits(64) if chosen is None else chosen)
        trader = self._traders(entry.trader, entry.params)
        ready(plan, trader)  # what is refused leaves no journal
        run = new_id("run", self._clock.now_ns())
        kept = RunSnapshots.of(self.journals, run)
        with self.journals.create(run) as sink, kept, guard():
            played = play(
                plan,
                trader,
                sink=sink,
                mode="full",
                search=search,
                keeps=False,
                raises=False,
                branch=branch,
                debug=debug,
                taking=Taking(kept, snapshots) if snapshots else None,
            )
        if runner != JUMP:
            self.journals.side(run).write({"fact": "runner", "name": runner})
        if kept.refusal:
            self.journals.side(run).write({"fact": "no more snapshots", "why": kept.refusal})
        return self.keep(run, stage, text, entry, plan, played, branch)

    def keep(
        self, run: str, stage: Stage, text: str, entry: Entry, plan: RunPlan, played: Played, branch: Branch | None
    ) -> Done:
        """The figures and the row of a run whose journal is whole, however it was driven."""
        window = plan.start_ns, plan.end_ns
        record = run_record(run, self.journals.read(run), plan.ground, stage.calendar, window, in_words=True)
        found = summary(record)
        stored = self._row(run, stage, text, entry, plan, played, found, journal="full", branch=branch)
        if stage.session.drive is not Drive.IN_PROCESS:
            stored = replace(stored, counts={**stored.counts, BY_WALL: int(self._is_by_wall(run))})
        if stage.session.drive is not Drive.IN_PROCESS and not plan.rules.faults.is_empty:
            borne = fault_report(self.journals.read(run))
            assert borne is not None
            stored = replace(stored, summary={**stored.summary, "faults": borne.row()})
        self.runs.keep([stored])
        return Done(stored, record, found)

    def passed_by_wall(self, run: str) -> None:
        """Note that the wall's clock alone let a request of a run pass; it outlives the venue's process."""
        if not self._is_by_wall(run):
            self.journals.side(run).write({"fact": BY_WALL})

    def _is_by_wall(self, run: str) -> bool:
        return any(fact.get("fact") == BY_WALL for fact in self.journals.side(run).facts())

    def branch(
        self,
        parent: StoredRun,
        at_ns: int,
        trader: str = "",
        params: Mapping[str, Any] | None = None,
        runner: str = JUMP,
        debug: bool = False,
    ) -> Done:
        """Go on from an instant of a run: a new run over what is left of its window, with the opening balances of its
        session; the parent stays as it is. The trader and its parameters are the parent's, or others.

        `Invalid` for an instant outside the parent's window, `NotFound` where its dataset or journal is gone.
        """
        _, plan = self.again(parent)
        if not plan.start_ns < at_ns < plan.end_ns:
            raise Invalid(
                f"{iso(at_ns)} is not inside {parent.id}",
                hint=f"after {iso(plan.start_ns)} and before {iso(plan.end_ns)}",
            )
        place = Branch(bytes.fromhex(parent.fingerprint), at_ns, seq_at(self.record_of(parent), at_ns))
        document = document_of(parent.spec)
        document["session"] = {**document["session"], "from": iso(at_ns)}
        text = json.dumps(document, default=str)
        stage = self.stage(Session.parse(text))
        known = next((one for one in stage.session.entries if one.name == parent.entry), None)
        given = dict(params or {}) if trader else {**parent.params, **(params or {})}
        entry = Entry(parent.entry, trader or parent.trader, given, known.balances if known is not None else {})
        return self.run(stage, text, entry, parent.counts["entry"], parent.seed, runner, place, debug)

    def trial(self, stage: Stage, text: str, entry: Entry, number: int, seed: int, sweep: str) -> Done:
        """One run of a sweep: hashed, not kept; a rerun with its parameters gives the same fingerprint."""
        plan = stage.plan(entry, number, seed)
        kept = Kept()
        trader = self._traders(entry.trader, entry.params)
        with guard():
            played = play(plan, trader, sink=kept, mode="full", keeps=False)
        run = new_id("run", self._clock.now_ns())
        record = run_record(run, Record(kept), plan.ground, stage.calendar, (plan.start_ns, plan.end_ns))
        found = summary(record)
        stored = self._row(run, stage, text, entry, plan, played, found, journal="digest", sweep=sweep)
        return Done(stored, record, found)

    def _row(
        self,
        run: str,
        stage: Stage,
        text: str,
        entry: Entry,
        plan: RunPlan,
        played: Played,
        found: Summary,
        *,
        journal: str,
        sweep: str = "",
        branch: Branch | None = None,
    ) -> StoredRun:
        session = stage.session
        return StoredRun(
            id=run,
            session=session.name or " + ".join(session.datasets),
            entry=entry.name,
            sweep=sweep,
            trader=entry.trader,
            params={
                name: value if isinstance(value, int | float | str) else str(value)
                for name, value in entry.params.items()
            },
            seed=plan.seed,
            dataset=stage.dataset,
            spec=text,
            status=STATUS[played.reason] if played.error is None else STATUS[EndReason.FAILED],
            reason=played.why,
            digests={**played.digests.row(), **({"parent": branch.parent.hex()} if branch is not None else {})},
            engine=ENGINE_VERSION,
            counts={
                "entry": plan.entry,
                "fills": played.fills,
                "orders": played.orders,
                "rejects": played.rejects,
                "ambiguous_bars": played.ambiguous_bars,
                "bar_modelled": sum(one.is_bar_modelled for one in plan.ground.tapes),
                "unquoted": sum(not one.is_bar_modelled and one.recorded is None for one in plan.ground.tapes),
                "frozen_seq": stage.frozen_seq,
            },
            summary=_finite(found.row()),
            journal=journal,
            created_at=self._clock.now_ns(),
        )

    # --- what is stored -----------------------------------------------------------------------------------------------

    def again(self, stored: StoredRun) -> tuple[Stage, RunPlan]:
        """The stage and the plan that a stored run had. `NotFound` where its dataset is gone."""
        session = Session.parse(stored.spec)
        stage = self.stage(session, stored.counts.get("frozen_seq"))
        if stage.dataset != stored.dataset:
            raise NotFound(
                f"run {stored.id} ran on dataset {stored.dataset[:12]}, {session.datasets} is {stage.dataset[:12]}",
                hint="import that dataset again",
            )
        number = stored.counts["entry"]
        entry = next((one for one in session.entries if one.name == stored.entry), None)
        balances = entry.balances if entry is not None else {}
        return stage, stage.plan(Entry(stored.entry, stored.trader, stored.params, balances), number, stored.seed)

    def record_of(self, stored: StoredRun) -> Record:
        """Its Record: from its journal, or (of a run that was only hashed) by running it again."""
        if stored.journal == "full":
            return self.journals.read(stored.id)
        record = self.closed_loop(stored)
        sealed = record.sealed
        if sealed is None or sealed.fingerprint.hex() != stored.fingerprint:
            raise Unavailable(
                f"run {stored.id} gives another fingerprint today", hint="its trader's code has changed since"
            )
        return record

    def closed_loop(self, stored: StoredRun, branch: Branch | None = None) -> Record:
        """Its trader, run again over the same ground under the same rules; nothing is kept. `branch` as it had one.

        What stands under the trader's name today is run: `NotFound`, `Invalid` or `Refused` where it is none."""
        _, plan = self.again(stored)
        kept = Kept()
        with guard():
            trader = self._traders(stored.trader, stored.params)
            play(plan, trader, sink=kept, mode="full", keeps=False, raises=False, branch=branch)
        return Record(kept)

    def read(self, stored: StoredRun) -> RunRecord:
        """The columns that its figures and its page are made of."""
        stage, plan = self.again(stored)
        window = plan.start_ns, plan.end_ns
        return run_record(stored.id, self.record_of(stored), plan.ground, stage.calendar, window, in_words=True)

    def verify(self, stored: StoredRun, runner: str = JUMP, *, from_snapshot: bool = False) -> Verification:
        """Is the Record whole, its dataset at hand, and does the engine give the same from its inputs? With
        `from_snapshot` from the newest good one on; what is before it is hashed, not replayed."""
        search = search_of(runner)
        try:
            record = self.record_of(stored)
        except GnomonError as error:
            return Verification(Outcome.UNCHECKED, (error.message,))
        if not from_snapshot:
            return verify(record, _Rebuild(self, stored, search), stored.fingerprint)
        kept = RunSnapshots.of(self.journals, stored.id).good()
        kept = kept[: fitting(record, kept)]
        if not kept:
            told = f"no snapshot of {stored.id} is good: verify it from its start"
            return Verification(Outcome.UNCHECKED, (told,))
        found = verify(record, _Rebuild(self, stored, search, kept), stored.fingerprint)
        began = f"snapshot: from record {kept[-1].seq:,} on; what is before it is hashed, not replayed"
        return replace(found, steps=(began, *found.steps))


def seq_at(record: Record, at_ns: int) -> int:
    """The number of the last record up to an instant, what happened at it included."""
    last = 0
    for one in record.entries():
        if one.t > at_ns:
            break
        last = one.seq
    return last


class _Rebuild:
    """`verification.Rebuild` over the store."""

    def __init__(self, replays: Replays, stored: StoredRun, search: Search, snapshots: Sequence[Snapshot] = ()) -> None:
        self._snapshots = snapshots
        self._search = search
        self._replays = replays
        self._stored = stored
        self._plan: RunPlan | None = None

    def dataset_digest(self, _genesis: Genesis) -> bytes | None:
        try:
            _, self._plan = self._replays.again(self._stored)
        except NotFound:
            return None
        return self._plan.ground.digest

    def replay(self, record: Record, into: Kept) -> None:
        assert self._plan is not None
        if not self._snapshots:
            play_again(record, self._plan, into, self._search)
            return
        copy_before(record, self._snapshots[-1], into)
        play_from(self._snapshots, record, self._plan, into, self._search)


def trader_of(name: str, params: Mapping[str, Any]) -> Strategy:
    """A shipped strategy by its name, or a class by `module:Class` or `file.py:Class`.

    `NotFound` with near names, `Invalid` for a wrong parameter, `Refused` when its source leaves the desk.
    """
    found: Strategy = strategy(name, params)
    return found


def _finite(document: Any) -> Any:
    """JSON has no NaN and no infinity: they are null."""
    if isinstance(document, dict):
        return {key: _finite(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_finite(value) for value in document]
    if isinstance(document, float) and not (float("-inf") < document < float("inf")):
        return None
    return document


def entries_of(session: Session, trader: str, params: Mapping[str, Any]) -> Sequence[Entry]:
    """The entries to run: those of the session, or the one trader that was named instead. `Invalid` for none."""
    if trader:
        return [Entry(trader, trader, params)]
    if not session.entries:
        raise Invalid(
            "the session has no entry", hint="add an [[entry]] with a trader, or name one: --trader sma_cross"
        )
    return session.entries
