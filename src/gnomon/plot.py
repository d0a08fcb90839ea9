"""Pictures for people: fan charts over candles and calibration plots, as PNG or one self-contained HTML file."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.score.compare import Reliability
from gnomon.store.forecasts import StoredForecast
from gnomon.units import SECOND_NS, FloatArray, IntArray

_UP, _DOWN, _FAN, _MEDIAN, _GRID = "#1a7f5a", "#c2413b", "#3b6fb6", "#1f3f73", "#d9dde3"
_BANDS = ((0.05, 0.95, 0.15), (0.1, 0.9, 0.2), (0.25, 0.75, 0.3))


def fan_chart(
    candles: Candles, forecast: StoredForecast, quantiles: FloatArray, realised: Candles | None = None
) -> Figure:
    """Candles up to the cutoff, and the fan of the forecast after it.

    `quantiles` is (H, Q) in the order of the forecast's levels. `realised` are bars after the cutoff, drawn as a line,
    so that nobody takes them for something the forecaster saw.
    """
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.add_subplot()
    _frame(axes)
    _draw_candles(axes, candles)
    times = _dates(np.concatenate([[forecast.data_cutoff_ns], np.asarray(forecast.target_close_ns)]))
    curves = np.vstack([np.full(quantiles.shape[1], forecast.base_price), quantiles])
    columns = {level: curves[:, index] for index, level in enumerate(forecast.levels)}
    for low, high, alpha in _BANDS:
        if low in columns and high in columns:
            label = f"{high - low:.0%} band"
            axes.fill_between(times, columns[low], columns[high], color=_FAN, alpha=alpha, linewidth=0, label=label)
    axes.plot(times, columns[0.5], color=_MEDIAN, linewidth=1.6, label="median")
    if realised is not None and len(realised):
        axes.plot(
            _dates(realised.close_ns),
            realised.tick.floats(realised.close),
            color="#555",
            linewidth=1,
            label="what came",
        )
    axes.axvline(times[0], color="#888", linewidth=0.8, linestyle=":")
    axes.set_title(f"{forecast.instrument} {forecast.timeframe}, {forecast.forecaster}", loc="left", weight="bold")
    issued_ns = forecast.issued_at_ns // SECOND_NS * SECOND_NS
    axes.set_title(f"cutoff {iso(forecast.data_cutoff_ns)}, issued {iso(issued_ns)}", loc="right", size=8)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    figure.autofmt_xdate(rotation=0, ha="center")
    return figure


def calibration_plot(curves: Sequence[Reliability], timeframe: str) -> Figure:
    """Stated level against the share of outcomes below it, one line a forecaster, with the interval of each point."""
    if not curves:
        raise Invalid(f"nothing is scored at {timeframe}", hint="`gnomon score` or `gnomon evaluate` first")
    figure = Figure(figsize=(6.6, 6.2), layout="constrained")
    axes = figure.add_subplot()
    _frame(axes)
    axes.plot([0, 1], [0, 1], color="#888", linewidth=1, linestyle=":", label="perfectly calibrated")
    for one in curves:
        spread = np.vstack([one.share - one.lo, one.hi - one.share]).clip(min=0)
        axes.errorbar(
            one.levels, one.share, spread, marker="o", markersize=3.5, linewidth=1.2, capsize=2, label=one.forecaster
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated probability that the price ends below", ylabel="share that did")
    axes.set_title(f"Calibration, {timeframe}", loc="left", weight="bold")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a .png or a self-contained .html (the picture as SVG); `Invalid` for any other ending."""
    if path.suffix == ".png":
        figure.savefig(path, dpi=144)
    elif path.suffix == ".html":
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg")
        svg = drawn.getvalue()
        title = html.escape(figure.axes[0].get_title(loc="left"))
        body = svg[svg.index("<svg") :]
        page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        path.write_text(f"{page}<style>body{{margin:1rem}}svg{{width:100%;height:auto}}</style>{body}</html>\n")
    else:
        raise Invalid(f"cannot draw to {path.name!r}", hint="give a file that ends in .png or .html")


def _frame(axes: Axes) -> None:
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_candles(axes: Axes, candles: Candles) -> None:
    """Bodies and wicks, each placed in the middle of its bar."""
    price = {name: candles.tick.floats(getattr(candles, name)) for name in ("open", "high", "low", "close")}
    middle = _dates((candles.open_ns + candles.close_ns) // 2)
    width = np.median(candles.close_ns - candles.open_ns) / 1e9 / 86_400 * 0.7
    rising = price["close"] >= price["open"]
    for chosen, colour in ((rising, _UP), (~rising, _DOWN)):
        axes.vlines(middle[chosen], price["low"][chosen], price["high"][chosen], color=colour, linewidth=0.7)
        bottom = np.minimum(price["open"], price["close"])[chosen]
        body = np.abs(price["close"] - price["open"])[chosen]
        axes.bar(middle[chosen], body, bottom=bottom, width=width, color=colour, linewidth=0)


def _dates(at_ns: IntArray) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.asarray(at_ns, dtype=np.int64).astype("datetime64[ns]").astype("datetime64[us]")
