"""Flow: why the time of a session moves or stands, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gnomon.replay.session import Status
from gnomon.serve.venue.place import Place


def flow(status: Status, places: Sequence[Place], drive: str, *, is_stepping: bool) -> dict[str, Any]:
    """`state`, with `who` is waited for and for an answer to which `event` (a wake's number).

    `drive` is what the clock that bots share says of itself.
    """
    if status is Status.STARTING:
        return {"state": "starting", "who": [one.bot.name for one in places if not one.is_attached]}
    if status is Status.PAUSED and not is_stepping:
        return {"state": "paused"}
    for one in places:
        if one.stalled and not one.is_over:
            return {"state": "stalled", "who": one.bot.name, "event": one.n}
    for one in places:
        if one.is_busy:
            return {"state": "waiting_bot", "who": one.bot.name, "event": one.n}
    return {"state": drive or "flowing"}
