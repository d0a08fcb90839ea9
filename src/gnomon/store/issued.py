"""What the ledger answers: what an issue did, and a forecast as it was issued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from sqlalchemy import RowMapping

from gnomon.forecast.forecast import Role
from gnomon.market.candles import Basis
from gnomon.store.entry import Lane


@dataclass(frozen=True, slots=True)
class Issued:
    """What an `issue` did: new rows, rows that were there already, the id of each entry in order."""

    issued: int
    existing: int
    ids: list[int]


@dataclass(frozen=True, slots=True)
class StoredForecast:
    """A row of the ledger. `p10`, `p50`, `p90` are as served: calibrated where a calibration exists, else raw."""

    id: int
    lane: Lane
    variant: str
    seq: int
    instrument: str
    timeframe: str
    basis: Basis
    forecaster: str
    version: str
    role: Role
    information: str
    revision: str
    params: Mapping[str, Any]
    seed: int
    as_of_ns: int
    data_cutoff_ns: int
    issued_at_ns: int
    valid_until_ns: int
    horizon: int
    n_paths: int
    crossings: int
    base_price: float
    levels: tuple[float, ...]
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
    warnings: tuple[str, ...]
    event_context: Mapping[str, Any]
    target_open_ns: list[int]
    target_close_ns: list[int]
    p_up: list[float]
    p10: list[float]
    p50: list[float]
    p90: list[float]


def stored(row: RowMapping) -> StoredForecast:
    """The forecast of a row of `forecasts`."""
    values: dict[str, Any] = dict(row)
    for name in ("as_of", "data_cutoff", "issued_at", "valid_until"):
        values[f"{name}_ns"] = values.pop(name)
    for name in ("target_open", "target_close"):
        values[f"{name}_ns"] = np.frombuffer(values.pop(name), "<i8").tolist()
    for name in ("params", "event_context", "p_up", "p10", "p50", "p90"):
        values[name] = orjson.loads(values[name])
    values["levels"], values["warnings"] = tuple(orjson.loads(row["levels"])), tuple(orjson.loads(row["warnings"]))
    return StoredForecast(**values)
