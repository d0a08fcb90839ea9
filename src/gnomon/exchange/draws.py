"""Chance on the venue: every draw is a function of what it is for, and every draw is counted.

`u64(component, entity, n) = BLAKE2b(key = seed as 8 bytes LE, person = component, digest 8 bytes,
data = entity u64 LE ‖ n u64 LE)`, read little-endian. Nobody holds a generator, so a draw added elsewhere shifts
nothing and two runs with other parameters meet the same luck.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct
from typing import Final

from gnomon.errors import Invalid
from gnomon.units import INT64_MAX

COMPONENTS: Final = (
    "latency.feed",
    "latency.entry",
    "latency.reply",
    "think",
    "fill",
    "queue",
    "fault",
    "synth",
    "choice",
)
"""All there is to draw for. The order is that of the tallies in a Record."""

U64_MAX: Final = 2**64 - 1
TABLE_POINTS: Final = 1_025
_PAIR = Struct("<QQ")
_BATCH_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a component was drawn for, and the BLAKE2b-256 (person = component) of its (entity, n) in order."""

    component: str
    count: int
    digest: bytes


class _Stream:
    """One component: the keyed state that every draw copies, and what was asked so far."""

    __slots__ = ("asked", "asked_digest", "count", "keyed")

    def __init__(self, seed: int, component: str) -> None:
        person = component.encode("ascii")
        self.keyed = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"), person=person)
        self.asked_digest = hashlib.blake2b(digest_size=32, person=person)
        self.asked = bytearray()
        self.count = 0

    def tally(self, component: str) -> Tally:
        self.asked_digest.update(self.asked)
        self.asked.clear()
        return Tally(component, self.count, self.asked_digest.digest())


class Draws:
    """Draws under one seed (u64), with a tally per component.

    The tally makes a draw that was taken in secret, twice or in another order visible even where results agree.
    """

    __slots__ = ("_streams", "seed")

    def __init__(self, seed: int) -> None:
        if not 0 <= seed <= U64_MAX:
            raise Invalid(f"a seed is an integer from 0 to 2^64 - 1, received {seed}", hint="e.g. 7")
        self.seed = seed
        self._streams: dict[str, _Stream] = {}

    def u64(self, component: str, entity: int, n: int = 0) -> int:
        """An integer in [0, 2^64) that belongs to the n-th draw for this entity (both u64)."""
        if not (0 <= entity <= U64_MAX and 0 <= n <= U64_MAX):
            raise Invalid(f"a draw is for two u64, received entity {entity} and n {n}", hint="count from 0")
        stream = self._streams.get(component)
        if stream is None:
            stream = self._open(component)
        pair = _PAIR.pack(entity, n)
        stream.count += 1
        stream.asked += pair
        if len(stream.asked) >= _BATCH_BYTES:
            stream.asked_digest.update(stream.asked)
            stream.asked.clear()
        state = stream.keyed.copy()
        state.update(pair)
        return int.from_bytes(state.digest(), "little")

    def peek(self, component: str, entity: int, n: int = 0) -> int:
        """The same integer, not yet counted: for what may never be delivered. `note` counts it when it is."""
        stream = self._streams.get(component) or self._open(component)
        state = stream.keyed.copy()
        state.update(_PAIR.pack(entity, n))
        return int.from_bytes(state.digest(), "little")

    def note(self, component: str, entity: int, n: int = 0) -> None:
        """Count a draw that was peeked at."""
        stream = self._streams.get(component) or self._open(component)
        stream.count += 1
        stream.asked += _PAIR.pack(entity, n)
        if len(stream.asked) >= _BATCH_BYTES:
            stream.asked_digest.update(stream.asked)
            stream.asked.clear()

    def below(self, bound: int, component: str, entity: int, n: int = 0) -> int:
        """An integer in [0, bound), for a bound from 1 to 2^64: `(u64 · bound) >> 64`."""
        if not 1 <= bound <= U64_MAX + 1:
            raise Invalid(f"a bound is an integer from 1 to 2^64, received {bound}", hint="draw below at least 1")
        return (self.u64(component, entity, n) * bound) >> 64

    def happens(self, chance: int, component: str, entity: int, n: int = 0) -> bool:
        """Whether an event of probability `chance` (parts of 2^64, 0 to 2^64) happens: `u64 < chance`."""
        if not 0 <= chance <= U64_MAX + 1:
            raise Invalid(f"a chance counts parts of 2^64, received {chance}", hint="2^63 is one half")
        return self.u64(component, entity, n) < chance

    def latency_ns(self, table: LatencyTable, component: str, entity: int, n: int = 0) -> int:
        """A latency from a quantile table."""
        return table.at(self.u64(component, entity, n))

    def tallies(self) -> tuple[Tally, ...]:
        """One per component that was drawn for, in the order of `COMPONENTS`."""
        return tuple(self._streams[one].tally(one) for one in COMPONENTS if self._is_drawn(one))

    def _is_drawn(self, component: str) -> bool:
        stream = self._streams.get(component)
        return stream is not None and stream.count > 0

    def _open(self, component: str) -> _Stream:
        if component not in COMPONENTS:
            raise Invalid(f"no component of chance is called {component!r}", hint="one of " + ", ".join(COMPONENTS))
        self._streams[component] = stream = _Stream(self.seed, component)
        return stream


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """Quantiles at i/1024 for i from 0 to 1024, in ns, never falling; between them linear, in integers."""

    quantiles_ns: tuple[int, ...]

    def __post_init__(self) -> None:
        values = self.quantiles_ns
        if len(values) != TABLE_POINTS:
            raise Invalid(
                f"a latency table has {TABLE_POINTS:,} quantiles, received {len(values):,}",
                hint="the quantiles at 0/1024, 1/1024, … 1024/1024",
            )
        for i, value in enumerate(values):
            lowest = values[i - 1] if i else 0
            if not lowest <= value <= INT64_MAX:
                raise Invalid(
                    f"latency table, quantile {i}: {value} ns, expected {lowest} to 2^63 - 1",
                    hint="quantiles never fall and no latency is negative",
                    detail={"quantile": i, "received": value},
                )

    @property
    def slowest_ns(self) -> int:
        return self.quantiles_ns[-1]

    def at(self, u64: int) -> int:
        """The latency in ns at the quantile u64 / 2^64 (engine.md 10)."""
        i = u64 >> 54
        low = self.quantiles_ns[i]
        return low + (((self.quantiles_ns[i + 1] - low) * ((u64 >> 22) & 0xFFFFFFFF)) >> 32)
