"""A conductor that moves the row of its session and nothing else, for tests of what is asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gnomon.clock import parse_instant
from gnomon.serve.venue.control import Conductor
from gnomon.store.sessions import SessionStore, StoredSession

START_NS = parse_instant("2025-03-01")
SLOW = 10**9
"""Looks at a session whose step to an instant is not over."""


class RowConductor:
    """Moves its row; attached as soon as it starts. `asked` is what it was asked for."""

    def __init__(self, sessions: SessionStore, session: str) -> None:
        self._sessions, self._session = sessions, session
        self.asked: list[tuple[Any, ...]] = []
        self.looks = 0  # at a session that steps, until it is there: what a bot's thinking time would be

    def _act(self, *actions: str) -> None:
        self.asked.append(actions)
        for one in actions:
            self._sessions.act(self._session, one, 100)

    def start(self) -> None:
        self._act("start", "attached")

    def pause(self) -> None:
        self._act("pause")

    def resume(self) -> None:
        self._act("resume")

    def stop(self) -> None:
        self._act("stop")

    def step(self, *, events: int = 0, by_ns: int = 0, to_ns: int | None = None) -> None:
        self.asked.append(("step", events, by_ns, to_ns))
        self.looks = SLOW if to_ns else 3

    def seek(self, to_ns: int, mode: str) -> None:
        self.asked.append(("seek", to_ns, mode))

    def set_pace(self, pace: str) -> None:
        self.asked.append(("pace", pace))

    def state(self) -> dict[str, Any]:
        return {
            "status": str(self._sessions.get(self._session).status),
            "clock": {"now": str(START_NS), "progress": 0.5},
            "flow": {"state": "flowing", "since": "2025-03-01T00:00:00Z"},
            "stepping": self._is_stepping(),
        }

    def _is_stepping(self) -> bool:
        self.looks -= self.looks > 0
        return self.looks > 0


class Rows:
    def __init__(self, sessions: SessionStore) -> None:
        self._sessions = sessions
        self.made: dict[str, RowConductor] = {}
        self.forgotten: list[tuple[str, list[str]]] = []

    def find(self, session: str) -> Conductor | None:
        return self.made.get(session)

    def open(self, session: StoredSession) -> Conductor:
        return self.made.setdefault(session.id, RowConductor(self._sessions, session.id))

    def forget(self, session: str, runs: Sequence[str]) -> None:
        self.made.pop(session, None)
        self.forgotten.append((session, list(runs)))

    def live(self) -> Sequence[str]:
        return [one.id for one in self._sessions.live()]
