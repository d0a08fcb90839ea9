"""Verbs of data in: import, datasets, ingest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnomon.cli.verb import (
    BasisName,
    InstrumentNames,
    Json,
    TimeframeName,
    app,
    basis_of,
    names_of,
    opened,
    timeframe_of,
    verb,
)
from gnomon.errors import Invalid
from gnomon.terminal import progress_bar, say, show, show_json

if TYPE_CHECKING:
    from gnomon.clock import Clock
    from gnomon.sources.source import CandleSource


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


@app.command()
@verb
def ingest(
    timeframe: TimeframeName,
    instruments: InstrumentNames = "",
    source: Annotated[str, typer.Option(help="One source by its name; default: each instrument's own.")] = "",
    first: Annotated[str, typer.Option("--from", help="Every gap from there on; default: what lacks lately.")] = "",
    last: Annotated[str, typer.Option("--to", help="Bars that close by then; default: now.")] = "",
    revise: Annotated[
        bool, typer.Option("--revise", help="Ask for the whole window again; what differs becomes a revision.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch bars from sources: what is missing and nothing else."""
    from gnomon.clock import parse_instant
    from gnomon.jobs.fetch import fetch
    from gnomon.wallclock import WallClock

    _, store, configured = opened()
    if revise and not first:
        raise Invalid("--revise without --from", hint="say from where on: --from 2026-01-01")
    known = configured.with_added(store.market.instruments())
    sources = sources_of(WallClock())
    chosen = [known.find(name) for name in names_of(instruments)] or [
        one for one in known if any(name in sources for name in one.sources)
    ]
    with progress_bar() as progress:
        reports = fetch(
            store,
            sources,
            chosen,
            timeframe_of(timeframe),
            WallClock(),
            source=source,
            first_ns=parse_instant(first) if first else None,
            last_ns=parse_instant(last) if last else None,
            revise=revise,
            progress=progress,
        )
    if as_json:
        show_json({"series": [one.row() for one in reports]})
    else:
        for one in reports:
            bars = sum(window.bars for window in one.asked)
            say(f"{one.instrument}: asked {one.source} for {bars} bars, {one.added} new, {one.revisions} revised")
            if one.error:
                say(f"{one.instrument}: {one.error['message']}", f"hint: {one.error['hint']}")
    if any(one.error for one in reports):
        raise typer.Exit(1)


def sources_of(clock: Clock) -> dict[str, CandleSource]:
    """The sources that need no key, by name."""
    del clock
    return {}
