"""Arithmetic of numbers, and of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.trader.calc import calc


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-(2 ** 10) // 3", -342),
        ("round(10 / 3, 2)", 3.33),
        ("max(1, 2.5, abs(-4)) % 3", 1),
        ("sqrt(2) ** 2", pytest.approx(2)),
    ],
)
def test_expressions_of_numbers_have_a_value(expression: str, value: float) -> None:
    assert calc(expression) == value


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_stay_exact(one: int, other: int) -> None:
    assert calc(f"{one} * {other} + {one}") == one * other + one


@pytest.mark.parametrize(
    "expression",
    [
        "", "1 +", "1 / 0", "a", "True", "'x' * 9", "__import__('os')", "(1).real", "[1]", "lambda: 1", "9 ** 9 ** 9",
        "10.0 ** 900", "sqrt(-1)", "min()", "round(1, n=2)", "1 if 2 else 3", "1" * 501,
        "(" * 200 + "1" + ")" * 200 + "+",
    ],
)  # fmt: skip
def test_anything_else_is_refused(expression: str) -> None:
    with pytest.raises(Invalid, match="cannot calculate") as caught:
        calc(expression)
    assert "numbers" in caught.value.hint
