"""Verbs of data in: import, datasets, ingest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from gnomon.errors import Invalid, NotFound
from gnomon.terminal import progress_bar, say, show, show_json

if TYPE_CHECKING:
    from gnomon.clock import Clock
    from gnomon.jobs.fetch import Fetched
    from gnomon.settings import Settings
    from gnomon.sources.live import LiveSources
    from gnomon.sources.source import CandleSource, EventSource


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
    clock_shift_ns: Annotated[
        int, typer.Option("--clock-shift-ns", help="Added to the stamps of the recorder's clock, which was off.")
    ] = 0,
    regular_hours: Annotated[
        bool, typer.Option("--regular-hours", help="Drop prints outside the sessions of a share.")
    ] = False,
    quote_volume: Annotated[
        bool, typer.Option("--quote-volume", help="Volumes of bars are in the quote currency: convert them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import market data files: recognised by content, checked row by row, stored once."""
    from gnomon.jobs.ingest import ImportOptions, import_files
    from gnomon.wallclock import WallClock

    settings, store, instruments = opened()
    ticks = clock_shift_ns, regular_hours
    options = ImportOptions(instrument, timeframe, basis_of(basis), skip_bad, *ticks, quote_volume)
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
                message = one.error["message"].removeprefix(f"{Path(one.file).name}: ")
                say(f"{one.file}: {message}", f"hint: {one.error['hint']}")
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

    settings, store, configured = opened()
    if revise and not first:
        raise Invalid("--revise without --from", hint="say from where on: --from 2026-01-01")
    known = configured.with_added(store.market.instruments())
    with sources_of(WallClock(), settings) as sources, progress_bar() as progress:
        asked = [source.removesuffix("-dumps")] if source else sources  # dumps go by the venue's names
        chosen = [known.find(name) for name in names_of(instruments)] or [
            one for one in known if any(name in asked for name in one.sources)
        ]
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
            _say_fetched(one)
    if any(one.error for one in reports):
        raise typer.Exit(1)


@app.command("ingest-trades")
@verb
def ingest_trades(
    instruments: Annotated[str, typer.Option("--instruments", help="Comma list.")],
    first: Annotated[str, typer.Option("--from", help="The first whole day, UTC.")],
    last: Annotated[str, typer.Option("--to", help="Days that end by then; default: now.")] = "",
    source: Annotated[str, typer.Option(help="binance-dumps or binance.")] = "binance-dumps",
    as_json: Json = False,
) -> None:
    """Fetch aggregate trades: whole days that are over and not stored, a dataset each."""
    from gnomon.clock import parse_instant
    from gnomon.jobs.fetch_trades import fetch_trades
    from gnomon.sources.live import trade_sources
    from gnomon.wallclock import WallClock

    settings, store, configured = opened()
    clock = WallClock()
    known = configured.with_added(store.market.instruments())
    chosen = [known.find(name) for name in names_of(instruments)]
    window = parse_instant(first), parse_instant(last) if last else clock.now_ns()
    with trade_sources(sources_of(clock, settings)) as sources, progress_bar() as progress:
        if source not in sources:
            raise NotFound(
                f"no source of trades {source!r}", hint=f"one of {', '.join(sources) or 'none: see GNOMON_SOURCES'}"
            )
        reports = [fetch_trades(store, sources[source], one, clock, *window, progress=progress) for one in chosen]
    if as_json:
        show_json({"instruments": [one.row() for one in reports]})
    for one in () if as_json else reports:
        empty = f", none on {', '.join(one.empty)}" if one.empty else ""
        say(f"{one.instrument}: asked {one.source} for {len(one.asked)} days, {one.prints:,} prints stored{empty}")
        _say_error(one.instrument, one.error)
    if any(one.error for one in reports):
        raise typer.Exit(1)


@app.command("ingest-events")
@verb
def ingest_events(
    files: Annotated[
        list[Path] | None, typer.Argument(help="CSV or JSON; none: the provider.", show_default=False)
    ] = None,
    first: Annotated[
        str, typer.Option("--from", help="Events from then on; default: all of a file, a week back.")
    ] = "",
    last: Annotated[
        str, typer.Option("--to", help="Events before then; default: all of a file, ten weeks ahead.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Read the economic calendar, from files or from the provider that the settings name: what it says anew is kept."""
    from gnomon.clock import parse_instant
    from gnomon.jobs.fetch_events import fetch_events
    from gnomon.sources.calendar.files import CalendarFile
    from gnomon.wallclock import WallClock

    settings, store, _ = opened()
    clock = WallClock()
    window = parse_instant(first) if first else None, parse_instant(last) if last else None
    with calendars_of(clock, settings) as calendars:
        if files:
            span = parse_instant(first or "1900-01-01"), parse_instant(last or "2200-01-01")
            reports = [
                fetch_events(store, CalendarFile(one, clock), clock, first_ns=span[0], last_ns=span[1]) for one in files
            ]
        elif not calendars:
            raise NotFound("no calendar is set up", hint="name files, or set `calendar` in gnomon.toml")
        else:
            reports = [
                fetch_events(store, one, clock, first_ns=window[0], last_ns=window[1]) for one in calendars.values()
            ]
    if as_json:
        show_json({"calendars": [one.row() for one in reports]})
    for one in () if as_json else reports:
        say(f"{one.source}: {one.said} statements in {one.pages} pages, {one.added} new, {one.surprises} surprises new")
        _say_error(one.source, one.error)
    if any(one.error for one in reports):
        raise typer.Exit(1)


def sources_of(clock: Clock, settings: Settings) -> LiveSources[CandleSource]:
    """The sources of the settings that have what they need, by name; a context manager that closes them."""
    from gnomon.sources.live import live_sources

    return live_sources(
        settings.source_names,
        clock,
        cache=settings.root / "cache",
        urls=settings.source_urls,
        alphavantage_key=settings.alphavantage_key,
    )


def calendars_of(clock: Clock, settings: Settings) -> LiveSources[EventSource]:
    """The calendars of the settings, by name; a context manager that closes them."""
    from gnomon.sources.live import live_calendars

    return live_calendars(settings.calendar, clock, token=settings.calendar_token, urls=settings.source_urls)


def _say_fetched(one: Fetched) -> None:
    """What a series was asked for, window by window, and what came."""
    from gnomon.clock import iso

    for window in one.asked:
        what = f"{window.bars} bars" if window.bars else "all bars"
        say(f"{one.instrument}: asked {one.source} for {what} from {iso(window.first_ns)} to {iso(window.last_ns)}")
    nothing = "" if one.asked or one.error else "nothing is missing, "
    say(f"{one.instrument}: {nothing}{one.added} new, {one.revisions} revised")
    _say_error(one.instrument, one.error)


def _say_error(what: str, error: dict[str, Any] | None) -> None:
    if error:
        say(f"{what}: {error['message']}", f"hint: {error['hint']}")
