"""Ids of runs and sweeps: a prefix and a ULID, so that ids sort by when they were made."""

from __future__ import annotations

import secrets
from typing import Final

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: none that can be taken for another
_RANDOM_BITS: Final = 80
_LENGTH: Final = 26


def new_id(prefix: str, now_ns: int) -> str:
    """`run_01K9…`: 48 bits of milliseconds and 80 of chance in base 32."""
    value = (now_ns // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    digits = "".join(_DIGITS[(value >> 5 * place) & 31] for place in reversed(range(_LENGTH)))
    return f"{prefix}_{digits}"
