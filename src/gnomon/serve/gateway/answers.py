"""The shapes of what the gateway answers, for the OpenAPI document. The answers themselves are written as bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Every field is promised; an answer has no other."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Problem(Shape):
    """The one outside shape of every failure."""

    error: str = Field(description="What kind of failure, for programs.", examples=["not_found"])
    message: str = Field(description="What was received and what was expected.", examples=["no instrument 'BTCUSD'"])
    hint: str = Field(description="What to do next.", examples=["did you mean BTCUSDT?"])
    detail: dict[str, Any] = Field(description="Facts for programs.", examples=[{"nearest": ["BTCUSDT"]}])


_MEANINGS = {
    400: "The question breaks a rule that the caller can mend.",
    404: "There is no such thing.",
    422: "The question is not of the form that is documented.",
    429: "Too many requests from this address; Retry-After says how long to wait.",
    503: "The database does not answer; Retry-After says when to try again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that fails like this."""
    retry = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return {
        status: {"model": Problem, "description": _MEANINGS[status]}
        | ({"headers": retry} if status in (429, 503) else {})
        for status in statuses
    }


# --- forecasts ------------------------------------------------------------------------------------------------------


class Curves(Shape):
    """Three quantiles of the close by step."""

    p10: list[float]
    p50: list[float]
    p90: list[float]


class Baseline(Curves):
    """The naive forecast of the same cutoff."""

    model: str = Field(examples=["ewma"])


class Quantiles(Shape):
    """All stored levels, as served."""

    kind: Literal["raw", "calibrated"]
    levels: list[float] = Field(description="(levels,)", examples=[[0.05, 0.1, 0.5, 0.9, 0.95]])
    values: list[list[float]] = Field(description="(steps, levels), prices")


class Calibration(Shape):
    id: int
    method: str | None
    fitted_until: datetime | None


class Bar(Shape):
    """The point bar of one step."""

    step: int
    target_open: datetime
    target_close: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


class ScoreSummary(Shape):
    """How the forecaster has done on this symbol against the naive reference."""

    bucket: str = Field(examples=["all"])
    n: int = Field(description="Scored steps.")
    skill: float | None
    low: float | None = Field(description="Lower bound of the 95 % interval of the skill.")
    high: float | None
    verdict: str = Field(examples=["cannot be told from naive (n = 1240)"])


class LatestForecast(Curves):
    """The newest live forecast of a symbol. The last five fields are there when `include` names them."""

    symbol: str = Field(examples=["BTCUSDT"])
    timeframe: str = Field(examples=["1h"])
    basis: Literal["raw", "split", "adjusted"] = Field(description="Which bars: as printed, or adjusted.")
    model: str = Field(examples=["ewma"])
    model_version: str
    generated_at: datetime = Field(description="When it was issued; from then on it was knowable.")
    data_cutoff: datetime = Field(description="Close of the newest bar it used.")
    valid_until: datetime
    stale: bool = Field(description="The next issue is overdue.")
    age_seconds: int = Field(description="Since it was issued (until `as_of`, where that was asked).", ge=0)
    next_issue_at: datetime | None
    pred_len: int = Field(description="Steps.", examples=[24])
    target_timestamps: list[datetime] = Field(description="Closes of the bars that are forecast.")
    base_price: float = Field(description="Close of the newest bar it used.")
    p_up: list[float] = Field(description="Probability that the close lies above the base price, by step.")
    event_context: dict[str, Any]
    forecast_id: int
    row_hash: str = Field(description="Its place in the hash chain.")
    revision: str
    calibration: Calibration | None
    raw: Curves = Field(description="Before calibration.")
    baseline: Baseline | None = None
    quantiles: Quantiles | None = None
    samples: list[list[float]] | None = Field(None, description="(paths, steps), closes")
    bars: list[Bar] | None = None
    scores: ScoreSummary | None = None


class ForecastRow(Curves):
    """A row of the ledger."""

    id: int
    lane: Literal["live", "backfill"]
    variant: str
    seq: int
    symbol: str
    instrument: str
    timeframe: str
    basis: Literal["raw", "split", "adjusted"]
    forecaster: str
    version: str
    role: str
    information: str
    revision: str
    params: dict[str, Any]
    seed: int
    as_of: datetime
    data_cutoff: datetime
    issued_at: datetime
    valid_until: datetime
    horizon: int
    n_paths: int
    crossings: int
    base_price: float
    levels: list[float]
    p_up: list[float]
    target_timestamps: list[datetime]
    event_context: dict[str, Any]
    warnings: list[str]
    input_hash: str
    calibration_id: int | None
    weights_id: int | None
    code_version: str
    job_key: str
    prev_hash: str
    row_hash: str


class ForecastDetail(ForecastRow):
    """A row of the ledger with all its levels."""

    quantiles: Quantiles
    raw_quantiles: Quantiles


class Page(Shape):
    next_cursor: str | None = Field(description="Give it as `cursor` for the rows after these; null at the end.")


class ForecastPage(Page):
    items: list[ForecastRow]


class ForecastPaths(Shape):
    forecast_id: int
    target_timestamps: list[datetime]
    samples: list[list[float]] = Field(description="(paths, steps), closes")


# --- scores ---------------------------------------------------------------------------------------------------------


class ScoreRow(Shape):
    """The marks of one step of one forecast. Losses are in shares of the base price; null where there is no figure."""

    forecast_id: int
    symbol: str
    instrument: str
    timeframe: str
    forecaster: str
    version: str
    data_cutoff: datetime
    step: int
    stage: Literal["raw", "calibrated"]
    target_close: datetime
    realised_at: datetime
    scored_at: datetime
    realised: float | None
    pinball_mean: float | None
    crps: float | None
    wis: float | None
    covered_50: float | None
    covered_80: float | None
    covered_90: float | None
    side_80: float | None
    width_80: float | None
    pit_bin: float | None
    direction_hit: float | None
    p_up: float | None
    brier: float | None
    log_loss: float | None
    abs_error: float | None
    log_return: float | None
    void_reason: str


class ScorePage(Page):
    items: list[ScoreRow]


class BoardEntry(Shape):
    """One forecaster on one instrument, or on all together. Skill is against the naive reference on identical keys."""

    forecaster: str
    instrument: str = Field(examples=["binance:BTCUSDT", "all"])
    n: int
    blocks: float
    pinball: float | None
    skill: float | None
    skill_lo: float | None
    skill_hi: float | None
    coverage80: float | None
    coverage80_lo: float | None
    coverage80_hi: float | None
    below80: float | None
    above80: float | None
    coverage50: float | None
    coverage90: float | None
    width80: float | None
    crps: float | None
    wis: float | None
    mae: float | None
    mase: float | None
    direction_hit: float | None
    n_calls: int
    brier: float | None
    pit_distance: float | None
    dm_p: float | None
    star: bool
    voids: int
    verdict: str
    verdict_kind: str


class SlotCountsEntry(Shape):
    """What came of a forecaster's slots: forecasts that were due."""

    forecaster: str
    due: int = Field(description="Nothing came of them yet.")
    issued: int
    late: int
    missed: int
    without_reference: int = Field(description="Missed by the reference as well: nothing to compare with.")


class Board(Shape):
    lane: Literal["live", "backfill"]
    timeframe: str
    stage: Literal["raw", "calibrated"]
    reference: str
    missed_as_naive: bool = Field(description="Whether a missed slot is scored as the reference was there.")
    board: list[BoardEntry] = Field(description="Best lower bound first.")
    slots: list[SlotCountsEntry] = Field(description="By forecaster; a walk-forward has none.")


class Pair(Shape):
    """One forecaster against another, at the cutoffs where both have a common key."""

    forecaster: str
    against: str
    share: float = Field(description="Of cutoffs with the lower loss; a tie counts half.")
    share_lo: float | None = Field(description="Lower bound of its 95 % interval.")
    share_hi: float | None
    cutoffs: int


class PairPage(Page):
    items: list[Pair]


class CalibrationLevel(Shape):
    """One level of one forecaster's calibration curve."""

    forecaster: str
    level: float
    share: float | None = Field(description="Of outcomes below the quantile; equal to `level` where calibrated.")
    share_lo: float | None
    share_hi: float | None
    n: int
    origins: int = Field(description="Cutoffs whose targets do not overlap: on these the interval rests.")
    counts: list[int] = Field(description="(10,), the PIT histogram of the forecaster")


class CalibrationPage(Page):
    items: list[CalibrationLevel]


class HistoryEntry(BoardEntry):
    """A row of a board as it stood when its snapshot was taken."""

    as_of: datetime
    timeframe: str
    group: str
    stage: Literal["raw", "calibrated"]
    ledger_head: str = Field(description="The newest row of the ledger by then.")
    snapshot: str = Field(description="Hash of the whole snapshot.")


class HistoryPage(Page):
    items: list[HistoryEntry]


# --- slots ----------------------------------------------------------------------------------------------------------


class SlotEntry(Shape):
    """A forecast that was due."""

    symbol: str
    instrument: str
    timeframe: str
    forecaster: str
    data_cutoff: datetime
    due_at: datetime
    status: Literal["due", "issued", "late", "missed"]
    why: str
    forecast_id: int | None


class SlotPage(Page):
    items: list[SlotEntry]


class CoverageEntry(Shape):
    """How many of a forecaster's slots were filled."""

    forecaster: str
    slots: int
    issued: int
    late: int
    missed: int
    due: int = Field(description="Nothing came of them yet.")
    share: float | None = Field(description="Issued, of those of which something came.")


class CoveragePage(Page):
    items: list[CoverageEntry]


# --- what there is --------------------------------------------------------------------------------------------------


class IssuedSeries(Shape):
    """What one forecaster has issued for one instrument and timeframe."""

    timeframe: str
    forecaster: str
    count: int
    newest_issued_at: datetime


class StoredBars(Shape):
    timeframe: str
    basis: str
    rows: int
    first: datetime
    last: datetime
    tick: str


class InstrumentEntry(Shape):
    id: str
    symbol: str
    name: str
    asset_class: str
    calendar: str
    tick: str
    lot: str
    sources: dict[str, list[str]]
    forecast: bool = Field(description="False for instruments that are data only.")
    bars: list[StoredBars]
    issued: list[IssuedSeries]


class InstrumentPage(Page):
    items: list[InstrumentEntry]


class ForecasterEntry(Shape):
    name: str
    role: str
    information: str
    description: str
    issued: int
    timeframes: list[str]
    newest_issued_at: datetime | None


class ForecasterPage(Page):
    items: list[ForecasterEntry]


class Candle(Shape):
    open_time: datetime
    close_time: datetime = Field(description="When the bar became final.")
    open: float
    high: float
    low: float
    close: float
    volume: float


class CandleSeries(Shape):
    symbol: str
    instrument: str
    timeframe: str
    basis: str
    tick: str
    as_of: datetime
    items: list[Candle] = Field(description="Oldest first.")


class LedgerHead(Shape):
    lane: Literal["live", "backfill"]
    seq: int
    hash: str = Field(description="Pin it: every earlier row is under it.")
    at: datetime


class DigestEntry(Shape):
    """What one lane's chain was at the end of one day."""

    day: str = Field(examples=["2026-11-20"])
    lane: Literal["live", "backfill"]
    first_seq: int
    last_seq: int
    head: str = Field(description="Hash of the last row issued on the day. Pin it.")


class DigestPage(Page):
    items: list[DigestEntry]


class ExportRow(Shape):
    """A row of the ledger as it is hashed. Instants are UTC nanoseconds."""

    id: int
    lane: Literal["live", "backfill"]
    variant: str
    seq: int
    instrument: str
    timeframe: str
    basis: str
    forecaster: str
    version: str
    role: str
    information: str
    revision: str
    params: dict[str, Any]
    seed: int
    as_of: int
    data_cutoff: int
    issued_at: int
    valid_until: int
    horizon: int
    n_paths: int
    crossings: int
    base_price: float
    levels: list[float]
    input_hash: str
    calibration_id: int | None
    weights_id: int | None
    code_version: str
    job_key: str
    raw_digest: str
    calibrated_digest: str
    paths_digest: str
    bars_digest: str
    prev_hash: str
    row_hash: str
    warnings: list[str]
    event_context: dict[str, Any]
    target_open: list[int]
    target_close: list[int]
    p_up: list[float]
    p10: list[float]
    p50: list[float]
    p90: list[float]
    raw: list[list[float]] = Field(description="(steps, levels)")
    calibrated: list[list[float]] | None


class ExportPage(Page):
    items: list[ExportRow]


class NewestIssue(Shape):
    issued_at: datetime
    age_seconds: int


class Head(Shape):
    seq: int
    hash: str


class Health(Shape):
    status: Literal["ok", "degraded"]
    version: str
    database: Literal["ok", "unavailable"]
    ledger: dict[str, Head] | None = Field(description="Chain heads by lane; null while the database is away.")
    newest_issue: dict[str, NewestIssue] | None = Field(description="The newest live issue by timeframe.")
