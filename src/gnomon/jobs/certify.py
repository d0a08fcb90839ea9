"""Certifying a run: its closed loop, trader included, run again and again, and the label that it has earned by that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, cast

from gnomon.errors import Invalid, Unavailable
from gnomon.jobs.executor import LocalExecutor
from gnomon.jobs.labels import Labels
from gnomon.jobs.replay import Replays, Traders
from gnomon.market.instrument import Instruments
from gnomon.replay.bodies import Detach, EndReason
from gnomon.replay.divergence import first_divergence
from gnomon.replay.header import RecordType
from gnomon.replay.live import OPERATOR
from gnomon.replay.session import Drive, Session
from gnomon.replay.verification import Outcome, Verification
from gnomon.score.label import BY_WALL, UNMODIFIED, Label, Standing, bars
from gnomon.store.runs import StoredRun
from gnomon.store.sessions import SessionRun, SessionStore
from gnomon.store.store import Store
from gnomon.wallclock import WallClock

FOUR: Final = ("dataset", "config", "inputs", "outputs")
FEWEST: Final = 2
MOST: Final = 1_000
IN_PROCESS: Final = "in process"
STOPPED: Final = "stopped"


@dataclass(frozen=True, slots=True)
class Repeat:
    """One more run of a closed loop: its four digests in hex, by name. `run` is empty where it was not kept;
    `difference` says in words where it parts from the run that it repeats, where that is known."""

    digests: tuple[str, ...]
    run: str = ""
    tier: str = IN_PROCESS
    difference: str = ""


class Loops(Protocol):
    """What runs the closed loop of a run again."""

    def again(self, stored: StoredRun, n: int) -> Sequence[Repeat]:
        """`n` more runs of it."""
        ...


@dataclass(frozen=True, slots=True)
class Certification:
    """What came of it: the label, what verifying found, and in words how to get further, empty where there is no way.

    `differences` say of each run that was not equal where it parts from this one.
    """

    standing: Standing
    verification: Verification
    differences: tuple[str, ...] = ()
    next: str = ""


class Certifier:
    """Certifies the runs of one home and database."""

    def __init__(self, replays: Replays, labels: Labels, sessions: SessionStore) -> None:
        self._replays = replays
        self._labels = labels
        self._sessions = sessions

    def certify(self, stored: StoredRun, repeats: int, loops: Loops | None) -> Certification:
        """Verify a run, count how often its closed loop has given its four digests, and label it by that.

        What it was held against before counts, else the other runs of its bot in its session; what is missing to
        `repeats` is run by `loops`, if any. Of a bot that is not unmodified they start anew where one of those differs:
        it may be another by now. `Invalid` for less than 2 repeats.
        """
        if not FEWEST <= repeats <= MOST:
            raise Invalid(f"{repeats} repeats", hint=f"from {FEWEST}, this run included, to {MOST:,}")
        verification = self._labels.verify(stored)
        if verification.outcome is not Outcome.VERIFIED:
            return Certification(Standing(reason=verification.steps[-1]), verification)
        session, place = Session.parse(stored.spec), self._sessions.of_run(stored.id)
        tier = place.tier if place is not None else IN_PROCESS
        barred = bars(session, tier, stored.counts, is_by_operator=self._is_by_operator(stored))
        found = [] if session.drive is Drive.PACED else self._repeated(stored, place, tier, repeats, loops)
        standing = _standing(stored, tier, barred, found, repeats)
        self._labels.keep(stored, standing, [one.run for one in found if one.run])
        return Certification(standing, verification, _differences(stored, tier, found), _next(stored, place, standing))

    def _repeated(
        self, stored: StoredRun, place: SessionRun | None, tier: str, repeats: int, loops: Loops | None
    ) -> list[Repeat]:
        """The runs that this one is held against."""
        known = self._known(stored, place)
        if loops is None:
            return known
        if tier != UNMODIFIED and not all(_is_equal(stored, tier, one) for one in known):
            known = []
        missing = repeats - 1 - len(known)
        return [*known, *loops.again(stored, missing)] if missing > 0 else known

    def _known(self, stored: StoredRun, place: SessionRun | None) -> list[Repeat]:
        """Those that it was held against before, and (of an unmodified bot always, else where there are none of those)
        the other runs of its bot in its session that ended as it did; over the same ground, under the same rules."""
        if place is None:
            return []
        names = list(self._labels.witnesses(stored))
        if not names or place.tier == UNMODIFIED:
            own = (place.bot, place.revision, place.tier, place.parent)
            starts = self._sessions.runs(place.session)
            names += [
                one.run
                for one in starts
                if (one.bot, one.revision, one.tier, one.parent) == own
                and one.status == place.status
                and one.run not in (stored.id, *names)
            ]
        kept = self._replays.runs.of(names)
        found = []
        for name in names:
            start, one = self._sessions.of_run(name), kept.get(name)
            if start is not None and one is not None and four(one)[:2] == four(stored)[:2]:
                found.append(Repeat(four(one), name, start.tier))
        return found

    def _is_by_operator(self, stored: StoredRun) -> bool:
        """Whether an operator stopped it, or sent its session elsewhere."""
        if stored.status != STOPPED:
            return False
        record = self._replays.record_of(stored)
        if record.end is not None and record.end.reason == EndReason.SEEK:
            return True
        left = [cast(Detach, one.body) for one in record.inputs() if one.header.type == RecordType.DETACH]
        return any(one.reason == OPERATOR for one in left)


def four(stored: StoredRun) -> tuple[str, ...]:
    """The four digests of a stored run, in the order of `FOUR`."""
    return tuple(stored.digests[name] for name in FOUR)


def _is_equal(stored: StoredRun, tier: str, one: Repeat) -> bool:
    return one.digests == four(stored) and one.tier == tier


def _standing(stored: StoredRun, tier: str, barred: Sequence[str], found: Sequence[Repeat], repeats: int) -> Standing:
    """The label that these repeats have earned."""
    runs, equal = 1 + len(found), 1 + sum(_is_equal(stored, tier, one) for one in found)
    if barred:
        return Standing(Label.REPLAYABLE, "; ".join(barred), equal, runs)
    if equal < runs:
        return Standing(Label.REPLAYABLE, "its closed loop, run again, gave other digests", equal, runs)
    if runs < repeats:
        times = "once" if runs == 1 else f"{runs} times"
        return Standing(Label.REPLAYABLE, f"its closed loop was run {times}, and {repeats} equal runs are asked for",
                        equal, runs)  # fmt: skip
    how = "in process" if tier == IN_PROCESS else f"in lock-step, {tier}"
    return Standing(Label.CERTIFIED, f"its closed loop gave the same four digests each time ({how})", equal, runs)


def _differences(stored: StoredRun, tier: str, found: Sequence[Repeat]) -> tuple[str, ...]:
    """Of each run that was not equal, in words, where it parts."""
    told = []
    for one in found:
        if _is_equal(stored, tier, one):
            continue
        parts = [name for name, mine, its in zip(FOUR, four(stored), one.digests, strict=True) if mine != its]
        what = one.difference or (f"other {' and '.join(parts)}" if parts else f"it came as {one.tier}")
        see = f" (gnomon diff {stored.id} {one.run})" if one.run and parts else ""
        told.append(f"{one.run or 'run again'}: {what}{see}")
    return tuple(told)


def _next(stored: StoredRun, place: SessionRun | None, standing: Standing) -> str:
    """How to run the closed loop again, where that is missing; empty elsewhere."""
    if place is None or standing.label is Label.CERTIFIED or standing.measured or stored.counts.get(BY_WALL) is None:
        return ""
    if Session.parse(stored.spec).drive is Drive.PACED:
        return ""
    return (
        f"start it again: gnomon session launch {place.session}, its bot as before, gnomon certify {stored.id}; "
        f'or in one: gnomon certify {stored.id} --command "…", where … starts the bot (of Pulse: --config FILE)'
    )


# --- in process -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loop:
    """One run to be made again: plain data, for it travels to another process."""

    url: str
    home: Path
    configured: Instruments
    run: str
    traders: Traders | None


@dataclass(frozen=True, slots=True)
class InProcess:
    """`Loops` of a trader that is ours: each run in a fresh interpreter, whose hashes of texts are others."""

    url: str
    home: Path
    configured: Instruments
    traders: Traders | None = None

    def again(self, stored: StoredRun, n: int) -> Sequence[Repeat]:
        """`Unavailable` with what was said where the trader does not begin any more."""
        loop = _Loop(self.url, self.home, self.configured, stored.id, self.traders)
        found = []
        for number in range(n):
            with LocalExecutor(1) as executor:
                (one,) = executor.map(run_loop, {str(number): loop})
            if one.error is not None:
                raise Unavailable(
                    f"{stored.trader} cannot be run again: {one.error['message']}", hint=str(one.error.get("hint", ""))
                )
            found.append(one.result)
        return found


def run_loop(loop: _Loop) -> Repeat:
    """One run of a closed loop, in whichever process this is; nothing is kept."""
    store = Store.open(loop.url, loop.home / "datasets")
    replays = Replays(store, loop.home, loop.configured, WallClock(), loop.traders)
    stored = replays.runs.find(loop.run)
    before = replays.journals.read(stored.id) if stored.journal == "full" else None
    record = replays.closed_loop(stored, before.branch if before is not None else None)
    sealed = record.sealed
    assert sealed is not None, "a run that is over is sealed"
    row = sealed.row()
    found = Repeat(tuple(row[name] for name in FOUR))
    if before is None or found.digests == four(stored):
        return found
    return replace(found, difference=first_divergence(before, record).sentence)
