"""Watches the ledger grow, so that nothing kept in memory outlives a newer forecast, whoever inserted it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic

from sqlalchemy import Engine, event
from starlette.concurrency import run_in_threadpool

from gnomon.errors import Unavailable
from gnomon.serve.gateway.errors import DATABASE_AWAY
from gnomon.serve.gateway.memory import Slot

log = logging.getLogger("gnomon.gateway")

LOOK_EVERY_S = 0.1
"""How far behind another process's insert an answer from memory may be."""
PATIENCE_S = 0.5
"""How long a reader waits for a look. A database that is away must not silence what is in memory."""


class Watch:
    """Looks at the head of the chain when somebody asks and the last look is a tenth of a second old.

    `grown(since)` runs in a thread and answers with the newest sequence number and the slots issued after `since`
    (None for: everything may have changed). A commit through this process's own engine makes the next look due at once.
    """

    def __init__(
        self,
        engine: Engine,
        grown: Callable[[int | None], tuple[int, Iterable[Slot]]],
        outdated: Callable[[Iterable[Slot]], None],
    ) -> None:
        self._grown = grown
        self._outdated = outdated
        self._seq: int | None = None
        self._looked_at = float("-inf")
        self._commits = self._commits_seen = 0
        self._look: asyncio.Task[None] | None = None
        event.listen(engine, "commit", self._committed)

    def due(self) -> bool:
        """Whether a reader should wait for a look first: one comparison, for the path that must be fast."""
        return self._commits != self._commits_seen or monotonic() - self._looked_at > LOOK_EVERY_S

    async def look(self) -> None:
        """Wait until the head has been read; readers who come together share one look."""
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._read())
        await asyncio.wait({self._look}, timeout=PATIENCE_S)

    async def _read(self) -> None:
        started, commits = monotonic(), self._commits
        try:
            seq, slots = await run_in_threadpool(self._grown, self._seq)
        except (Unavailable, *DATABASE_AWAY) as error:
            log.warning("cannot see whether the ledger has grown: %s", error)
        else:
            if seq != self._seq:
                self._seq = seq
                self._outdated(slots)
        self._looked_at, self._commits_seen = started, commits

    def _committed(self, _connection: object) -> None:
        self._commits += 1  # from any thread; a lost increment still differs from what was seen
