"""The one door for chance: randomness is keyed by identity, not by turn.

`key = BLAKE2b(seed, component, parts…)`. Two computations that name the same thing share their luck, whatever else runs
beside them and in whatever order.
"""

from __future__ import annotations

import hashlib

import numpy as np

_UNIT = 2.0**-53


def digest(seed: int, component: str, *parts: str | int) -> bytes:
    """32 bytes that depend on every argument; parts are length-prefixed, so ("ab", "c") differs from ("a", "bc")."""
    state = hashlib.blake2b(digest_size=32)
    for part in (seed, component, *parts):
        encoded = f"{type(part).__name__[0]}{part}".encode()
        state.update(len(encoded).to_bytes(4, "little"))
        state.update(encoded)
    return state.digest()


def uniform(seed: int, component: str, *parts: str | int) -> float:
    """One number in [0, 1) with 53 random bits."""
    return (int.from_bytes(digest(seed, component, *parts)[:8], "little") >> 11) * _UNIT


def generator(seed: int, component: str, *parts: str | int) -> np.random.Generator:
    """A counter-based generator (Philox) that belongs to the named thing alone."""
    key = np.frombuffer(digest(seed, component, *parts)[:16], dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key))
