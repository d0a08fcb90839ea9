"""Figures as calendars print them: `3.2%`, `187K`, `-0.1`, `$1.24B`, `1,234`, and nothing for none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from gnomon.errors import Invalid

_NOTHING: Final = frozenset({"", "-", "--", "n/a", "na", "none", "null", "nan", "tentative", "."})
_FIGURE: Final = re.compile(
    r"(?P<sign>[+-]?)(?:[$€£¥]|US\$|C\$|A\$)?(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
    r"\s?(?P<suffix>%|[KMBT]|bps?|pp)?",
    re.IGNORECASE,
)
_THOUSANDS: Final = {"K": 0, "M": 1, "B": 2, "T": 3}
_UNITS: Final = {"percent": "%", "pct": "%", "thousand": "K", "thousands": "K", "million": "M", "billion": "B"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as written, and its unit: `%`, `K`, `M`, `B`, `T`, `bp`, `pp`, or "" where none stands with it."""

    value: Decimal
    unit: str = ""


def read_figure(cell: Any) -> Figure | None:
    """The figure of a cell (text or a number of JSON); None for an empty one. Raises `Invalid` for anything else."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(cell).strip().replace("−", "-")  # a minus sign of typographers
    if text.lower() in _NOTHING:
        return None
    match = _FIGURE.fullmatch(text)
    if not isinstance(cell, bool) and match is not None:
        suffix = match["suffix"] or ""
        unit = suffix.upper() if suffix.upper() in _THOUSANDS else suffix.lower().removesuffix("s")
        return Figure(Decimal(match["sign"] + match["digits"].replace(",", "")), unit)
    if isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell):
        return Figure(Decimal(str(cell)))
    raise Invalid(f"{cell!r} is not a figure", hint="a number, with %, K, M, B or T behind it where it has a unit")


def unit_name(text: str) -> str:
    """A unit as it is kept: `%` of `percent`, `K` of `thousands`; others as written."""
    word = text.strip()
    return word.upper() if word.upper() in _THOUSANDS else _UNITS.get(word.lower(), word)


def in_one_unit(figures: Sequence[Figure | None], unit: str) -> tuple[list[float | None], str]:
    """The values in one unit, and the unit: `unit` where it is said, else the first that stands with a figure.

    Thousands, millions, billions and trillions are turned into each other. Raises `Invalid` where units do not mix.
    """
    common = unit_name(unit) or next((one.unit for one in figures if one is not None and one.unit), "")
    return [None if one is None else _convert(one, common) for one in figures], common


def _convert(figure: Figure, unit: str) -> float:
    if not figure.unit or figure.unit == unit:
        return float(figure.value)
    if figure.unit in _THOUSANDS and unit in _THOUSANDS:
        return float(figure.value.scaleb(3 * (_THOUSANDS[figure.unit] - _THOUSANDS[unit])))
    if figure.unit in _THOUSANDS and unit.lower() in ("persons", "people", "jobs"):
        return float(figure.value.scaleb(3 * (_THOUSANDS[figure.unit] + 1)))
    raise Invalid(
        f"{figure.value}{figure.unit} in a row whose unit is {unit!r}", hint="write all figures of a row in one unit"
    )
