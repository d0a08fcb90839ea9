"""Verbs of forecasts: forecast, evaluate, score, board, gates, plot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnomon.cli.verb import (
    BasisName,
    ForecasterNames,
    Horizon,
    InstrumentNames,
    Json,
    Seed,
    TimeframeName,
    app,
    lane_of,
    names_of,
    one_of,
    opened,
    plan_of,
    subjects_of,
    timeframe_of,
    verb,
    watched_of,
)
from gnomon.errors import Invalid, NotFound
from gnomon.terminal import progress_bar, say, show, show_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gnomon.jobs.gates import GateReport
    from gnomon.jobs.predict import Subject
    from gnomon.settings import Settings
    from gnomon.store.boards import BoardFilter
    from gnomon.store.forecasts import Lane
    from gnomon.store.store import Store

SHOWN_FORECASTS = 24


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
    plan = plan_of(store, configured, timeframe, horizon, instruments, forecasters, seed, basis)
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
            say(*([f"hint: {one['hint']}"] if one["hint"] else []))
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
    calibrated: Annotated[
        bool, typer.Option("--calibrate", help="Recalibrate as of each origin; raw and calibrated are both scored.")
    ] = False,
    disagreement: Annotated[
        str, typer.Option(help="Two members whose disagreement the pool watches; default: kronos-base,chronos-2.")
    ] = "",
    on_disagree: Annotated[str, typer.Option(help="widen or flag: what the pool does when they disagree.")] = "widen",
    with_gates: Annotated[
        bool, typer.Option("--gates", help="Put the evaluation gates to these scores and write their report.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Walk forward over a span: issue as of each origin, score, and print the board.

    Ensembles (`ensemble-pool`, `ensemble-meta`) come after their members, fitted before each origin.
    """
    from gnomon.clock import parse_instant
    from gnomon.jobs.evaluate import Span, board_filter
    from gnomon.jobs.evaluate import evaluate as walk
    from gnomon.store.boards import board_of
    from gnomon.wallclock import WallClock

    settings, store, configured = opened()
    plan = plan_of(store, configured, timeframe, horizon, instruments, forecasters, seed, basis)
    plan = replace(plan, calibrated=calibrated, watched=watched_of(disagreement, on_disagree))
    span = Span(parse_instant(first), parse_instant(last), stride)
    with progress_bar() as progress:
        done = walk(store, plan, span, WallClock(), progress=progress)
    with done.watch.part("board"):
        which = board_filter(plan, span)
        rows = board_of(store.scores, which)
        served = board_of(store.scores, replace(which, stage=1)) if calibrated else ()
    reports = []
    if with_gates:
        with done.watch.part("gates"):
            stages = (0, 1) if calibrated else (0,)
            reports = [_gate_report(store, settings, replace(which, stage=stage)) for stage in stages]
    if as_json:
        boards = {"board": [one.row() for one in rows]}
        boards |= {"board_calibrated": [one.row() for one in served]} if calibrated else {}
        show_json({**boards, **done.row(), **({"gates": [one.row() for one in reports]} if with_gates else {})})
    else:
        from gnomon.terminal import board_table

        if calibrated:
            say("before calibration:")
        show(board_table(rows))
        if calibrated:
            say("after calibration:")
            show(board_table(served))
        for one in reports:
            one.show()
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
            chosen = subjects_of(store, configured, name, instruments, "")
            done.add(score_matured(store, chosen, WallClock(), lane=lane_of(lane), progress=progress))
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
    as_of: Annotated[str, typer.Option(help="From the scores that were there by then.")] = "",
    disagreement: Annotated[
        bool, typer.Option("--disagreement", help="The scorecard of the pool's disagreement flag instead.")
    ] = False,
    missed_as_naive: Annotated[
        bool, typer.Option("--missed-as-naive", help="Score a missed slot as the reference was scored there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The scoreboard: every forecaster beside the reference, with intervals and a verdict in words."""
    from gnomon.clock import parse_instant
    from gnomon.store.boards import BoardFilter, board_of, slot_counts

    _, store, configured = opened()
    known = configured.with_added(store.market.instruments())
    which = BoardFilter(
        lane=lane_of(lane),
        timeframe=timeframe_of(timeframe),
        variant=variant or None,
        instruments=tuple(known.find(name).id for name in names_of(instruments)),
        forecasters=names_of(forecasters),
        known_until_ns=parse_instant(as_of) if as_of else None,
        missed_as_naive=missed_as_naive,
    )
    if disagreement:
        _show_disagreement(store, which, as_json=as_json)
        return
    rows, slots = board_of(store.scores, which, store.slots), slot_counts(store.slots, which)
    if as_json:
        show_json({"board": [one.row() for one in rows], "slots": [one.row() for one in slots]})
        return
    if rows:
        from gnomon.terminal import board_table

        show(board_table(rows))
    else:
        say(f"nothing is scored in lane {lane} at {timeframe} yet", "hint: `gnomon score` or `gnomon evaluate`")
    for one in slots:
        say(
            f"slots of {one.forecaster}: {one.issued} issued, {one.late} late, {one.missed} missed "
            f"({one.without_reference} of these by the reference as well), {one.due} open"
        )


def _show_disagreement(store: Store, which: BoardFilter, *, as_json: bool) -> None:
    """Whether losses are higher when the flag is raised: a line for each pair that was watched."""
    from dataclasses import asdict

    from gnomon.jobs.cast import POOL
    from gnomon.store.disagreements import scorecards

    found = scorecards(store.engine, store.scores, replace(which, forecasters=which.forecasters or (POOL,)))
    if as_json:
        show_json({"disagreement": [{"pair": list(pair), **asdict(one)} for pair, one in found.items()]})
        return
    for pair, one in found.items():
        say(f"{' and '.join(pair)}: {one.words}")
    if not found:
        say(f"no pool in lane {which.lane} has watched two of its members yet")


@app.command()
@verb
def gates(
    timeframe: TimeframeName = "1h",
    instruments: InstrumentNames = "",
    forecasters: ForecasterNames = "",
    lane: Annotated[str, typer.Option(help="live or backfill.")] = "live",
    variant: Annotated[str, typer.Option(help="One backfill, e.g. h24:s0.")] = "",
    stage: Annotated[str, typer.Option(help="raw or calibrated.")] = "raw",
    first: Annotated[str, typer.Option("--from", help="The first cutoff.")] = "",
    last: Annotated[str, typer.Option("--to", help="Cutoffs before this instant.")] = "",
    choose_until: Annotated[
        str, typer.Option(help="An ensemble's rival is chosen by what had realised then; default: the middle cutoff.")
    ] = "",
    report: Annotated[Path | None, typer.Option(help="Folder of reports; default: reports in the home.")] = None,
    as_json: Json = False,
) -> None:
    """The evaluation gates of what is scored: coverage, event windows, spread ratio, direction, ensemble.

    Writes a report in JSON and Markdown. A gate that is failed is an answer, not an error.
    """
    from gnomon.clock import parse_instant
    from gnomon.jobs.gates import STAGES
    from gnomon.store.boards import BoardFilter

    settings, store, configured = opened()
    known = configured.with_added(store.market.instruments())
    which = BoardFilter(
        lane=lane_of(lane),
        timeframe=timeframe_of(timeframe),
        variant=variant or None,
        instruments=tuple(known.find(name).id for name in names_of(instruments)),
        forecasters=names_of(forecasters),
        first_cutoff_ns=parse_instant(first) if first else None,
        last_cutoff_ns=parse_instant(last) if last else None,
        stage=STAGES.index(one_of(stage, STAGES, "stage")),
    )
    chosen_ns = parse_instant(choose_until) if choose_until else None
    made = _gate_report(store, settings, which, choose_until_ns=chosen_ns, folder=report)
    if as_json:
        show_json(made.row())
    else:
        made.show()


@dataclass(frozen=True, slots=True)
class _Reported:
    """A report of gates, and where it was written."""

    report: GateReport
    folder: Path

    def row(self) -> dict[str, Any]:
        return self.report.document() | {"report": str(self.folder)}

    def show(self) -> None:
        from gnomon.terminal import gate_table

        show(gate_table(self.report.gates))
        say(f"wrote {self.folder}")


def _gate_report(
    store: Store,
    settings: Settings,
    which: BoardFilter,
    *,
    choose_until_ns: int | None = None,
    folder: Path | None = None,
) -> _Reported:
    from gnomon.jobs.gates import REPORTS, write_report
    from gnomon.jobs.gates import gates as ask

    made = ask(store, which, choose_until_ns=choose_until_ns)
    return _Reported(made, write_report(made, folder or settings.root / REPORTS))


@app.command()
@verb
def plot(
    run: Annotated[str, typer.Argument(help="A run: its page, as one HTML file.", show_default=False)] = "",
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
    """Draw a fan chart over candles, a calibration plot, or the page of a run: PNG, or one self-contained HTML file."""
    if run:
        from gnomon.cli.replay import plot_run

        plot_run(run, out.with_suffix(".html"), as_json)
        return
    from gnomon.clock import parse_instant
    from gnomon.plot import calibration_plot, save
    from gnomon.store.boards import BoardFilter, reliability_of

    _, store, configured = opened()
    if calibration:
        which = BoardFilter(lane_of(lane), timeframe_of(timeframe), variant or None)
        figure = calibration_plot(reliability_of(store.scores, which), timeframe)
    elif instrument:
        subject = subjects_of(store, configured, timeframe, instrument, "")[0]
        until_ns = parse_instant(as_of) if as_of else None
        figure = _fan_chart(store, subject, forecaster, lane_of(lane), variant or None, until_ns)
    else:
        raise Invalid("plot needs a run, --instrument or --calibration", hint="gnomon plot --instrument BTCUSDT")
    save(figure, out)
    if as_json:
        show_json({"file": str(out)})
    else:
        say(f"wrote {out}")


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


def _summary(done: dict[str, Any]) -> str:
    missed = sum(done["missed"].values())
    parts = [f"{done['origins']} origins, {done['issued']} issued, {done['existing']} were there already"]
    if missed:
        parts.append(f"{missed} missed for want of bars")
    voids = sum(done["scored"]["voids"].values())
    parts.append(f"{done['scored']['rows']} steps scored now, {voids} void")
    parts.append("seconds: " + ", ".join(f"{part} {spent:.1f}" for part, spent in done["seconds"].items()))
    return "; ".join(parts)
