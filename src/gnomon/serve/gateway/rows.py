"""What is stored, as rows of JSON: instants as ISO text, no NaN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instrument
from gnomon.score.compare import Pairs, Reliability
from gnomon.serve.gateway.census import Issues
from gnomon.serve.gateway.roster import Listed
from gnomon.serve.gateway.table import finite
from gnomon.store.digests import Digest
from gnomon.store.forecasts import StoredForecast
from gnomon.store.market import StoredSeries
from gnomon.store.slots import Coverage, SlotRow
from gnomon.store.snapshots import Snapshot
from gnomon.units import SECOND_NS, FloatArray

STAGES: Final = ("raw", "calibrated")


def iso_each(instants_ns: Sequence[int]) -> list[str]:
    """Each instant as ISO text; all at once where they are whole seconds, as closes are."""
    instants = np.asarray(instants_ns, np.int64)
    if (instants % SECOND_NS).any():
        return [iso(one) for one in instants.tolist()]
    return [f"{text}Z" for text in np.datetime_as_string(instants.view("M8[ns]"), unit="s").tolist()]


def forecast_row(one: StoredForecast, symbol: str) -> dict[str, Any]:
    """A row of the ledger."""
    return {
        "id": one.id,
        "lane": one.lane,
        "variant": one.variant,
        "seq": one.seq,
        "symbol": symbol,
        "instrument": one.instrument,
        "timeframe": one.timeframe,
        "basis": one.basis,
        "forecaster": one.forecaster,
        "version": one.version,
        "role": one.role,
        "information": one.information,
        "revision": one.revision,
        "params": dict(one.params),
        "seed": one.seed,
        "as_of": iso(one.as_of_ns),
        "data_cutoff": iso(one.data_cutoff_ns),
        "issued_at": iso(one.issued_at_ns),
        "valid_until": iso(one.valid_until_ns),
        "horizon": one.horizon,
        "n_paths": one.n_paths,
        "crossings": one.crossings,
        "base_price": one.base_price,
        "levels": list(one.levels),
        "p10": list(one.p10),
        "p50": list(one.p50),
        "p90": list(one.p90),
        "p_up": list(one.p_up),
        "target_timestamps": iso_each(one.target_close_ns),
        "event_context": dict(one.event_context),
        "warnings": list(one.warnings),
        "input_hash": one.input_hash,
        "calibration_id": one.calibration_id,
        "weights_id": one.weights_id,
        "code_version": one.code_version,
        "job_key": one.job_key,
        "prev_hash": one.prev_hash,
        "row_hash": one.row_hash,
    }


def instrument_row(one: Instrument, bars: Iterable[StoredSeries], issued: Iterable[Issues]) -> dict[str, Any]:
    """An instrument, the bars that are stored of it and what was issued for it."""
    return {
        "id": one.id,
        "symbol": one.symbol,
        "name": one.name,
        "asset_class": one.asset_class,
        "calendar": one.calendar,
        "tick": str(one.tick.step),
        "lot": str(one.lot.step),
        "sources": {source: list(names) for source, names in one.sources.items()},
        "forecast": one.forecast,
        "bars": [_bars_row(series) for series in bars],
        "issued": [_issued_row(issues) for issues in issued],
    }


def _bars_row(one: StoredSeries) -> dict[str, Any]:
    return {
        "timeframe": str(one.timeframe),
        "basis": one.basis,
        "rows": one.rows,
        "first": iso(one.first_ns),
        "last": iso(one.last_ns),
        "tick": str(one.tick.step),
    }


def _issued_row(one: Issues) -> dict[str, Any]:
    return {
        "timeframe": one.timeframe,
        "forecaster": one.forecaster,
        "count": one.count,
        "newest_issued_at": iso(one.newest_ns),
    }


def candle_rows(bars: Candles, values: FloatArray) -> list[dict[str, Any]]:
    """Bars and their (n, 6) values, oldest first."""
    names = ("open", "high", "low", "close", "volume")
    times = zip(iso_each(bars.open_ns.tolist()), iso_each(bars.close_ns.tolist()), strict=True)
    return [
        {"open_time": opened, "close_time": closed, **dict(zip(names, row, strict=True))}
        for (opened, closed), row in zip(times, values[:, :5].tolist(), strict=True)
    ]


def forecaster_row(name: str, listed: Listed, issued: Sequence[Issues]) -> dict[str, Any]:
    """A forecaster and what it has issued."""
    return {
        "name": name,
        "role": listed.role,
        "information": listed.information,
        "description": listed.description,
        "issued": sum(one.count for one in issued),
        "timeframes": sorted({one.timeframe for one in issued}, key=Timeframe.parse),
        "newest_issued_at": iso(max(one.newest_ns for one in issued)) if issued else None,
    }


def score_row(row: Mapping[str, Any], symbol: str) -> dict[str, Any]:
    """A row of the scores table, joined with whose forecast it marks."""
    instants = {name: iso(row[name]) for name in ("data_cutoff", "target_close", "realised_at", "scored_at")}
    figures = {str(name): finite(value) for name, value in row.items()}  # names of columns are no plain str
    return {"symbol": symbol, **figures, **instants, "stage": STAGES[row["stage"]]}


# --- the track record -----------------------------------------------------------------------------------------------


def slot_row(one: SlotRow, symbol: str) -> dict[str, Any]:
    """A slot as it stands."""
    return {
        "symbol": symbol,
        "instrument": one.slot.instrument,
        "timeframe": one.slot.timeframe,
        "forecaster": one.slot.forecaster,
        "data_cutoff": iso(one.slot.cutoff_ns),
        "due_at": iso(one.slot.due_ns),
        "status": one.status,
        "why": one.why,
        "forecast_id": one.forecast_id,
    }


def coverage_row(one: Coverage) -> dict[str, Any]:
    """How many slots of a forecaster were filled; `share` of those of which something came."""
    settled = one.issued + one.late + one.missed
    return {
        "forecaster": one.forecaster,
        "slots": one.all,
        "issued": one.issued,
        "late": one.late,
        "missed": one.missed,
        "due": one.due,
        "share": one.issued / settled if settled else None,
    }


def pair_rows(found: Pairs) -> list[dict[str, Any]]:
    """A row for every two forecasters with a common cutoff."""
    names = found.forecasters
    return [
        {
            "forecaster": left,
            "against": right,
            "share": float(found.share[row, column]),
            "share_lo": finite(float(found.lo[row, column])),
            "share_hi": finite(float(found.hi[row, column])),
            "cutoffs": int(found.cutoffs[row, column]),
        }
        for row, left in enumerate(names)
        for column, right in enumerate(names)
        if row != column and found.cutoffs[row, column]
    ]


def calibration_rows(one: Reliability) -> list[dict[str, Any]]:
    """A row a level: where a calibrated forecaster has `share` equal to `level`. `counts` is the PIT histogram."""
    return [
        {
            "forecaster": one.forecaster,
            "level": float(level),
            "share": finite(float(one.share[place])),
            "share_lo": finite(float(one.lo[place])),
            "share_hi": finite(float(one.hi[place])),
            "n": one.n,
            "origins": one.origins,
            "counts": one.counts.tolist(),
        }
        for place, level in enumerate(one.levels)
    ]


def history_row(taken: Snapshot, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a board, with the snapshot that it stands in."""
    about = {name: taken.filter[name] for name in ("timeframe", "group", "stage")}
    return {
        "as_of": iso(taken.as_of_ns),
        **about,
        **row,
        "ledger_head": taken.ledger_head,
        "snapshot": taken.hash,
    }


def digest_row(one: Digest) -> dict[str, Any]:
    """A day of a lane."""
    return {"day": one.day, "lane": one.lane, "first_seq": one.first_seq, "last_seq": one.last_seq, "head": one.head}
