"""`/api/v1`: everything that is stored, for reading."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import StringConstraints
from sqlalchemy import ColumnElement, select, tuple_

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import NotFound
from gnomon.market.candles import Basis
from gnomon.serve.gateway import answers
from gnomon.serve.gateway.boards import Boards
from gnomon.serve.gateway.census import Issues
from gnomon.serve.gateway.latest import quantiles_of, samples_of
from gnomon.serve.gateway.reading import Reading
from gnomon.serve.gateway.roster import BASELINE, ROSTER, Listed
from gnomon.serve.gateway.rows import (
    STAGES,
    candle_rows,
    forecast_row,
    forecaster_row,
    instrument_row,
    iso_each,
    score_row,
)
from gnomon.serve.gateway.table import Format, cursor_after, cursor_position, json_response, table_response
from gnomon.store.boards import BoardFilter, slot_counts
from gnomon.store.engine import reading as snapshot
from gnomon.store.forecasts import Lane, chosen
from gnomon.store.tables import forecasts, scores
from gnomon.units import INT64_MAX

_BASES: Final[tuple[Basis, ...]] = ("raw", "split", "adjusted")
_WORD: Final = r"^[^\x00-\x1f\x7f]{1,128}$"

router = APIRouter(prefix="/api/v1")


async def _reading_of(request: Request) -> Reading:
    reading: Reading = request.app.state.reading
    return reading


Read = Annotated[Reading, Depends(_reading_of)]
Word = Annotated[str, StringConstraints(pattern=_WORD)]
Symbol = Annotated[str | None, Query(description="Any name of an instrument.", pattern=_WORD, examples=["BTCUSDT"])]
Length = Annotated[str | None, Query(description="Bar length.", pattern=_WORD, examples=["1h"])]
Who = Annotated[str | None, Query(description="A forecaster's id.", pattern=_WORD, examples=["ewma"])]
InLane = Annotated[Lane, Query(description="Issued when due, or afterwards (walk-forward, replays).")]
Variant = Annotated[str | None, Query(description="One backfill, e.g. h24:s0.", pattern=_WORD)]
Since = Annotated[str | None, Query(alias="from", description="Cutoffs at or after this instant.", pattern=_WORD)]
Until = Annotated[str | None, Query(alias="to", description="Cutoffs before this instant.", pattern=_WORD)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Rows at most.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the answer before.", pattern=_WORD)]
Form = Annotated[Format, Query(alias="format", description="How to write the rows.")]
Id = Annotated[int, Path(ge=1, le=INT64_MAX)]
Stage = Annotated[Literal["raw", "calibrated"], Query(description="Which quantiles were marked.")]

FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
        "headers": {
            "X-Next-Cursor": {"description": "`next_cursor`, beside CSV and Parquet.", "schema": {"type": "string"}}
        },
    }
}
_FAILURES: Final = answers.problems(400, 404, 422, 429, 503)


# --- forecasts ------------------------------------------------------------------------------------------------------


@router.get(
    "/forecasts",
    tags=["forecasts"],
    response_model=answers.ForecastPage,
    responses={**FILES, **_FAILURES},
    summary="Rows of the ledger",
)
def list_forecasts(
    reading: Read,
    symbol: Symbol = None,
    timeframe: Length = None,
    forecaster: Who = None,
    lane: InLane = "live",
    variant: Variant = None,
    since: Since = None,
    until: Until = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="By issue.")] = "newest",
    limit: Limit = 100,
    cursor: Cursor = None,
    form: Form = "json",
) -> Response:
    after = cursor_position(cursor, length=1)
    found = reading.ledger.find(
        lane=lane,
        instrument=None if symbol is None else reading.instrument(symbol).id,
        timeframe=None if timeframe is None else str(Timeframe.parse(timeframe)),
        forecaster=forecaster,
        variant=variant,
        first_cutoff_ns=None if since is None else parse_instant(since),
        last_cutoff_ns=None if until is None else parse_instant(until),
        limit=limit + 1,
        after_id=after[0] if after else 0,
        newest_first=order == "newest",
    )
    rows = [forecast_row(one, reading.symbol(one.instrument)) for one in found[:limit]]
    more = cursor_after([found[limit - 1].id]) if len(found) > limit else None
    return table_response(rows, form, name="forecasts", document={"items": rows, "next_cursor": more}, cursor=more)


@router.get(
    "/forecasts/{id}",
    tags=["forecasts"],
    response_model=answers.ForecastDetail,
    responses=_FAILURES,
    summary="One forecast with all its levels",
)
def get_forecast(reading: Read, id: Id) -> Response:  # noqa: A002 - the parameter's name in the path
    stored = reading.ledger.get(id)
    served = quantiles_of(reading, stored)
    raw = served if served["kind"] == "raw" else quantiles_of(reading, stored, "raw")
    row = forecast_row(stored, reading.symbol(stored.instrument))
    return json_response({**row, "quantiles": served, "raw_quantiles": raw})


@router.get(
    "/forecasts/{id}/paths",
    tags=["forecasts"],
    response_model=answers.ForecastPaths,
    responses=_FAILURES,
    summary="The sample paths of one forecast",
)
def get_paths(reading: Read, id: Id) -> Response:  # noqa: A002 - the parameter's name in the path
    stored = reading.ledger.get(id)
    samples = samples_of(reading, id)
    if samples is None:
        why = "they were retired" if stored.paths_digest else f"{stored.forecaster} answers with quantiles"
        raise NotFound(f"forecast {id} has no paths: {why}", hint=f"its quantiles are at /api/v1/forecasts/{id}")
    times = iso_each(stored.target_close_ns)
    return json_response({"forecast_id": id, "target_timestamps": times, "samples": samples})


@router.get(
    "/forecasts/{id}/scores",
    tags=["scores"],
    response_model=answers.ScorePage,
    responses={**FILES, **_FAILURES},
    summary="The marks of one forecast, by step",
)
def get_forecast_scores(reading: Read, id: Id, form: Form = "json") -> Response:  # noqa: A002 - as above
    reading.ledger.get(id)
    rows = score_rows(reading, [forecasts.c.id == id])
    return table_response(rows, form, name=f"scores-{id}", document={"items": rows, "next_cursor": None})


# --- scores ---------------------------------------------------------------------------------------------------------


@router.get(
    "/scores",
    tags=["scores"],
    response_model=answers.ScorePage,
    responses={**FILES, **_FAILURES},
    summary="Marks of every graded step, by forecast",
)
def list_scores(
    reading: Read,
    symbol: Symbol = None,
    timeframe: Length = None,
    forecaster: Who = None,
    lane: InLane = "live",
    variant: Variant = None,
    since: Since = None,
    until: Until = None,
    stage: Annotated[Literal["raw", "calibrated"] | None, Query(description="Which quantiles were marked.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    form: Form = "json",
) -> Response:
    which = chosen(
        lane=lane,
        instrument=None if symbol is None else reading.instrument(symbol).id,
        timeframe=None if timeframe is None else str(Timeframe.parse(timeframe)),
        forecaster=forecaster,
        variant=variant,
        first_cutoff_ns=None if since is None else parse_instant(since),
        last_cutoff_ns=None if until is None else parse_instant(until),
    )
    which += [] if stage is None else [scores.c.stage == STAGES.index(stage)]
    position = cursor_position(cursor, length=3)
    which += [] if position is None else [tuple_(*_SCORE_KEY) > position]
    rows = score_rows(reading, which, limit + 1)
    more = cursor_after(_position(rows[limit - 1])) if len(rows) > limit else None
    rows = rows[:limit]
    return table_response(rows, form, name="scores", document={"items": rows, "next_cursor": more}, cursor=more)


@router.get("/scores/board", tags=["scores"], response_model=answers.Board, include_in_schema=False)
@router.get(
    "/board",
    tags=["scores"],
    response_model=answers.Board,
    responses={**FILES, **_FAILURES},
    summary="The scoreboard: forecasters beside the naive reference, with intervals and verdicts",
)
def get_board(
    request: Request,
    reading: Read,
    timeframe: Annotated[str, Query(description="Bar length.", pattern=_WORD)] = "1h",
    symbol: Annotated[list[Word] | None, Query(description="Of these instruments; default: all.")] = None,
    forecaster: Annotated[list[Word] | None, Query(description="Of these forecasters; default: all.")] = None,
    lane: InLane = "live",
    variant: Variant = None,
    since: Since = None,
    until: Until = None,
    stage: Stage = "raw",
    bucket: Annotated[
        Literal["1", "2-5", "6-24", "25-120"] | None, Query(description="Steps first-last; default: all.")
    ] = None,
    missed_as_naive: Annotated[
        bool, Query(description="Score a missed slot as the reference was scored there.")
    ] = False,
    form: Form = "json",
) -> Response:
    boards: Boards = request.app.state.boards
    length = Timeframe.parse(timeframe)
    which = BoardFilter(
        lane=lane,
        timeframe=length,
        variant=variant,
        instruments=tuple(reading.instrument(name).id for name in symbol or ()),
        forecasters=tuple(forecaster or ()),
        first_cutoff_ns=None if since is None else parse_instant(since),
        last_cutoff_ns=None if until is None else parse_instant(until),
        stage=STAGES.index(stage),
        bucket=None if bucket is None else steps_of(bucket),
        missed_as_naive=missed_as_naive,
    )
    rows = [one.row() for one in boards.rows(which)]
    slots = [one.row() for one in slot_counts(reading.slots, which)]
    about = {"lane": lane, "timeframe": str(length), "stage": stage, "reference": BASELINE}
    document = {**about, "missed_as_naive": missed_as_naive, "board": rows, "slots": slots}
    return table_response(rows, form, name="board", document=document)


# --- what there is --------------------------------------------------------------------------------------------------


@router.get(
    "/forecasters",
    tags=["catalog"],
    response_model=answers.ForecasterPage,
    responses={**FILES, **_FAILURES},
    summary="Who forecasts, and what they have issued",
)
def list_forecasters(reading: Read, lane: InLane = "live", form: Form = "json") -> Response:
    issued: dict[str, list[Issues]] = {}
    for one in reading.census[lane].taken():
        issued.setdefault(one.forecaster, []).append(one)
    rows = [forecaster_row(name, listed, issued.get(name, [])) for name, listed in ROSTER.items()]
    for name in sorted(set(issued) - set(ROSTER)):
        first = reading.ledger.find(lane=lane, forecaster=name, limit=1)[0]
        rows.append(forecaster_row(name, Listed(first.role, "", first.information), issued[name]))
    return table_response(rows, form, name="forecasters", document={"items": rows, "next_cursor": None})


@router.get(
    "/instruments",
    tags=["catalog"],
    response_model=answers.InstrumentPage,
    responses={**FILES, **_FAILURES},
    summary="What can be forecast, the bars stored of it, and what was issued",
)
def list_instruments(reading: Read, lane: InLane = "live", form: Form = "json") -> Response:
    bars, issued = reading.market.series(), reading.census[lane].taken()
    rows = [
        instrument_row(
            one,
            [series for series in bars if series.instrument == one.id],
            [issues for issues in issued if issues.instrument == one.id],
        )
        for one in reading.all_instruments()
    ]
    return table_response(rows, form, name="instruments", document={"items": rows, "next_cursor": None})


@router.get(
    "/candles",
    tags=["market"],
    response_model=answers.CandleSeries,
    responses={**FILES, **_FAILURES},
    summary="The newest closed bars, as they could be read at an instant",
)
def list_candles(
    reading: Read,
    symbol: Annotated[str, Query(description="Any name of an instrument.", pattern=_WORD, examples=["BTCUSDT"])],
    timeframe: Annotated[str, Query(description="Bar length.", pattern=_WORD)] = "1h",
    basis: Annotated[Basis | None, Query(description="Default: raw, else split, else adjusted.")] = None,
    as_of: Annotated[str | None, Query(description="ISO 8601; default: now.", pattern=_WORD)] = None,
    limit: Annotated[int, Query(ge=1, le=5000, description="Bars at most, the newest.")] = 120,
    form: Form = "json",
) -> Response:
    instrument, length = reading.instrument(symbol), Timeframe.parse(timeframe)
    as_of_ns = reading.clock.now_ns() if as_of is None else parse_instant(as_of)
    keys = [(instrument.id, length, one) for one in ((basis,) if basis else _BASES)]
    tape = reading.market.tape(keys, splits={instrument.id: instrument.splits}, last_ns=as_of_ns, limit=limit + 1)
    if not tape.keys():
        raise NotFound(
            f"no {basis or ''} bars of {instrument.symbol} at {length}".replace("  ", " "),
            hint="`gnomon datasets` lists what is stored; `gnomon import` brings more",
        )
    chosen_basis = cast(Basis, tape.keys()[0][2])
    bars, values = tape.as_of(as_of_ns).ohlcva(instrument.id, length, chosen_basis, limit=limit)
    rows = candle_rows(bars, values)
    document = {
        "symbol": instrument.symbol,
        "instrument": instrument.id,
        "timeframe": str(length),
        "basis": chosen_basis,
        "tick": str(bars.tick.step),
        "as_of": iso(as_of_ns),
        "items": rows,
    }
    return table_response(rows, form, name=f"{instrument.symbol}-{length}", document=document)


@router.get(
    "/ledger/head",
    tags=["forecasts"],
    response_model=answers.LedgerHead,
    responses=_FAILURES,
    summary="The head of a lane's hash chain",
)
def get_ledger_head(reading: Read, lane: InLane = "live") -> Response:
    seq, hash_ = reading.ledger.head(lane)
    return json_response({"lane": lane, "seq": seq, "hash": hash_, "at": iso(reading.clock.now_ns())})


# --- inside -----------------------------------------------------------------------------------------------------

_SCORE_KEY: Final = (scores.c.forecast_id, scores.c.step, scores.c.stage)


def score_rows(reading: Reading, which: list[ColumnElement[bool]], limit: int | None = None) -> list[dict[str, Any]]:
    """Marks joined with whose forecast they are of, by forecast, step and stage."""
    whose = [forecasts.c[name] for name in ("instrument", "timeframe", "forecaster", "version", "data_cutoff")]
    marks = [column for column in scores.c if column.name != "realised_revision"]
    wanted = select(*whose, *marks).select_from(scores.join(forecasts, forecasts.c.id == scores.c.forecast_id))
    with snapshot(reading.engine) as connection:
        rows = connection.execute(wanted.where(*which).order_by(*_SCORE_KEY).limit(limit)).mappings()
        return [score_row(dict(row), reading.symbol(row["instrument"])) for row in rows]


def _position(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["forecast_id"], row["step"], STAGES.index(row["stage"])


def steps_of(bucket: str) -> tuple[int, int]:
    """First and last step of a bucket by its name, `2-5`."""
    first, _, last = bucket.partition("-")
    return int(first), int(last or first)
