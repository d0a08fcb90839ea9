"""The meta-learner: does the next bar rise, judging by what the members say and by the regime?

One LightGBM classifier an asset class and timeframe, trained in order of time with a purge of one horizon before the
rows that stop it. It is kept as LightGBM's text beside a JSON document with its hash, and read back suspiciously.
`lightgbm` (extra `ensemble`) is imported only where a learner is fitted or asked.

| features                      |                                                                             |
|-------------------------------|-----------------------------------------------------------------------------|
| of each member                | ln(p50 / base) and (p90 - p10) / base at the label step; absent = NaN       |
| regime, one of three          | ranging, trending, volatile (`regime`)                                      |
| event                         | 1 where a high-impact event is due                                          |
| asset class                   | its place in `ASSET_CLASSES`                                                |
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.forecast import Context
from gnomon.units import FloatArray, IntArray

ASSET_CLASSES: Final = ("crypto", "fx_commodity", "equity")
Regime = Literal["ranging", "trending", "volatile"]
REGIMES: Final[tuple[Regime, ...]] = ("ranging", "trending", "volatile")

LABEL_STEP: Final = 1
LEAST_LABELS: Final = 500
CONFIDENT: Final = 0.55
"""Below this confidence max(p, 1 - p) the widest envelope is served."""

VALIDATION_SHARE: Final = 0.2
ROUNDS: Final = 500
PATIENCE_ROUNDS: Final = 50
REGIME_BARS: Final = 270
"""How far back the regime looks: a 250-bar median of volatilities of 20 bars."""

SAME_PRICE: Final = 1e-6
"""Prices within this share of each other are equal: a median read back from float32 makes no call."""

_PARAMETERS: Final[Mapping[str, Any]] = {
    "objective": "binary",
    "metric": "binary_logloss",
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "learning_rate": 0.05,
    "seed": 7,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_FORM: Final = "gnomon-meta-1"
_LARGEST_CHARACTERS: Final = 16_000_000


# --- features -----------------------------------------------------------------------------------------------------


def feature_names(members: Sequence[str]) -> tuple[str, ...]:
    """The columns of `features`, in order; names as LightGBM keeps them, without spaces or colons."""
    named = [re.sub(r"[^\w-]", "_", name) for name in members]
    told = [f"{name}.{what}" for name in named for what in ("move", "width")]
    return (*told, *(f"regime.{one}" for one in REGIMES), "event", "asset_class")


def features(
    context: Context, members: Sequence[str], bands: Mapping[str, FloatArray], *, is_event: bool = False
) -> FloatArray:
    """One row (F,) of a context: `bands` holds for each member there is (p10, p50, p90) at the label step."""
    return feature_row(context.base_price, context.bars, context.asset_class, members, bands, is_event=is_event)


def feature_row(
    base_price: float,
    bars: FloatArray,
    asset_class: str,
    members: Sequence[str],
    bands: Mapping[str, FloatArray],
    *,
    is_event: bool = False,
) -> FloatArray:
    """The same (F,) without a context: what a row of the past is made of. `REGIME_BARS` bars (L, 4 or more) do."""
    row: list[float] = []
    for name in members:
        band = bands.get(name)
        row += [np.nan, np.nan] if band is None else [np.log(band[1] / base_price), (band[2] - band[0]) / base_price]
    code = ASSET_CLASSES.index(asset_class) if asset_class in ASSET_CLASSES else np.nan
    now = regime(bars)
    return np.array([*row, *(float(now == one) for one in REGIMES), float(is_event), code], np.float64)


def regime(bars: FloatArray) -> Regime:
    """Volatile where the 20-bar volatility exceeds 1.5 times its 250-bar median, else trending where ADX(14) reaches
    25, else ranging. Bars (L, 4 or more) open, high, low, close; shorter histories use what there is."""
    returns = np.diff(np.log(bars[-REGIME_BARS:, 3]))
    windows = np.lib.stride_tricks.sliding_window_view(returns, min(20, len(returns)))
    volatility = windows.std(axis=1)
    if volatility[-1] > 1.5 * np.median(volatility):
        return "volatile"
    return "trending" if adx(bars[-250:]) >= 25.0 else "ranging"


def adx(bars: FloatArray, period: int = 14) -> float:
    """The average directional index of bars (L, 4 or more), 0 … 100, by Wilder's smoothing; 0 for under 2 periods."""
    high, low, close = bars[:, 1], bars[:, 2], bars[:, 3]
    if len(bars) <= 2 * period:
        return 0.0
    up, down = np.diff(high), -np.diff(low)
    rise = np.where((up > down) & (up > 0.0), up, 0.0)
    fall = np.where((down > up) & (down > 0.0), down, 0.0)
    reach = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    smooth = np.array([_wilder(column, period) for column in (rise, fall, reach)])
    plus, minus = smooth[0], smooth[1]  # over the same range, which cancels in their ratio
    index = np.divide(100.0 * np.abs(plus - minus), plus + minus, out=np.zeros(len(plus)), where=plus + minus > 0.0)
    return float(_wilder(index, period)[-1]) / period


def _wilder(values: FloatArray, period: int) -> FloatArray:
    """Wilder's running sum: the sum of the first period, then S - S / period + x."""
    total = float(values[:period].sum())
    sums = [total]
    for value in values[period:].tolist():
        total += value - total / period
        sums.append(total)
    return np.array(sums)


# --- training -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Rows of the past: features (N, F), and of each the cutoff, the label target's close, when that became knowable,
    and the log return that came (N,). Rows of one cutoff in a fixed order, say by instrument."""

    features: FloatArray
    cutoff_ns: IntArray
    close_ns: IntArray
    known_ns: IntArray
    log_return: FloatArray

    def __len__(self) -> int:
        return len(self.cutoff_ns)


@dataclass(frozen=True, slots=True)
class Learner:
    """A fitted classifier: LightGBM's text, and what it was fitted from."""

    asset_class: str
    timeframe: str
    members: tuple[str, ...]
    fitted_until_ns: int
    labels: int
    text: str

    @property
    def digest(self) -> str:
        """BLAKE2b-256 of the text."""
        return hashlib.blake2b(self.text.encode(), digest_size=32).hexdigest()

    def chance_up(self, rows: FloatArray) -> FloatArray:
        """P(the label target closes above the base price) of rows (N, F), (N,). `Unavailable` without `lightgbm`."""
        columns = len(feature_names(self.members))
        if rows.ndim != 2 or rows.shape[1] != columns:
            raise Invalid(f"rows of shape {rows.shape}", hint=f"(N, {columns}): {feature_names(self.members)}")
        return np.asarray(_booster(self.text).predict(rows, num_threads=1), np.float64)

    def document(self) -> dict[str, Any]:
        """JSON that goes beside the text; `load` wants both."""
        return {
            "form": _FORM,
            "asset_class": self.asset_class,
            "timeframe": self.timeframe,
            "members": list(self.members),
            "features": list(feature_names(self.members)),
            "label_step": LABEL_STEP,
            "fitted_until_ns": self.fitted_until_ns,
            "labels": self.labels,
            "hash": self.digest,
        }


class NoLearners:
    """Nothing has been learned."""

    def of(self, context: Context) -> Learner | None:  # noqa: ARG002 - the port's signature
        return None


class Learners(Protocol):
    """Where `ensemble-meta` finds its learner."""

    def of(self, context: Context) -> Learner | None:
        """The learner of its class and timeframe, fitted by its cutoff; None while there are too few labels."""
        ...


def fit(rows: Labelled, *, asset_class: str, timeframe: str, members: Sequence[str], fitted_until_ns: int) -> Learner:
    """A learner from the rows whose label was knowable by `fitted_until_ns`; equal prices are dropped.

    The last fifth in time stops the training and no row of the rest has a target that closes after it begins. The same
    rows give the same bytes. Raises `Unavailable` for fewer than 500 labels, for labels of one direction, and where
    `lightgbm` is not installed; `Invalid` for features of another shape.
    """
    names = feature_names(members)
    if rows.features.shape != (len(rows), len(names)):
        raise Invalid(f"features of shape {rows.features.shape}", hint=f"({len(rows)}, {len(names)}): {names}")
    moved = np.abs(rows.log_return) > SAME_PRICE  # of NaN: no
    chosen = np.flatnonzero(moved & (rows.known_ns <= fitted_until_ns))
    chosen = chosen[np.argsort(rows.cutoff_ns[chosen], kind="stable")]
    if len(chosen) < LEAST_LABELS:
        raise Unavailable(
            f"{len(chosen)} labels of {asset_class} {timeframe} by {iso(fitted_until_ns)}",
            hint=f"the pool is served until there are {LEAST_LABELS}",
            detail={"labels": len(chosen)},
        )
    first_ns = rows.cutoff_ns[chosen[int((1.0 - VALIDATION_SHARE) * len(chosen))]]
    training = chosen[rows.close_ns[chosen] <= first_ns]
    stopping = chosen[rows.cutoff_ns[chosen] >= first_ns]
    up = (rows.log_return > 0.0).astype(np.float64)
    if min(len(np.unique(up[part])) for part in (training, stopping)) < 2:
        raise Unavailable(f"labels of {asset_class} {timeframe} go one way only", hint="the pool is served")
    text = _trained(rows.features, up, training, stopping, names)
    return Learner(asset_class, timeframe, tuple(members), int(fitted_until_ns), len(chosen), text)


def _trained(columns: FloatArray, up: FloatArray, training: IntArray, stopping: IntArray, names: Sequence[str]) -> str:
    lightgbm = _lightgbm()
    kept = {"feature_name": list(names), "params": dict(_PARAMETERS)}
    data = lightgbm.Dataset(columns[training], up[training], **kept)
    watched = lightgbm.Dataset(columns[stopping], up[stopping], reference=data, **kept)
    booster = lightgbm.train(
        dict(_PARAMETERS),
        data,
        num_boost_round=ROUNDS,
        valid_sets=[watched],
        callbacks=[lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False)],
    )
    return str(booster.model_to_string(num_iteration=booster.best_iteration))


def is_available() -> bool:
    """Whether learners can be fitted and asked here: the extra `ensemble` is installed."""
    return importlib.util.find_spec("lightgbm") is not None


def _lightgbm() -> Any:
    if not is_available():
        raise Unavailable("lightgbm is not installed", hint="install the extra: gnomon[ensemble]")
    import lightgbm

    return lightgbm


@lru_cache(maxsize=16)
def _booster(text: str) -> Any:
    return _lightgbm().Booster(model_str=text)


# --- reading back -------------------------------------------------------------------------------------------------


def load(document: Mapping[str, Any], text: str) -> Learner:
    """The learner of a document and its text. `Invalid` unless hash, form, features, objective and size of the trees
    are those of a learner: the text is read only after that."""
    faults = [said for said, holds in _holds(document, text) if not holds]
    if faults:
        raise Invalid(f"not a learner: {faults[0]}", hint="fit it again", detail={"faults": faults})
    return Learner(
        asset_class=document["asset_class"],
        timeframe=document["timeframe"],
        members=tuple(document["members"]),
        fitted_until_ns=document["fitted_until_ns"],
        labels=document["labels"],
        text=text,
    )


def _holds(document: Mapping[str, Any], text: str) -> list[tuple[str, bool]]:
    members = document.get("members")
    listed = members if isinstance(members, list) else []
    is_named = bool(listed) and all(isinstance(one, str) for one in listed)
    names = list(feature_names(listed)) if is_named else []
    digest = hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
    head = dict(re.findall(r"^(\w+)=(.*)$", text.partition("\nTree=")[0], re.MULTILINE))
    leaves = [int(one) for one in re.findall(r"^num_leaves=(\d{1,9})$", text, re.MULTILINE)]
    whole = [document.get(name) for name in ("fitted_until_ns", "labels")]
    return [
        (f"form {document.get('form')!r}, expected {_FORM}", document.get("form") == _FORM),
        (f"label step {document.get('label_step')!r}", document.get("label_step") == LABEL_STEP),
        ("members, class and timeframe are text", is_named and _are_text(document, "asset_class", "timeframe")),
        ("fitted_until_ns and labels are whole numbers", all(type(one) is int and one >= 0 for one in whole)),
        ("its features are not those of its members", document.get("features") == names),
        (f"{len(text)} characters", len(text) <= _LARGEST_CHARACTERS),
        ("its hash is not that of the text", document.get("hash") == digest),
        (f"objective {head.get('objective')!r}", head.get("objective") == "binary sigmoid:1"),
        ("the text names other features", head.get("feature_names", "").split(" ") == names),
        ("trees of more than 31 leaves", bool(leaves) and max(leaves) <= _PARAMETERS["num_leaves"]),
        ("not one tree a round", (head.get("num_class"), head.get("num_tree_per_iteration")) == ("1", "1")),
    ]


def _are_text(document: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(document.get(name), str) for name in names)
