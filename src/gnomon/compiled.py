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
    """Compile at the first call, keep the machine code for the next process, release the GIL.

    It is kept beside the source or in the user's cache (`NUMBA_CACHE_DIR`), or nowhere, if neither can be written.
    `sums` are the liberties that float arithmetic may take; by default none: the same bytes as interpreted.
    """

    def decorate(function: F) -> F:
        if not AVAILABLE:
            return function
        import numba

        options = {"nogil": True, "fastmath": set(sums) if sums else False, "error_model": "numpy"}
        made: F
        try:
            made = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # there is no place to keep it
            made = numba.njit(**options)(function)
        return made

    return decorate
