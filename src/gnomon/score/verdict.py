"""Verdicts in words: what an interval of skill allows one to say, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

VerdictKind = Literal["reference", "no_figure", "too_early", "beats", "beaten", "tie"]

MIN_BLOCKS: Final = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The kind for programs, the words for people."""

    kind: VerdictKind
    words: str


THE_REFERENCE: Final = Verdict("reference", "the reference")


def verdict(
    skill: float | None, low: float | None, high: float | None, *, n: int, blocks: float, naive: str = "naive"
) -> Verdict:
    """What may be said of a skill with its 95 % interval, from `n` scored steps in `blocks` independent blocks."""
    if skill is None:
        return Verdict("no_figure", f"no figure: no keys in common with {naive}")
    if blocks < MIN_BLOCKS or low is None or high is None:
        return Verdict("too_early", f"too early to say (n = {n})")
    if low > 0.0:
        return Verdict("beats", f"beats {naive} by {_percent(skill)} % ({_percent(low)} … {_percent(high)})")
    if high < 0.0:
        return Verdict("beaten", f"{naive} beats it by {_percent(-skill)} % ({_percent(-high)} … {_percent(-low)})")
    return Verdict("tie", f"cannot be told from {naive} (n = {n})")


def _percent(share: float) -> str:
    """One decimal, or two digits where that would read 0.0."""
    value = 100.0 * share
    return f"{value:.1f}" if abs(value) >= 0.1 else f"{value:.2g}"
