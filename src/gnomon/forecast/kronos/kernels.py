"""The inner loops of a step, where numba is installed: what PyTorch has no one operator for.

At one row a block of some twenty operators costs more to call than to compute; at some rows the attention to what each
sample drew is many tiny products. Here both read their weights and caches once, at the rate of the memory, and call
nothing. Sums are taken in another order than PyTorch's, so that values differ by float rounding; `win` takes no such
liberty and gives the same tokens.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gnomon.compiled import SUMS_IN_ANY_ORDER, compiled
from gnomon.forecast.kronos.panels import Floats, multiply

Maps = tuple[Floats, Floats, Floats, Floats, Floats, Floats]
"""Of a block: qkv and its bias, out and its bias, gate, down."""

_fast = compiled(sums=SUMS_IN_ANY_ORDER)
_exact = compiled()
_fused = compiled(sums=frozenset({"contract"}))


# --- one row --------------------------------------------------------------------------------------------------------


@_fast
def block(
    x: Floats, least: float, maps: Maps, kept: tuple[Floats, Floats, int], turn: npt.NDArray[np.complex64]
) -> None:
    """A block of `PackedStack` on the row x (d,), in place.

    Maps are (in, out). `kept` are keys and values (H, room, e), and how many positions they hold: they get one more.
    `turn` (e / 2,) rotates neighbours in pairs; `least` is added to the sum of squares of a norm.
    """
    qkv, qkv_bias, out, out_bias, gate, down = maps
    keys, values, at = kept
    width = x.size
    projected = qkv_bias.copy()
    _multiply_row(_normed(x, least), qkv, projected)
    _rotate(projected[: 2 * width], turn)
    heads, _, e = keys.shape
    for h in range(heads):
        for i in range(e):
            keys[h, at, i] = projected[width + h * e + i]
            values[h, at, i] = projected[2 * width + h * e + i]
    seen = np.zeros(width, np.float32)
    attend(projected[:width].reshape(heads, e), keys, values, at + 1, seen.reshape(heads, e))
    x += out_bias
    _multiply_row(seen, out, x)
    wide = np.zeros(gate.shape[1], np.float32)
    _multiply_row(_normed(x, least), gate, wide)
    ff = wide.size // 2
    for i in range(ff):
        wide[i] = wide[i] / (np.float32(1.0) + np.exp(-wide[i])) * wide[ff + i]
    _multiply_row(wide[:ff], down, x)


@_fast
def _normed(x: Floats, least: float) -> Floats:
    squares = np.float32(0.0)
    for i in range(x.size):
        squares += x[i] * x[i]
    return x * np.float32(1.0 / math.sqrt(squares + least))


@_fast
def _rotate(rows: Floats, turn: npt.NDArray[np.complex64]) -> None:
    """Neighbours in pairs, head after head."""
    half = turn.size
    for start in range(0, rows.size, 2 * half):
        for j in range(half):
            at = start + 2 * j
            low, high, cos, sin = rows[at], rows[at + 1], turn[j].real, turn[j].imag
            rows[at] = low * cos - high * sin
            rows[at + 1] = low * sin + high * cos


# --- some rows ------------------------------------------------------------------------------------------------------


@_fast
def block_of_rows(
    x: Floats,
    least: float,
    maps: Maps,
    kept: tuple[Floats, Floats, Floats, Floats, int, int],
    mask: Floats,
    turns: npt.NDArray[np.complex64],
    normed: Floats,
    wide: Floats,
) -> None:
    """A block of `PackedStack` on rows x (B S, d), in place.

    Maps are in panels. `kept` are the keys and values of the past and since as `attend_rows` takes them, how long the
    past is, and how many positions are since: there will be one more. `turns` (1 or B S, e / 2) rotate each row.
    `normed` (B S, d) and `wide` (flat, of B S rows of 3 d and of 2 ff) are room to work in.
    """
    qkv, qkv_bias, out, out_bias, gate, down = maps
    past_keys, past_values, keys, values, past, at = kept
    rows, width = x.shape
    groups, _, samples, e = keys.shape
    heads = groups * samples // rows
    norm_rows(x, least, normed)
    projected = wide[: rows * 3 * width].reshape(rows, 3 * width)
    projected[:] = qkv_bias
    multiply(normed, qkv, projected)
    for row in range(rows):
        _rotate(projected[row, : 2 * width], turns[row % len(turns)])
    parts = projected.reshape(rows, 3, heads, e)
    keep_rows(parts[:, 1], parts[:, 2], keys, values, at)
    attend_rows(projected, past_keys, past_values, keys, values, past, at + 1, mask, normed)
    x += out_bias
    multiply(normed, out, x)
    norm_rows(x, least, normed)
    ff = down.size // width
    gated = wide[: rows * 2 * ff].reshape(rows, 2 * ff)
    gated[:] = np.float32(0.0)
    multiply(normed, gate, gated)
    inner = np.empty((rows, ff), np.float32)
    for row in range(rows):
        part = inner[row]
        part[:] = -np.abs(gated[row, :ff])
        _exponentiate(part, np.float32(0.0))
        for i in range(ff):
            y = gated[row, i]
            over = np.float32(1.0) if y >= np.float32(0.0) else part[i]
            part[i] = y * over / (np.float32(1.0) + part[i]) * gated[row, ff + i]
    multiply(inner, down, x)


@_fast
def norm_rows(x: Floats, least: float, normed: Floats) -> None:
    """Each row (d,) of x over sqrt(sum of its squares + least)."""
    for row in range(len(x)):
        normed[row] = _normed(x[row], least)


# --- attention ------------------------------------------------------------------------------------------------------


@_fast
def attend(q: Floats, keys: Floats, values: Floats, filled: int, seen: Floats) -> None:
    """What queries (H, e) see of `filled` positions of `keys` and `values` (H, room, e) is added to `seen` (H, e)."""
    weights = np.empty(filled, np.float32)
    for h in range(len(q)):
        _scores(q[h], keys[h], weights)
        weights *= np.float32(1.0) / _exponentials(weights, _largest(weights))
        _multiply_row(weights, values[h], seen[h])


@_fast
def attend_rows(
    q: Floats,
    past_keys: Floats,
    past_values: Floats,
    keys: Floats,
    values: Floats,
    past: int,
    filled: int,
    mask: Floats,
    seen: Floats,
) -> None:
    """One soft-max over a past that the samples of a series share and what each drew since.

    Of B series, S samples and H heads: `q` (B S, …) begins with the queries (H · e), `seen` (B S, H · e) is written.
    `past_keys` (B H, …) are the keys (e, P') of each head in panels, `past_values` the values (P', e'): sizes rounded
    up to whole panels, filled with zeros. `keys` and `values` (B H, room, S, e) hold `filled` positions. `mask`
    (B, P + filled) is added to the scores; it may have no rows.
    """
    groups, _, samples, e = keys.shape
    heads = groups * samples // len(q)
    padded = past_keys.shape[1] // e
    queries = np.empty((samples, e), np.float32)
    shared = np.empty((samples, padded), np.float32)
    own = np.empty((samples, filled), np.float32)
    total = np.empty((samples, past_values.shape[1] // padded), np.float32)
    for g in range(groups):
        b, first = g // heads, g % heads * e
        for s in range(samples):
            queries[s] = q[b * samples + s, first : first + e]
        shared[:] = np.float32(0.0)
        multiply(queries, past_keys[g], shared)
        for t in range(filled):
            for s in range(samples):
                score = np.float32(0.0)
                for i in range(e):
                    score += queries[s, i] * keys[g, t, s, i]
                own[s, t] = score
        for s in range(samples):
            if len(mask):
                shared[s, :past] += mask[b, :past]
                own[s] += mask[b, past:]
            _soft_max(shared[s, :past], own[s])
            shared[s, past:] = np.float32(0.0)
        total[:] = np.float32(0.0)
        multiply(shared, past_values[g], total)
        for t in range(filled):
            for s in range(samples):
                weight = own[s, t]
                for i in range(e):
                    total[s, i] += weight * values[g, t, s, i]
        for s in range(samples):
            seen[b * samples + s, first : first + e] = total[s, :e]


@_fast
def _soft_max(a: Floats, b: Floats) -> None:
    """Over both together, in place."""
    largest = max(_largest(a), _largest(b))
    scale = np.float32(1.0) / (_exponentials(a, largest) + _exponentials(b, largest))
    a *= scale
    b *= scale


@_fast
def keep_rows(k: Floats, v: Floats, keys: Floats, values: Floats, at: int) -> None:
    """Keys and values (B S, H, e) of position `at` into (B H, room, S, e)."""
    rows, heads, e = k.shape
    samples = keys.shape[2]
    for row in range(rows):
        b, s = divmod(row, samples)
        for h in range(heads):
            for i in range(e):
                keys[b * heads + h, at, s, i] = k[row, h, i]
                values[b * heads + h, at, s, i] = v[row, h, i]


@_fast
def _scores(q: Floats, keys: Floats, scores: Floats) -> None:
    """The product of the query (e,) with each key (…, e), four keys at a time."""
    whole = scores.size - scores.size % 4
    for t in range(0, whole, 4):
        a = b = c = d = np.float32(0.0)
        for i in range(q.size):
            a += q[i] * keys[t, i]
            b += q[i] * keys[t + 1, i]
            c += q[i] * keys[t + 2, i]
            d += q[i] * keys[t + 3, i]
        scores[t], scores[t + 1], scores[t + 2], scores[t + 3] = a, b, c, d
    for t in range(whole, scores.size):
        a = np.float32(0.0)
        for i in range(q.size):
            a += q[i] * keys[t, i]
        scores[t] = a


@_fast
def _multiply_row(x: Floats, weight: Floats, total: Floats) -> None:
    """total (out,) += x (in,) · weight (…, out), four rows of the weight at a time."""
    whole = x.size - x.size % 4
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(total.size):
            total[j] += a * weight[i, j] + b * weight[i + 1, j] + c * weight[i + 2, j] + d * weight[i + 3, j]
    for i in range(whole, x.size):
        for j in range(total.size):
            total[j] += x[i] * weight[i, j]


@_fast
def _largest(x: Floats) -> np.float32:
    """Eight at a time: one after the other, each would wait for the one before."""
    lanes = np.full(8, -np.inf, np.float32)
    whole = x.size - x.size % 8
    for i in range(0, whole, 8):
        for j in range(8):
            lanes[j] = max(lanes[j], x[i + j])
    for i in range(whole, x.size):
        lanes[0] = max(lanes[0], x[i])
    largest: np.float32 = lanes[0]
    for j in range(1, 8):
        largest = max(largest, lanes[j])
    return largest


@_fast
def _exponentials(x: Floats, largest: np.float32) -> np.float32:
    """exp(x - largest) in place, and its sum."""
    _exponentiate(x, largest)
    total = np.float32(0.0)
    for i in range(x.size):
        total += x[i]
    return total


@_fused
def _exponentiate(x: Floats, largest: np.float32) -> None:
    """exp(x - largest) in place, for x ≤ largest, within 2 units in the last place; below exp(-87) it is that.

    2^n · exp(r) with |r| ≤ ln 2 / 2: the polynomial and the split of ln 2 are those of Cephes' `expf`. Unlike a call of
    the C library it is done eight or sixteen at a time. Its order of operations is part of its accuracy.
    """
    f = np.float32
    powers = np.empty(x.size, np.int32)
    for i in range(x.size):
        y = max(f(x[i] - largest), f(-87.0))
        n = np.floor(y * f(1.44269504088896341) + f(0.5))
        r = y - n * f(0.693359375) - n * f(-2.12194440e-4)
        p = f(1.9875691500e-4)
        p = p * r + f(1.3981999507e-3)
        p = p * r + f(8.3334519073e-3)
        p = p * r + f(4.1665795894e-2)
        p = p * r + f(1.6666665459e-1)
        p = p * r + f(5.0000001201e-1)
        x[i] = p * r * r + r + f(1.0)
        powers[i] = (np.int32(n) + np.int32(127)) * np.int32(1 << 23)
    scale = powers.view(np.float32)
    for i in range(x.size):
        x[i] *= scale[i]


# --- drawing --------------------------------------------------------------------------------------------------------


@_exact
def win(weights: Floats, ordered: Floats, top_p: np.float32, times: Floats, winners: npt.NDArray[np.int64]) -> None:
    """The winners (rows,) of the race of `sampling.first_to_arrive` among those that `sampling.kept` keeps.

    `ordered` are the `weights` (rows, V) of each row, least first; it may have no rows where all tokens stay.
    """
    arrived = np.empty(weights.shape[1], np.float32)
    for row in range(len(weights)):
        w, time = weights[row], times[row]
        least, equals = _edge(ordered[row], top_p) if len(ordered) else (np.float32(0.0), w.size)
        for i in range(w.size):
            arrived[i] = w[i] / time[i] if w[i] >= least else np.float32(-1.0)
        for i in range(w.size):
            if w[i] == least:
                equals -= 1
                if equals < 0:
                    arrived[i] = np.float32(-1.0)
        first = _largest(arrived)
        winners[row] = 0
        for i in range(w.size):
            if arrived[i] == first:
                winners[row] = i
                break


@_exact
def _edge(ordered: Floats, top_p: np.float32) -> tuple[np.float32, int]:
    """The least probability that stays, and how many that are equal to it do."""
    stay, running = 1, np.float32(0.0)
    for i in range(ordered.size - 1, 0, -1):
        running += ordered[i]
        if not running <= top_p:
            break
        stay += 1
    least = ordered[ordered.size - stay]
    equals = 0
    for i in range(ordered.size - stay, ordered.size):
        if ordered[i] != least:
            break
        equals += 1
    return least, equals
