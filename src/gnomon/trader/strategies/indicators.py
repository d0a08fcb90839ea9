"""The indicators of the package `ta` 0.11, by its column names and default windows, on NumPy alone.

A `Frame` holds bars and computes a column when it is asked for; a value depends on its own bar and on earlier ones, so
appending bars changes none. Five columns of `ta` are filled in their first rows with means of the whole series, which
is a look-ahead: `kst`, `kst_sig`, `kst_diff` and the two visual spans; ours are missing there. NaN stands for missing;
`filled` carries values forward, then puts zeros, never backward.

Source: the formulas and names of github.com/bukosabino/ta (MIT), whose odd first values are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from gnomon.errors import Invalid, NotFound, nearest
from gnomon.units import FloatArray

Reduce = Callable[..., FloatArray]


class Frame:
    """Bars oldest first: five arrays (bars,) float64."""

    def __init__(
        self, opened: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray
    ) -> None:
        columns = [np.asarray(one, np.float64) for one in (opened, high, low, close, volume)]
        if len({one.shape for one in columns}) > 1:
            raise Invalid(f"columns of {[len(one) for one in columns]} bars", hint="one length for all")
        self.open, self.high, self.low, self.close, self.volume = columns
        self._made: dict[str, FloatArray] = {}

    def __len__(self) -> int:
        return len(self.close)

    def column(self, name: str) -> FloatArray:
        """One of `COLUMNS`, NaN where it is missing; `NotFound` with the nearest names."""
        if name not in self._made:
            if name not in COLUMNS:
                close = nearest(name, COLUMNS)
                raise NotFound(
                    f"no indicator {name!r}", hint=f"did you mean {', '.join(close)}?" if close else "COLUMNS"
                )
            with np.errstate(all="ignore"):
                self._made[name] = COLUMNS[name](self) if len(self) else np.empty(0)
        return self._made[name]

    def filled(self, name: str) -> FloatArray:
        """The column with gaps filled forward, then with zero."""
        values = self.column(name)
        finite = np.isfinite(values)
        newest = np.maximum.accumulate(np.where(finite, np.arange(len(values)), -1))
        return np.where(newest >= 0, values[newest], 0.0) if len(values) else values


# --- windows --------------------------------------------------------------------------------------------------------


def shifted(values: FloatArray, n: int = 1) -> FloatArray:
    """`n` bars later, NaN before."""
    out = np.full(len(values), np.nan)
    if n < len(values):
        out[n:] = values[: len(values) - n]
    return out


def rolling(values: FloatArray, n: int, reduce: Reduce, least: int | None = None) -> FloatArray:
    """`reduce` over the last `n`, NaN until there are `least` (default `n`) of them; over what there is before `n`."""
    out = np.full(len(values), np.nan)
    for stop in range(least or n, min(n, len(values) + 1)):
        out[stop - 1] = reduce(values[:stop], axis=-1)
    if len(values) >= n:
        out[n - 1 :] = reduce(np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(values, n)), axis=-1)
    return out


def sma(values: FloatArray, n: int) -> FloatArray:
    return rolling(values, n, np.mean)


def total(values: FloatArray, n: int) -> FloatArray:
    return rolling(values, n, np.sum)


def highest(values: FloatArray, n: int, least: int | None = None) -> FloatArray:
    return rolling(values, n, np.max, least)


def lowest(values: FloatArray, n: int, least: int | None = None) -> FloatArray:
    return rolling(values, n, np.min, least)


def smoothed(values: FloatArray, alpha: float, least: int) -> FloatArray:
    """`y += alpha (x - y)` from the first value on, NaN until there were `least`; across a gap the old one fades."""
    out, mean, count, weight = [], np.nan, 0, 1.0
    for value in values.tolist():
        is_there = value == value
        count += is_there
        if mean == mean:
            weight *= 1 - alpha
            if is_there:
                if mean != value:
                    mean = (weight * mean + alpha * value) / (weight + alpha)
                weight = 1.0
        elif is_there:
            mean = value
        out.append(mean if count >= least else np.nan)
    return np.array(out)


def ema(values: FloatArray, n: int) -> FloatArray:
    """Exponential moving average, `alpha = 2 / (n + 1)`."""
    return smoothed(values, 2 / (n + 1), n)


# --- volume ---------------------------------------------------------------------------------------------------------


def _flow(f: Frame) -> FloatArray:
    """Where the close lies in its bar, from -1 to 1, times the volume."""
    place = ((f.close - f.low) - (f.high - f.close)) / (f.high - f.low)
    return np.where(np.isnan(place), 0.0, place) * f.volume


def _obv(f: Frame) -> FloatArray:
    signed = np.where(f.close < shifted(f.close), -f.volume, f.volume)
    return np.cumsum(signed, dtype=np.float64)


def _emv(f: Frame) -> FloatArray:
    moved = (f.high - shifted(f.high)) + (f.low - shifted(f.low))
    return moved * (f.high - f.low) / (2 * f.volume) * 100_000_000


def _vpt(f: Frame) -> FloatArray:
    gains = (f.close / shifted(f.close) - 1) * f.volume
    out = np.cumsum(np.where(np.isnan(gains), 0.0, gains))
    return np.where(np.isnan(gains), np.nan, out)


def _typical(f: Frame) -> FloatArray:
    return (f.high + f.low + f.close) / 3.0


def _mfi(f: Frame) -> FloatArray:
    typical = _typical(f)
    before = shifted(typical)
    flow = typical * f.volume * np.where(typical > before, 1, np.where(typical < before, -1, 0))
    up, down = total(np.where(flow >= 0, flow, 0.0), 14), np.abs(total(np.where(flow < 0, flow, 0.0), 14))
    return 100 - 100 / (1 + up / down)


def _nvi(f: Frame) -> FloatArray:
    change = f.close / shifted(f.close) - 1
    factors = np.where(shifted(f.volume) > f.volume, 1.0 + change, 1.0)
    factors[0] = 1000.0
    return np.cumprod(factors, dtype=np.float64)


# --- volatility -----------------------------------------------------------------------------------------------------


def _bollinger(f: Frame) -> tuple[FloatArray, FloatArray, FloatArray]:
    mean, width = sma(f.close, 20), 2 * rolling(f.close, 20, np.std)
    return mean - width, mean, mean + width


def _keltner(f: Frame) -> tuple[FloatArray, FloatArray, FloatArray]:
    low = rolling((-2 * f.high + 4 * f.low + f.close) / 3.0, 10, np.mean, 1)
    high = rolling((4 * f.high - 2 * f.low + f.close) / 3.0, 10, np.mean, 1)
    return low, sma(_typical(f), 10), high


def _donchian(f: Frame) -> tuple[FloatArray, FloatArray]:
    return lowest(f.low, 20), highest(f.high, 20)


def _width(low: FloatArray, middle: FloatArray, high: FloatArray) -> FloatArray:
    return (high - low) / middle * 100


def _place(close: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    return (close - low) / (high - low)


def _place_in_bollinger(f: Frame) -> FloatArray:
    low, _, high = _bollinger(f)
    return np.where(high != low, _place(f.close, low, high), np.nan)


def true_range(f: Frame, before: FloatArray) -> FloatArray:
    """The largest of the bar's range and its reach from the close before; the range where there is none."""
    return np.fmax(f.high - f.low, np.fmax(np.abs(f.high - before), np.abs(f.low - before)))


def _atr(f: Frame, n: int = 10) -> FloatArray:
    ranges = true_range(f, shifted(f.close)).tolist()
    out = [0.0] * min(n - 1, len(ranges))
    if len(ranges) >= n:
        out.append(float(np.mean(ranges[:n])))
        for value in ranges[n:]:
            out.append((out[-1] * (n - 1) + value) / n)
    return np.array(out)


def _ulcer(f: Frame) -> FloatArray:
    peak = highest(f.close, 14, 1)
    fall = 100 * (f.close - peak) / peak
    return np.sqrt(total(fall**2 / 14, 14))


# --- trend ----------------------------------------------------------------------------------------------------------


def _macd(values: FloatArray) -> FloatArray:
    return ema(values, 12) - ema(values, 26)


def _oscillator(values: FloatArray) -> FloatArray:
    slow = ema(values, 26)
    return (ema(values, 12) - slow) / slow * 100


def _vortex(f: Frame, sign: int) -> FloatArray:
    before = shifted(f.close)
    before[0] = np.nan  # ta puts the mean of the whole series there: a look-ahead of one row that no window shows
    ranges = total(true_range(f, before), 14)
    moved = np.abs(f.high - shifted(f.low)) if sign > 0 else np.abs(f.low - shifted(f.high))
    return total(moved, 14) / ranges


def _trix(f: Frame) -> FloatArray:
    smooth = ema(ema(ema(f.close, 15), 15), 15)
    before = shifted(smooth)
    return (smooth - before) / before * 100


def _mass(f: Frame) -> FloatArray:
    smooth = ema(f.high - f.low, 9)
    return total(smooth / ema(smooth, 9), 25)


def _dpo(f: Frame) -> FloatArray:
    return shifted(f.close, 11) - sma(f.close, 20)


def _kst(f: Frame) -> FloatArray:
    def rate(n: int, window: int) -> FloatArray:
        before = shifted(f.close, n)
        return sma((f.close - before) / before, window)

    return 100 * (rate(10, 10) + 2 * rate(15, 10) + 3 * rate(20, 10) + 4 * rate(30, 15))


def _middle(f: Frame, n: int, least: int | None = None) -> FloatArray:
    return 0.5 * (highest(f.high, n, least) + lowest(f.low, n, least))


def _span_a(f: Frame) -> FloatArray:
    return 0.5 * (_middle(f, 9) + _middle(f, 26))


def _stc(f: Frame) -> FloatArray:
    def place(values: FloatArray) -> FloatArray:
        low = lowest(values, 10)
        return 100 * (values - low) / (highest(values, 10) - low)

    return ema(place(ema(place(ema(f.close, 23) - ema(f.close, 50)), 3)), 3)


def _directional(f: Frame, n: int = 14) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Wilder's sums of the true range and of both movements: `s += x - s / n` from bar `n + 1` on."""
    before = shifted(f.close)
    ranges = np.maximum(f.high, before) - np.minimum(f.low, before)
    up, down = f.high - shifted(f.high), shifted(f.low) - f.low
    plus = np.where((up > down) & (up > 0), up, 0.0)
    minus = np.where((down > up) & (down > 0), down, 0.0)
    first = (slice(1, n + 1), slice(0, n), slice(0, n))
    return _wilder_sum(ranges, first[0], n), _wilder_sum(plus, first[1], n), _wilder_sum(minus, first[2], n)


def _wilder_sum(values: FloatArray, first: slice, n: int) -> FloatArray:
    """Entry `i` belongs to bar `n + i`, but for the first, which sums the beginning."""
    sums = [float(np.sum(values[first]))]
    for value in values[n + 1 :].tolist():
        sums.append(sums[-1] - sums[-1] / n + value)
    return np.array(sums)


def _directions(f: Frame, which: int, n: int = 14) -> FloatArray:
    out = np.zeros(len(f))
    if len(f) > n + 1:
        sums = _directional(f, n)
        out[n + 1 :] = _safe(100 * sums[which], sums[0])[1:]
    return out


def _adx(f: Frame, n: int = 14) -> FloatArray:
    out = np.zeros(len(f))
    if len(f) < 2 * n:
        return out
    ranges, plus, minus = _directional(f, n)
    up, down = _safe(100 * plus, ranges), _safe(100 * minus, ranges)
    strength = 100 * np.abs(_safe(up - down, up + down))
    mean = float(np.mean(strength[:n]))
    out[2 * n - 1] = mean
    for row in range(2 * n, len(f)):
        mean = (mean * (n - 1) + strength[row - n]) / n
        out[row] = mean
    return out


def _safe(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)


def _cci(f: Frame) -> FloatArray:
    typical = _typical(f)

    def deviation(windows: FloatArray, axis: int) -> FloatArray:
        spread: FloatArray = np.mean(np.abs(windows - np.mean(windows, axis=axis, keepdims=True)), axis=axis)
        return spread

    return (typical - sma(typical, 20)) / (0.015 * rolling(typical, 20, deviation))


def _aroon(values: FloatArray, pick: Reduce) -> FloatArray:
    return rolling(values, 26, lambda windows, axis: pick(windows, axis=axis) / 25 * 100)


def _parabolic(f: Frame) -> tuple[FloatArray, FloatArray]:
    """Stop and reverse: values while it follows from below, and from above. Step 0.02, at most 0.2."""
    high, low = f.high.tolist(), f.low.tolist()
    stops = f.close.tolist()
    above, below = np.full(len(f), np.nan), np.full(len(f), np.nan)
    rising, pace = True, 0.02
    peak, trough = high[0], low[0]
    for i in range(2, len(stops)):
        last = stops[i - 1]
        if rising:
            stop = last + pace * (peak - last)
            if low[i] < stop:
                rising, stop, trough, pace = False, peak, low[i], 0.02
            else:
                if high[i] > peak:
                    peak, pace = high[i], min(pace + 0.02, 0.2)
                stop = low[i - 2] if low[i - 2] < stop else min(stop, low[i - 1])
        else:
            stop = last - pace * (last - trough)
            if high[i] > stop:
                rising, stop, peak, pace = True, trough, high[i], 0.02
            else:
                if low[i] < trough:
                    trough, pace = low[i], min(pace + 0.02, 0.2)
                stop = high[i - 2] if high[i - 2] > stop else max(stop, high[i - 1])
        stops[i] = stop
        (below if rising else above)[i] = stop
    return below, above


def _begins(values: FloatArray) -> FloatArray:
    return np.where(~np.isnan(values) & np.isnan(shifted(values)), 1.0, 0.0)


# --- momentum -------------------------------------------------------------------------------------------------------


def _rsi(f: Frame) -> FloatArray:
    change = f.close - shifted(f.close)
    up = smoothed(np.where(change > 0, change, 0.0), 1 / 14, 14)
    down = smoothed(np.where(change < 0, -change, 0.0), 1 / 14, 14)
    return np.where(down == 0, 100.0, 100 - 100 / (1 + up / down))


def _stoch_rsi(f: Frame) -> FloatArray:
    rsi = f.column("momentum_rsi")
    low = lowest(rsi, 14)
    return (rsi - low) / (highest(rsi, 14) - low)


def _tsi(f: Frame) -> FloatArray:
    change = f.close - shifted(f.close)
    return ema(ema(change, 25), 13) / ema(ema(np.abs(change), 25), 13) * 100


def _ultimate(f: Frame) -> FloatArray:
    before = shifted(f.close)
    pressure, ranges = f.close - np.minimum(f.low, before), true_range(f, before)
    short, middle, long = (total(pressure, n) / total(ranges, n) for n in (7, 14, 28))
    return 100.0 * (4.0 * short + 2.0 * middle + 1.0 * long) / 7.0


def _stochastic(f: Frame) -> FloatArray:
    low = lowest(f.low, 14)
    return 100 * (f.close - low) / (highest(f.high, 14) - low)


def _williams(f: Frame) -> FloatArray:
    high = highest(f.high, 14)
    return -100 * (high - f.close) / (high - lowest(f.low, 14))


def _kama(f: Frame, n: int = 10) -> FloatArray:
    """Kaufman's average; the first bar has no change, where ta takes the one from the last to the first."""
    close = f.close
    change = np.abs(close - shifted(close))
    noise = total(np.where(np.isnan(change), 0.0, change), n)
    noise[: n - 1] = np.nan
    moved = np.abs(close - shifted(close, n))
    efficiency = np.where(noise != 0, moved / noise, 0.0)
    constant = ((efficiency * (2 / 3 - 2 / 31) + 2 / 31) ** 2).tolist()
    out: list[float] = []
    last = np.nan
    for value, pull in zip(close.tolist(), constant, strict=True):
        if last != last:
            last = value if len(out) >= n - 1 else np.nan
        else:
            last += pull * (value - last)
        out.append(last)
    return np.array(out)


def _ao(f: Frame) -> FloatArray:
    middle = 0.5 * (f.high + f.low)
    return sma(middle, 5) - sma(middle, 34)


COLUMNS: Final[dict[str, Callable[[Frame], FloatArray]]] = {
    "volume_adi": lambda f: np.cumsum(_flow(f)),
    "volume_obv": _obv,
    "volume_cmf": lambda f: total(_flow(f), 20) / total(f.volume, 20),
    "volume_fi": lambda f: ema((f.close - shifted(f.close)) * f.volume, 13),
    "volume_em": _emv,
    "volume_sma_em": lambda f: sma(_emv(f), 14),
    "volume_vpt": _vpt,
    "volume_vwap": lambda f: total(_typical(f) * f.volume, 14) / total(f.volume, 14),
    "volume_mfi": _mfi,
    "volume_nvi": _nvi,
    "volatility_bbm": lambda f: _bollinger(f)[1],
    "volatility_bbh": lambda f: _bollinger(f)[2],
    "volatility_bbl": lambda f: _bollinger(f)[0],
    "volatility_bbw": lambda f: _width(*_bollinger(f)),
    "volatility_bbp": _place_in_bollinger,
    "volatility_bbhi": lambda f: np.where(f.close > _bollinger(f)[2], 1.0, 0.0),
    "volatility_bbli": lambda f: np.where(f.close < _bollinger(f)[0], 1.0, 0.0),
    "volatility_kcc": lambda f: _keltner(f)[1],
    "volatility_kch": lambda f: _keltner(f)[2],
    "volatility_kcl": lambda f: _keltner(f)[0],
    "volatility_kcw": lambda f: _width(*_keltner(f)),
    "volatility_kcp": lambda f: _place(f.close, *_keltner(f)[::2]),
    "volatility_kchi": lambda f: np.where(f.close > _keltner(f)[2], 1.0, 0.0),
    "volatility_kcli": lambda f: np.where(f.close < _keltner(f)[0], 1.0, 0.0),
    "volatility_dcl": lambda f: _donchian(f)[0],
    "volatility_dch": lambda f: _donchian(f)[1],
    "volatility_dcm": lambda f: np.add(*_donchian(f)) / 2.0,
    "volatility_dcw": lambda f: _width(_donchian(f)[0], sma(f.close, 20), _donchian(f)[1]),
    "volatility_dcp": lambda f: _place(f.close, *_donchian(f)),
    "volatility_atr": _atr,
    "volatility_ui": _ulcer,
    "trend_macd": lambda f: _macd(f.close),
    "trend_macd_signal": lambda f: ema(f.column("trend_macd"), 9),
    "trend_macd_diff": lambda f: f.column("trend_macd") - f.column("trend_macd_signal"),
    "trend_sma_fast": lambda f: sma(f.close, 12),
    "trend_sma_slow": lambda f: sma(f.close, 26),
    "trend_ema_fast": lambda f: ema(f.close, 12),
    "trend_ema_slow": lambda f: ema(f.close, 26),
    "trend_vortex_ind_pos": lambda f: _vortex(f, 1),
    "trend_vortex_ind_neg": lambda f: _vortex(f, -1),
    "trend_vortex_ind_diff": lambda f: f.column("trend_vortex_ind_pos") - f.column("trend_vortex_ind_neg"),
    "trend_trix": _trix,
    "trend_mass_index": _mass,
    "trend_dpo": _dpo,
    "trend_kst": _kst,
    "trend_kst_sig": lambda f: sma(f.column("trend_kst"), 9),
    "trend_kst_diff": lambda f: f.column("trend_kst") - f.column("trend_kst_sig"),
    "trend_ichimoku_conv": lambda f: _middle(f, 9),
    "trend_ichimoku_base": lambda f: _middle(f, 26),
    "trend_ichimoku_a": _span_a,
    "trend_ichimoku_b": lambda f: _middle(f, 52, 1),
    "trend_stc": _stc,
    "trend_adx": _adx,
    "trend_adx_pos": lambda f: _directions(f, 1),
    "trend_adx_neg": lambda f: _directions(f, 2),
    "trend_cci": _cci,
    "trend_visual_ichimoku_a": lambda f: shifted(_span_a(f), 26),
    "trend_visual_ichimoku_b": lambda f: shifted(_middle(f, 52, 1), 26),
    "trend_aroon_up": lambda f: _aroon(f.high, np.argmax),
    "trend_aroon_down": lambda f: _aroon(f.low, np.argmin),
    "trend_aroon_ind": lambda f: f.column("trend_aroon_up") - f.column("trend_aroon_down"),
    "trend_psar_up": lambda f: _parabolic(f)[0],
    "trend_psar_down": lambda f: _parabolic(f)[1],
    "trend_psar_up_indicator": lambda f: _begins(_parabolic(f)[0]),
    "trend_psar_down_indicator": lambda f: _begins(_parabolic(f)[1]),
    "momentum_rsi": _rsi,
    "momentum_stoch_rsi": _stoch_rsi,
    "momentum_stoch_rsi_k": lambda f: sma(f.column("momentum_stoch_rsi"), 3),
    "momentum_stoch_rsi_d": lambda f: sma(f.column("momentum_stoch_rsi_k"), 3),
    "momentum_tsi": _tsi,
    "momentum_uo": _ultimate,
    "momentum_stoch": _stochastic,
    "momentum_stoch_signal": lambda f: sma(f.column("momentum_stoch"), 3),
    "momentum_wr": _williams,
    "momentum_ao": _ao,
    "momentum_roc": lambda f: (f.close - shifted(f.close, 12)) / shifted(f.close, 12) * 100,
    "momentum_ppo": lambda f: _oscillator(f.close),
    "momentum_ppo_signal": lambda f: ema(f.column("momentum_ppo"), 9),
    "momentum_ppo_hist": lambda f: f.column("momentum_ppo") - f.column("momentum_ppo_signal"),
    "momentum_pvo": lambda f: _oscillator(f.volume),
    "momentum_pvo_signal": lambda f: ema(f.column("momentum_pvo"), 9),
    "momentum_pvo_hist": lambda f: f.column("momentum_pvo") - f.column("momentum_pvo_signal"),
    "momentum_kama": _kama,
    "others_dr": lambda f: (f.close / shifted(f.close) - 1) * 100,
    "others_dlr": lambda f: (np.log(f.close) - shifted(np.log(f.close))) * 100,
    "others_cr": lambda f: (f.close / f.close[0] - 1) * 100,
}
