"""The verb that certifies a run: `certify`, and how a bot of the wire is started again for it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from gnomon.cli.sessions import Venue, address_of, ask, bots_of
from gnomon.cli.verb import Json, app, opened, verb
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Unavailable
from gnomon.terminal import say, show_json

if TYPE_CHECKING:
    from gnomon.jobs.certify import Certification, Loops, Repeat
    from gnomon.jobs.sessions import Seat
    from gnomon.market.instrument import Instruments
    from gnomon.settings import Settings
    from gnomon.store.runs import StoredRun
    from gnomon.store.store import Store

POLL_S: Final = 0.1
GRACE_S: Final = 10.0
"""A bot that knows when its session is over has so long to end by itself."""
SAID_CHARACTERS: Final = 2_000
OVER: Final = ("completed", "stopped", "failed")


@app.command()
@verb
def certify(
    run: Annotated[str, typer.Argument(help="A run: its id, the beginning of it, or of its fingerprint.")],
    repeats: Annotated[int, typer.Option("--repeats", help="Equal runs that are asked for, this one included.")] = 2,
    command: Annotated[
        str, typer.Option("--command", help="Of a bot on the wire: what starts it, e.g. 'python bot.py'.")
    ] = "",
    config: Annotated[
        Path | None, typer.Option("--config", help="Instead of --command: the configuration of a bot that Pulse runs.")
    ] = None,
    venue: Venue = "",
    timeout_s: Annotated[float, typer.Option("--timeout", min=1.0, help="Seconds that one run may take.")] = 600.0,
    as_json: Json = False,
) -> None:
    """Run a run's closed loop again, its trader included, and label the run by how often its four digests came back.

    Exit 0 certified, 1 not, 2 cannot be checked.
    """
    from gnomon.cli.replay import labels_of, replays_of
    from gnomon.jobs.certify import Certifier
    from gnomon.store.sessions import SessionStore

    settings, store, configured = opened()
    replays = replays_of()
    stored = replays.runs.find(run)
    loops = _loops(settings, store, configured, stored, _started_by(command, config), venue, timeout_s)
    certifier = Certifier(replays, labels_of(replays), SessionStore(store.engine))
    found = certifier.certify(stored, repeats, loops)
    _show(stored, found, as_json)
    if found.standing.label != "certified":
        raise typer.Exit(int(found.verification.outcome) or 1)


def _show(stored: StoredRun, found: Certification, as_json: bool) -> None:
    if as_json:
        checked = {"outcome": found.verification.outcome.name, "steps": list(found.verification.steps)}
        more = {"verification": checked, "differences": list(found.differences), "next": found.next}
        show_json({"run": stored.id, "fingerprint": stored.fingerprint, "label": found.standing.row(), **more})
        return
    say(f"{stored.id}: {found.standing.words}", f"  fingerprint {stored.fingerprint}")
    say(*(f"  {one}" for one in (*found.differences, *filter(None, [found.next]))))


def _started_by(command: str, config: Path | None) -> list[str]:
    """The words of the process that is the bot; none where nobody said."""
    if command and config is not None:
        raise Invalid("--command and --config both say what starts the bot", hint="one of them")
    if config is None:
        return shlex.split(command)
    if not config.is_file():
        raise NotFound(f"no configuration {config}", hint="see docs/pulse.md for one to begin with")
    return [sys.executable, "-m", "gnomon.cli", "pulse", "run", "--config", str(config)]


def _loops(
    settings: Settings,
    store: Store,
    configured: Instruments,
    stored: StoredRun,
    words: Sequence[str],
    venue: str,
    timeout_s: float,
) -> Loops | None:
    """What runs the closed loop of this run again; None where nobody has said what starts its bot."""
    from gnomon.compat.named import trader_of
    from gnomon.jobs.certify import InProcess
    from gnomon.replay.session import Drive, Session

    if Session.parse(stored.spec).drive is not Drive.IN_PROCESS:
        return OnTheWire(settings, store, configured, tuple(words), venue, timeout_s) if words else None
    if words:
        raise Invalid(
            f"{stored.id} ran in process: {stored.trader} is run again by itself", hint="without --command and --config"
        )
    return InProcess(settings.url, settings.root, configured, trader_of)


@dataclass(frozen=True, slots=True)
class OnTheWire:
    """`Loops` of a bot in a process of its own: started again and again against a fresh session of the same text.

    It is told where and who it is by its environment: `GNOMON_VENUE_URL` and `GNOMON_VENUE_WS_URL` of the session,
    `GNOMON_API_KEY` and `GNOMON_API_SECRET`, and what Pulse calls these four.
    """

    settings: Settings
    store: Store
    configured: Instruments
    words: tuple[str, ...]
    venue: str
    timeout_s: float

    def again(self, stored: StoredRun, n: int) -> Sequence[Repeat]:
        session, seat, base_url = self._fresh(stored)
        environment = {**os.environ, **told(base_url, seat)}
        return [self._once(session, environment) for _ in range(n)]

    def _fresh(self, stored: StoredRun) -> tuple[str, Seat, str]:
        """A session of the run's text in which the run's entry alone has a bot, that bot, and where it connects."""
        from gnomon.jobs.sessions import create, wired
        from gnomon.jobs.stage import stage_of
        from gnomon.wallclock import WallClock

        now_ns = WallClock().now_ns()
        text, session = wired(stored.spec)
        bots = bots_of(self.settings, self.store.engine)
        stage = stage_of(self.store, self.configured, session, stored.counts.get("frozen_seq"))
        created = create(self.store, bots, text, session, stage, now_ns, self.settings.session_ports)
        for seat in created.seats:
            if seat.name != stored.entry:
                bots.unbind(seat.bot, now_ns)
        mine = next((one for one in created.seats if one.name == stored.entry), None)
        if mine is None:
            raise NotFound(f"its session has no entry {stored.entry!r}", hint="its bot was bound by another name")
        return created.session.id, mine, address_of(self.settings, created.session.id, created.session.port)

    def _once(self, session: str, environment: dict[str, str]) -> Repeat:
        from gnomon.jobs.certify import Repeat, four
        from gnomon.store.runs import RunStore

        ask(self.settings, self.venue, "POST", f"sessions/{session}/start")
        with tempfile.TemporaryFile() as said:
            try:
                bot = subprocess.Popen(self.words, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            except OSError as error:
                self._stop(session)
                raise NotFound(f"{self.words[0]} cannot be started: {error}", hint="the words of --command") from None
            try:
                shown = self._over(session, bot, said)
            finally:
                bot.kill()
                bot.wait()
        place = shown["runs"][-1]
        stored = RunStore(self.store.engine).find(place["run"])
        return Repeat(four(stored), stored.id, place["tier"])

    def _over(self, session: str, bot: subprocess.Popen[bytes], said: IO[bytes]) -> Any:
        """The session once it is over. `Exhausted` where that takes too long, `Unavailable` where its bot has gone."""
        until, left_s = time.monotonic() + self.timeout_s, 0.0
        while (shown := self._shown(session))["status"] not in OVER:
            now = time.monotonic()
            left_s = left_s or (now if bot.poll() is not None else 0.0)
            if now > until or (left_s and now > left_s + GRACE_S):
                self._stop(session)
                raise self._gone(bot, said)
            time.sleep(POLL_S)
        if shown["runs"][-1]["tier"] != "unmodified":  # that one goes on for ever
            with suppress(subprocess.TimeoutExpired):
                bot.wait(GRACE_S)
        return shown

    def _gone(self, bot: subprocess.Popen[bytes], said: IO[bytes]) -> GnomonError:
        if bot.poll() is None:
            return Exhausted(f"the session was not over after {self.timeout_s:g} s", hint="--timeout allows more")
        said.seek(0)
        last = said.read().decode(errors="replace")[-SAID_CHARACTERS:].strip()
        return Unavailable(
            f"the bot ended with {bot.returncode} before its session did{': ' if last else ''}{last}",
            hint="it is told by its environment where its session is: docs/determinism.md",
        )

    def _shown(self, session: str) -> Any:
        return ask(self.settings, self.venue, "GET", f"sessions/{session}")

    def _stop(self, session: str) -> None:
        with suppress(GnomonError):
            ask(self.settings, self.venue, "POST", f"sessions/{session}/stop")


def told(base_url: str, seat: Seat) -> dict[str, str]:
    """What the environment of a bot says of its session and its key."""
    ws_url = "ws" + base_url.removeprefix("http")
    return {
        "GNOMON_VENUE_URL": base_url,
        "GNOMON_VENUE_WS_URL": ws_url,
        "GNOMON_API_KEY": seat.api_key,
        "GNOMON_API_SECRET": seat.api_secret,
        "GNOMON_PULSE_RUN_BASE_URL": base_url,
        "GNOMON_PULSE_RUN_WS_URL": ws_url,
        "GNOMON_PULSE_API_KEY": seat.api_key,
        "GNOMON_PULSE_API_SECRET": seat.api_secret,
    }
