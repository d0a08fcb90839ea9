"""Verbs of data in: import, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnomon.cli.verb import BasisName, Json, app, basis_of, opened, verb
from gnomon.terminal import progress_bar, say, show, show_json


@app.command("import")
@verb
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)],
    instrument: Annotated[str | None, typer.Option(help="What the files are of, where their names don't say.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Bar length, where the content doesn't say.")] = None,
    basis: BasisName = "",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Keep good rows, write the rest to a reject file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import market data files: recognised by content, checked row by row, stored once."""
    from gnomon.jobs.ingest import ImportOptions, import_files
    from gnomon.wallclock import WallClock

    settings, store, instruments = opened()
    options = ImportOptions(instrument, timeframe, basis_of(basis), skip_bad)
    with progress_bar() as progress:
        reports = import_files(
            store, instruments, paths, options, WallClock(), reject_folder=settings.root / "rejects", progress=progress
        )
    if as_json:
        show_json({"files": [one.row() for one in reports]})
    else:
        from gnomon.terminal import import_table

        show(import_table(reports))
        for one in reports:
            if one.error:
                say(f"{one.file}: {one.error['message']}", f"hint: {one.error['hint']}")
            if one.reject_file:
                say(f"{one.file}: {one.rejected_rows} bad rows are in {one.reject_file}")
    if any(one.status == "refused" for one in reports) or all(one.status == "skipped" for one in reports):
        raise typer.Exit(1)


@app.command()
@verb
def datasets(
    name: Annotated[str, typer.Argument(help="A name or the beginning of a hash: the whole passport.")] = "",
    as_json: Json = False,
) -> None:
    """List the imported datasets, or show the passport of one."""
    _, store, _ = opened()
    if name:
        show_json(store.market.dataset(name))
        return
    rows = store.market.datasets()
    if as_json:
        show_json({"datasets": rows})
    else:
        from gnomon.terminal import dataset_table

        show(dataset_table(rows))
