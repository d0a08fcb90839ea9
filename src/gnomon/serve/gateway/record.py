"""`/api/v1`: the track record. What was due, what came of it, who beats whom, what boards said, the ledger itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from gnomon.clock import Timeframe, parse_instant
from gnomon.serve.gateway import answers, export
from gnomon.serve.gateway.api import (
    FILES,
    Cursor,
    Form,
    InLane,
    Limit,
    Read,
    Since,
    Stage,
    Symbol,
    Until,
    Variant,
    Who,
    Word,
    steps_of,
)
from gnomon.serve.gateway.boards import Boards
from gnomon.serve.gateway.reading import Reading
from gnomon.serve.gateway.rows import (
    STAGES,
    calibration_rows,
    coverage_row,
    digest_row,
    history_row,
    pair_rows,
    slot_row,
)
from gnomon.serve.gateway.table import MEDIA_TYPES, cursor_after, cursor_keys, cursor_position, table_response
from gnomon.store.boards import BoardFilter
from gnomon.store.forecasts import Lane
from gnomon.store.slots import Status
from gnomon.store.snapshots import Snapshot
from gnomon.units import DAY_NS, INT64_MAX

COVERAGE_DAYS: Final = 30
SNAPSHOTS_A_LOOK: Final = 20
_WORD: Final = r"^[^\x00-\x1f\x7f]{1,128}$"
_FAILURES: Final = answers.problems(400, 404, 422, 429, 503)
_ANSWERS: Final = {**FILES, **_FAILURES}

Length = Annotated[str, Query(description="Bar length.", pattern=_WORD)]
Bucket = Annotated[Literal["1", "2-5", "6-24", "25-120"] | None, Query(description="Steps first-last; default: all.")]
DueSince = Annotated[str | None, Query(alias="from", description="Due at or after this instant.", pattern=_WORD)]
DueUntil = Annotated[str | None, Query(alias="to", description="Due before this instant.", pattern=_WORD)]

router = APIRouter(prefix="/api/v1")


# --- slots ----------------------------------------------------------------------------------------------------------


@router.get(
    "/slots",
    tags=["slots"],
    response_model=answers.SlotPage,
    responses=_ANSWERS,
    summary="What was due and what came of it, newest first",
)
def list_slots(
    reading: Read,
    timeframe: Length = "1h",
    symbol: Symbol = None,
    forecaster: Who = None,
    status: Annotated[Status | None, Query(description="Only slots that stand so.")] = None,
    since: DueSince = None,
    until: DueUntil = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    form: Form = "json",
) -> Response:
    found = reading.slots.read(
        timeframe=str(Timeframe.parse(timeframe)),
        instrument=None if symbol is None else reading.instrument(symbol).id,
        forecaster=forecaster,
        status=status,
        first_due_ns=_instant(since),
        last_due_ns=_instant(until),
        after=cursor_keys(cursor, (int, str, str, int)),
        limit=limit + 1,
    )
    rows = [slot_row(one, reading.symbol(one.slot.instrument)) for one in found[:limit]]
    more = cursor_after(found[limit - 1].position) if len(found) > limit else None
    return table_response(rows, form, name="slots", document={"items": rows, "next_cursor": more}, cursor=more)


@router.get(
    "/slots/coverage",
    tags=["slots"],
    response_model=answers.CoveragePage,
    responses=_ANSWERS,
    summary="How many of each forecaster's slots were filled; by default of the last 30 days",
)
def get_coverage(
    reading: Read, timeframe: Length = "1h", since: DueSince = None, until: DueUntil = None, form: Form = "json"
) -> Response:
    first_ns = _instant(since)
    found = reading.slots.coverage(
        str(Timeframe.parse(timeframe)),
        first_due_ns=reading.clock.now_ns() - COVERAGE_DAYS * DAY_NS if first_ns is None else first_ns,
        last_due_ns=_instant(until),
    )
    rows = [coverage_row(one) for one in found]
    return table_response(rows, form, name="coverage", document={"items": rows, "next_cursor": None})


# --- scores ---------------------------------------------------------------------------------------------------------


def _filter(
    reading: Read,
    timeframe: Length = "1h",
    symbol: Annotated[list[Word] | None, Query(description="Of these instruments; default: all.")] = None,
    forecaster: Annotated[list[Word] | None, Query(description="Of these forecasters; default: all.")] = None,
    lane: InLane = "live",
    variant: Variant = None,
    since: Since = None,
    until: Until = None,
    stage: Stage = "raw",
    bucket: Bucket = None,
) -> BoardFilter:
    return BoardFilter(
        lane=lane,
        timeframe=Timeframe.parse(timeframe),
        variant=variant,
        instruments=tuple(reading.instrument(name).id for name in symbol or ()),
        forecasters=tuple(forecaster or ()),
        first_cutoff_ns=_instant(since),
        last_cutoff_ns=_instant(until),
        stage=STAGES.index(stage),
        bucket=None if bucket is None else steps_of(bucket),
    )


Which = Annotated[BoardFilter, Depends(_filter)]


@router.get(
    "/scores/pairs",
    tags=["scores"],
    response_model=answers.PairPage,
    responses=_ANSWERS,
    summary="Who wins against whom: the share of cutoffs with the lower loss, with its interval",
)
def get_pairs(request: Request, which: Which, form: Form = "json") -> Response:
    boards: Boards = request.app.state.boards
    rows = pair_rows(boards.pairs(which))
    return table_response(rows, form, name="pairs", document={"items": rows, "next_cursor": None})


@router.get(
    "/scores/calibration",
    tags=["scores"],
    response_model=answers.CalibrationPage,
    responses=_ANSWERS,
    summary="Stated against observed frequency: at each level the share of outcomes below the quantile",
)
def get_calibration(request: Request, which: Which, form: Form = "json") -> Response:
    boards: Boards = request.app.state.boards
    rows = [row for one in boards.calibration(which) for row in calibration_rows(one)]
    return table_response(rows, form, name="calibration", document={"items": rows, "next_cursor": None})


@router.get(
    "/scores/history",
    tags=["scores"],
    response_model=answers.HistoryPage,
    responses=_ANSWERS,
    summary="What the live boards said on each day, from their snapshots, newest first",
)
def get_history(
    reading: Read,
    timeframe: Length = "1h",
    group: Annotated[
        Literal["all", "crypto", "fx_commodity", "equity"], Query(description="The board of these instruments.")
    ] = "all",
    stage: Stage = "raw",
    symbol: Annotated[str | None, Query(description="The rows of one instrument; default: of all together.")] = None,
    forecaster: Who = None,
    since: Annotated[str | None, Query(alias="from", description="Taken at or after.", pattern=_WORD)] = None,
    until: Annotated[str | None, Query(alias="to", description="Taken before.", pattern=_WORD)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    form: Form = "json",
) -> Response:
    asked = {"lane": "live", "timeframe": str(Timeframe.parse(timeframe)), "group": group, "stage": stage}
    whose = "all" if symbol is None else reading.instrument(symbol).id
    after = cursor_position(cursor, length=2)
    snapshots = _snapshots(reading, asked, _instant(since), _instant(until), after)
    found = list(islice(_history(snapshots, whose, forecaster, after), limit + 1))
    rows = [row for _, row in found[:limit]]
    more = cursor_after(found[limit - 1][0]) if len(found) > limit else None
    return table_response(rows, form, name="history", document={"items": rows, "next_cursor": more}, cursor=more)


def _history(
    snapshots: Iterable[Snapshot], whose: str, forecaster: str | None, after: tuple[int, ...] | None
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """The rows of an instrument (and a forecaster) beyond a position, each with its own."""
    for taken in snapshots:
        for place, row in enumerate(taken.rows):
            is_wanted = row["instrument"] == whose and forecaster in (None, row["forecaster"])
            if is_wanted and (after is None or taken.as_of_ns != after[0] or place > after[1]):
                yield (taken.as_of_ns, place), history_row(taken, row)


def _snapshots(
    reading: Reading, asked: dict[str, str], first_ns: int | None, last_ns: int | None, after: tuple[int, ...] | None
) -> Iterator[Snapshot]:
    """The snapshots of a board, newest first, a few at a time; from the one where the last page stopped."""
    if after is not None:
        inclusive_ns = min(after[0], INT64_MAX - 1) + 1
        last_ns = inclusive_ns if last_ns is None else min(last_ns, inclusive_ns)
    before = None
    while True:
        page = reading.snapshots.read(asked, first_ns=first_ns, last_ns=last_ns, before=before, limit=SNAPSHOTS_A_LOOK)
        yield from page
        if len(page) < SNAPSHOTS_A_LOOK:
            return
        before = (page[-1].as_of_ns, page[-1].filter_hash)


# --- the ledger -----------------------------------------------------------------------------------------------------


@router.get(
    "/ledger/digests",
    tags=["forecasts"],
    response_model=answers.DigestPage,
    responses=_ANSWERS,
    summary="The daily digests of the chains, to be pinned, newest day first",
)
def list_digests(
    reading: Read,
    lane: Annotated[Lane | None, Query(description="Of one lane; default: of both.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    form: Form = "json",
) -> Response:
    found = reading.digests.all(lane, limit=limit + 1, after=cursor_keys(cursor, (str, str)))
    rows = [digest_row(one) for one in found[:limit]]
    more = cursor_after([found[limit - 1].day, found[limit - 1].lane]) if len(found) > limit else None
    return table_response(rows, form, name="digests", document={"items": rows, "next_cursor": more}, cursor=more)


@router.get(
    "/ledger/export",
    tags=["forecasts"],
    response_model=answers.ExportPage,
    responses=_ANSWERS,
    summary="A lane of the ledger in the order of its chain, with all that its hashes cover but paths and bars",
)
def export_ledger(
    reading: Read,
    lane: InLane = "live",
    limit: Annotated[int, Query(ge=1, le=100_000, description="Rows at most.")] = 1000,
    cursor: Cursor = None,
    form: Form = "json",
) -> Response:
    after = cursor_position(cursor, length=1)
    after_seq = max(0, after[0]) if after else 0
    head_seq, _ = reading.ledger.head(lane)
    last_seq = min(after_seq + limit, head_seq)
    more = cursor_after([last_seq]) if last_seq < head_seq else None
    headers = {} if form == "json" else {"content-disposition": f'attachment; filename="ledger-{lane}.{form}"'}
    headers |= {"x-next-cursor": more} if more is not None and form != "json" else {}
    rows = export.batches(reading.engine, lane, after_seq, last_seq)
    return StreamingResponse(export.written(rows, form, more), media_type=MEDIA_TYPES[form], headers=headers)


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)
