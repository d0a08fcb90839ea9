"""Patience: which bots in lock-step have not answered for too long."""

from __future__ import annotations

from gnomon.serve.venue.place import Place


class Patience:
    """Looked at now and then, by the wall's clock. Nothing is done to anybody: time stands until the bot answers."""

    def __init__(self, stall_ns: int) -> None:
        self._stall_ns = stall_ns
        self._since: dict[str, tuple[int, int]] = {}  # by run: the wake that waits, and since when

    def forget(self, place: Place) -> None:
        """Nobody waits for it."""
        self._since.pop(place.run_id, None)

    def is_stalled(self, place: Place, wall_ns: int) -> bool:
        """Whether its newest wake has had no answer for that long."""
        n, since_ns = self._since.get(place.run_id, (-1, 0))
        if n != place.n:
            self._since[place.run_id] = place.n, wall_ns
            return False
        return wall_ns - since_ns > self._stall_ns
