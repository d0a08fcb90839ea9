"""Functions of numbers and arrays, made machine code by numba where the extra `fast` is installed.

numba is optional: where it is absent the functions stay as they are, and `AVAILABLE` says so, for callers that would
rather take another way than an interpreted loop.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

AVAILABLE: Final = importlib.util.find_spec("numba") is not None

SUMS_IN_ANY_ORDER: Final = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""What lets a sum be taken by vectors. Infinities and NaN keep their meaning."""


def compiled(*, sums: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Compile at the first call, keep the machine code beside the source for the next process, release the GIL.

    `sums` are the liberties that float arithmetic may take; by default none: the same bytes as interpreted.
    """

    def decorate(function: F) -> F:
        if not AVAILABLE:
            return function
        import numba

        fastmath = set(sums) if sums else False
        made: F = numba.njit(cache=True, nogil=True, fastmath=fastmath, error_model="numpy")(function)
        return made

    return decorate
