"""The board of a day: a snapshot for each timeframe, asset class and stage, and `signal_performance` refreshed.

A snapshot is computed from the scores that were there at its instant, the nominal time of its tick: a job that is made
up later takes the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.jobs.engine.port import Partial, Work
from gnomon.market.instrument import ASSET_CLASSES, Instruments
from gnomon.score.compare import ALL
from gnomon.store.boards import BoardFilter, board_of
from gnomon.store.snapshots import Snapshot
from gnomon.store.store import Store

STAGES: Final = ("raw", "calibrated")
GROUPS: Final = (ALL, *ASSET_CLASSES)


@dataclass(frozen=True, slots=True)
class BoardOf:
    """Which board of the live lane is kept: a timeframe, a group of instruments, a stage of the quantiles."""

    timeframe: Timeframe
    group: str = ALL
    stage: str = "raw"

    def row(self) -> dict[str, str]:
        """The filter of a snapshot, JSON-ready."""
        return {"lane": "live", "timeframe": str(self.timeframe), "group": self.group, "stage": self.stage}


def run_board(work: Work, store: Store, configured: Instruments) -> Any:
    """Take the snapshots of a tick, one a step, then refresh the figures by symbol and step.

    Arguments: `timeframe` (default: every one that is stored) and `groups` (default: all, and each asset class).
    """
    wanted = work.step("boards", lambda: [one.row() for one in _wanted(work, store)])

    def take(asked: dict[str, str]) -> dict[str, Any]:
        one = BoardOf(Timeframe.parse(asked["timeframe"]), asked["group"], asked["stage"])
        taken = snapshot(store, configured, one, work.due_ns)
        kept = taken is not None and store.boards.insert(taken)
        return asked | {"rows": len(taken.rows) if taken else 0, "kept": kept, "hash": taken.hash if taken else ""}

    outcomes = work.each("snapshot", wanted, take)
    taken = [one.result for one in outcomes if one.ok and one.result["rows"]]
    done: dict[str, Any] = {"as_of": iso(work.due_ns), "snapshots": taken}
    done["performance"] = work.step("performance", store.performance.refresh, work.now_ns())
    failed = tuple({**one.item, **(one.error or {})} for one in outcomes if not one.ok)
    return Partial(done, failed) if failed else done


def snapshot(store: Store, configured: Instruments, one: BoardOf, as_of_ns: int) -> Snapshot | None:
    """A board as it stood at an instant, or None where nothing was scored by then."""
    rows = board_of(
        store.scores,
        BoardFilter(
            lane="live",
            timeframe=one.timeframe,
            instruments=_members(store, configured, one.group),
            stage=STAGES.index(one.stage),
            known_until_ns=as_of_ns,
        ),
    )
    if not rows:
        return None
    head = store.boards.head_at("live", as_of_ns)
    return Snapshot(as_of_ns, one.row(), [row.row() for row in rows], head)


def _wanted(work: Work, store: Store) -> list[BoardOf]:
    """The boards that the arguments ask for; a group without an instrument in the store has none."""
    names = [work.args["timeframe"]] if "timeframe" in work.args else store.market.timeframes()
    there = {ALL, *(one.asset_class for one in store.market.instruments())}
    groups: Sequence[str] = work.args.get("groups", [one for one in GROUPS if one in there])
    if unknown := sorted(set(groups) - set(GROUPS)):
        raise Invalid(f"no group {unknown[0]!r}", hint=f"one of {', '.join(GROUPS)}")
    return [BoardOf(Timeframe.parse(name), group, stage) for name in names for group in groups for stage in STAGES]


def _members(store: Store, configured: Instruments, group: str) -> tuple[str, ...]:
    """The instruments of a group; empty stands for all."""
    if group == ALL:
        return ()
    known = configured.with_added(store.market.instruments())
    return tuple(sorted(one.id for one in known if one.asset_class == group))
