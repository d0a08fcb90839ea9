"""Which rows break which rule: the first rule that a row breaks is the one it is reported for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gnomon.sources.files.numbers import Flags
from gnomon.sources.files.rejects import Reject
from gnomon.sources.files.table import Column, Table
from gnomon.units import IntArray


@dataclass(slots=True)
class Faults:
    """Collected while a table is checked; rules are numbered from 1 in the order they were added."""

    table: Table
    _rule: IntArray = field(init=False)
    _rules: list[tuple[str, tuple[str, ...]]] = field(init=False, default_factory=list)
    _spelled: dict[str, Column] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._rule = np.zeros(len(self.table), np.int64)

    @property
    def good(self) -> Flags:
        """Rows without a fault so far."""
        return np.asarray(self._rule == 0)

    def add(self, bad: Flags | IntArray, rule: str, *columns: str) -> None:
        """Mark rows (a mask or indices) as breaking a rule; the columns are what to show of them."""
        if not (bad.any() if bad.dtype == np.bool_ else len(bad)):
            return
        self._rules.append((rule, columns))
        mask = np.zeros(len(self._rule), np.bool_)
        mask[bad] = True
        self._rule[mask & (self._rule == 0)] = len(self._rules)

    def count(self) -> int:
        return int((self._rule != 0).sum()) + len(self.table.broken)

    def rejects(self, file: str, limit: int | None = None) -> list[Reject]:
        """The bad rows in the order of the file, the first `limit` of them."""
        rows = np.flatnonzero(self._rule)
        found = [self._reject(file, int(row)) for row in (rows if limit is None else rows[:limit])]
        found += [Reject(file, one.line, one.value, one.rule) for one in self.table.broken[:limit]]
        return sorted(found, key=lambda one: one.line)[:limit]

    def _reject(self, file: str, row: int) -> Reject:
        rule, columns = self._rules[int(self._rule[row]) - 1]
        cells = [(name, self._cell(name, row)) for name in columns if name in self.table.columns]
        value = cells[0][1] if len(cells) == 1 else " ".join(f"{name}={cell}" for name, cell in cells)
        if self.table.shared_lines and columns != ("time",):
            rule = f"{rule} (bar {self._cell('time', row)})"
        return Reject(file, int(self.table.lines[row]), value, rule)

    def _cell(self, name: str, row: int) -> str:
        """What stands in a cell, as the file spells it where that can be had."""
        if name not in self._spelled:
            text = self.table.text
            self._spelled[name] = self.table.columns[name] if text is None else text(name)
        value = self._spelled[name][row]
        value = value.as_py() if hasattr(value, "as_py") else value.item() if hasattr(value, "item") else value
        return "nothing" if value is None or value == "" else repr(value)
