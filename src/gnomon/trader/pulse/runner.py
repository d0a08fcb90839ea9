"""Runner: one bot from its configuration to its exit code.

| exit | meaning |
|---|---|
| 0 | the session has ended, or somebody has told the runtime to stop |
| 1 | the strategy has failed |
| 2 | the configuration is wrong |
| 3 | the venue does not know the key |
| 4 | the venue cannot be reached |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gnomon._version import __version__
from gnomon.clock import Clock
from gnomon.errors import GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.trader.pulse import native, strategies
from gnomon.trader.pulse.barrier import Barrier
from gnomon.trader.pulse.bulletin import Bulletin
from gnomon.trader.pulse.client import Refusal, Rest, Signer, Sleep, Unreached
from gnomon.trader.pulse.config import Config, Missing
from gnomon.trader.pulse.health import Health
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.sockets import Rejected
from gnomon.trader.pulse.tally import Tally
from gnomon.trader.trader import Strategy

DONE, STRATEGY, CONFIGURATION, CREDENTIALS, UNREACHED = range(5)

LAUNCH_S: Final = 120.0
"""How long a session that has not been launched yet is waited for."""

POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went. `document` is what `--json` says."""

    exit: int
    document: dict[str, Any]
    error: Exception | None = None


class Runner:
    """Runs one bot. `is_stopping` is asked between events; `say` tells a person what happens."""

    def __init__(
        self, config: Config, clock: Clock, sleep: Sleep, is_stopping: Callable[[], bool], say: Callable[[str], object],
        instance: str = "",
    ) -> None:  # fmt: skip
        self.config = config
        self._clock = clock
        self._sleep = sleep
        self._is_stopping = is_stopping
        self._say = say
        self._instance = instance
        self.tally = Tally(started_ns=clock.now_ns(), queue_max=config.run.queue_maxsize)
        run = config.run
        self.signer = Signer(run.api_key, run.api_secret, run.recv_window_ms, lambda: clock.now_ns() // 1_000_000)
        self.rest = Rest(run.base_url, self.signer, run.ws_timeout_seconds, sleep, self.tally, clock)
        self.mode = ""
        self.reason = ""
        self.fingerprint = ""

    def run(self) -> Ended:
        """To the end, whichever it is. Nothing is raised but what is a fault of ours."""
        health: Health | None = None
        bulletin: Bulletin | None = None
        code, error = DONE, None
        try:
            if self.config.run.health_port:
                run = self.config.run
                health = Health(run.health_host, run.health_port, self.tally, self._clock, self.status)
                self._say(f"health on {run.health_host}:{health.port}")
            if self.config.telemetry.enabled:
                bulletin = Bulletin(
                    self.config.telemetry, self.rest, self.tally, self._clock, self._who, self._instance
                )  # fmt: skip
                bulletin.start()
            failure = self._trade()
            if failure is not None:
                code, error = STRATEGY, failure
        except GnomonError as raised:
            code, error = exit_of(raised), raised
        finally:
            self.tally.state = "offline"
            if error is not None:
                self._fail(error, code)
            if bulletin is not None:
                bulletin.close()
            if health is not None:
                health.close()
            self.rest.close()
        return Ended(code, self._document(code, error), error)

    def status(self) -> dict[str, Any]:
        """Of `/status`: as telemetry says it."""
        return {"runtime": {"name": "pulse", **self._who()}, **self.tally.document(self._clock.now_ns())}

    # --- inside -------------------------------------------------------------------------------------------------------

    def _trade(self) -> Exception | None:
        self._strategy(None)  # what is wrong with it is said before anything is connected
        facts = self._facts()
        listing = facts.plan.listings[0] if facts is not None else None
        if facts is None and self.config.run.lockstep == "on":
            raise Invalid(
                f"{self.config.run.base_url} has no sessions in lock-step", hint="lockstep = off, or a venue of ours"
            )
        if facts is not None and self.config.run.lockstep != "off":
            self.tally.run = facts.run
            try:
                return self._in_lockstep(facts, self._strategy(listing))
            except Rejected as refused:
                if self.config.run.lockstep == "on" or refused.status in (401, 403):
                    raise
                self._say("the session is not in lock-step: its streams are followed")
        return self._alive()

    def _strategy(self, listing: Any) -> Strategy:
        config = self.config
        found = strategies.load(config.strategy_name, config.strategy, config.strategy_paths, listing)
        self.fingerprint = strategies.fingerprint(config.strategy_name, found)
        return found

    def _facts(self) -> SessionFacts | None:
        """The plan of the session, when it is launched; None where the venue knows no such thing."""
        if self.config.broker.adapter != "gnomon_venue":
            return None
        waited_s = 0.0
        while True:
            try:
                return native.facts_of(self.rest.get(native.PLAN_PATH))
            except Refusal as refused:
                if refused.is_key:
                    raise
                if refused.status != 409:
                    return None
                if waited_s >= LAUNCH_S or self._is_stopping():
                    raise Unreached(f"no session is launched for this key: {refused.msg}", hint="launch it") from None
                if not waited_s:
                    self._say("waiting for the session to be launched")
                self._sleep(POLL_S)
                waited_s += POLL_S

    def _in_lockstep(self, facts: SessionFacts, strategy: Strategy) -> Exception | None:
        barrier = Barrier(
            self.config, facts, strategy, self.signer, self.tally, self._clock, self._sleep, self._is_stopping
        )  # fmt: skip
        self.mode, self.tally.state = "lockstep", "online"
        try:
            barrier.run()
        finally:
            barrier.close()
            self.reason = barrier.client.reason
        return barrier.client.failure

    def _alive(self) -> Exception | None:
        from gnomon.trader.pulse.live import Live
        from gnomon.trader.pulse.market import public_facts

        facts = public_facts(self.rest, self.config, self._clock.now_ns())
        live = Live(
            self.config, facts, self._strategy(facts.plan.listings[0]), self.rest, self.signer, self.tally,
            self._clock, self._sleep, self._is_stopping,
        )  # fmt: skip
        self.mode, self.tally.state = "live", "online"
        try:
            live.run()
        finally:
            live.close()
            self.reason = live.reason
        return live.failure

    def _fail(self, error: Exception, code: int) -> None:
        if code == STRATEGY:
            self.tally.callback_errors += 1
        self.tally.fail(f"{type(error).__name__}: {error}")

    def _who(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "strategy": self.config.strategy_name,
            "fingerprint": self.fingerprint[:16],
            "adapter": self.config.broker.adapter,
        }

    def _document(self, code: int, error: Exception | None) -> dict[str, Any]:
        tally = self.tally
        found: dict[str, Any] = {
            "exit": code,
            "mode": self.mode,
            "run": tally.run,
            "reason": self.reason,
            "wakes": tally.last_wake,
            "events": sum(tally.events.values()),
            "decisions": tally.decisions,
            "orders": sum(tally.orders.values()),
            "fills": tally.fills,
            "reconnects": sum(one.reconnects for one in tally.links.values()),
            "fingerprint": self.fingerprint,
        }
        if isinstance(error, GnomonError):
            found |= error.document()
        elif error is not None:
            found |= {"error": type(error).__name__, "message": str(error)}
        return found


def exit_of(error: GnomonError) -> int:
    """The exit code that an error means before or outside of a callback."""
    if isinstance(error, Missing) or (isinstance(error, Refusal) and error.is_key):
        return CREDENTIALS
    if isinstance(error, Rejected):
        return CREDENTIALS if error.status in (401, 403) else UNREACHED
    if isinstance(error, Unreached):
        return UNREACHED
    if isinstance(error, Invalid | NotFound | Refused):
        return CONFIGURATION
    return UNREACHED if isinstance(error, Unavailable | Refusal) else STRATEGY
