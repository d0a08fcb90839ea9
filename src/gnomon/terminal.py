"""What people and programs read of a verb: tables, words and progress, or one JSON document."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from gnomon.clock import iso

if TYPE_CHECKING:
    from gnomon.forecast.kronos.shelf import Held
    from gnomon.jobs.ingest import FileReport
    from gnomon.jobs.progress import Progress
    from gnomon.score.compare import BoardRow
    from gnomon.score.gates import Gate
    from gnomon.score.label import Standing
    from gnomon.score.trials import Deflated
    from gnomon.store.forecasts import StoredForecast
    from gnomon.store.runs import StoredRun
    from gnomon.store.sessions import StoredSession

SESSION_WIDTH: Final = 28
"""Of a session's name in a table: one of many datasets is as long as all their names, and the figures need the room."""


def show_json(document: Any) -> None:
    """One JSON document on stdout."""
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    sys.stdout.write(text.decode() + "\n")


def show(table: Any) -> None:
    """A table on stdout; as wide as it needs where stdout is no terminal."""
    Console(width=None if sys.stdout.isatty() else 180, soft_wrap=True).print(table)


def say(*lines: str) -> None:
    """Words for people, on stderr."""
    for line in lines:
        sys.stderr.write(line + "\n")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr once a job has taken a second; nothing where stderr is no terminal."""
    from gnomon.jobs.progress import silent

    console = Console(stderr=True)
    if not console.is_terminal:
        yield silent
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing)

        yield report


def sessions_table(sessions: Iterable[StoredSession]) -> Table:
    """One line a session."""
    table = _table("session", "name", "status", "pace", "created", "started", "reason")
    for one in sessions:
        started = iso(one.started_at) if one.started_at else ""
        status = str(one.status) if one.enabled else f"{one.status}, disabled"
        table.add_row(one.id, one.name[:SESSION_WIDTH], status, one.pace, iso(one.created_at), started, one.reason)
    return table


def weights_table(held: Iterable[Held]) -> Table:
    """One line a checkpoint."""
    table = _table("name", "state", ">bytes", "revision", "tokenizer")
    for one in held:
        row = one.row()
        size = f"{row['bytes']:,}" if row["bytes"] else ""
        table.add_row(row["name"], row["state"], size, row["revision"][:12], row["tokenizer"])
    return table


def import_table(reports: Iterable[FileReport]) -> Table:
    """One line a file."""
    table = _table("file", "status", "format", "series", ">rows", ">added", ">missing bars", ">bad rows", "dataset")
    for one in reports:
        missing = sum(row["missing_bars"] for row in one.series)
        table.add_row(
            one.file.rsplit("/", 1)[-1],
            one.status,
            one.format,
            _series_words(one.series),
            f"{one.rows:,}",
            f"{one.candles_added:,}",
            f"{missing:,}",
            f"{one.rejected_rows:,}",
            one.dataset[:12],
        )
    return table


def dataset_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """One line a dataset."""
    table = _table("dataset", "name", "source", "series", ">rows", "from", "until", ">missing bars")
    for row in rows:
        series = row["series"]
        table.add_row(
            row["hash"][:12],
            row["name"],
            row["source"],
            _series_words(series),
            f"{row['rows']:,}",
            min((one["from"] for one in series), default=""),
            max((one["until"] for one in series), default=""),
            f"{sum(one['missing_bars'] for one in series):,}",
        )
    return table


def forecast_table(forecasts: Iterable[StoredForecast]) -> Table:
    """One line a forecast: the last step's band."""
    table = _table(
        "instrument", "timeframe", "forecaster", "cutoff", ">base", ">p10", ">p50", ">p90", ">P(up)", "until"
    )
    for one in forecasts:
        table.add_row(
            one.instrument,
            one.timeframe,
            one.forecaster,
            iso(one.data_cutoff_ns),
            *(f"{price:.6g}" for price in (one.base_price, one.p10[-1], one.p50[-1], one.p90[-1])),
            f"{one.p_up[-1]:.0%}",
            iso(int(one.target_close_ns[-1])),
        )
    return table


def forecast_row(one: StoredForecast) -> dict[str, Any]:
    """A stored forecast as JSON, instants as ISO text."""
    return {
        "id": one.id,
        "lane": one.lane,
        "instrument": one.instrument,
        "timeframe": one.timeframe,
        "forecaster": one.forecaster,
        "version": one.version,
        "as_of": iso(one.as_of_ns),
        "data_cutoff": iso(one.data_cutoff_ns),
        "issued_at": iso(one.issued_at_ns),
        "horizon": one.horizon,
        "base_price": one.base_price,
        "target_timestamps": [iso(int(at_ns)) for at_ns in one.target_close_ns],
        "p10": list(one.p10),
        "p50": list(one.p50),
        "p90": list(one.p90),
        "p_up": list(one.p_up),
        "row_hash": one.row_hash,
    }


def table_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Rows of any kind, the columns named; what is absent is left blank."""
    table = _table(*columns)
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in columns))
    return table


def board_table(rows: Sequence[BoardRow]) -> Table:
    """One line a forecaster and instrument, best lower bound first."""
    table = _table(
        "forecaster",
        "instrument",
        ">n",
        ">pinball",
        ">skill",
        "95 % interval",
        ">in 80 %",
        ">below",
        ">above",
        "verdict",
    )
    for one in rows:
        table.add_row(
            one.forecaster,
            one.instrument,
            f"{one.n:,}",
            _number(one.pinball, ".5f"),
            _number(one.skill, "+.2%"),
            "" if one.skill_lo is None else f"{one.skill_lo:+.2%} … {_number(one.skill_hi, '+.2%')}",
            _number(one.coverage80, ".1%"),
            _number(one.below80, ".1%"),
            _number(one.above80, ".1%"),
            one.verdict + (" *" if one.star else ""),
        )
    return table


def gate_table(gates: Sequence[Gate]) -> Table:
    """One line a gate and forecaster."""
    table = _table("gate", "forecaster", "outcome", "in words")
    for one in gates:
        table.add_row(one.gate, one.forecaster, one.outcome.replace("_", " "), one.words)
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _series_words(series: Sequence[Mapping[str, Any]]) -> str:
    owners = {one["instrument"] for one in series}
    if len(owners) == 1:
        return f"{min(owners)} {', '.join(one['timeframe'] or one['kind'] for one in series)}"
    if len(series) > 2:
        return f"{len(series)} series"
    return ", ".join(f"{one['instrument']} {one['timeframe'] or one['kind']}" for one in series)


def runs_table(rows: Iterable[StoredRun], standings: Mapping[str, Standing]) -> Table:
    """One line a run; `standings` by run."""
    table = _table(
        "run", "session", "entry", "status", "label", ">return", ">hold", ">Sharpe", ">drawdown", ">fills", "print"
    )
    for one in rows:
        growth, hold = one.summary["growth"], one.summary["hold"]
        sharpe = "" if growth["sharpe"] is None else f"{growth['sharpe']:.2f}"
        table.add_row(
            one.id,
            one.session if len(one.session) <= SESSION_WIDTH else f"{one.session[: SESSION_WIDTH - 1]}…",
            f"{one.entry} (branch of {one.parent[:12]})" if one.parent else one.entry,
            one.status,
            str(standings[one.id].label),
            f"{growth['total_return']:+.3%}",
            f"{hold['total_return']:+.3%}",
            sharpe,
            f"{growth['drawdown']['depth']:.3%}",
            f"{one.counts['fills']:,}",
            one.fingerprint[:12],
        )
    return table


def labels_told(standings: Iterable[Standing]) -> list[str]:
    """Each label that runs have, with its reason, and how many have it so."""
    return [f"{words} ({n})" if n > 1 else words for words, n in Counter(one.words for one in standings).items()]


def sweep_table(rows: Iterable[tuple[StoredRun, Deflated]]) -> Table:
    """One line a run of a sweep: what was set, and its Sharpe beside what luck would reach."""
    table = _table("run", "params", ">return", ">Sharpe", ">P(true > 0)", ">P(beats luck)", ">fills")
    for one, luck in rows:
        figures = (luck.sharpe, luck.probabilistic, luck.deflated)
        sharpe, probable, beats = ("" if figure is None else f"{figure:.2f}" for figure in figures)
        params = " ".join(f"{name}={value}" for name, value in one.params.items())
        total = one.summary["growth"]["total_return"]
        table.add_row(one.id, params, f"{total:+.3%}", sharpe, probable, beats, f"{one.counts['fills']:,}")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", no_wrap=True)
    return table
