"""Pictures: what is drawn is what was stored, and files are what their ending says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.forecast import context_at
from gnomon.market.candles import Candles
from gnomon.market.synth import synthetic_candles
from gnomon.market.tape import History, Series, Tape
from gnomon.plot import calibration_plot, fan_chart, save
from gnomon.score.compare import Reliability
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.engine import open_engine, upgrade
from gnomon.store.forecasts import Entry, ForecastLedger, StoredForecast
from gnomon.units import FloatArray

HOUR = Timeframe.parse("1h")
CUTOFF_NS = parse_instant("2024-02-01")


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Candles, StoredForecast, FloatArray, Candles]:
    """Candles, a stored forecast with its quantiles, and the bars that came."""
    bitcoin, always = shipped_instruments().find("BTCUSDT"), load_sessions("always")
    span = parse_instant("2024-01-01"), parse_instant("2024-02-03")
    bars = synthetic_candles(bitcoin, always, HOUR, *span, kind="walk", seed=3)
    tape = Tape([Series(History(bars))])
    context = context_at(tape.as_of(CUTOFF_NS), bitcoin, always, HOUR, 24)
    engine = open_engine(f"sqlite:///{tmp_path / 'plot.db'}")
    upgrade(engine)
    ledger = ForecastLedger(engine)
    entry = Entry(forecaster("ewma").predict([context], 24)[0], CUTOFF_NS, CUTOFF_NS + 1)
    [number] = ledger.issue([entry], lane="backfill", issued_at_ns=SimClock(span[1]).now_ns()).ids
    stored, quantiles = ledger.get(number), ledger.quantiles([number])[number]
    engine.dispose()
    before = tape.as_of(CUTOFF_NS).candles(bitcoin.id, HOUR, limit=120)
    return before, stored, quantiles, bars.take(bars.open_ns >= CUTOFF_NS)


def test_a_fan_begins_at_the_last_close_and_ends_at_the_last_quantiles(
    drawn: tuple[Candles, StoredForecast, FloatArray, Candles],
) -> None:
    candles, stored, quantiles, came = drawn
    axes = fan_chart(candles, stored, quantiles, came).axes[0]
    lines = {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.lines}
    assert lines["median"][0] == stored.base_price
    np.testing.assert_array_equal(lines["median"][1:], quantiles[:, stored.levels.index(0.5)])
    np.testing.assert_array_equal(lines["what came"], came.tick.floats(came.close))
    outermost = axes.collections[-3].get_paths()[0].vertices[:, 1]
    assert outermost.max() == quantiles[:, stored.levels.index(0.95)].max()


def test_every_candle_has_a_body_of_its_colour(drawn: tuple[Candles, StoredForecast, FloatArray, Candles]) -> None:
    candles, stored, quantiles, _ = drawn
    bodies = fan_chart(candles, stored, quantiles).axes[0].patches
    colours = [to_hex(body.get_facecolor()) for body in bodies]
    assert len(bodies) == len(candles) == 120
    assert colours.count("#1a7f5a") == int((candles.close >= candles.open).sum())


def test_files_are_what_their_ending_says(
    drawn: tuple[Candles, StoredForecast, FloatArray, Candles], tmp_path: Path
) -> None:
    candles, stored, quantiles, came = drawn
    figure = fan_chart(candles, stored, quantiles, came)
    save(figure, tmp_path / "fan.png")
    save(figure, tmp_path / "fan.html")
    assert (tmp_path / "fan.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "fan.html").read_text()
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "<title>binance:BTCUSDT 1h, ewma</title>" in page
    assert "src=" not in page, "nothing is fetched from elsewhere"
    with pytest.raises(Invalid, match=r"fan\.gif"):
        save(figure, tmp_path / "fan.gif")


def test_a_calibration_plot_has_a_line_for_each_forecaster_and_the_diagonal() -> None:
    levels = np.arange(1, 10) / 10
    curves = [
        Reliability(name, "all", levels, levels + shift, levels - 0.1, levels + 0.1, np.ones(10), 10, 10, np.ones(10))
        for name, shift in (("ewma", 0.0), ("fhs", 0.02))
    ]
    axes = calibration_plot(curves, "1h").axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["perfectly calibrated", "ewma", "fhs"]
    with pytest.raises(Invalid, match="nothing is scored at 1h"):
        calibration_plot([], "1h")
