"""From a question to the newest forecast: what was asked, the row that answers it, and the document that is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid, NotFound, nearest
from gnomon.serve.gateway.boards import Boards
from gnomon.serve.gateway.memory import KEEP_NS, KEEP_PASSING_NS, KEEP_SCORED_NS, Answer, Slot, facts_of
from gnomon.serve.gateway.reading import Reading
from gnomon.serve.gateway.roster import BASELINE, ROSTER
from gnomon.serve.gateway.rows import iso_each
from gnomon.store.boards import BoardFilter
from gnomon.store.calibrations import CalibrationStore
from gnomon.store.engine import reading
from gnomon.store.forecasts import StoredForecast
from gnomon.store.tables import forecast_bars
from gnomon.units import HOUR_NS, INT64_MAX, MINUTE_NS, SECOND_NS

PARTS: Final = ("quantiles", "samples", "baseline", "scores", "bars")
SETTLED_NS: Final = 5 * SECOND_NS
"""An `as_of` nearer to now than this may still gain a row: an issue is stamped before it is committed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for, in one spelling."""

    instrument: str
    symbol: str
    timeframe: str
    model: str
    as_of_ns: int | None
    include: tuple[str, ...]

    @property
    def slot(self) -> Slot:
        return self.instrument, self.timeframe


class Latest:
    """Answers `Wanted`. Everything here but `now_ns` and `wanted_at_once` may ask the database."""

    def __init__(self, reading: Reading, boards: Boards) -> None:
        self._reading = reading
        self._boards = boards
        self._calibrations = CalibrationStore(reading.engine)
        self.now_ns = reading.clock.now_ns

    def wanted_at_once(
        self, symbol: str, model: str, timeframe: str, as_of: str | None, include: tuple[str, ...]
    ) -> Wanted | None:
        """The question, where understanding it needs no database; None where it does."""
        known = symbol in self._reading.instruments and model in ROSTER
        return self.wanted(symbol, model, timeframe, as_of, include) if known else None

    def wanted(self, symbol: str, model: str, timeframe: str, as_of: str | None, include: tuple[str, ...]) -> Wanted:
        """The question in one spelling. `NotFound` for the symbol, `Invalid` for everything else."""
        length = str(Timeframe.parse(timeframe))
        as_of_ns = None if as_of is None else parse_instant(as_of)
        if as_of_ns is not None and as_of_ns >= self.now_ns():
            as_of_ns = None  # nothing is issued in the future
        parts = _parts(include)
        self._reading.require_model(model)
        instrument = self._reading.instrument(symbol)
        return Wanted(instrument.id, instrument.symbol, length, model, as_of_ns, parts)

    def read(self, wanted: Wanted) -> Answer:
        """The answer as the store has it now. `NotFound` when nothing was issued by then."""
        now_ns = self.now_ns()
        stored = self._reading.ledger.latest(
            wanted.instrument, wanted.timeframe, wanted.model, as_of_ns=wanted.as_of_ns
        )
        if stored is None:
            raise self._nothing_issued(wanted)
        seen_at_ns = wanted.as_of_ns or 0
        stale = (seen_at_ns or now_ns) >= stored.valid_until_ns
        facts, etag = facts_of(self._document(wanted, stored, stale), _identity(stored, wanted))
        return Answer(
            slot=wanted.slot,
            facts=facts,
            etag=etag,
            issued_at_ns=stored.issued_at_ns,
            valid_until_ns=stored.valid_until_ns,
            keep_until_ns=_keep_until(wanted, stored, stale, now_ns),
            seen_at_ns=seen_at_ns,
            settled=seen_at_ns > 0 and seen_at_ns < now_ns - SETTLED_NS,
        )

    def _document(self, wanted: Wanted, stored: StoredForecast, stale: bool) -> dict[str, Any]:
        document = {
            "symbol": wanted.symbol,
            "timeframe": wanted.timeframe,
            "basis": stored.basis,
            "model": stored.forecaster,
            "model_version": stored.version,
            "p10": stored.p10,
            "p50": stored.p50,
            "p90": stored.p90,
            "generated_at": iso(stored.issued_at_ns),
            "data_cutoff": iso(stored.data_cutoff_ns),
            "valid_until": iso(stored.valid_until_ns),
            "stale": stale,
            "next_issue_at": None if stale else iso(_next_issue_ns(stored)),
            "pred_len": stored.horizon,
            "target_timestamps": iso_each(stored.target_close_ns),
            "base_price": stored.base_price,
            "p_up": stored.p_up,
            "event_context": dict(stored.event_context),
            "forecast_id": stored.id,
            "row_hash": stored.row_hash,
            "revision": stored.revision,
            "calibration": self._calibration(stored),
            "raw": self._raw(stored),
        }
        return document | {part: self._part(part, wanted, stored) for part in wanted.include}

    def _calibration(self, stored: StoredForecast) -> dict[str, Any] | None:
        """The one fit behind the served curve, None where it is the raw one."""
        if stored.calibration_id is None:
            return None
        try:
            fit = self._calibrations.get(stored.calibration_id)
        except NotFound:  # derived rows may be lost; the forecast is served all the same
            return {"id": stored.calibration_id, "method": None, "fitted_until": None}
        until = iso(fit.fitted_until_ns) if fit.fitted_until_ns else None
        return {"id": fit.id, "method": fit.method, "fitted_until": until}

    def _raw(self, stored: StoredForecast) -> dict[str, Any]:
        if not stored.calibrated_digest:
            return {"p10": stored.p10, "p50": stored.p50, "p90": stored.p90}
        values = self._reading.ledger.quantiles([stored.id], "raw")[stored.id]
        levels = list(stored.levels)
        return {name: values[:, levels.index(level)] for name, level in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))}

    def _part(self, part: str, wanted: Wanted, stored: StoredForecast) -> Any:
        match part:
            case "quantiles":
                return quantiles_of(self._reading, stored)
            case "samples":
                return samples_of(self._reading, stored.id)
            case "baseline":
                return self._baseline(wanted, stored)
            case "bars":
                return bars_of(self._reading, stored.id)
            case _:
                return self._scores(wanted)

    def _baseline(self, wanted: Wanted, stored: StoredForecast) -> dict[str, Any] | None:
        """The naive row of the same cutoff, as far as it was issued by then."""
        issued = self._reading.ledger.find(
            lane="live",
            instrument=wanted.instrument,
            timeframe=wanted.timeframe,
            forecaster=BASELINE,
            first_cutoff_ns=stored.data_cutoff_ns,
            last_cutoff_ns=stored.data_cutoff_ns + 1,
        )
        until_ns = INT64_MAX if wanted.as_of_ns is None else wanted.as_of_ns
        known = [one for one in issued if one.issued_at_ns <= until_ns]
        if not known:
            return None
        newest = max(known, key=lambda one: (one.issued_at_ns, one.id))
        return {"model": newest.forecaster, "p10": newest.p10, "p50": newest.p50, "p90": newest.p90}

    def _scores(self, wanted: Wanted) -> dict[str, Any]:
        row = self._boards.row_of(
            BoardFilter(
                lane="live",
                timeframe=Timeframe.parse(wanted.timeframe),
                instruments=(wanted.instrument,),
                forecasters=tuple(dict.fromkeys((BASELINE, wanted.model))),
                known_until_ns=wanted.as_of_ns,
            ),
            wanted.model,
            wanted.instrument,
        )
        if row is None:
            return {"bucket": "all", "n": 0, "skill": None, "low": None, "high": None, "verdict": "nothing scored yet"}
        return {
            "bucket": "all",
            "n": row.n,
            "skill": row.skill,
            "low": row.skill_lo,
            "high": row.skill_hi,
            "verdict": row.verdict,
        }

    def _nothing_issued(self, wanted: Wanted) -> NotFound:
        others = [
            one.forecaster
            for one in self._reading.census["live"].taken()
            if (one.instrument, one.timeframe) == wanted.slot and one.forecaster != wanted.model
        ]
        command = (
            f"`gnomon forecast --timeframe {wanted.timeframe} --horizon 24 "
            f"--instruments {wanted.symbol} --forecasters {wanted.model}`"
        )
        by_then = "" if wanted.as_of_ns is None else f" by {iso(wanted.as_of_ns)}"
        return NotFound(
            f"{wanted.model} has issued no live {wanted.timeframe} forecast of {wanted.symbol}{by_then}",
            hint=f"run {command}" + (f"; or ask for ?model={others[0]}" if others else ""),
            detail={
                "symbol": wanted.symbol,
                "timeframe": wanted.timeframe,
                "model": wanted.model,
                "issued_by": others,
            },
        )


def quantiles_of(
    reading_: Reading, stored: StoredForecast, kind: Literal["raw", "calibrated"] | None = None
) -> dict[str, Any]:
    """Levels (Q,) and values (H, Q); by default as served: calibrated where a calibration exists."""
    kind = kind or ("calibrated" if stored.calibrated_digest else "raw")
    values = reading_.ledger.quantiles([stored.id], kind)[stored.id]
    return {"kind": kind, "levels": list(stored.levels), "values": values}


def samples_of(reading_: Reading, forecast_id: int) -> Any:
    """Sample paths of the close (n, H), or None where the forecaster has none or they were retired."""
    paths = reading_.ledger.paths(forecast_id)
    return paths if paths is None or paths.ndim == 2 else paths[:, :, 3]


def bars_of(reading_: Reading, forecast_id: int) -> list[dict[str, Any]]:
    """The point bars of the first steps; empty where the forecaster has none."""
    names = [one.name for one in forecast_bars.c if one.name != "forecast_id"]
    wanted = select(*(forecast_bars.c[name] for name in names)).where(forecast_bars.c.forecast_id == forecast_id)
    with reading(reading_.engine) as connection:
        rows = connection.execute(wanted.order_by(forecast_bars.c.step)).all()
    bars = [dict(zip(map(str, names), row, strict=True)) for row in rows]
    return [one | {name: iso(one[name]) for name in ("target_open", "target_close")} for one in bars]


def _parts(include: Iterable[str]) -> tuple[str, ...]:
    asked = {part.strip() for one in include for part in one.split(",") if part.strip()}
    for part in sorted(asked - set(PARTS)):
        close = nearest(part, PARTS)
        also = f"did you mean {', '.join(close)}? " if close else ""
        raise Invalid(f"nothing to include is called {part!r}", hint=f"{also}include={','.join(PARTS)}")
    return tuple(part for part in PARTS if part in asked)


def _identity(stored: StoredForecast, wanted: Wanted) -> str:
    included = "".join(part[0:2] for part in wanted.include)
    return f"{stored.id}-{stored.calibration_id or 0}-{included}"


def _next_issue_ns(stored: StoredForecast) -> int:
    """`valid_until` is the nominal time of the next issue and the grace for it to arrive."""
    return stored.valid_until_ns - (10 * MINUTE_NS if Timeframe.parse(stored.timeframe).is_intraday else HOUR_NS)


def _keep_until(wanted: Wanted, stored: StoredForecast, stale: bool, now_ns: int) -> int:
    if wanted.as_of_ns is not None:
        return now_ns + KEEP_NS if wanted.as_of_ns < now_ns - SETTLED_NS else now_ns
    if stale:
        return now_ns + KEEP_PASSING_NS
    longest_ns = KEEP_SCORED_NS if "scores" in wanted.include else KEEP_NS
    return min(now_ns + longest_ns, stored.valid_until_ns)
