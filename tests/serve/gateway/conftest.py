"""A gateway over a real ledger, asked without a socket, and the means to fill that ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.from_thread
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.forecast.forecast import LEVELS, Forecast
from gnomon.market.calendar import always
from gnomon.market.dataset import Passport
from gnomon.market.instrument import Instruments
from gnomon.market.synth import synthetic_candles
from gnomon.score.forecasts import grade
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.forecasts import Entry, ForecastLedger, Lane
from gnomon.store.market import MarketStore
from gnomon.store.scores import ScoreStore
from gnomon.units import HOUR_NS, MINUTE_NS, SECOND_NS, FloatArray

NOW_NS = parse_instant("2024-05-01T12:30:00Z")
CALENDAR = always(19_000, 21_000)


def fan(base: float, horizon: int, *, drift: float = 0.0, width: float = 0.01) -> FloatArray:
    """Sorted positive quantiles (H, Q) that widen with the square root of the step."""
    steps = np.arange(1, horizon + 1)[:, None]
    return base * np.exp(drift * steps + width * np.sqrt(steps) * (np.array(LEVELS) - 0.5) * 3)


@dataclass
class World:
    """A database, a clock that stands still, and what a test puts into them."""

    engine: Engine
    clock: SimClock = field(default_factory=lambda: SimClock(NOW_NS))
    instruments: Instruments = field(default_factory=shipped_instruments)

    fan = staticmethod(fan)

    def __post_init__(self) -> None:
        self.ledger, self.market, self.scores = (
            kind(self.engine) for kind in (ForecastLedger, MarketStore, ScoreStore)
        )

    def advance(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.at_ns + round(seconds * SECOND_NS))

    def issue(
        self,
        symbol: str = "BTCUSDT",
        forecaster: str = "ewma",
        timeframe: str = "1h",
        *,
        horizon: int = 6,
        base: float = 60_000.0,
        drift: float = 0.0,
        width: float = 0.01,
        cutoff: str = "",
        lane: Lane = "live",
        paths: FloatArray | None = None,
        calibrated: FloatArray | None = None,
        calibration_id: int | None = None,
        ledger: ForecastLedger | None = None,
        **changed: Any,
    ) -> int:
        """Issue one forecast now, from the newest close of the calendar (or an earlier cutoff); its id."""
        length = Timeframe.parse(timeframe)
        cutoff_ns = parse_instant(cutoff) if cutoff else CALENDAR.newest_closed_ns(length, self.clock.now_ns())
        targets = CALENDAR.future(length, cutoff_ns, horizon)
        forecast = Forecast(
            forecaster=forecaster,
            version="1",
            role=changed.pop("role", "baseline"),
            instrument=self.instruments.find(symbol).id,
            timeframe=length,
            data_cutoff_ns=cutoff_ns,
            base_price=base,
            target_open_ns=targets.open_ns,
            target_close_ns=targets.close_ns,
            levels=LEVELS,
            quantiles=fan(base, horizon, drift=drift, width=width),
            p_up=np.full(horizon, 0.5),
            seed=0,
            input_hash="0" * 64,
            paths=paths,
            n_paths=0 if paths is None else len(paths),
            **changed,
        )
        entry = Entry(
            forecast=forecast,
            as_of_ns=self.clock.now_ns() if lane == "live" else cutoff_ns,
            valid_until_ns=int(targets.close_ns[0]) + (10 * MINUTE_NS if length.is_intraday else HOUR_NS),
            job_key=f"predict:{timeframe}:{forecaster}",
            calibrated=calibrated,
            calibration_id=calibration_id,
        )
        issued = (ledger or self.ledger).issue(
            [entry], lane=lane, variant="" if lane == "live" else "h6:s0", issued_at_ns=self.clock.now_ns()
        )
        return issued.ids[0]

    def import_bars(self, symbol: str = "BTCUSDT", timeframe: str = "1h", *, bars: int = 200) -> None:
        """Store synthetic bars up to now."""
        instrument, length = self.instruments.find(symbol), Timeframe.parse(timeframe)
        first_ns = self.clock.now_ns() - bars * length.nominal_ns
        candles = synthetic_candles(instrument, CALENDAR, length, first_ns, self.clock.now_ns(), seed=1)
        passport = Passport.of([candles], f"synthetic-{symbol}-{timeframe}")
        self.market.record(passport, [candles], [instrument], recorded_ns=self.clock.now_ns())

    def score(self, forecast_id: int, realised: float, *, steps: tuple[int, ...] = (1, 2, 3)) -> None:
        """Mark steps of a forecast, all with one realised price, as of now."""
        stored = self.ledger.get(forecast_id)
        graded = grade(
            self.ledger.quantiles([forecast_id])[forecast_id][None],
            stored.levels,
            np.array([stored.base_price]),
            np.array([stored.p_up]),
            steps,
            np.full((1, len(steps)), realised),
            forecast_id=np.array([forecast_id]),
            target_close_ns=np.array([stored.target_close_ns])[:, [step - 1 for step in steps]],
            scored_at_ns=self.clock.now_ns(),
        )
        self.scores.insert(graded)

    def app(self, **options: Any) -> FastAPI:
        from gnomon.serve.gateway.app import create_app

        return create_app(self.engine, self.instruments, self.clock, **options)


class Client:
    """Asks an application as httpx asks a server: the whole of it but the socket, on one event loop."""

    def __init__(self, app: FastAPI, portal: anyio.from_thread.BlockingPortal) -> None:
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 5000))
        self.app = app
        self._client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
        self._portal = portal

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.request(method, url, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def json(self, url: str, status: int = 200, **params: Any) -> Any:
        """The document at a URL, which must be answered with the status."""
        response = self.get(str(httpx.URL(url).copy_merge_params(params)))
        assert response.status_code == status, response.text
        return response.json()

    def together(self, *urls: str) -> list[httpx.Response]:
        """Ask everything at once, on the same loop."""

        async def ask() -> list[httpx.Response]:
            found: list[httpx.Response] = []

            async def one(url: str) -> None:
                found.append(await self._client.get(url))

            async with anyio.create_task_group() as group:
                for url in urls:
                    group.start_soon(one, url)
            return found

        return self._portal.call(ask)


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


@pytest.fixture
def connect() -> Iterator[Callable[[FastAPI], Client]]:
    """Opens clients of applications; all of them on one event loop, which ends with the test."""
    with anyio.from_thread.start_blocking_portal() as portal:
        yield lambda app: Client(app, portal)


@pytest.fixture
def client(world: World, connect: Callable[[FastAPI], Client]) -> Client:
    """A client of a gateway over the world."""
    return connect(world.app())
