"""Verbs of keeping it well: verify, db."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gnomon.cli.verb import Json, app, db, opened, settings_of, verb
from gnomon.terminal import progress_bar, say, show_json


@app.command()
@verb
def verify(
    what: Annotated[str, typer.Argument(help="forecasts: the hash chain of the ledger; or a run.")] = "forecasts",
    every_run: Annotated[bool, typer.Option("--all", help="The forecasts and every stored run.")] = False,
    runner: Annotated[str, typer.Option("--runner", help="Of a run: jump, or naive: print by print.")] = "jump",
    from_snapshot: Annotated[
        bool, typer.Option("--from-snapshot", help="Of a run: replay from its newest good snapshot on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Prove that what is stored is what was written: names the first broken row, and the first broken day.

    A run is replayed from its inputs, without its trader. Exit 0 verified, 1 differs, 2 cannot be checked.
    """
    runs, worst = _verified_runs(what, every_run, runner, from_snapshot)
    document: dict[str, Any] = {"runs": runs} if runs or what != "forecasts" else {}
    if what == "forecasts":
        _, store, _ = opened()
        with progress_bar() as progress:
            lanes = store.forecasts.verify(progress=progress)
        digests = store.digests.check()
        is_whole = digests.ok and all(one.ok for one in lanes)
        document |= {"ok": is_whole, "lanes": [one.row() for one in lanes], "digests": digests.row()}
        worst = max(worst, 0 if is_whole else 1)
        if not as_json:
            say(*(one.sentence() for one in lanes), digests.sentence())
    if as_json:
        show_json(document if what == "forecasts" else document["runs"][0])
    else:
        for one in runs:
            say(
                f"{one['run']}: {one['outcome'].lower()}, {one['label']['label']}",
                *(f"  {step}" for step in one["steps"]),
            )
    if worst:
        raise typer.Exit(worst)


def _verified_runs(what: str, every_run: bool, runner: str, from_snapshot: bool) -> tuple[list[dict[str, Any]], int]:
    """Each run replayed from its inputs, and the worst outcome: 0 verified, 1 differs, 2 cannot be checked."""
    if what == "forecasts" and not every_run:
        return [], 0
    from gnomon.cli.replay import labels_of, replays_of

    replays = replays_of()
    labels = labels_of(replays)
    stored = replays.runs.list(limit=1_000_000) if every_run else [replays.runs.find(what)]
    found = [(one.id, labels.verify(one, runner, from_snapshot=from_snapshot)) for one in stored]
    standings = labels.of(stored)
    rows = [
        {"run": run, "outcome": one.outcome.name, "steps": list(one.steps), "label": standings[run].row()}
        for run, one in found
    ]
    return rows, max((int(one.outcome) for _, one in found), default=0)


@db.command("upgrade")
@verb
def db_upgrade(as_json: Json = False) -> None:
    """Bring the database to the newest schema. Safe to call at any time, by several processes."""
    from gnomon.store.engine import open_engine, upgrade

    applied = upgrade(open_engine(settings_of().url))
    if as_json:
        show_json({"applied": applied})
    else:
        say(f"applied {', '.join(applied)}" if applied else "the schema is the newest already")
