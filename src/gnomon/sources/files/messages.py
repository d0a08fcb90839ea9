"""Fields of the messages of exchanges: whole numbers that fit, stamps in milliseconds, levels of a book."""

from __future__ import annotations

from typing import Any, Final

_LARGEST: Final = 2**62
_MS: Final = 1_000_000


def whole(value: Any) -> int:
    """A whole number that int64 holds; `ValueError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        raise ValueError("not a whole number that fits")
    return value


def nanoseconds(milliseconds: Any) -> int:
    """The instant of a stamp in milliseconds; `ValueError` where it is none."""
    return whole(whole(milliseconds) * _MS)


def levels_of(levels: Any) -> list[tuple[str, str]]:
    """Price and size of each level as they are spelled; `ValueError` where one is no pair."""
    if not isinstance(levels, list) or any(not isinstance(level, list) or len(level) != 2 for level in levels):
        raise ValueError("not a list of pairs")
    return [(str(price), str(size)) for price, size in levels]
