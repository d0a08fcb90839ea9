"""Verbs of keeping it well: verify, db."""

from __future__ import annotations

from typing import Annotated

import typer

from gnomon.cli.verb import Json, app, db, opened, settings_of, verb
from gnomon.terminal import progress_bar, say, show_json


@app.command()
@verb
def verify(
    what: Annotated[str, typer.Argument(help="forecasts: the hash chain of the ledger; or a run.")] = "forecasts",
    every_run: Annotated[bool, typer.Option("--all", help="The forecasts and every stored run.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that what is stored is what was written: names the first broken row, and the first broken day.

    A run is replayed from its inputs, without its trader. Exit 0 verified, 1 differs, 2 cannot be checked.
    """
    if what != "forecasts" or every_run:
        _verify_runs([what] if what != "forecasts" else [], every_run, as_json)
        if not every_run:
            return
        if as_json:
            return
    _, store, _ = opened()
    with progress_bar() as progress:
        lanes = store.forecasts.verify(progress=progress)
    digests = store.digests.check()
    is_whole = digests.ok and all(one.ok for one in lanes)
    if as_json:
        show_json({"ok": is_whole, "lanes": [one.row() for one in lanes], "digests": digests.row()})
    else:
        say(*(one.sentence() for one in lanes), digests.sentence())
    if not is_whole:
        raise typer.Exit(1)


def _verify_runs(names: list[str], every_run: bool, as_json: bool) -> None:
    """Each run replayed from its inputs; the worst outcome is the exit code."""
    from gnomon.cli.replay import replays_of

    replays = replays_of()
    stored = replays.runs.list(limit=1_000_000) if every_run else [replays.runs.find(name) for name in names]
    found = [(one, replays.verify(one)) for one in stored]
    if as_json:
        rows = [{"run": one.id, "outcome": result.outcome.name, "steps": list(result.steps)} for one, result in found]
        show_json(rows[0] if len(rows) == 1 and not every_run else {"runs": rows})
    else:
        for one, result in found:
            say(f"{one.id}: {result.outcome.name.lower()}", *(f"  {step}" for step in result.steps))
    worst = max((result.outcome for _, result in found), default=0)
    if worst:
        raise typer.Exit(int(worst))


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
