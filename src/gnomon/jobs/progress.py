"""How a job tells what it is doing, to whoever asked for it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called often with the units done, the units in all and a few words; a slow callee slows the job."""

    def __call__(self, done: int, total: int, doing: str) -> None: ...


def silent(done: int, total: int, doing: str) -> None:
    """Nobody is watching."""
