"""The tree of errors. Every refusal says what was received, what was expected and what to do next.

    GnomonError
    ├── NotFound      the thing named does not exist (a nearest name is offered where there is one)
    ├── Invalid       the input breaks a rule that the caller can mend
    ├── Conflict      the input contradicts what is already stored
    ├── Refused       the rule forbids it, whatever the input (an append-only ledger, a look-ahead)
    ├── Unavailable   not now: a dependency, a database or a model is not there; trying again may help
    └── Exhausted     a limit, a budget or a queue is full

Bugs are `assert`; the world is one of these. Nothing returns `None` to say that it broke.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Conflict", "Exhausted", "GnomonError", "Invalid", "NotFound", "Refused", "Unavailable", "nearest"]


class GnomonError(Exception):
    """The root: a message for people, a hint that says what to do next, a detail for programs."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail: dict[str, Any] = dict(detail or {})

    def document(self) -> dict[str, Any]:
        """The one outside shape: `{error, message, hint, detail}`."""
        return {"error": self.code, "message": self.message, "hint": self.hint, "detail": self.detail}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.detail))


def _rebuild(kind: type[GnomonError], message: str, hint: str, detail: dict[str, Any]) -> GnomonError:
    return kind(message, hint=hint, detail=detail)


class NotFound(GnomonError):
    """The thing named does not exist."""

    code = "not_found"


class Invalid(GnomonError):
    """The input breaks a rule that the caller can mend."""

    code = "invalid"


class Conflict(GnomonError):
    """The input contradicts what is already stored."""

    code = "conflict"


class Refused(GnomonError):
    """The rule forbids it, whatever the input."""

    code = "refused"


class Unavailable(GnomonError):
    """Not now; trying again may help."""

    code = "unavailable"


class Exhausted(GnomonError):
    """A limit, a budget or a queue is full."""

    code = "exhausted"


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """The known names closest to `name`, case ignored, best first; empty where none is close."""
    by_lower = {one.lower(): one for one in known}
    return [by_lower[hit] for hit in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)]
