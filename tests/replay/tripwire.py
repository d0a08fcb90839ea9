"""The tripwire: while a run is on, nothing of ours may ask the machine for time, chance, its surroundings or company.

The interpreter tells of every call (`sys.setprofile`), so that a function is seen whatever name it was imported under.
Only calls that code of the package makes count: what a test's trader does is the test's own.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MODULES = {
    *("time", "posix", "nt", "os", "random", "_random", "secrets", "uuid", "_uuid", "socket", "_socket", "select"),
    *("threading", "_thread", "asyncio", "subprocess", "multiprocessing", "_posixsubprocess", "platform", "locale"),
    *("tempfile", "getpass", "zoneinfo", "_zoneinfo", "ssl", "_ssl", "sqlite3", "_io", "io", "_asyncio", "_locale"),
}
DATES = {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"}
BUILTINS = {"open", "input", "__import__", "id", "hash"}


class Tripped(AssertionError):
    """Who asked for what."""


def _module(function: Any) -> str:
    """Where a builtin is from; a method of C belongs to the class that it is bound to."""
    module = getattr(function, "__module__", None)
    owner = getattr(function, "__self__", None)
    if module is None and owner is not None and not isinstance(owner, types.ModuleType):
        module = (owner if isinstance(owner, type) else type(owner)).__module__
    return str(module or "").split(".")[0]


def _is_forbidden(function: Any) -> bool:
    module, name = _module(function), str(getattr(function, "__name__", ""))
    if module == "datetime":
        return name in DATES
    if module == "builtins":
        return name in BUILTINS
    return module in MODULES or (module == "numpy" and "random" in str(getattr(function, "__module__", "")))


def _name(frame: types.FrameType | None) -> str:
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""


def _is_ours(frame: types.FrameType | None) -> bool:
    """A line of the package, not one that a dataclass wrote for it."""
    return frame is not None and _name(frame).startswith("gnomon.") and not frame.f_code.co_filename.startswith("<")


def _look(frame: types.FrameType, event: str, arg: Any) -> None:
    if event == "c_call" and _is_ours(frame) and _is_forbidden(arg):
        raise Tripped(f"{_name(frame)}:{frame.f_lineno} called {_module(arg)}.{arg.__name__}")
    if event == "call" and _is_ours(frame.f_back):
        module = _name(frame)
        is_forbidden = module.split(".")[0] in MODULES or module.startswith("numpy.random")
        if module in ("_collections_abc", "collections.abc"):  # os.environ is a mapping
            is_forbidden = type(frame.f_locals.get("self")).__module__.split(".")[0] in MODULES
        if is_forbidden or (module == "datetime" and frame.f_code.co_name in DATES):
            assert frame.f_back is not None
            raise Tripped(f"{_name(frame.f_back)}:{frame.f_back.f_lineno} called {module}.{frame.f_code.co_name}")


@contextmanager
def tripwire() -> Iterator[None]:
    """Raises `Tripped` at the first call that a run may not make."""
    before = sys.getprofile()
    sys.setprofile(_look)
    try:
        yield
    finally:
        sys.setprofile(before)
