"""One map in three precisions."""

from __future__ import annotations

import pytest
import torch
from tests.forecast.kronos.conftest import arithmetic

from gnomon.forecast.kronos.linear import PRECISIONS, Linear


def maps(out: int = 128, width: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    luck = torch.Generator().manual_seed(1)
    return tuple(torch.randn(shape, generator=luck) for shape in ((out, width), (out,), (7, width)))


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("with_bias", [True, False])
def test_float32_is_the_map_itself(rows: int, with_bias: bool) -> None:
    weight, bias, x = maps()
    wanted = torch.nn.functional.linear(x[:rows], weight, bias if with_bias else None)
    packed = Linear.of(weight.double(), bias.double() if with_bias else None, "float32")
    assert torch.allclose(packed(x[:rows]), wanted, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_adding_to_a_sum_is_adding_the_map(precision: str) -> None:
    weight, bias, x = maps()
    packed = Linear.of(weight, bias, precision)
    total = torch.ones(7, 128)
    packed.add_to(total, x)
    assert torch.allclose(total, packed(x) + 1, atol=1e-5)


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("int8", 0.03)])
def test_lower_precision_errs_by_its_step_and_holds_fewer_bytes(precision: str, most: float) -> None:
    weight, bias, x = maps()
    exact, packed = (Linear.of(weight, bias, one) for one in ("float32", precision))
    error = (packed(x) - exact(x)).norm() / exact(x).norm()
    assert 0 < float(error) < most
    assert packed.nbytes == exact.nbytes // {"bfloat16": 2, "int8": 4}[precision]


def test_bytes_are_used_where_their_kernel_reads_whole_blocks_alone() -> None:
    weight, bias, x = maps(40, 24)
    packed = Linear.of(weight, bias, "int8")
    assert torch.equal(packed(x), Linear.of(weight, bias, "float32")(x))


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("rows", [1, 2, 3, 10, 20, 64, 65])
def test_a_large_map_is_the_same_for_few_rows_and_for_many(rows: int, threads: int, is_compiled: bool) -> None:
    luck = torch.Generator().manual_seed(2)
    weight, bias = torch.randn(2048, 640, generator=luck), torch.randn(2048, generator=luck)
    x = torch.randn(rows, 640, generator=luck)
    wanted = (x.double() @ weight.double().T + bias.double()).float()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with arithmetic(is_compiled):
            packed = Linear.of(weight, bias, "float32")
            assert torch.allclose(packed(x), wanted, atol=3e-4)
            total = torch.ones(rows, 2048)
            packed.add_to(total, x)
            assert torch.allclose(total, wanted + 1, atol=3e-4)
    finally:
        torch.set_num_threads(before)
