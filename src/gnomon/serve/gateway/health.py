"""How the gateway is: `/health` for people and orchestrators, `/metrics` for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from gnomon._version import __version__
from gnomon.clock import iso
from gnomon.errors import Unavailable
from gnomon.serve.gateway.answers import Health
from gnomon.serve.gateway.errors import DATABASE_AWAY
from gnomon.serve.gateway.metrics import Meter
from gnomon.serve.gateway.reading import Reading
from gnomon.serve.gateway.table import json_response
from gnomon.store.forecasts import LANES
from gnomon.units import SECOND_NS

router = APIRouter(tags=["service"])


@router.get("/health", response_model=Health, summary="Whether the gateway and its database are well; always 200")
def health(request: Request) -> Response:
    reading: Reading = request.app.state.reading
    document: dict[str, Any] = {"status": "ok", "version": __version__, "database": "ok"}
    try:
        heads = {lane: reading.ledger.head(lane) for lane in LANES}
        document["ledger"] = {lane: {"seq": head[0], "hash": head[1]} for lane, head in heads.items()}
        document["newest_issue"] = {
            timeframe: {"issued_at": iso(issued_ns), "age_seconds": _age_s(reading, issued_ns)}
            for timeframe, issued_ns in reading.census["live"].newest_ns().items()
        }
    except (Unavailable, *DATABASE_AWAY):
        document |= {"status": "degraded", "database": "unavailable", "ledger": None, "newest_issue": None}
    return json_response(document)


@router.get("/metrics", response_class=PlainTextResponse, summary="Figures for Prometheus, as text")
def metrics(request: Request) -> Response:
    reading: Reading = request.app.state.reading
    meter: Meter = request.app.state.meter
    try:
        seq = {lane: reading.ledger.head(lane)[0] for lane in LANES}
        newest = reading.census["live"].newest_ns()
        meter.ledger(seq, {name: float(_age_s(reading, at_ns)) for name, at_ns in newest.items()})
    except (Unavailable, *DATABASE_AWAY):
        meter.database_is_away()
    return Response(meter.exposition(), media_type=CONTENT_TYPE_LATEST)


def _age_s(reading: Reading, at_ns: int) -> int:
    return max(0, (reading.clock.now_ns() - at_ns) // SECOND_NS)
