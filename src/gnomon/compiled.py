"""Functions of numbers and arrays, made machine code by numba where the extra `fast` is installed.

numba is optional: where it is absent, switched off or broken, the functions stay as they are, and `AVAILABLE` says so,
for callers that would rather take another way than an interpreted loop.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

AVAILABLE: bool
"""Whether functions are compiled. Found out when it is first asked for: that imports numba, which takes a second."""

SUMS_IN_ANY_ORDER: Final = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""What lets a sum be taken by vectors. Infinities and NaN keep their meaning."""

_NEEDED: Final = "numba", "numba.core.cgutils", "numba.extending", "llvmlite.ir"


def compiled(*, sums: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Compile at the first call, keep the machine code for the next process, release the GIL.

    It is kept beside the source or in the user's cache (`NUMBA_CACHE_DIR`), or nowhere, if neither can be written.
    `sums` are the liberties that float arithmetic may take; by default none: the same bytes as interpreted.
    """

    def decorate(function: F) -> F:
        if not _is_available():
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


def __getattr__(name: str) -> bool:
    if name == "AVAILABLE":
        return _is_available()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _is_available() -> bool:
    """Warns where numba is installed and can't be used. Who has not installed it knows."""
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        why = _what_hinders()
    except Exception as error:  # an installed package may fail in any way, most often at a newer NumPy
        why = f"it cannot be imported: {type(error).__name__}: {error}"
    if why:
        warnings.warn(f"numba is not used, which is slower: {why}", RuntimeWarning, stacklevel=3)
    return not why


def _what_hinders() -> str:
    for name in _NEEDED:
        importlib.import_module(name)
    from numba import config

    return "NUMBA_DISABLE_JIT is set" if config.DISABLE_JIT else ""
