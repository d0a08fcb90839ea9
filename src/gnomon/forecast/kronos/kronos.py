"""A loaded Kronos: bars in, sample paths out. Any number of calls may run at once; none sees another.

```python
kronos = load_kronos("path/to/Kronos-small", "path/to/Kronos-Tokenizer-base")
paths = kronos.sample(bars, future_timestamps, samples=30, seed=7)  # (30, horizon, 6)
```
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import torch

from gnomon.errors import Exhausted, Invalid, Unavailable
from gnomon.forecast.kronos.bars import Float32Array, Normalised, Series, series_of, stamps
from gnomon.forecast.kronos.config import DEFAULT_CONTEXT_BARS
from gnomon.forecast.kronos.generate import Prompt, decode, draw
from gnomon.forecast.kronos.linear import Precision
from gnomon.forecast.kronos.memory import DEFAULT_BUDGET_BYTES, Gate, Piece, gate_of, halves, pieces
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.packed import PackedDecoder, PackedModel
from gnomon.forecast.kronos.sampling import KeyedLuck, Luck, ReferenceLuck, check_sampling
from gnomon.forecast.kronos.tokenizer import KronosTokenizer
from gnomon.forecast.kronos.window import Rules, Window, check_window

SeedOrder = Literal["keyed", "reference"]
DEFAULT_SAMPLES: Final = 30


@dataclass(frozen=True, slots=True)
class Sampling:
    """How paths are drawn. The defaults are the reference's, but for the number of samples."""

    samples: int = DEFAULT_SAMPLES
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.9
    window: Window = "exact"
    seed_order: SeedOrder = "keyed"

    def check(self, horizon_bars: int, context_bars: int) -> None:
        """`Invalid` for what nothing can be drawn with."""
        check_sampling(self.temperature, self.top_k, self.top_p)
        check_window(self.window, horizon_bars, context_bars)
        if type(self.samples) is not int or self.samples < 1:
            raise Invalid(f"samples {self.samples!r}", hint="a whole number, one or more")
        if self.seed_order not in ("keyed", "reference"):
            raise Invalid(f"seed_order {self.seed_order!r}", hint="keyed or reference")


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Paths of one series (S, H, 6) in the units of its bars, and what had to be done to get them."""

    paths: Float32Array
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Packed:
    model: PackedModel
    decoder: PackedDecoder
    tokenizer: KronosTokenizer


class Kronos:
    """A model with its tokenizer on a device."""

    def __init__(
        self,
        model: KronosModel,
        tokenizer: KronosTokenizer,
        *,
        max_context: int = DEFAULT_CONTEXT_BARS,
        device: str = "cpu",
        precision: Precision = "float32",
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        gate: Gate | None = None,
    ) -> None:
        """`Invalid` for a tokenizer of other tokens. `budget_bytes` bounds the memory of one piece of a call."""
        bits = [(one.config.s1_bits, one.config.s2_bits) for one in (model, tokenizer)]
        if bits[0] != bits[1]:
            raise Invalid(
                f"a model of {bits[0][0]} + {bits[0][1]} bits with a tokenizer of {bits[1][0]} + {bits[1][1]}",
                hint="load the tokenizer that the model was trained with",
            )
        if max_context < 1:
            raise Invalid(f"max_context {max_context}", hint="one bar or more; 512 unless the model knows longer ones")
        self.max_context, self.device, self.precision = max_context, device_of(device), precision
        self.budget_bytes = budget_bytes
        self._gate = gate
        self._model, self._tokenizer = model.eval().requires_grad_(False), tokenizer.eval().requires_grad_(False)
        self._packed: dict[str, _Packed] = {}
        self._lock = threading.Lock()

    def sample(
        self,
        bars: Any,
        future_timestamps: Any,
        samples: int = DEFAULT_SAMPLES,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 0.9,
        seed: int = 0,
        window: Window = "exact",
        seed_order: SeedOrder = "keyed",
    ) -> Any:
        """Raw decoded paths (samples, horizon, 6), float32: open, high, low, close, volume, amount; nothing corrected.

        A list of frames, with a list of their future timestamps, gives a list; their lengths may differ, their horizon
        may not. A path depends on its frame, `seed` and its number, and on nothing that is drawn beside it.
        `seed_order="reference"` draws as the reference implementation does, for comparisons.
        Raises `Invalid` for bars, times or parameters that break a rule, `Exhausted` when memory runs out.
        """
        many = isinstance(bars, (list, tuple))
        frames, futures = (bars, future_timestamps) if many else ([bars], [future_timestamps])
        if len(frames) != len(futures):
            raise Invalid(f"{len(frames)} frames and {len(futures)} lists of times", hint="one list for each frame")
        sampling = Sampling(samples, temperature, top_k, top_p, window, seed_order)
        series = [series_of(frame, times) for frame, times in zip(frames, futures, strict=True)]
        paths = [one.paths for one in self.draw(series, sampling, seed)]
        return paths if many else paths[0]

    def draw(self, series: Sequence[Series], sampling: Sampling, seed: int) -> list[Drawn]:
        """The paths of each series, in order."""
        if not series:
            return []
        horizon = _horizon(series)
        sampling.check(horizon, self.max_context)
        with torch.inference_mode():
            normalised = [Normalised.of(one.bars) for one in series]
            order = sorted(range(len(series)), key=lambda at: len(series[at].bars))
            if sampling.seed_order == "reference" and len({len(one.bars) for one in series}) > 1:
                raise Invalid("the reference draws series of one length", hint='seed_order="keyed", or one call each')
            found = self._in_pieces([(series[at], normalised[at]) for at in order], sampling, seed, horizon)
        answer: list[Drawn] = [found[0]] * len(series)
        for place, at in enumerate(order):
            answer[at] = replace(found[place], paths=normalised[at].prices(found[place].paths))
        return answer

    # --- inside -----------------------------------------------------------------------------------------------------

    def _in_pieces(
        self, given: Sequence[tuple[Series, Normalised]], sampling: Sampling, seed: int, horizon: int
    ) -> list[Drawn]:
        """Normalised paths; a piece that does not fit is halved, and at last drawn on the CPU."""
        rules = Rules(horizon, self.max_context, sampling.window, sampling.temperature, sampling.top_k, sampling.top_p)
        prompts: dict[tuple[int, str], Prompt] = {}

        def prompt(at: int, device: torch.device) -> Prompt:
            key = at, str(device)
            if key not in prompts:
                one, normalised = given[at]
                prompts[key] = self._prompt(one, normalised, device)
            return prompts[key]

        paths = [np.empty((sampling.samples, horizon, 6), np.float32) for _ in given]
        notes: list[str] = []
        lengths = [len(one.bars) for one, _ in given]
        sizes = self._on(self.device).model.sizes
        whole = sampling.seed_order == "reference"
        budget = None if whole else self.budget_bytes
        todo = [(piece, self.device) for piece in pieces(sizes, lengths, sampling.samples, rules, budget)]
        while todo:
            piece, device = todo.pop(0)
            try:
                with self._gate_of(device).hold(piece.nbytes):
                    self._draw_piece(
                        piece, [prompt(at, device) for at in piece.series], given, rules, sampling, seed, paths
                    )
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                smaller = [] if whole else halves(sizes, piece, lengths, rules)
                if smaller:
                    notes.append(f"memory ran out on {device}: drawn in smaller pieces")
                    todo = [(one, device) for one in smaller] + todo
                elif device.type != "cpu":
                    notes.append(f"memory ran out on {device}: drawn on the CPU")
                    todo = [(piece, torch.device("cpu")), *todo]
                else:
                    raise Exhausted(
                        f"not enough memory for {piece.samples[1] - piece.samples[0]} paths of {horizon} bars",
                        hint="a shorter horizon or look-back, or a machine with more memory",
                    ) from error
        told = tuple(dict.fromkeys(notes))
        return [Drawn(one, told) for one in paths]

    def _draw_piece(
        self,
        piece: Piece,
        prompts: Sequence[Prompt],
        given: Sequence[tuple[Series, Normalised]],
        rules: Rules,
        sampling: Sampling,
        seed: int,
        paths: Sequence[Float32Array],
    ) -> None:
        packed = self._on(prompts[0].s1.device)
        first, last = piece.samples
        luck: Luck
        if sampling.seed_order == "reference":
            luck = ReferenceLuck(seed, len(prompts) * (last - first))
        else:
            keys = [given[at][0].key for at in piece.series]
            luck = KeyedLuck(seed, keys, range(first, last), packed.model.vocabularies)
        s1, s2 = draw(packed.model, prompts, last - first, rules, luck)
        for place, (at, one) in enumerate(zip(piece.series, prompts, strict=True)):
            bars = decode(packed.decoder, one, s1[place], s2[place], rules.context_bars)
            paths[at][first:last] = bars.cpu().numpy()

    def _prompt(self, series: Series, normalised: Normalised, device: torch.device) -> Prompt:
        tokenizer = self._on(device).tokenizer
        s1, s2 = tokenizer.encode(torch.from_numpy(normalised.x).unsqueeze(0).to(device))
        return Prompt(s1[0], s2[0], torch.from_numpy(stamps(series.local_ns)).to(device))

    def _on(self, device: torch.device) -> _Packed:
        """The weights on a device: packed when they are first wanted there."""
        key = str(device)
        with self._lock:
            if key not in self._packed:
                precision = self.precision
                model, tokenizer = _copied(self._model, device), _copied(self._tokenizer, device)
                self._packed[key] = _Packed(PackedModel(model, precision), PackedDecoder(tokenizer), tokenizer)
            return self._packed[key]

    def _gate_of(self, device: torch.device) -> Gate:
        return self._gate or gate_of(str(device))


def _copied(module: Any, device: torch.device) -> Any:
    """The module itself on the CPU, a copy elsewhere."""
    if device.type == "cpu":
        return module
    made = type(module)(module.config)
    made.load_state_dict(module.state_dict())
    return made.to(device).eval().requires_grad_(False)


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a type for it on CUDA alone; the CPU's and MPS's allocators say it in words."""
    said = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(one in str(error) for one in said)


def _horizon(series: Sequence[Series]) -> int:
    horizons = {one.horizon_bars for one in series}
    if len(horizons) != 1:
        raise Invalid(
            f"horizons of {', '.join(map(str, sorted(horizons)))} bars in one call",
            hint="as many future_timestamps for every frame; look-backs may differ",
        )
    return horizons.pop()


def device_of(name: str) -> torch.device:
    """The device of a name. `Invalid` for no such name, `Unavailable` where this machine has none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Invalid(f"no device {name!r}", hint="cpu, cuda, cuda:1, mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise Unavailable(f"no device {name!r} on this machine", hint='device="cpu"')
    return device
