"""A bystander: somebody without a key, to whom a session is a market and nothing else."""

from __future__ import annotations

from typing import Any, Protocol

from gnomon.errors import Conflict
from gnomon.replay.run import RunPlan


class Watched(Protocol):
    """A session, as far as anybody may see it."""

    @property
    def now_ns(self) -> int: ...

    @property
    def any_plan(self) -> RunPlan: ...

    @property
    def any_exchange(self) -> Any: ...


class Bystander:
    """A course without an account, where nothing is sent. Each address has its own, for the weights that are counted at
    its gate."""

    account = None

    def __init__(self, session: Watched) -> None:
        self.session = session
        self.gate: Any = None

    @property
    def now_ns(self) -> int:
        return self.session.now_ns

    @property
    def plan(self) -> RunPlan:
        return self.session.any_plan

    @property
    def ground(self) -> Any:
        return self.plan.ground

    @property
    def exchange(self) -> Any:
        return self.session.any_exchange

    def send(self, *_: Any) -> int:
        raise Conflict("nobody's orders", hint="sign with a bot's key")

    def client(self, _: str) -> int:
        return 0
