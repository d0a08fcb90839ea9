"""A weight in panels, for products with some rows: what a step of a few dozen paths is made of.

Such a product is bound by memory and by arithmetic about equally, and a general one does the two in turn: it reads a
part of the weight for its first rows and computes on it for the others. Here the next panel is on its way while this
one is computed on. What numba has no words for (registers of vectors, a prefetch) is written out for LLVM, which makes
of it what the processor has.

A row's sums don't depend on how many other rows there are.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.compiled import AVAILABLE, compiled

Floats = npt.NDArray[np.float32]

COLUMNS: Final = 32
"""Of a panel: two registers of sixteen. Ten rows of them stay in registers, with two of the weight beside them."""
_LANES: Final = 16
_ROWS: Final = 10


def in_panels(weight: Floats) -> Floats:
    """A weight (in, out) as (out / 32, in, 32), flat."""
    inputs, outputs = weight.shape
    return np.ascontiguousarray(weight.reshape(inputs, outputs // COLUMNS, COLUMNS).transpose(1, 0, 2)).reshape(-1)


@compiled()
def multiply(x: Floats, panels: Floats, total: Floats) -> None:
    """total (rows, out) += x (rows, in) · weight, the weight in panels. Arrays are contiguous."""
    inputs = x.shape[1]
    each = inputs * COLUMNS
    count = panels.size // each
    for panel in range(count):
        ahead = min(panel + 1, count - 1) * each
        for row in range(0, len(x), _ROWS):
            half = 0 if row == 0 else inputs * _LANES  # each tile fetches a half of what comes
            _tile(x, row, panels, panel * each, total, panel * COLUMNS, ahead + half)


if AVAILABLE:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    _F32, _I32, _I64, _BYTES = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
    _VECTOR = ir.VectorType(_F32, _LANES)

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def _tile(_: Any, x: Any, row: Any, panels: Any, panel: Any, total: Any, column: Any, ahead: Any) -> Any:
        """Ten rows from `row` and the columns of one panel: total += x · panel; rows past the end repeat the last."""

        def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            of_x, of_panels, of_total = (
                context.make_array(signature.args[at])(context, builder, given[at]) for at in (0, 2, 4)
            )
            row, panel, column, ahead = (given[at] for at in (1, 3, 5, 6))
            rows, inputs = cgutils.unpack_tuple(builder, of_x.shape)
            outputs = cgutils.unpack_tuple(builder, of_total.shape)[1]
            last = builder.sub(rows, _I64(1))

            def vector_at(pointer: Any, offset: int) -> Any:
                return builder.bitcast(builder.gep(pointer, [_I64(offset)]), _VECTOR.as_pointer())

            inputs_of, totals_of, sums = [], [], []
            for number in range(_ROWS):
                at = builder.add(row, _I64(number))
                at = builder.select(builder.icmp_signed("<", at, last), at, last)
                inputs_of.append(builder.gep(of_x.data, [builder.mul(at, inputs)]))
                totals_of.append(builder.gep(of_total.data, [builder.add(builder.mul(at, outputs), column)]))
                starts = [builder.load(vector_at(totals_of[-1], offset), align=4) for offset in (0, _LANES)]
                sums.append([cgutils.alloca_once_value(builder, start) for start in starts])
            weights, coming = (builder.gep(of_panels.data, [at]) for at in (panel, ahead))
            prefetch = _function(builder, "llvm.prefetch.p0i8", ir.VoidType(), [_BYTES, _I32, _I32, _I32])
            multiply_add = _function(builder, f"llvm.fma.v{_LANES}f32", _VECTOR, [_VECTOR] * 3)
            with cgutils.for_range(builder, inputs) as loop:
                here = builder.gep(weights, [builder.mul(loop.index, _I64(COLUMNS))])
                both = [builder.load(vector_at(here, offset), align=4) for offset in (0, _LANES)]
                line = builder.bitcast(builder.gep(coming, [builder.mul(loop.index, _I64(_LANES))]), _BYTES)
                builder.call(prefetch, [line, _I32(0), _I32(2), _I32(1)])  # to read, into the second cache
                for number in range(_ROWS):
                    value = _in_all_lanes(builder, builder.load(builder.gep(inputs_of[number], [loop.index])))
                    for total, weight in zip(sums[number], both, strict=True):
                        builder.store(builder.call(multiply_add, [value, weight, builder.load(total)]), total)
            for number in range(_ROWS):
                for offset, total in zip((0, _LANES), sums[number], strict=True):
                    builder.store(builder.load(total), vector_at(totals_of[number], offset), align=4)
            return context.get_dummy_value()

        return types.void(x, row, panels, panel, total, column, ahead), emit

    def _function(builder: Any, name: str, returns: Any, takes: list[Any]) -> Any:
        return cgutils.get_or_insert_function(builder.module, ir.FunctionType(returns, takes), name)

    def _in_all_lanes(builder: Any, value: Any) -> Any:
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        one = builder.insert_element(nothing, value, _I32(0))
        return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES))
