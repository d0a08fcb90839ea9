"""Verbs of keeping it well: verify, db."""

from __future__ import annotations

from typing import Annotated

import typer

from gnomon.cli.verb import Json, app, db, opened, settings_of, verb
from gnomon.errors import Invalid
from gnomon.terminal import progress_bar, say, show_json


@app.command()
@verb
def verify(
    what: Annotated[str, typer.Argument(help="forecasts: walk the hash chain of the ledger.")] = "forecasts",
    as_json: Json = False,
) -> None:
    """Prove that what is stored is what was written: names the first broken row, and the first broken day."""
    if what != "forecasts":
        raise Invalid(f"cannot verify {what!r}", hint="gnomon verify forecasts")
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
