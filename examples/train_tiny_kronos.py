"""Train a tiny Kronos for about a minute on a seeded market with structure, and forecast what it has not seen.

python examples/train_tiny_kronos.py [--seed 7] [--folder FOLDER] [--steps 300]

The market has two habits that `ewma` knows nothing of: by the hour of the day it drifts up or down, and it is pulled
back to a level. Nothing here says anything about real markets.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gnomon import chance
from gnomon.clock import Timeframe
from gnomon.forecast.baselines.closed import EWMA
from gnomon.forecast.forecast import LEVELS, Context
from gnomon.forecast.kronos.config import FIELDS, ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.kronos import Kronos
from gnomon.forecast.quantiles import ranks
from gnomon.forecast.training.kronos import Plan, Trained, train_kronos
from gnomon.forecast.training.loop import Report, Watch, silent
from gnomon.forecast.training.recipe import MODEL, TOKENIZER, Budget
from gnomon.forecast.training.windows import History, split
from gnomon.score.forecasts import ScoredKeys, Scores, grade
from gnomon.score.skill import Rules, Skill, skill_of
from gnomon.score.table import code_of, table_of
from gnomon.units import DAY_NS, HOUR_NS, FloatArray, IntArray

FIRST_NS = 20_000 * DAY_NS  # 2024-10-04
DAYS, SERIES = 300, 3
LOOKBACK_BARS, HORIZON_BARS = 48, 12
PATHS = 30
APART_BARS = 13  # between two forecasts: every hour of the day comes about
TRAINED_SHARE, VALIDATED_SHARE = 0.5, 0.6


# --- the market -------------------------------------------------------------------------------------------------------


def market(seed: int) -> list[History]:
    """Hourly bars of a few series: each hour has its drift, the same every day, and the price is pulled to a level."""
    open_ns = FIRST_NS + np.arange(24 * DAYS) * HOUR_NS
    drift = 0.005 * np.sin(2 * np.pi * (np.arange(24) - 3) / 24)  # up in the morning, down in the evening
    return [series(f"tiny:S{number}", open_ns, drift, seed) for number in range(SERIES)]


def series(name: str, open_ns: IntArray, drift: FloatArray, seed: int) -> History:
    rows, luck = len(open_ns), chance.generator(seed, "tiny market", name)
    noise, shape, activity = luck.standard_normal(rows), luck.random((rows, 2)), luck.standard_normal(rows)
    hour = open_ns // HOUR_NS % 24
    close, away = np.empty(rows), 0.0
    for row in range(rows):
        away += drift[hour[row]] - 0.05 * away + 0.004 * noise[row]
        close[row] = away
    opened = np.append(0.0, close[:-1])
    high = np.maximum(opened, close) + 0.002 * shape[:, 0]
    low = np.minimum(opened, close) - 0.002 * shape[:, 1]
    prices = 100 * np.exp(np.stack([opened, high, low, close], axis=1))
    volume = 1000 * np.exp(0.3 * activity + 40 * np.abs(drift[hour]))
    bars = np.column_stack([prices, volume, volume * prices.mean(axis=1)])
    return History(name, bars, open_ns, open_ns + HOUR_NS, open_ns)


# --- the training -----------------------------------------------------------------------------------------------------


def plan(seed: int, steps: int) -> Plan:
    """Sizes of a toy; the published recipes, with rates for networks that start from nothing."""
    return Plan(
        tokenizer=TokenizerConfig(
            d_model=32, n_heads=2, ff_dim=64, n_enc_layers=2, n_dec_layers=2, s1_bits=6, s2_bits=6, group_size=4
        ),
        model=ModelConfig(s1_bits=6, s2_bits=6, n_layers=2, d_model=64, n_heads=4, ff_dim=128),
        tokenizer_budget=Budget(steps=steps, batch_windows=32, stretch_steps=max(steps // 7, 1)),
        model_budget=Budget(steps=steps, batch_windows=32, stretch_steps=max(steps // 7, 1)),
        tokenizer_recipe=replace(TOKENIZER, peak_rate=3e-3),
        model_recipe=replace(MODEL, peak_rate=3e-3),
        seed=seed,
    )


def trained(histories: Sequence[History], folder: Path, seed: int, steps: int, watch: Watch) -> Trained:
    cut_ns, until_ns = (FIRST_NS + int(DAYS * share) * DAY_NS for share in (TRAINED_SHARE, VALIDATED_SHARE))
    training, validation = split(histories, LOOKBACK_BARS, HORIZON_BARS, cut_ns, until_ns=until_ns)
    return train_kronos(plan(seed, steps), training, validation, folder, watch=watch)


# --- the examination --------------------------------------------------------------------------------------------------


def examined(kronos: Kronos, histories: Sequence[History], seed: int) -> Skill:
    """The skill against `ewma` at the same instants, all later than anything that training or validation saw."""
    first = int(24 * DAYS * VALIDATED_SHARE) + LOOKBACK_BARS
    cutoffs = range(first, 24 * DAYS - HORIZON_BARS, APART_BARS)
    where = [(one, row) for one in histories for row in cutoffs]
    contexts = [context_of(one, row) for one, row in where]
    realised = np.stack([one.bars[row : row + HORIZON_BARS, 3] for one, row in where])
    naive = EWMA.predict(contexts, HORIZON_BARS)
    curves = {
        "ewma": (np.stack([one.quantiles for one in naive]), np.stack([one.p_up for one in naive])),
        "kronos": forecasts(kronos, contexts, seed),
    }
    scores = Scores.join([graded(*curves[name], contexts, realised) for name in curves])
    rows = len(contexts) * HORIZON_BARS
    keys = ScoredKeys(
        np.repeat(np.array(list(curves), object), rows),
        np.full(2 * rows, "1", object),
        np.tile(np.repeat(np.array([one.instrument for one in contexts], object), HORIZON_BARS), 2),
        np.tile(np.repeat([one.data_cutoff_ns for one in contexts], HORIZON_BARS), 2),
    )
    table = table_of(scores, keys)
    ours, reference = code_of(table, "kronos"), code_of(table, "ewma")
    return skill_of(
        table,
        table.scored(table.rows(ours)),
        table.loss_of(reference),
        Rules(Timeframe.parse("1h"), "tiny kronos", seed),
    )


def context_of(history: History, row: int) -> Context:
    """What is known once bar `row` - 1 has closed; `ewma` is given 500 bars, far more than Kronos looks back."""
    past, ahead = slice(row - 501, row), slice(row, row + HORIZON_BARS)
    return Context(
        instrument=history.name,
        asset_class="crypto",
        timeframe=Timeframe.parse("1h"),
        as_of_ns=int(history.close_ns[row - 1]),
        data_cutoff_ns=int(history.close_ns[row - 1]),
        tick=1e-4,
        bars=history.bars[past],
        open_ns=history.open_ns[past],
        target_open_ns=history.open_ns[ahead],
        target_close_ns=history.close_ns[ahead],
        local_ns=history.local_ns[row - 501 : row + HORIZON_BARS],
        five_session_bars=120,
    )


def forecasts(kronos: Kronos, contexts: Sequence[Context], seed: int) -> tuple[FloatArray, FloatArray]:
    """Quantiles (N, H, Q) of the closes of sampled paths, by rank, and the share of them that end above (N, H)."""
    frames, futures = [], []
    for one in contexts:
        times = pd.DatetimeIndex(one.local_ns[-LOOKBACK_BARS - HORIZON_BARS :])
        frames.append(pd.DataFrame(one.bars[-LOOKBACK_BARS:], index=times[:LOOKBACK_BARS], columns=list(FIELDS)))
        futures.append(times[LOOKBACK_BARS:])
    paths = np.stack(kronos.sample(frames, futures, PATHS, top_p=1.0, seed=seed))[..., 3].astype(np.float64)
    ordered = np.sort(paths, axis=1)  # (N, paths, H)
    below, above, share = ranks(LEVELS, PATHS)
    low, high = ordered[:, below], ordered[:, above]
    p_up = (paths > np.array([one.base_price for one in contexts])[:, None, None]).mean(axis=1)
    return (low + share[:, None] * (high - low)).transpose(0, 2, 1), p_up


def graded(quantiles: FloatArray, p_up: FloatArray, contexts: Sequence[Context], realised: FloatArray) -> Scores:
    close_ns = np.stack([one.target_close_ns for one in contexts])
    return grade(
        quantiles,
        LEVELS,
        np.array([one.base_price for one in contexts]),
        p_up,
        range(1, HORIZON_BARS + 1),
        realised,
        forecast_id=np.arange(len(contexts)),
        target_close_ns=close_ns,
        scored_at_ns=int(close_ns.max()),
    )


# --- the whole --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went."""

    skill: Skill
    trained: Trained
    training_cpu_s: float
    forecasting_cpu_s: float


def run(folder: Path, seed: int, steps: int, watch: Watch = silent) -> Outcome:
    """Make the market, train, save, load, forecast, score."""
    histories = market(seed)
    began = time.process_time()
    result = trained(histories, folder, seed, steps, watch)
    ready = time.process_time()
    skill = examined(result.load(LOOKBACK_BARS + HORIZON_BARS), histories, seed)
    return Outcome(skill, result, ready - began, time.process_time() - ready)


def tell(report: Report) -> None:
    print(
        f"  step {report.step:4} of {report.steps}  training {report.training_loss:7.4f}"
        f"  validation {report.validation_loss:7.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300, help="of each of the two networks")
    parser.add_argument("--folder", type=Path, help="keeps the weights there; a run that was killed goes on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        outcome = run(given.folder or Path(temporary), given.seed, given.steps, tell)
    skill = outcome.skill
    print(f"{outcome.training_cpu_s:.0f} s of one core to train, {outcome.forecasting_cpu_s:.0f} s to forecast")
    print(
        f"pinball {skill.value:+.1%} against ewma ({skill.lo:+.1%} … {skill.hi:+.1%}, {skill.n:,} steps,"
        f" {skill.blocks:.0f} blocks)"
    )


if __name__ == "__main__":
    main()
