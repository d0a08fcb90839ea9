"""One map, y = x Wᵀ + b, in the precision it was packed with. Activations are float32 whatever the weights are.

| precision  | weights                            | use                                                       |
|------------|------------------------------------|-----------------------------------------------------------|
| `float32`  | as published                       | the default; equals the reference up to the order of sums |
| `bfloat16` | halves, and activations beside them| many samples, where the processor has such arithmetic     |
| `int8`     | bytes with a scale an output       | one sample: a step reads a quarter of the bytes           |
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from gnomon.errors import Unavailable

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


_BYTES_AT_ONCE: Final = 64


_FEW_ROWS: Final = range(4, 129)
_WORTH_PACKING: Final = 1 << 19


class Linear:
    """A map of rows (rows, in) to (rows, out).

    A general product packs a weight anew at every call, which for some twenty rows costs as much as the product itself.
    A large weight is packed once for these, by a private operator of PyTorch where there is one.
    """

    __slots__ = ("_bias", "_few", "_turned")

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._turned = weight.T.contiguous()  # (in, out): a fifth faster to read for one row
        self._bias = bias
        self._few = _packed(weight)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, precision: Precision) -> Linear:
        """Pack a weight (out, in) and its bias, both of any float type."""
        kinds = {"float32": Linear, "bfloat16": _Half, "int8": _Bytes}
        if precision == "int8" and any(size % _BYTES_AT_ONCE for size in weight.shape):
            precision = "float32"  # the kernel reads whole blocks, past the end of others
        return kinds[precision](weight.float().contiguous(), None if bias is None else bias.float())

    def __call__(self, x: Tensor) -> Tensor:
        if self._few is not None and len(x) in _FEW_ROWS:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._few, self._bias, "none", [], "")
            return y
        return x @ self._turned if self._bias is None else torch.addmm(self._bias, x, self._turned)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """total += x Wᵀ + b, in place."""
        if self._few is not None and len(x) in _FEW_ROWS:
            total.add_(self(x))
            return
        if self._bias is not None:
            total.add_(self._bias)
        total.addmm_(x, self._turned)

    @property
    def nbytes(self) -> int:
        """Bytes of the weight: what a step at one row has to read."""
        return self._turned.nbytes


def _packed(weight: Tensor) -> Tensor | None:
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or weight.numel() < _WORTH_PACKING:
        return None
    if not (torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.clone(), _FEW_ROWS[len(_FEW_ROWS) // 4])
    return packed


class _Half(Linear):
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight.bfloat16(), bias)

    def __call__(self, x: Tensor) -> Tensor:
        y = (x.bfloat16() @ self._turned).float()
        return y if self._bias is None else y.add_(self._bias)

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
        return y if self._bias is None else y.add_(self._bias)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total.add_(self(x))
