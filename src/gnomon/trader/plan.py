"""What a desk is told of its session before anything happens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.exchange.listing import Listing
from gnomon.exchange.rules import Fees
from gnomon.trader.limits import Limits
from gnomon.trader.sizing import Costs

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Plan:
    """A session as its trader may know it. `digest` is the session's, `entry` the trader's place in it."""

    listings: tuple[Listing, ...]
    start_ns: int
    end_ns: int
    timeframe: Timeframe
    seed: int = 0
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    costs: Costs = field(default_factory=lambda: Costs.of(Fees()))
    limits: Limits = field(default_factory=Limits)
    digest: str = ""
    deployment: str = ""
    entry: int = 0
    id_head: str = field(default="", init=False, repr=False)  # of client ids

    def __post_init__(self) -> None:
        if not self.listings:
            raise Invalid("a session without instruments", hint="name at least one")
        if self.start_ns >= self.end_ns:
            raise Invalid(f"a session from {self.start_ns} to {self.end_ns} ns", hint="it ends after it starts")
        numbers = [one.number for one in self.listings]
        if numbers != list(range(len(numbers))):
            raise Invalid(f"instruments are numbered {numbers}", hint="from 0, in the order of the universe")

        object.__setattr__(self, "id_head", f"g-{self.run}-{base36(self.entry)}-")

    @property
    def run(self) -> str:
        """Ten hex digits: BLAKE2b of the session's digest and the deployment."""
        state = hashlib.blake2b(digest_size=5)
        for part in (self.digest, self.deployment):
            state.update(len(part.encode()).to_bytes(4, "little") + part.encode())
        return state.hexdigest()

    def id_of(self, bar: int, nth: int) -> str:
        """The client id of the order that is the so many-th of a bar, from 1, both in base 36.

        `g-<run>-<entry>-<bar>-<seq>`: the same order of the same session always has the same id; no retry doubles it.
        """
        return f"{self.id_head}{base36(bar)}-{base36(nth)}"

    def bar(self, at_ns: int) -> int:
        """The ordinal of the bar of the session's timeframe that holds an instant."""
        return max(0, at_ns - self.start_ns) // self.timeframe.nominal_ns

    def bar_end_ns(self, bar: int) -> int:
        return self.start_ns + (bar + 1) * self.timeframe.nominal_ns


def base36(value: int) -> str:
    if value < 36:
        return _DIGITS[value]
    digits = ""
    while True:
        value, digit = divmod(value, 36)
        digits = _DIGITS[digit] + digits
        if not value:
            return digits
