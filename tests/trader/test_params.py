"""Parameters: names, ranges, grids and samples."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gnomon.errors import Exhausted, Invalid
from gnomon.trader.params import Range, among, between, build, document, grid, sample


@dataclass(frozen=True)
class Cross:
    fast: int = between(20, 5, 60, 5, aliases=("n1",))
    slow: int = between(50, 10, 200, 10)
    size: str = among("all", "fixed")
    edge: float = between(0.5, 0.0, 1.0, 0.1)
    note: str = "free"

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise Invalid(f"fast {self.fast} is not below slow {self.slow}", hint="fast < slow")


def test_defaults_aliases_and_values_are_taken() -> None:
    assert build(Cross, {}) == Cross()
    assert build(Cross, {"n1": 10, "edge": 0.25, "note": "x"}) == Cross(fast=10, edge=0.25, note="x")
    assert document(build(Cross, {"fast": 10.0}))["fast"] == 10


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"fsat": 5}, "fsat", "fast"),
        ({"fast": 61}, "61", "from 5 to 60"),
        ({"fast": 7.5}, "7.5", "whole"),
        ({"fast": True}, "True", "from 5"),
        ({"fast": "9"}, "'9'", "from 5"),
        ({"fast": float("nan")}, "nan", "from 5"),
        ({"size": "half"}, "half", "'all', 'fixed'"),
        ({"fast": 10, "n1": 10}, "twice", "once"),
        ({"fast": 50}, "not below", "fast < slow"),
        ({"qqq": 1}, "qqq", "one of fast"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_way_out(given: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        build(Cross, given)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_parameter_without_a_default_must_be_given() -> None:
    @dataclass(frozen=True)
    class Needs:
        name: str

    with pytest.raises(Invalid, match="name is missing"):
        build(Needs, {})
    assert build(Needs, {"name": "x"}).name == "x"


def test_a_grid_holds_every_combination_that_the_class_accepts() -> None:
    rows = list(grid(Cross, edge=[0.1, 0.2], size="all"))
    naive = [
        (fast, slow, edge)
        for fast in range(5, 61, 5)
        for slow in range(10, 201, 10)
        for edge in (0.1, 0.2)
        if fast < slow
    ]
    assert [(row["fast"], row["slow"], row["edge"]) for row in rows] == naive
    assert all(isinstance(row["fast"], int) for row in rows)
    with pytest.raises(Invalid, match="fst"):
        list(grid(Cross, fst=1))


def test_a_grid_beyond_the_limit_is_refused_before_it_is_made() -> None:
    @dataclass(frozen=True)
    class Many:
        a: int = between(0, 0, 10_000)
        b: int = between(0, 0, 10_000)

    with pytest.raises(Exhausted, match="100,020,001"):
        next(grid(Many))


def test_a_sample_belongs_to_its_number_and_not_to_how_many_are_drawn() -> None:
    few, many = sample(Cross, 5, seed=7), sample(Cross, 50, seed=7)
    assert many[:5] == few
    assert sample(Cross, 5, seed=8) != few
    assert len({tuple(row.values()) for row in many}) > 40
    for row in many:
        build(Cross, row)
    assert {row["size"] for row in sample(Cross, 20, seed=7, size="fixed")} == {"fixed"}


def test_a_class_that_accepts_nothing_is_said_so() -> None:
    @dataclass(frozen=True)
    class Never:
        a: int = between(0, 0, 9)

        def __post_init__(self) -> None:
            raise Invalid("never", hint="")

    with pytest.raises(Invalid, match="no combination"):
        sample(Never, 1, seed=1)


def test_a_range_counts_from_its_low_end() -> None:
    assert Range(0.0, 0.3, 0.1).values() == (0.0, 0.1, 0.2, 0.3)
    with pytest.raises(Invalid, match="from 2 to 1"):
        Range(2, 1, 1)
