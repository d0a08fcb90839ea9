"""One map, y = x Wᵀ + b, in the precision it was packed with. Activations are float32 whatever the weights are.

| precision  | weights                            | use                                                       |
|------------|------------------------------------|-----------------------------------------------------------|
| `float32`  | as published                       | the default; equals the reference up to the order of sums |
| `bfloat16` | halves, and activations beside them| half the memory; slower where `float32` has its kernels   |
| `int8`     | bytes with a scale an output       | a quarter of the memory; about as fast at one sample      |
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from gnomon import compiled
from gnomon.errors import Unavailable
from gnomon.forecast.kronos import panels
from gnomon.forecast.kronos.panels import Floats

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


_BYTES_AT_ONCE: Final = 64
FEW_ROWS: Final = range(2, 65)
"""With more a general product is as fast."""
FEW_THREADS: Final = 2
"""Panels are multiplied by one thread; a general product by more than these takes less time, if not less work."""
_LIGHT_BYTES: Final = 4 << 20
"""A weight up to here is multiplied before other threads have woken up."""


class Linear:
    """A map of rows (rows, in) to (rows, out).

    A general product arranges a weight anew at every call, which for some twenty rows costs as much as the product
    itself: for these it is kept in panels, where numba is installed, or a large one as PyTorch's own operator wants it.
    """

    __slots__ = ("_packed", "bias", "panels", "weight")

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.T.contiguous()  # (in, out): a fifth faster to read for one row
        self.bias = bias
        self.panels = _in_panels(self.weight)
        self._packed = None if self.panels is not None else _packed(weight)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, precision: Precision) -> Linear:
        """Pack a weight (out, in) and its bias, both of any float type."""
        kinds = {"float32": Linear, "bfloat16": _Half, "int8": _Bytes}
        if precision == "int8" and any(size % _BYTES_AT_ONCE for size in weight.shape):
            precision = "float32"  # the kernel reads whole blocks, past the end of others
        return kinds[precision](weight.float().contiguous(), None if bias is None else bias.float())

    def __call__(self, x: Tensor) -> Tensor:
        if self.panels is not None and self._is_few(x):
            y = x.new_zeros(len(x), self.weight.shape[1]) if self.bias is None else self.bias.repeat(len(x), 1)
            panels.multiply(x.contiguous().numpy(), self.panels, y.numpy())
            return y
        if self._packed is not None and len(x) in FEW_ROWS:
            made: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
            return made
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """total += x Wᵀ + b, in place."""
        if self._packed is not None and len(x) in FEW_ROWS:
            total.add_(self(x))
            return
        if self.bias is not None:
            total.add_(self.bias)
        if self.panels is not None and self._is_few(x):
            panels.multiply(x.contiguous().numpy(), self.panels, total.numpy())
        else:
            total.addmm_(x, self.weight)

    @property
    def nbytes(self) -> int:
        """Bytes of the weight: what a step at one row has to read."""
        return self.weight.nbytes

    def _is_few(self, x: Tensor) -> bool:
        return len(x) in FEW_ROWS and (self.nbytes <= _LIGHT_BYTES or torch.get_num_threads() <= FEW_THREADS)


def _in_panels(weight: Tensor) -> Floats | None:
    if not compiled.AVAILABLE or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    return None if weight.shape[1] % panels.COLUMNS else panels.in_panels(weight.numpy())


_WORTH_PACKING: Final = 1 << 19
_PACKED_FOR_ROWS: Final = 32


def _packed(weight: Tensor) -> Tensor | None:
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or weight.numel() < _WORTH_PACKING:
        return None
    if not (torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.clone(), _PACKED_FOR_ROWS)
    return packed


class _Half(Linear):
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight.bfloat16(), bias)

    def __call__(self, x: Tensor) -> Tensor:
        y = (x.bfloat16() @ self.weight).float()
        return y if self.bias is None else y.add_(self.bias)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total.add_(self(x))


class _Bytes(Linear):
    """Weights as int8, a scale an output row: |error| is at most half a step of the row's largest weight / 127."""

    __slots__ = ("_scale", "_weight")

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        if weight.device.type != "cpu" or not hasattr(torch, "_weight_int8pack_mm"):
            raise Unavailable(
                f"int8 weights on {weight.device.type}: this build of PyTorch has no kernel for them",
                hint="use float32 or bfloat16",
            )
        scale = weight.abs().amax(1).clamp_min(1e-12) / 127
        self._weight = (weight / scale[:, None]).round().to(torch.int8)
        self._scale = scale.bfloat16()
        super().__init__(self._weight, bias)

    def __call__(self, x: Tensor) -> Tensor:
        y = torch._weight_int8pack_mm(x.bfloat16(), self._weight, self._scale).float()
        return y if self.bias is None else y.add_(self.bias)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total.add_(self(x))
