"""Sweeps: one trader over many parameters and rules, every run stored, their number disclosed.

The dataset, the window and the seed stay; luck is shared by identity, so runs compare as pairs. Each run is hashed, not
kept: a rerun with its parameters gives the same fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Final

from gnomon.errors import Exhausted, Invalid
from gnomon.jobs.executor import Executor
from gnomon.jobs.replay import Replays, Traders
from gnomon.jobs.stage import Stage
from gnomon.replay.session import Entry, Session, document_of
from gnomon.score.growth import Growth
from gnomon.score.trials import Deflated, deflated
from gnomon.store.runs import StoredRun

LARGEST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to be made: plain data, for it travels to another process."""

    number: int
    url: str
    home: Path
    text: str  # the session as TOML
    rules: tuple[tuple[str, Any], ...]  # dotted paths below [rules], and their values
    entry: Entry
    seed: int
    sweep: str
    traders: Traders | None = None  # of `Replays`; a function of a module, for it travels by its name


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one."""

    stored: StoredRun
    growth: Growth


@dataclass(frozen=True, slots=True)
class Swept:
    """Every run of a sweep, the best Sharpe first, each beside the luck of their number."""

    sweep: str
    runs: tuple[tuple[StoredRun, Deflated], ...]
    failed: tuple[str, ...]


def combinations(
    params: Sequence[Mapping[str, Any]], rules: Mapping[str, Sequence[Any]]
) -> list[tuple[Mapping[str, Any], tuple[tuple[str, Any], ...]]]:
    """Every parameter set under every combination of rules, the rules fastest. `Exhausted` beyond 100,000."""
    knobs = [tuple(zip(rules, values, strict=True)) for values in product(*rules.values())]
    size = len(params) * len(knobs)
    if size > LARGEST:
        raise Exhausted(f"a sweep of {size:,} runs", hint=f"at most {LARGEST:,}: fix a value, or draw with --random")
    return [(one, knob) for one in params for knob in knobs]


def sweep(trials: Sequence[Trial], executor: Executor, keep: Callable[[Sequence[StoredRun]], None]) -> Swept:
    """Run every trial, keep all that came of them, and set each Sharpe beside what luck alone would reach."""
    if not trials:
        raise Invalid("a sweep of no runs", hint="give at least one value to try")
    done: list[Tried] = []
    failed: list[str] = []
    for one in executor.map(run_trial, {str(trial.number): trial for trial in trials}):
        if one.error is not None:
            failed.append(f"{one.key}: {one.error.get('message', one.error)}")
        else:
            done.append(one.result)
    keep([one.stored for one in done])
    luck = deflated([one.growth for one in done], trials=len(trials)) if done else ()
    ranked = sorted(
        zip((one.stored for one in done), luck, strict=True), key=lambda pair: -(pair[1].sharpe or float("-inf"))
    )
    return Swept(trials[0].sweep, tuple(ranked), tuple(failed))


def run_trial(trial: Trial) -> Tried:
    """One run, in whichever process this is."""
    replays, stage = _opened(trial.url, trial.home, trial.text, trial.traders)
    text = json.dumps(with_rules(document_of(trial.text), trial.rules), default=str, sort_keys=True)
    own = replace(stage, session=Session.parse(text))
    done = replays.trial(own, text, trial.entry, trial.number, trial.seed, trial.sweep)
    return Tried(done.stored, done.summary.growth)


def with_rules(document: Mapping[str, Any], rules: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A session's document with dotted paths below [rules] set: `fees.taker`."""
    changed: dict[str, Any] = deepcopy(dict(document))
    for path, value in rules:
        table = changed.setdefault("rules", {})
        *outer, name = path.split(".")
        for key in outer:
            table = table.setdefault(key, {})
        table[name] = value
    return changed


@lru_cache(maxsize=1)
def _opened(url: str, home: Path, text: str, traders: Traders | None) -> tuple[Replays, Stage]:
    """The store and the ground of a session: a process opens them once."""
    from gnomon.sources.instruments import shipped_instruments
    from gnomon.store.store import Store
    from gnomon.wallclock import WallClock

    store = Store.open(url, home / "datasets")
    replays = Replays(store, home, shipped_instruments(), WallClock(), traders)
    return replays, replays.stage(Session.parse(text))
