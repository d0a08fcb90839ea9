"""Listen keys: the old way to the user stream. Off at the real venue since February 2026, and here unless asked for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from gnomon.clock import Clock
from gnomon.serve.venue import codes
from gnomon.serve.venue.keys import Key
from gnomon.serve.venue.routes import USER_STREAM_START, USER_STREAM_STOP
from gnomon.units import MINUTE_NS

LIFE_NS: Final = 60 * MINUTE_NS
KEY_BYTES: Final = 48  # 64 characters


class ListenKeys:
    """The listen keys of one door; their life runs on wall time."""

    __slots__ = ("_clock", "_ends", "is_on")

    def __init__(self, is_on: bool, clock: Clock) -> None:
        self.is_on = is_on
        self._clock = clock
        self._ends: dict[str, tuple[Key, int]] = {}

    def answer(self, method: str, key: Key, params: Mapping[str, str]) -> dict[str, Any]:
        """Start, extend or stop; -1020 with status 410 where they are off, -1125 for one that is not there."""
        if not self.is_on:
            raise codes.switched_off()
        now_ns = self._clock.now_ns()
        self._ends = {name: one for name, one in self._ends.items() if one[1] > now_ns}
        if method == USER_STREAM_START:
            listen_key = self._of_bot(key) or secrets.token_urlsafe(KEY_BYTES)
            self._ends[listen_key] = (key, now_ns + LIFE_NS)
            return {"listenKey": listen_key}
        name = params.get("listenKey")
        if not name:
            raise codes.mandatory("listenKey")
        found = self._ends.get(name)
        if found is None or found[0].bot != key.bot:
            raise codes.no_such_listen_key()
        if method == USER_STREAM_STOP:
            del self._ends[name]
        else:
            self._ends[name] = (key, now_ns + LIFE_NS)
        return {}

    def key_of(self, name: str) -> Key | None:
        """Whose stream a listen key opens; None for a name that is no live listen key."""
        found = self._ends.get(name)
        return found[0] if found is not None and found[1] > self._clock.now_ns() else None

    def _of_bot(self, key: Key) -> str:
        """A second start gives the same key and extends its life, as at the venue."""
        return next((name for name, (owner, _) in self._ends.items() if owner.bot == key.bot), "")
