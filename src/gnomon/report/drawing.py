"""Charts of a run, as SVG that takes its colours and its type from the page it stands in.

Drawn by matplotlib twice, for a wide and for a narrow page, so that type keeps its size; the page shows the one that
fits. Long curves keep the first, lowest, highest and last point of every column of pixels, so nothing that an eye could
see is lost and a file stays small.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gnomon.report.wording import number
from gnomon.score.growth import drawdowns
from gnomon.score.run_record import Fills, Marks, RunRecord
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, FloatArray, IntArray

WIDE_PX: Final = 1080
NARROW_PX: Final = 344
MOST_INSTRUMENTS: Final = 6
TITLE_PX: Final = 26
BELOW_PX: Final = 46
DIGIT_PX: Final = 7.6
LINE: Final = "\N{EM DASH}"
_COLUMNS: Final = {WIDE_PX: 900, NARROW_PX: 280}

# Colours that the page replaces by its own variables, light or dark.
_VARIABLES: Final = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--grid",
    "#040404": "--run",
    "#050505": "--hold",
    "#060606": "--buy",
    "#070707": "--sell",
    "#080808": "--card",
    **{f"#0a0a0{index}": f"--series-{index}" for index in range(1, 7)},
}
_INK, _MUTED, _GRID, _RUN, _HOLD, _BUY, _SELL, _CARD = list(_VARIABLES)[:8]
SERIES: Final = tuple(list(_VARIABLES)[8:])
SERIES_VARIABLES: Final = tuple(_VARIABLES[colour] for colour in SERIES)

_LOOK: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "axes.titlecolor": _INK,
    "axes.titlesize": 12,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "text.color": _INK,
    "legend.labelcolor": _INK,
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: what is meant, the mark it has in the chart, and the variable of its colour."""

    label: str
    mark: str
    variable: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of the page: its name (which begins every id inside), what it shows in words, its legend, its lines."""

    name: str
    words: str
    keys: tuple[Key, ...]
    draw: Callable[[int], Figure]

    def markup(self) -> str:
        """The legend and the two drawings, each with a label for whoever cannot see it."""
        keys = "".join(
            f'<li><span style="color:var({one.variable})">{one.mark}</span> {escape(one.label)}</li>'
            for one in self.keys
        )
        drawn = "".join(
            f'<div class="{kind}">{_svg(self.draw, width, f"{self.name}-{kind}", self.words)}</div>'
            for kind, width in (("wide", WIDE_PX), ("narrow", NARROW_PX))
        )
        return (f'<ul class="keys">{keys}</ul>' if keys else "") + drawn


def equity_chart(record: RunRecord, hold: FloatArray) -> Chart:
    """Equity beside buy-and-hold, and the drawdown of both below."""
    at_ns, equity = record.marks.at_ns, record.marks.equity

    def draw(width: int) -> Figure:
        figure, (top, below) = _panels(width, (3, 1), 1.15)
        for values, colour in ((hold, _HOLD), (equity, _RUN)):  # the run on top
            _line(top, at_ns, values, colour, width)
            _line(below, at_ns, -100.0 * drawdowns(values), colour, width, linewidth=1.1)
        fallen_ns, fallen = thinned(at_ns, -100.0 * drawdowns(equity), _COLUMNS[width])
        below.fill_between(_dates(fallen_ns), fallen, 0.0, color=_RUN, alpha=0.18, linewidth=0)
        _titled(top, f"Equity, {record.quote}")
        _titled(below, "Drawdown, %")
        _dated(below)
        return figure

    keys = Key("this run", LINE, "--run"), Key("buy and hold", LINE, "--hold")
    words = f"Equity of the run and of buy-and-hold in {record.quote}, with drawdowns below"
    return Chart("equity", words, keys, draw)


def returns_chart(curves: Sequence[tuple[str, IntArray, FloatArray]]) -> Chart:
    """Equity of at most six runs (name, instants, equity) as returns since the opening on one axis, drawdowns below."""

    def draw(width: int) -> Figure:
        figure, (top, below) = _panels(width, (3, 1), 1.15)
        for (_, at_ns, equity), colour in zip(curves, SERIES, strict=False):
            _line(top, at_ns, 100.0 * (equity / equity[0] - 1.0), colour, width)
            _line(below, at_ns, -100.0 * drawdowns(equity), colour, width, linewidth=1.1)
        _titled(top, "Return since the opening, %")
        _titled(below, "Drawdown, %")
        _dated(below)
        return figure

    keys = tuple(Key(name, LINE, _VARIABLES[colour]) for (name, _, _), colour in zip(curves, SERIES, strict=False))
    return Chart("returns", "Returns of the runs since their opening in percent, with drawdowns below", keys, draw)


def price_chart(record: RunRecord, instrument: int) -> Chart:
    """The price of one instrument with the run's fills, and what it held below."""
    marks, fills, listing = record.marks, record.fills, record.listings[instrument]
    own = fills.instrument == instrument

    def draw(width: int) -> Figure:
        figure, (top, below) = _panels(width, (3, 1.2), 1.2)
        price = marks.price[:, instrument]
        _line(top, marks.at_ns, price, _MUTED, width, linewidth=1.0)
        _mark_fills(top, fills, own, width)
        _titled(top, f"{listing.symbol}, {record.quote}")
        at_ns, held = _inventory(marks, fills, own, instrument)
        below.axhline(0.0, color=_GRID, linewidth=1.0)
        _steps(below, at_ns, held, width)
        _titled(below, f"Inventory, {listing.base}")
        _dated(below)
        return figure

    keys = (
        Key("price", LINE, "--muted"),
        *(
            Key(f"{verb}, {role}", mark, variable)
            for side, verb, variable, marks_of in ((1, "buy", "--buy", "▲△"), (-1, "sell", "--sell", "▼▽"))
            for is_maker, (role, mark) in enumerate(zip(("taker", "maker"), marks_of, strict=True))
            if (own & (fills.side == side) & (fills.maker == bool(is_maker))).any()
        ),
    )
    words = f"Price of {listing.symbol} with the fills of the run, and its inventory in {listing.base} below"
    return Chart(f"price-{instrument}", words, keys, draw)


def queue_chart(queued_ns: IntArray) -> Chart:
    """A histogram of the times (n,), n >= 1, that resting orders had waited when they were filled."""
    unit, length = _unit(int(np.median(queued_ns)))
    waited = queued_ns / length
    positive = waited[waited > 0]
    is_log = len(positive) > 1 and positive.max() > 50 * positive.min()
    if is_log:
        edges = np.geomspace(positive.min(), positive.max() * (1 + 1e-9), 31)
        waited = np.maximum(waited, positive.min())
    else:
        top = float(waited.max()) or 1.0
        edges = np.linspace(0.0, top, min(30, max(5, len(waited))) + 1)
    counts, _ = np.histogram(waited, edges)

    def draw(width: int) -> Figure:
        figure, (axes,) = _panels(width, (1,), 0.75)
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=_RUN, edgecolor=_CARD, linewidth=0.8)
        if is_log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
            axes.minorticks_off()
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axes.set_xlabel(f"time in queue, {unit}")
        _titled(axes, "Maker fills")
        return figure

    return Chart("queue", f"Histogram of the time in queue of {len(queued_ns)} maker fills, in {unit}", (), draw)


def thinned(at_ns: IntArray, values: FloatArray, columns: int) -> tuple[IntArray, FloatArray]:
    """A curve (n,) with at most four points a column of its width: first, lowest, highest and last."""
    if len(values) <= 4 * columns:
        return at_ns, values
    span = int(at_ns[-1] - at_ns[0]) + 1
    column = ((at_ns - at_ns[0]) / span * columns).astype(np.int64)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    ends = np.append(starts[1:], len(values))
    order = np.lexsort((np.nan_to_num(values), column))
    kept = np.unique(np.concatenate([starts, ends - 1, order[starts], order[ends - 1]]))
    return at_ns[kept], values[kept]


# --- parts of a drawing -----------------------------------------------------------------------------------------------


def _panels(width: int, heights: tuple[float, ...], aspect: float) -> tuple[Figure, list[Axes]]:
    """A figure of this many pixels with panels above each other, one time axis for all."""
    height = width * (0.42 if width > 600 else 0.95) * aspect
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    axes: list[Axes] = []
    for row in range(len(heights)):
        one = figure.add_subplot(grid[row, 0], sharex=axes[0] if axes else None)
        one.set_facecolor("none")
        one.grid(color=_GRID, linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(length=0, labelbottom=row == len(heights) - 1)
        one.spines[["top", "right", "left"]].set_visible(False)
        one.yaxis.set_major_locator(MaxNLocator(nbins=5 if len(heights) == 1 or row == 0 else 3))
        one.yaxis.set_major_formatter(FuncFormatter(_tick))
        one.margins(x=0.01)
        axes.append(one)
    return figure, axes


def _fit(figure: Figure) -> None:
    """Room for what stands around the panels, in pixels: matplotlib's own layouts draw everything several times."""
    width, height = figure.bbox.size
    panels = len(figure.axes)
    longest = max(len(_tick(value, None)) for axes in figure.axes for value in axes.get_yticks())
    gap = TITLE_PX * (panels - 1)
    panel = (height - TITLE_PX - BELOW_PX - gap) / panels
    figure.subplots_adjust(
        left=(10 + DIGIT_PX * longest) / width,
        right=1 - 6 / width,
        top=1 - TITLE_PX / height,
        bottom=BELOW_PX / height,
        hspace=TITLE_PX / panel,
    )


def _tick(value: float, _: int | None) -> str:
    text = number(value, 8)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _titled(axes: Axes, text: str) -> None:
    """The axis by name and unit, above it: read without turning one's head."""
    axes.set_title(text, loc="left", color=_MUTED, pad=7)


def _dated(axes: Axes) -> None:
    """Dates below the axis: as many as there is room for."""
    is_wide = axes.figure.bbox.width > 600
    locator = AutoDateLocator(minticks=2, maxticks=9 if is_wide else 5)  # type: ignore[no-untyped-call]  # not annotated
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # not annotated
    axes.set_xlabel("UTC")


def _line(axes: Axes, at_ns: IntArray, values: FloatArray, colour: str, width: int, **style: Any) -> None:
    kept_ns, kept = thinned(at_ns, values, _COLUMNS[width])
    axes.plot(_dates(kept_ns), kept, color=colour, **{"linewidth": 1.6, **style})


def _steps(axes: Axes, at_ns: IntArray, held: FloatArray, width: int) -> None:
    kept_ns, kept = thinned(at_ns, held, _COLUMNS[width])
    axes.plot(_dates(kept_ns), kept, color=_RUN, linewidth=1.2, drawstyle="steps-post")
    axes.fill_between(_dates(kept_ns), kept, 0.0, step="post", color=_RUN, alpha=0.18, linewidth=0)


def _mark_fills(axes: Axes, fills: Fills, own: npt.NDArray[np.bool_], width: int) -> None:
    """Buys point up and sells down; takers are filled, makers hollow. Marks that would cover each other are one."""
    size = 34 if width > 600 else 22
    for side, shape, colour in ((1, "^", _BUY), (-1, "v", _SELL)):
        for is_maker in (False, True):
            rows = np.flatnonzero(own & (fills.side == side) & (fills.maker == is_maker))
            if not len(rows):
                continue
            rows = _apart(axes, fills, rows, width)
            look: dict[str, Any] = {"marker": shape, "edgecolors": colour, "linewidths": 1.1, "zorder": 3}
            face = _CARD if is_maker else colour
            axes.scatter(_dates(fills.at_ns[rows]), fills.price[rows], size, facecolors=face, **look)


def _apart(axes: Axes, fills: Fills, rows: IntArray, width: int) -> IntArray:
    """One fill of each cell of about four pixels."""
    low, high = axes.get_ylim()
    first, last = int(fills.at_ns.min()), int(fills.at_ns.max())
    across = ((fills.at_ns[rows] - first) / max(last - first, 1) * (width / 4)).astype(np.int64)
    up = ((fills.price[rows] - low) / ((high - low) or 1.0) * 80).astype(np.int64)
    _, kept = np.unique(across * 1_000 + up, return_index=True)
    return np.asarray(rows[np.sort(kept)], np.int64)


def _inventory(marks: Marks, fills: Fills, own: npt.NDArray[np.bool_], instrument: int) -> tuple[IntArray, FloatArray]:
    """What was held after each own fill, from the first mark to the last."""
    at_ns = np.concatenate([marks.at_ns[:1], fills.at_ns[own], marks.at_ns[-1:]])
    held = np.concatenate([marks.position[:1, instrument], fills.position_after[own]])
    return at_ns, np.append(held, held[-1])


def _dates(at_ns: IntArray) -> npt.NDArray[np.datetime64]:
    return np.asarray(at_ns, np.int64).astype("datetime64[ns]").astype("datetime64[us]")


def _unit(median_ns: int) -> tuple[str, int]:
    """The unit in which a typical duration reads best."""
    units = (("days", DAY_NS), ("hours", HOUR_NS), ("minutes", MINUTE_NS), ("seconds", SECOND_NS), ("ms", 1_000_000))
    return next(((name, length) for name, length in units if median_ns >= length), ("µs", 1_000))


def _svg(draw: Callable[[int], Figure], width: int, prefix: str, words: str) -> str:
    """Inline SVG: colours by variable, type by the page, ids of its own, and nothing that changes by the day."""
    drawn = io.StringIO()
    look: Any = {**_LOOK, "svg.hashsalt": prefix}
    with rc_context(look):
        figure = draw(width)
        _fit(figure)
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub("|".join(_VARIABLES), lambda found: f"var({_VARIABLES[found[0]]})", svg)
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1)
