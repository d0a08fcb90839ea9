"""Evaluation gates: named questions whose rule was fixed beforehand, with figures, intervals and a verdict in words.

| gate         | question                                                           | rule                             |
|--------------|--------------------------------------------------------------------|----------------------------------|
| coverage     | does the 80 % band hold 80 %?                                      | Wilson's interval holds 0.80     |
| event-window | is it as good, and as calibrated, on bars a release moved?         | see `event_window_gate`          |
| spread       | is its band wider when a release lies ahead?                       | ratio >= 1.5, its low end > 1    |
| direction    | does it call the side on those bars? (read only after `spread`)    | >= 60 % and Wilson's low > .5    |
| ensemble     | does the pool beat the single member one would have chosen before? | the low end of skill > 0         |

Announcements move volatility more than direction, so the spread gate comes before the direction gate. An event is a
release of one of `EVENT_KINDS`, whatever impact a feed gives it. A target bar lies in an event window when the release
falls into it or into the bar before it; a horizon holds an event when a release falls between cutoff and target close.
Everything is compared on identical (instrument, cutoff, step) keys; intervals redraw whole blocks of cutoffs, all
instruments of a cutoff together, as those of verdicts do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.score.bootstrap import block_sums, interval_95
from gnomon.score.compare import REFERENCE
from gnomon.score.disagreement import LEAST_WITH_A_FIGURE
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.significance import kupiec, wilson
from gnomon.score.skill import LOSS_FLOOR, REPLICATES, Rules, Skill, block_cutoffs, skill_of
from gnomon.score.table import Table, code_of, span_of, table_of
from gnomon.score.verdict import MIN_BLOCKS
from gnomon.units import DAY_NS, FloatArray, IntArray

EVENT_KINDS: Final = (("fomc", "FED"), ("cpi", "US"), ("nfp", "US"), ("gdp", "US"), ("pce", "US"))
"""Kinds of events, and whose: the releases that gates look at."""
LEAST_EVENTS: Final = MIN_BLOCKS
"""Fewer distinct releases than this are too early to say: the rows around one release are one case."""
WINDOW_BARS: Final = 2
"""A target bar is in the window of a release that falls into it or into the bar before it."""
MATCH_NS: Final = 7 * DAY_NS
"""Rows without an event count for the spread ratio only within so long of one: the same weather, with and without."""
NOMINAL: Final = 0.80
LEAST_SPREAD: Final = 1.5
LEAST_HITS: Final = 0.60
LEAST_SHARE: Final = 0.9
"""A single member must have answered this share of the pool's keys to be compared with it."""

_NEVER_NS: Final = 2**62  # beyond every instant, and a difference of two such still fits

Outcome = Literal["pass", "fail", "too_early", "no_figure"]
Bools = npt.NDArray[np.bool_]
Parts = list[FloatArray]
"""Sums (..., 2, M + 1, K) of each instrument: kinds of rows, columns and the number of rows, steps."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A named number with its 95 % interval; None where there is none. `n` counts what it rests on."""

    name: str
    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: float = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """One question put to one forecaster: what is asked, the rule, the figures, and what may be said."""

    gate: str
    forecaster: str
    question: str
    rule: str
    figures: tuple[Figure, ...]
    outcome: Outcome
    words: str

    def row(self) -> dict[str, Any]:
        """JSON-ready, in the order of the fields."""
        return asdict(self) | {"figures": [asdict(one) for one in self.figures]}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What gates are answered from: a table, the releases (E,) in order of time, and how intervals are drawn.

    `in_window` (N,) says which rows' target bar lies in an event window and `event` (N,) which release it was;
    `holds` (N,) which rows' horizon holds a release, `near` (N,) which lie within `MATCH_NS` of one.
    """

    table: Table
    against: FloatArray
    rules: Rules
    in_window: Bools
    event: IntArray
    holds: Bools
    near: Bools

    @classmethod
    def of(cls, scores: Scores, keys: ScoredKeys, releases_ns: IntArray, rules: Rules) -> Field:
        """Raises `Invalid` for what `table_of` refuses."""
        table = table_of(scores, keys)
        code = code_of(table, REFERENCE)
        close, at = table.scores.target_close_ns, np.unique(np.asarray(releases_ns, np.int64))
        newest = np.searchsorted(at, close, side="left") - 1  # the last release before the close; -1 for none
        edged = np.concatenate([[-_NEVER_NS], at, [_NEVER_NS]])
        since, until = close - edged[newest + 1], edged[newest + 2] - close
        return cls(
            table=table,
            against=table.loss_of(code) if code >= 0 else np.full(len(table.key), np.nan),
            rules=rules,
            in_window=since <= WINDOW_BARS * rules.timeframe.nominal_ns,
            event=newest,
            holds=since <= close - table.cutoff_ns,
            near=np.minimum(since, until) <= MATCH_NS,
        )

    def scored(self, code: int) -> IntArray:
        return self.table.scored(self.table.rows(code))


def gates(
    scores: Scores,
    keys: ScoredKeys,
    *,
    releases_ns: IntArray,
    timeframe: Timeframe,
    identity: str,
    ensembles: Sequence[str] = ("ensemble-pool",),
    choose_until_ns: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[Gate, ...]:
    """Every gate of every forecaster, by forecaster's name, from the scores of one timeframe and stage.

    The single member that an ensemble is held against is chosen by what had realised at `choose_until_ns` (the middle
    cutoff by default); the comparison uses later cutoffs alone.
    """
    if not len(scores):
        return ()
    field = Field.of(scores, keys, releases_ns, Rules(timeframe, identity, seed, replicates))
    found: list[Gate] = []
    for code in range(len(field.table.forecasters)):
        spread = spread_gate(field, code)
        found += [coverage_gate(field, code), event_window_gate(field, code), spread]
        found.append(direction_gate(field, code, spread))
    cutoffs = np.unique(field.table.cutoff_ns)
    middle_ns = int(cutoffs[len(cutoffs) // 2]) if choose_until_ns is None else choose_until_ns
    pools = [code for name in ensembles if (code := code_of(field.table, name)) >= 0]
    return (*found, *(ensemble_gate(field, pool, frozenset(pools), middle_ns) for pool in pools))


# --- coverage -------------------------------------------------------------------------------------------------------


def coverage_gate(field: Field, code: int) -> Gate:
    """Whether Wilson's interval of the 80 % band's coverage, on origins whose targets do not overlap, holds 0.80.

    Beside it Kupiec's p that misses come at 20 %.
    """
    rows = field.scored(code)
    count = span_of(field.table, rows).independent
    figure = _coverage(field, rows, count, "coverage80")
    p = math.nan if figure.value is None else float(kupiec((1.0 - figure.value) * count, count, 1.0 - NOMINAL).p)
    outcome: Outcome
    if figure.value is None or figure.lo is None or figure.hi is None:
        outcome, words = "no_figure", "no figure: nothing is scored"
    elif count < MIN_BLOCKS:
        outcome, words = "too_early", f"too early to say ({count} origins that do not overlap)"
    else:
        outcome = "pass" if figure.lo <= NOMINAL <= figure.hi else "fail"
        said = "holds" if outcome == "pass" else "does not hold"
        words = f"the 80 % band covers {figure.value:.1%} ({figure.lo:.1%} … {figure.hi:.1%}): {said} its 80 %"
    return Gate(
        "coverage",
        field.table.forecasters[code],
        "does the 80 % band hold 80 % of the outcomes?",
        "Wilson's 95 % interval on origins that do not overlap holds 0.80",
        (figure, Figure("kupiec_p", None if math.isnan(p) else p, n=count)),
        outcome,
        words,
    )


def _coverage(field: Field, rows: IntArray, count: float, name: str) -> Figure:
    if not len(rows):
        return Figure(name, None)
    share = float(field.table.scores.covered_80[rows].mean())
    lo, hi = wilson(share, count)
    return Figure(name, share, _figure(float(lo)), _figure(float(hi)), n=count)


# --- event windows --------------------------------------------------------------------------------------------------


def event_window_gate(field: Field, code: int) -> Gate:
    """Pinball skill against the reference and 80 % coverage on targets inside event windows, against outside.

    It passes when the interval of (skill inside - skill outside) does not lie below 0 and Wilson's interval of the
    coverage inside, counted by releases, holds 0.80. Both sides use the same (instrument, step) cells: those that have
    rows inside and outside, on keys that the reference shares.
    """
    rows = field.scored(code)
    common = rows[~np.isnan(field.against[rows])]
    inside = field.in_window[common]
    events = _events(field, common[inside])
    table = field.table
    columns = (table.loss[common], field.against[common])
    value, lo, hi, blocks = _contrast(field, common, inside, columns, _skill_gap)
    cells_in, cells_out = common[inside], common[~inside]
    covered = _coverage(field, cells_in, min(span_of(table, cells_in).independent, events), "coverage80_inside")
    away = _coverage(field, cells_out, span_of(table, cells_out).independent, "coverage80_outside")
    figures = (
        *_skills(field, common, inside, columns),
        Figure("skill_inside_minus_outside", value, lo, hi, n=len(cells_in)),
        covered,
        away,
        Figure("events", float(events), n=events),
    )
    outcome, words = _window_words(value, lo, hi, covered, events, blocks)
    return Gate(
        "event-window",
        table.forecasters[code],
        "is it as good, and as calibrated, on bars that a release moved?",
        "skill inside minus outside is not below 0 with its whole interval, and coverage inside holds 0.80",
        figures,
        outcome,
        words,
    )


def _window_words(
    value: float | None, lo: float | None, hi: float | None, covered: Figure, events: int, blocks: float
) -> tuple[Outcome, str]:
    if value is None or covered.value is None or covered.lo is None or covered.hi is None:
        return "no_figure", f"no figure: {events} releases lie among the targets"
    if _is_early(events, blocks) or lo is None or hi is None:
        return "too_early", f"too early to say ({events} releases, {blocks:.0f} blocks)"
    holds = covered.lo <= NOMINAL <= covered.hi
    gap = f"skill {value:+.1%} against outside ({lo:+.1%} … {hi:+.1%})"
    band = f"covers {covered.value:.1%} inside ({covered.lo:.1%} … {covered.hi:.1%})"
    return ("pass" if hi >= 0.0 and holds else "fail"), f"{gap}; {band}; {events} releases"


def _skills(field: Field, rows: IntArray, inside: Bools, columns: Sequence[FloatArray]) -> tuple[Figure, Figure]:
    """The skill on each side, over the cells that have both."""
    sides = _skill_sides([part.sum(axis=0) for part in _parts(field, rows, inside, columns)])
    n_in, n_out = int(inside.sum()), int((~inside).sum())
    return Figure("skill_inside", _one(sides[..., 0]), n=n_in), Figure("skill_outside", _one(sides[..., 1]), n=n_out)


# --- spread ---------------------------------------------------------------------------------------------------------


def spread_gate(field: Field, code: int) -> Gate:
    """The mean 80 % width of forecasts whose horizon holds an event over that of those without, and the same ratio of
    absolute returns that came.

    Cells are (instrument, step); only rows within seven days of a release count, and only cells with both kinds; the
    ratio is exp(mean over cells of ln(mean with / mean without)). It passes at 1.5 with an interval wholly above 1.
    """
    table, all_rows = field.table, field.scored(code)
    rows = all_rows[field.near[all_rows]]
    holds = field.holds[rows]
    events = _events(field, rows[holds])
    width, came = table.scores.width_80[rows], np.abs(table.scores.log_return[rows])
    value, lo, hi, blocks = _contrast(field, rows, holds, (width,), _ratio)
    realised = _contrast(field, rows, holds, (came,), _ratio)
    relative = _contrast(field, rows, holds, (width, came), _ratio_of_ratios)
    n = int(holds.sum())
    figures = (
        Figure("spread_ratio", value, lo, hi, n=n),
        Figure("realised_ratio", *realised[:3], n=n),
        Figure("spread_over_realised", *relative[:3], n=n),
        Figure("events", float(events), n=events),
    )
    outcome: Outcome
    if value is None:
        outcome, words = "no_figure", "no figure: no (instrument, step) has forecasts with and without a release ahead"
    elif _is_early(events, blocks) or lo is None or hi is None:
        outcome, words = "too_early", f"too early to say ({events} releases, {blocks:.0f} blocks)"
    else:
        outcome = "pass" if value >= LEAST_SPREAD and lo > 1.0 else "fail"
        moved = "" if realised[0] is None else f"; the market moved {realised[0]:.2f} times as far"
        words = f"bands are {value:.2f} times as wide with a release ahead ({lo:.2f} … {hi:.2f}){moved}"
    return Gate(
        "spread",
        table.forecasters[code],
        "is its band wider when a release lies ahead?",
        f"spread ratio >= {LEAST_SPREAD:g}, and the low end of its interval above 1",
        figures,
        outcome,
        words,
    )


# --- direction ------------------------------------------------------------------------------------------------------


def direction_gate(field: Field, code: int, spread: Gate) -> Gate:
    """The share of right calls on targets inside event windows, beside "always up", with Wilson's interval counted by
    releases. It passes at 60 % with a low end above one half, and only behind a spread gate that was passed."""
    table, rows = field.table, field.scored(code)
    rows = rows[field.in_window[rows] & ~np.isnan(table.scores.direction_hit[rows])]
    events = _events(field, rows)
    count = min(span_of(table, rows).independent, events)
    share = float(table.scores.direction_hit[rows].mean()) if len(rows) else None
    lo, hi = (_figure(float(end)) for end in wilson(math.nan if share is None else share, count))
    up = float((np.sign(table.scores.log_return[rows]) / 2.0 + 0.5).mean()) if len(rows) else None
    outcome: Outcome
    if share is None or lo is None or hi is None:
        outcome, words = "no_figure", "no figure: it called no side inside event windows"
    elif count < LEAST_EVENTS:
        outcome, words = "too_early", f"too early to say ({events} releases)"
    else:
        right = share >= LEAST_HITS and lo > 0.5
        outcome = "pass" if right and spread.outcome == "pass" else "fail"
        words = f"{share:.1%} of its calls inside event windows were right ({lo:.1%} … {hi:.1%}), always up {up:.1%}"
        if right and spread.outcome != "pass":
            words += "; not passed, because the spread gate comes first and was not passed"
    return Gate(
        "direction",
        table.forecasters[code],
        "does it call the side on bars that a release moved?",
        f"at least {LEAST_HITS:.0%} right, Wilson's low end above 50 %, and the spread gate passed",
        (
            Figure("direction_hit", share, lo, hi, n=count),
            Figure("always_up", up, n=len(rows)),
            Figure("events", events),
        ),
        outcome,
        words,
    )


# --- ensemble -------------------------------------------------------------------------------------------------------


def ensemble_gate(field: Field, pool: int, pools: frozenset[int], choose_until_ns: int) -> Gate:
    """The pool against the single member with the lowest loss among what had realised at `choose_until_ns`, on cutoffs
    from then on; the member that turned out best stands beside it, in hindsight.

    A member counts when it answered nine tenths of the pool's keys on either side of that instant; all comparisons use
    the keys that the pool and every such member share.
    """
    table = field.table
    before = _realised(field, table.scores.realised_at_ns <= choose_until_ns)
    later = _realised(field, table.cutoff_ns >= choose_until_ns)
    members = [
        code
        for code in range(len(table.forecasters))
        if code not in pools and all(_covers(field, code, pool, rows) for rows in (before, later))
    ]
    past, window = (_shared(field, (pool, *members), rows) for rows in (before, later))
    chosen = _best(field, members, past)
    best = _best(field, members, window)
    skill = _against(field, pool, chosen, window)
    hindsight = _against(field, pool, best, window)
    figures = (
        Figure("skill_over_chosen", skill.value, skill.lo, skill.hi, n=skill.n),
        Figure("dm_p", skill.dm_p, n=skill.n),
        Figure("skill_over_hindsight_best", hindsight.value, hindsight.lo, hindsight.hi, n=hindsight.n),
    )
    outcome, words = _ensemble_words(table, chosen, best, skill, hindsight)
    return Gate(
        "ensemble",
        table.forecasters[pool],
        "does the pool beat the single member one would have chosen before?",
        "the low end of its skill over that member is above 0",
        figures,
        outcome,
        words,
    )


def _ensemble_words(
    table: Table, chosen: int | None, best: int | None, skill: Skill, hindsight: Skill
) -> tuple[Outcome, str]:
    if chosen is None or best is None or skill.value is None:
        return "no_figure", "no figure: the pool and no single member share keys before and after the choice"
    name = table.forecasters[chosen]
    if skill.blocks < MIN_BLOCKS or skill.lo is None or skill.hi is None:
        return "too_early", f"too early to say (chosen before: {name}; {skill.blocks:.0f} blocks)"
    span = f"{skill.value:+.2%} ({skill.lo:+.2%} … {skill.hi:+.2%})"
    said = "beats" if skill.lo > 0.0 else "is beaten by" if skill.hi < 0.0 else "cannot be told from"
    words = f"the pool {said} {name}, chosen before: {span}"
    if hindsight.value is not None:
        words += f"; the best in hindsight was {table.forecasters[best]}: {hindsight.value:+.2%}"
    return ("pass" if skill.lo > 0.0 else "fail"), words


def _realised(field: Field, side: Bools) -> Bools:
    """Which scored rows lie on a side of the choice, where the reference is scored as well."""
    found: Bools = side & ~np.isnan(field.table.loss) & ~np.isnan(field.against)
    return found


def _covers(field: Field, member: int, pool: int, rows: Bools) -> bool:
    mine, theirs = (_keys_of(field, code, rows) for code in (member, pool))
    return len(theirs) > 0 and float(np.isin(theirs, mine).mean()) >= LEAST_SHARE


def _shared(field: Field, codes: Sequence[int], rows: Bools) -> IntArray:
    """The keys that all of them share."""
    keys = _keys_of(field, codes[0], rows)
    for code in codes[1:]:
        keys = np.intersect1d(keys, _keys_of(field, code, rows), assume_unique=True)
    return keys


def _keys_of(field: Field, code: int, rows: Bools) -> IntArray:
    own = field.table.rows(code)
    return field.table.key[own][rows[own]]


def _rows_at(field: Field, code: int, keys: IntArray) -> IntArray:
    rows = field.scored(code)
    return rows[np.isin(field.table.key[rows], keys)]


def _best(field: Field, members: Sequence[int], keys: IntArray) -> int | None:
    """The member with the most skill against the reference on these keys; of two alike the first by name."""
    if not len(keys):
        return None
    quick = replace(field.rules, replicates=1)
    skills = {code: skill_of(field.table, _rows_at(field, code, keys), field.against, quick).value for code in members}
    there = [(-value, code) for code, value in skills.items() if value is not None]
    return min(there)[1] if there else None


def _against(field: Field, pool: int, member: int | None, keys: IntArray) -> Skill:
    if member is None:
        return Skill()
    return skill_of(field.table, _rows_at(field, pool, keys), field.table.loss_of(member), field.rules)


# --- contrasts of two kinds of rows -----------------------------------------------------------------------------------


def _events(field: Field, rows: IntArray) -> int:
    """How many distinct releases the rows are about."""
    return len(np.unique(field.event[rows]))


def _is_early(events: int, blocks: float) -> bool:
    return events < LEAST_EVENTS or blocks < MIN_BLOCKS


def _contrast(
    field: Field, rows: IntArray, first: Bools, columns: Sequence[FloatArray], figure: Callable[[Parts], FloatArray]
) -> tuple[float | None, float | None, float | None, float]:
    """`figure` of the sums of both kinds of rows, its 95 % interval, and the cutoffs in block lengths."""
    if not len(rows):
        return None, None, None, 0.0
    span, rules = span_of(field.table, rows), field.rules
    block = block_cutoffs(span, rules.timeframe)
    blocks = len(span.cutoffs_ns) / block
    parts = _parts(field, rows, first, columns)
    value = _one(figure([part.sum(axis=0) for part in parts]))
    if value is None or 2 * block > len(span.cutoffs_ns):
        return value, None, None, blocks
    drawn = figure([_drawn(part, block, rules) for part in parts])
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < LEAST_WITH_A_FIGURE * rules.replicates:
        return value, None, None, blocks
    return value, *interval_95(drawn), blocks


def _drawn(part: FloatArray, block: int, rules: Rules) -> FloatArray:
    """(R, 2, M + 1, K): sums over redrawn cutoffs. Seed, identity, cutoffs and block alone decide the draw, so every
    instrument of a cutoff is drawn with it."""
    flat = part.reshape(len(part), -1)
    drawn = block_sums(flat, block, rules.replicates, seed=rules.seed, identity=rules.identity)
    return drawn.reshape(-1, *part.shape[1:])


def _parts(field: Field, rows: IntArray, first: Bools, columns: Sequence[FloatArray]) -> Parts:
    """For each instrument (C, 2, M + 1, K): at each cutoff, for the first kind of rows and the rest, the sums of the
    columns and the number of rows, by step."""
    table = field.table
    cutoffs, place = np.unique(table.cutoff_ns[rows], return_inverse=True)
    summed = (*columns, np.ones(len(rows)))
    found = []
    for instrument in np.unique(table.instrument[rows]):
        mine = np.flatnonzero(table.instrument[rows] == instrument)
        steps, step = np.unique(table.scores.step[rows[mine]], return_inverse=True)
        shape = (len(cutoffs), 2, len(steps))
        flat = np.ravel_multi_index((place[mine], (~first[mine]).astype(np.int64), step), shape)
        sums = [np.bincount(flat, one[mine], math.prod(shape)).reshape(shape) for one in summed]
        found.append(np.stack(sums, axis=2).astype(np.float64))
    return found


def _mean_logs(parts: Parts) -> FloatArray:
    """(..., 2, M): the mean over the cells with both kinds of rows of the logarithm of each mean; NaN without such."""
    total, cells = np.zeros(()), np.zeros(())
    for part in parts:
        sums, count = part[..., :-1, :], part[..., -1:, :]
        both = (count > 0.5).all(axis=-3, keepdims=True)
        logs = np.log(np.maximum(sums / np.maximum(count, 1.0), LOSS_FLOOR))
        total = total + np.where(both, logs, 0.0).sum(axis=-1)
        cells = cells + both.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / cells, np.float64)


def _skill_sides(parts: Parts) -> FloatArray:
    """(..., 2): the skill inside and outside, of parts with the losses and the reference's."""
    logs = _mean_logs(parts)
    return np.asarray(-np.expm1(logs[..., 0] - logs[..., 1]))


def _skill_gap(parts: Parts) -> FloatArray:
    sides = _skill_sides(parts)
    return np.asarray(sides[..., 0] - sides[..., 1])


def _ratio(parts: Parts) -> FloatArray:
    """exp of the mean over cells of ln(mean of the first kind / mean of the rest), of the first column."""
    logs = _mean_logs(parts)
    return np.asarray(np.exp(logs[..., 0, 0] - logs[..., 1, 0]))


def _ratio_of_ratios(parts: Parts) -> FloatArray:
    """The first column's ratio over the second's."""
    logs = _mean_logs(parts)
    return np.asarray(np.exp(logs[..., 0, 0] - logs[..., 1, 0] - logs[..., 0, 1] + logs[..., 1, 1]))


def _one(value: FloatArray) -> float | None:
    return _figure(float(value))


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else value
