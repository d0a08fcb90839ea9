"""Every verb: parse, compose, print.

`--json` prints one JSON document on stdout and nothing else; progress and logs go to stderr. Exit 0 done, 1 refused or
failed (message, then hint), 2 usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from gnomon.errors import GnomonError, Invalid, NotFound
from gnomon.terminal import progress_bar, say, show, show_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gnomon.jobs.predict import Plan, Subject
    from gnomon.market.instrument import Instruments
    from gnomon.settings import Settings
    from gnomon.store.forecasts import Lane
    from gnomon.store.store import Store

P = ParamSpec("P")

SHOWN_FORECASTS = 24

app = typer.Typer(
    name="gnomon",
    help="Market forecasts, stored once and scored in public, beside an honest baseline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
serve = typer.Typer(help="One process each.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(serve, name="serve")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")]
TimeframeName = Annotated[str, typer.Option("--timeframe", help="Bar length: 1h, 1d, …")]
Horizon = Annotated[int, typer.Option("--horizon", min=1, max=1024, help="Bars ahead.")]
InstrumentNames = Annotated[str, typer.Option("--instruments", help="Comma list; default: all that are stored.")]
ForecasterNames = Annotated[str, typer.Option("--forecasters", help="Comma list; default: all baselines.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the path methods.")]
BasisName = Annotated[str, typer.Option("--basis", help="raw, split or adjusted; default: raw where it is stored.")]


def main() -> None:
    """The entry point of the command `gnomon`."""
    app()


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Turn the errors of the tree into a message, a hint and exit 1 (with `--json`: the error document on stdout)."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except GnomonError as error:
            if kwargs.get("as_json"):
                show_json(error.document())
            else:
                say(
                    f"{error.code.replace('_', ' ')}: {error.message}", *([f"hint: {error.hint}"] if error.hint else [])
                )
            raise typer.Exit(1) from None
        except BrokenPipeError:
            sys.stderr.close()

    return run


# --- data in --------------------------------------------------------------------------------------------------------


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
    options = ImportOptions(instrument, timeframe, _basis(basis), skip_bad)
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


# --- forecasts ------------------------------------------------------------------------------------------------------


@app.command()
@verb
def forecast(
    timeframe: TimeframeName,
    horizon: Horizon,
    instruments: InstrumentNames = "",
    forecasters: ForecasterNames = "",
    as_of: Annotated[str, typer.Option(help="An earlier instant: the forecasts go to the backfill lane.")] = "",
    seed: Seed = 0,
    basis: BasisName = "",
    as_json: Json = False,
) -> None:
    """Issue forecasts of every instrument by every forecaster, now or as of an earlier instant."""
    from gnomon.clock import parse_instant
    from gnomon.jobs.predict import predict
    from gnomon.wallclock import WallClock

    _, store, configured = opened()
    plan = _plan(store, configured, timeframe, horizon, instruments, forecasters, seed, basis)
    as_of_ns = parse_instant(as_of) if as_of else None
    with progress_bar() as progress:
        report = predict(store, plan, WallClock(), as_of_ns=as_of_ns, progress=progress)
    issued = [store.forecasts.get(one) for one in report.ids]
    if as_json:
        from gnomon.terminal import forecast_row

        show_json(report.row() | {"forecasts": [forecast_row(one) for one in issued]})
    else:
        from gnomon.terminal import forecast_table

        if issued:
            show(forecast_table(issued[:SHOWN_FORECASTS]))
        if len(issued) > SHOWN_FORECASTS:
            say(f"… and {len(issued) - SHOWN_FORECASTS} more (--json shows all)")
        say(f"{report.issued} issued, {report.existing} were there already, {len(report.missed)} missed")
        for one in report.missed:
            say(f"missed {one['instrument']}: {one['reason']}")
        for one in report.failed:
            say(f"failed {one['forecaster']}: {one['message']}")
    if report.failed or not report.ids:
        raise typer.Exit(1)


@app.command()
@verb
def evaluate(
    timeframe: TimeframeName,
    horizon: Horizon,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Bars between two origins.")],
    first: Annotated[str, typer.Option("--from", help="The first origin, at the earliest.")],
    last: Annotated[str, typer.Option("--to", help="The last target closes by then.")],
    instruments: InstrumentNames = "",
    forecasters: ForecasterNames = "",
    seed: Seed = 0,
    basis: BasisName = "",
    as_json: Json = False,
) -> None:
    """Walk forward over a span: issue as of each origin, score, and print the board."""
    from gnomon.clock import parse_instant
    from gnomon.jobs.evaluate import Span, board_filter
    from gnomon.jobs.evaluate import evaluate as walk
    from gnomon.store.boards import board_of
    from gnomon.wallclock import WallClock

    _, store, configured = opened()
    plan = _plan(store, configured, timeframe, horizon, instruments, forecasters, seed, basis)
    span = Span(parse_instant(first), parse_instant(last), stride)
    with progress_bar() as progress:
        done = walk(store, plan, span, WallClock(), progress=progress)
    with done.watch.part("board"):
        rows = board_of(store.scores, board_filter(plan, span))
    if as_json:
        show_json({"board": [one.row() for one in rows], **done.row()})
    else:
        from gnomon.terminal import board_table

        show(board_table(rows))
        say(_summary(done.row()))


@app.command()
@verb
def score(
    timeframe: Annotated[str, typer.Option("--timeframe", help="Default: every timeframe that is stored.")] = "",
    instruments: InstrumentNames = "",
    lane: Annotated[str, typer.Option(help="live or backfill.")] = "live",
    as_json: Json = False,
) -> None:
    """Score every forecast step whose bar has closed and that is not scored yet."""
    from gnomon.jobs.score import Scored
    from gnomon.jobs.score import score as score_matured
    from gnomon.wallclock import WallClock

    _, store, configured = opened()
    done = Scored()
    with progress_bar() as progress:
        for name in [timeframe] if timeframe else store.market.timeframes():
            chosen = _subjects(store, configured, name, instruments, "")
            done.add(score_matured(store, chosen, WallClock(), lane=_lane(lane), progress=progress))
    if as_json:
        show_json(done.row())
    else:
        say(f"{done.rows} steps scored, {done.waiting} wait for their bar, {sum(done.voids.values())} void")


@app.command()
@verb
def board(
    timeframe: TimeframeName = "1h",
    instruments: InstrumentNames = "",
    forecasters: ForecasterNames = "",
    lane: Annotated[str, typer.Option(help="live or backfill.")] = "live",
    variant: Annotated[str, typer.Option(help="One backfill, e.g. h24:s0.")] = "",
    as_json: Json = False,
) -> None:
    """The scoreboard: every forecaster beside the reference, with intervals and a verdict in words."""
    from gnomon.store.boards import BoardFilter, board_of

    _, store, configured = opened()
    known = configured.with_added(store.market.instruments())
    rows = board_of(
        store.scores,
        BoardFilter(
            lane=_lane(lane),
            timeframe=_timeframe(timeframe),
            variant=variant or None,
            instruments=tuple(known.find(name).id for name in _names(instruments)),
            forecasters=_names(forecasters),
        ),
    )
    if as_json:
        show_json({"board": [one.row() for one in rows]})
    elif rows:
        from gnomon.terminal import board_table

        show(board_table(rows))
    else:
        say(f"nothing is scored in lane {lane} at {timeframe} yet", "hint: `gnomon score` or `gnomon evaluate`")


@app.command()
@verb
def plot(
    instrument: Annotated[
        str, typer.Option("--instrument", help="Fan chart over the candles of this instrument.")
    ] = "",
    timeframe: TimeframeName = "1h",
    forecaster: Annotated[str, typer.Option("--forecaster", help="Whose forecast.")] = "ewma",
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Calibration plot of all scored forecasters.")
    ] = False,
    lane: Annotated[str, typer.Option(help="live or backfill.")] = "live",
    variant: Annotated[str, typer.Option(help="One backfill, e.g. h24:s0.")] = "",
    as_of: Annotated[str, typer.Option(help="The newest forecast issued (backfill: as of) by then.")] = "",
    out: Annotated[Path, typer.Option("--out", help="A .png or .html file.")] = Path("gnomon.png"),
    as_json: Json = False,
) -> None:
    """Draw a fan chart over candles, or a calibration plot, to PNG or one self-contained HTML file."""
    from gnomon.clock import parse_instant
    from gnomon.plot import calibration_plot, save
    from gnomon.store.boards import BoardFilter, reliability_of

    _, store, configured = opened()
    if calibration:
        which = BoardFilter(_lane(lane), _timeframe(timeframe), variant or None)
        figure = calibration_plot(reliability_of(store.scores, which), timeframe)
    elif instrument:
        subject = _subjects(store, configured, timeframe, instrument, "")[0]
        until_ns = parse_instant(as_of) if as_of else None
        figure = _fan_chart(store, subject, forecaster, _lane(lane), variant or None, until_ns)
    else:
        raise Invalid("plot needs --instrument or --calibration", hint="gnomon plot --instrument BTCUSDT")
    save(figure, out)
    if as_json:
        show_json({"file": str(out)})
    else:
        say(f"wrote {out}")


# --- keeping it well ------------------------------------------------------------------------------------------------


@app.command()
@verb
def verify(
    what: Annotated[str, typer.Argument(help="forecasts: walk the hash chain of the ledger.")] = "forecasts",
    as_json: Json = False,
) -> None:
    """Prove that what is stored is what was written: names the first broken row."""
    if what != "forecasts":
        raise Invalid(f"cannot verify {what!r}", hint="gnomon verify forecasts")
    _, store, _ = opened()
    with progress_bar() as progress:
        lanes = store.forecasts.verify(progress=progress)
    if as_json:
        show_json({"ok": all(one.ok for one in lanes), "lanes": [one.row() for one in lanes]})
    else:
        for one in lanes:
            say(one.sentence())
    if not all(one.ok for one in lanes):
        raise typer.Exit(1)


@db.command("upgrade")
@verb
def db_upgrade(as_json: Json = False) -> None:
    """Bring the database to the newest schema. Safe to call at any time, by several processes."""
    from gnomon.store.engine import open_engine, upgrade

    applied = upgrade(open_engine(_settings().url))
    if as_json:
        show_json({"applied": applied})
    else:
        say(f"applied {', '.join(applied)}" if applied else "the schema is the newest already")


@serve.command("gateway")
@verb
def serve_gateway(
    host: Annotated[str, typer.Option(help="Default: GNOMON_GATEWAY_HOST.")] = "",
    port: Annotated[int, typer.Option(help="Default: GNOMON_GATEWAY_PORT.", min=-1, max=65535)] = -1,
) -> None:
    """The gateway: REST, metrics and the page."""
    import uvicorn

    from gnomon.serve.gateway.app import create_app
    from gnomon.wallclock import WallClock

    settings, store, configured = opened()
    instruments = configured.with_added(store.market.instruments())
    application = create_app(
        store.engine, instruments, WallClock(), requests_per_minute=settings.gateway_requests_per_minute
    )
    address, number = host or settings.gateway_host, settings.gateway_port if port < 0 else port
    say(f"gateway on http://{address}:{number}")
    uvicorn.run(application, host=address, port=number, log_level="warning", access_log=False)


@app.command()
@verb
def up(
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "",
    port: Annotated[int, typer.Option(help="Port of the gateway.", min=-1, max=65535)] = -1,
) -> None:
    """Everything in one process, on SQLite: today the gateway."""
    from gnomon.store.engine import open_engine, upgrade

    upgrade(open_engine(_settings().url))
    serve_gateway(host=host, port=port)


@app.callback(invoke_without_command=True)
def version(show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show_version:
        from gnomon._version import __version__

        typer.echo(__version__)
        raise typer.Exit


# --- composing ------------------------------------------------------------------------------------------------------


def _settings() -> Settings:
    from gnomon.settings import Settings

    return Settings.load()


def opened() -> tuple[Settings, Store, Instruments]:
    """The settings, the store they name and the configured instruments."""
    from gnomon.sources.instruments import load_instruments, shipped_instruments
    from gnomon.store.store import Store

    settings = _settings()
    instruments = load_instruments(settings.instruments) if settings.instruments else shipped_instruments()
    return settings, Store.open(settings.url, settings.root / "datasets"), instruments


def _plan(
    store: Store,
    configured: Instruments,
    timeframe: str,
    horizon: int,
    instruments: str,
    forecasters: str,
    seed: int,
    basis: str,
) -> Plan:
    from gnomon.forecast.catalog import BASELINES, REFERENCE
    from gnomon.jobs.predict import Plan

    wanted = _names(forecasters) or tuple(BASELINES)
    return Plan(
        subjects=tuple(_subjects(store, configured, timeframe, instruments, basis)),
        timeframe=_timeframe(timeframe),
        horizon=horizon,
        forecasters=tuple(dict.fromkeys((REFERENCE, *wanted))),  # never without the reference beside it
        seed=seed,
    )


def _subjects(store: Store, configured: Instruments, timeframe: str, instruments: str, basis: str) -> list[Subject]:
    from gnomon.jobs.predict import subjects

    return subjects(store, configured, _timeframe(timeframe), _names(instruments), _basis(basis))


def _fan_chart(
    store: Store, subject: Subject, forecaster: str, lane: Lane, variant: str | None, as_of_ns: int | None
) -> Figure:
    """The newest forecast of a lane with the bars that it saw and those that came after."""
    from gnomon.jobs.predict import load_tape
    from gnomon.plot import fan_chart
    from gnomon.wallclock import WallClock

    name, timeframe = subject.instrument.id, subject.timeframe
    found = store.forecasts.newest(name, str(timeframe), forecaster, lane=lane, variant=variant, as_of_ns=as_of_ns)
    if found is None:
        raise NotFound(
            f"no {lane} forecast of {subject.instrument.symbol} at {timeframe} by {forecaster}",
            hint=f"gnomon forecast --timeframe {timeframe} --horizon 24 --instruments {subject.instrument.symbol}",
        )
    tape = load_tape(store, [subject], last_ns=WallClock().now_ns())
    after = tape.series(name, timeframe, subject.basis).history.first_revisions()
    inside = (after.close_ns > found.data_cutoff_ns) & (after.close_ns <= found.target_close_ns[-1])
    return fan_chart(
        tape.as_of(found.data_cutoff_ns).candles(name, timeframe, subject.basis, limit=120),
        found,
        store.forecasts.quantiles([found.id])[found.id],
        after.take(inside),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _timeframe(text: str) -> Any:
    from gnomon.clock import Timeframe

    return Timeframe.parse(text)


def _basis(text: str) -> Any:
    return _one_of(text, ("raw", "split", "adjusted"), "basis") if text else None


def _lane(text: str) -> Any:
    return _one_of(text, ("live", "backfill"), "lane")


def _one_of(text: str, allowed: Sequence[str], what: str) -> str:
    if text not in allowed:
        raise Invalid(f"{what} {text!r}", hint=f"one of {', '.join(allowed)}")
    return text


def _summary(done: dict[str, Any]) -> str:
    missed = sum(done["missed"].values())
    parts = [f"{done['origins']} origins, {done['issued']} issued, {done['existing']} were there already"]
    if missed:
        parts.append(f"{missed} missed for want of bars")
    voids = sum(done["scored"]["voids"].values())
    parts.append(f"{done['scored']['rows']} steps scored now, {voids} void")
    parts.append("seconds: " + ", ".join(f"{part} {spent:.1f}" for part, spent in done["seconds"].items()))
    return "; ".join(parts)


if __name__ == "__main__":
    main()
