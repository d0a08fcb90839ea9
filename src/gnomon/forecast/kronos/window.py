"""What a step sees once the known tokens no longer fit the context: three rules, named in a forecast's identity.

| rule      | window of step i                                               | is                                 |
|-----------|----------------------------------------------------------------|------------------------------------|
| `exact`   | the last C tokens, computed anew at every step that slides      | the reference's numbers            |
| `capped`  | all of them: the past is cut to C - H + 1 bars, nothing slides  | those of the reference, that past  |
| `rolling` | the last C positions of a cache that nothing computes anew      | others: traces of older bars stay  |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gnomon.errors import Invalid

Window = Literal["exact", "capped", "rolling"]
WINDOWS: tuple[Window, ...] = get_args(Window)


@dataclass(frozen=True, slots=True)
class Rules:
    """How tokens are drawn."""

    horizon_bars: int
    context_bars: int
    window: Window = "exact"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.9

    def past_bars(self, lookback_bars: int) -> int:
        """How many tokens of the past the first step sees."""
        room = self.context_bars - self.horizon_bars + 1 if self.window == "capped" else self.context_bars
        return min(lookback_bars, room)

    def slides(self, past: int, step: int) -> bool:
        """Whether step `step` has to compute its window anew."""
        return self.window == "exact" and past + step > self.context_bars


def check_window(rule: str, horizon_bars: int, context_bars: int) -> Window:
    """The rule, or `Invalid` for an unknown one or a horizon that the context cannot hold."""
    if rule not in WINDOWS:
        raise Invalid(f"window {rule!r}", hint=f"one of {', '.join(WINDOWS)}")
    if horizon_bars < 1 or horizon_bars > context_bars:
        raise Invalid(
            f"a horizon of {horizon_bars} bars with a context of {context_bars}",
            hint=f"1 to {context_bars} bars, or a larger max_context",
        )
    return rule
