"""Several runs on one page: what differs in their settings, then what came of it, then how sure the difference is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from gnomon.errors import Invalid
from gnomon.report.drawing import LINE, SERIES_VARIABLES, returns_chart
from gnomon.report.figures import EXECUTION, GROWTH, TRADING, stated
from gnomon.report.markup import Column, Markup, Text, code, page, quiet, section, table
from gnomon.report.run_page import Header
from gnomon.report.wording import ABSENT, instant, number, share
from gnomon.score.contest import Contest, Difference, contest
from gnomon.score.run_record import RunRecord
from gnomon.score.runs import Summary, summary
from gnomon.score.trials import deflated

MOST_RUNS: Final = 6
LETTERS: Final = "ABCDEF"


@dataclass(frozen=True, slots=True)
class Entrant:
    """A run that takes part in a comparison."""

    record: RunRecord
    header: Header


def comparison_page(
    entrants: Sequence[Entrant],
    *,
    divergences: Mapping[tuple[str, str], str] | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> str:
    """Two to six runs side by side, as the text of one self-contained HTML file.

    `divergences` says for a pair of run ids where the two first differ (`gnomon diff`). `trials` is the number of runs
    that were tried, where these are a choice of them; then the deflated Sharpe stands beside Sharpe. `seed` draws the
    intervals. `Invalid` for fewer than two runs or more than six, and for one run twice.
    """
    if not 2 <= len(entrants) <= MOST_RUNS:
        raise Invalid(f"{len(entrants)} runs to compare", hint=f"two to {MOST_RUNS}")
    names = [one.record.run for one in entrants]
    if len(set(names)) < len(names):
        raise Invalid(f"the same run twice among {', '.join(names)}", hint="name each run once")
    found = [summary(one.record) for one in entrants]
    parts = [
        _head(entrants),
        _settings(entrants),
        _equity(entrants),
        _figures(found, trials),
        _pairs(entrants, divergences or {}, seed),
    ]
    return page(f"Comparison of {', '.join(names)}", parts)


def _head(entrants: Sequence[Entrant]) -> str:
    rows: list[tuple[Text, ...]] = [
        (_letter(index), f"{one.header.trader} on {_symbols(one.record)}", code(one.record.run), _window(one.record))
        for index, one in enumerate(entrants)
    ]
    columns = Column(""), Column("Trader"), Column("Run"), Column("Window")
    return f"<header>\n<h1>{len(entrants)} runs side by side</h1>\n{table(columns, rows, kind='figures')}\n</header>"


def _settings(entrants: Sequence[Entrant]) -> str:
    """Settings by name, those that differ first."""
    settings = [_settings_of(one) for one in entrants]
    names = list(dict.fromkeys(name for one in settings for name in one))
    rows = [(name, *(one.get(name, ABSENT) for one in settings)) for name in names]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    alike = [(row[0], row[1]) for row in rows if len(set(row[1:])) == 1]
    columns = [Column("Setting"), *(Column(LETTERS[index]) for index in range(len(entrants)))]
    first = table(columns, differing, kind="figures") if differing else quiet("The settings are the same.")
    second = "<h3>The same for all</h3>" + table((Column("Setting"), Column("All")), alike) if alike else ""
    return section("What differs", first, second, name="settings")


def _settings_of(one: Entrant) -> dict[str, str]:
    """Everything that may have made a difference, in the order in which a reader asks."""
    header = one.header
    return {
        "Trader": header.trader,
        "Instruments": _symbols(one.record),
        "Dataset": header.dataset,
        "Window": _window(one.record),
        "Seed": ABSENT if header.seed is None else str(header.seed),
        **{f"Parameter {name}": value for name, value in header.params.items()},
        **header.rules,
        "Labels": ", ".join((str(header.standing.label), *header.labels)),
        "Versions": header.versions or ABSENT,
    }


def _equity(entrants: Sequence[Entrant]) -> str:
    curves = [
        (f"{LETTERS[index]}: {one.header.trader}, {one.record.run}", one.record.marks.at_ns, one.record.marks.equity)
        for index, one in enumerate(entrants)
    ]
    return section("Equity", returns_chart(curves).markup(), name="equity")


def _figures(found: Sequence[Summary], trials: int | None) -> str:
    columns = [Column("Figure"), *(Column(LETTERS[index], "n") for index in range(len(found)))]
    rows = [(one.name, *(one.of(run) for run in found)) for one in (*GROWTH, *TRADING, *EXECUTION)]
    notes = [stated(found[0].growth)]
    if trials is not None:
        beside = deflated([one.growth for one in found], trials=trials)
        row = ("Deflated Sharpe", *(share(one.deflated) for one in beside))
        at = next(index for index, one in enumerate(rows) if one[0] == "Sharpe") + 1
        rows.insert(at, row)
        notes.append(
            f"Deflated Sharpe: the probability that the true Sharpe exceeds {number(beside[0].expected_best)}, "
            f"the best to be expected of {trials:,} worthless trials."
        )
    return section("Figures", table(columns, rows, kind="figures"), quiet(" ".join(notes)), name="figures")


def _pairs(entrants: Sequence[Entrant], divergences: Mapping[tuple[str, str], str], seed: int) -> str:
    """Every pair: the difference with its interval, the verdict, and where the two first differ."""
    columns = (
        Column("Pair"),
        Column("Return a year, points", "n"),
        Column("95 % of it", "n"),
        Column("Sharpe", "n"),
        Column("95 % of Sharpe", "n"),
        Column("Drawn", ""),
    )
    rows: list[tuple[Text, ...]] = []
    verdicts: list[Text] = []
    for (a, left), (b, right) in combinations(enumerate(entrants), 2):
        pair = f"{LETTERS[a]} − {LETTERS[b]}"
        key = left.record.run, right.record.run
        where = divergences.get(key) or divergences.get((key[1], key[0]))
        first = f" First divergence: {where}." if where else ""
        if not _same(left, right, "dataset"):
            rows.append((pair, *[ABSENT] * 4, "other data"))
            verdicts.append(f"Over other data: compared by their figures only.{first}")
            continue
        paired = _same(left, right, "config") and left.header.seed == right.header.seed
        found = contest(left.record, right.record, paired=paired, seed=seed)
        drawn = "in pairs" if paired else "each by itself"
        sharpe = number(found.sharpe.difference), _interval(found.sharpe, 1.0)
        rows.append((pair, _percent(found.returns.difference), _interval(found.returns, 100.0), *sharpe, drawn))
        verdicts.append(f"{_sentence(found, LETTERS[a], LETTERS[b])}.{first}")
    listed = table(columns, rows, notes=verdicts, kind="cards")
    return section("How sure the difference is", listed, quiet(_HOW), name="pairs")


_HOW: Final = (
    "Differences of the arithmetic mean return a year, in percentage points, and of the Sharpe ratio. Intervals come "
    "from a block bootstrap of the periods: in pairs where seed and rules are the same, because then luck is shared; "
    "else each run by itself, which makes the interval wider."
)


def _same(left: Entrant, right: Entrant, digest: str) -> bool:
    """Whether two runs had the same dataset or the same rules: by digest where both have it, else by name."""
    a, b = left.header.digests.get(digest), right.header.digests.get(digest)
    if a and b:
        return a == b
    if digest == "dataset":
        return left.header.dataset == right.header.dataset
    return dict(left.header.rules) == dict(right.header.rules)


def _sentence(found: Contest, left: str, right: str) -> str:
    """The verdict, with the letters of this page instead of the ids."""
    words = found.verdict.words.replace(found.left, left).replace(found.right, right)
    return words[:1].upper() + words[1:]


def _interval(one: Difference, scale: float) -> str:
    if one.lo is None or one.hi is None:
        return ABSENT
    return f"{number(scale * one.lo)} … {number(scale * one.hi)}"


def _percent(value: float | None) -> str:
    return number(None if value is None else 100.0 * value)


def _letter(index: int) -> Markup:
    return Markup(f'<span class="swatch" style="color:var({SERIES_VARIABLES[index]})">{LINE} {LETTERS[index]}</span>')


def _symbols(record: RunRecord) -> str:
    return ", ".join(one.symbol for one in record.listings)


def _window(record: RunRecord) -> str:
    return f"{instant(int(record.marks.at_ns[0]))} to {instant(int(record.marks.at_ns[-1]))}"
