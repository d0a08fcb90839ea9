"""Sessions in which one thing goes wrong, for a bot that is careful and for one that is not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.trader.pulse.standing import Standing

from gnomon.clock import SimClock, parse_instant
from gnomon.exchange.fault_plan import KINDS
from gnomon.jobs.ingest import ImportOptions, import_files
from gnomon.jobs.sessions import Created, create, wired
from gnomon.jobs.stage import stage_of
from gnomon.market.synth import synthetic_trades
from gnomon.replay.bodies import Fault
from gnomon.replay.record import Record
from gnomon.score.fault_verdicts import FaultReport, Verdict, fault_report
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.runs import StoredRun
from gnomon.trader.pulse import native
from gnomon.trader.pulse.barrier import Barrier
from gnomon.trader.pulse.client import Rest, Signer
from gnomon.trader.pulse.live import Live
from gnomon.trader.pulse.market import public_facts
from gnomon.trader.pulse.tally import Tally
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS
from gnomon.wallclock import WallClock

BEGINS, ENDS, RECORDED = "2024-03-01T00:05:00Z", "2024-03-01T01:00:00Z", "2024-03-01T01:05:00Z"
ENDS_NS: Final = parse_instant(ENDS)
DUST_LOTS: Final = 10_000
LAST_NS: Final = 6 * MINUTE_NS
"""How long before the end nothing new is begun."""

DATASET: Final = "BTCUSDT-aggTrades-2024-03-01"
TEXT: Final = """
[session]
dataset = "{dataset}"
timeframe = "1m"
from = "{begins}"
seed = 7
{session}
[rules]
balances = {{ USDT = "100000" }}
fees = {{ maker = "0.001", taker = "0.001" }}
[rules.faults]
exposure = "48000"
entry = [
{entries}
]
[[entry]]
name = "bot"
tier = "{tier}"
"""
"""Half a coin is worth some 30,000, and is never held twice."""

LOCKSTEP: Final = f'pace = "lockstep"\nto = "{ENDS}"\ntime_check = "virtual"'


def recorded(venue: Standing) -> None:
    """An hour of seeded prints, some thirty a minute, as a dump of aggregated trades."""
    instruments = shipped_instruments()
    bitcoin = instruments.find("BTCUSDT")
    first_ns, last_ns = parse_instant("2024-03-01T00:00:00Z"), parse_instant(RECORDED)
    prints = synthetic_trades(bitcoin, load_sessions(bitcoin.calendar), first_ns, last_ns, seed=7)
    rows = zip(prints.id, prints.time_ns // 1_000_000, prints.price / 100, prints.size / 100_000, prints.side < 0,
               strict=True)  # fmt: skip
    path = venue.scene.folder / f"{DATASET}.csv"
    path.write_text("".join(
        f"{number},{price:.2f},{size:.5f},{number},{number},{at_ms},{str(bool(sold)).lower()},true\n"
        for number, at_ms, price, size, sold in rows
    ))  # fmt: skip
    clock = SimClock(parse_instant("2024-06-01"))
    import_files(venue.scene.store, instruments, [path], ImportOptions(), clock, reject_folder=path.parent / "no")


def entry(fault: str, when: str, more: str = "") -> str:
    """One line of a plan."""
    return f'{{ fault = "{fault}", when = {{ {when} }}{", " + more if more else ""} }}'


class Careful(Strategy):
    """Buys and sells half a coin, lets orders rest and cancels them, in prices and quantities that a person would say;
    in its last bars it only clears up."""

    ends_ns = ENDS_NS

    def on_start(self, desk: Any) -> None:
        self.told: list[str] = []
        self.bars = 0
        desk.every("100s", "look")

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.bars += 1
        close, held, step = bar.candle.close, desk.position_lots(0), self.bars % 6
        if self._is_late(desk) or step in (3, 0):
            for one in desk.orders():
                desk.cancel(one)
        elif step == 1 and held < DUST_LOTS:
            desk.buy(0, qty="0.5")
        elif step == 2:
            desk.buy(0, qty="0.123", limit=close * 0.9)
        elif step == 4 and held >= DUST_LOTS:
            desk.sell(0)
        elif step == 5:
            desk.buy(0, qty="0.1", limit=close * 0.8)
            desk.buy(0, qty="0.1", limit=close * 0.79)

    def on_timer(self, desk: Any, _name: str) -> None:
        """Between bars, whatever has become of them."""
        if not self._is_late(desk) and not desk.orders() and desk.price(0):
            desk.buy(0, qty="0.2", limit=desk.price(0) * 0.85)

    def _is_late(self, desk: Any) -> bool:
        return bool(desk.now > self.ends_ns - LAST_NS)

    def on_degraded(self, _desk: Any, reason: str) -> None:
        self.told.append(reason)


class Spendthrift(Careful):
    """Also wants what it could never pay."""

    def on_start(self, desk: Any) -> None:
        super().on_start(desk)
        self.dreams: list[Any] = []

    def on_bar(self, desk: Any, bar: Any) -> None:
        if self.bars % 6 == 4 and not self._is_late(desk):
            self.dreams.append(desk.buy(0, qty="5000", limit=bar.candle.close * 0.7))
        super().on_bar(desk, bar)


@dataclass
class Lived:
    """A run that is over: what its Record says, and what its bot knew at the end."""

    stored: StoredRun
    record: Record
    report: FaultReport
    tally: Tally = field(default_factory=Tally)
    told: Sequence[str] = ()
    units: Mapping[int, int] = field(default_factory=dict)  # by asset, as the bot believes
    open_orders: int = 0

    @property
    def faults(self) -> list[int]:
        return [body.fault for body in (one.body for one in self.record.outputs()) if isinstance(body, Fault)]

    @property
    def balances(self) -> dict[int, int]:
        """What the exchange has for the bot at the end, free and locked."""
        found: dict[int, int] = {}
        assert self.record.end is not None
        for one in self.record.end.balances:
            if one.account in (0, 1):
                found[one.asset] = found.get(one.asset, 0) + one.amount
        return {asset: units for asset, units in found.items() if units}

    def verdicts(self, fault: str) -> set[Verdict]:
        return {one.verdict for one in self.report.judged if one.fault == fault}


def lived(venue: Standing, created: Created, **more: Any) -> Lived:
    stored = venue.stored(created)
    record = venue.scene.replays.record_of(stored)
    report = fault_report(record)
    assert report is not None
    return Lived(stored, record, report, **more)


def created(venue: Standing, entries: Sequence[str], session: str, tier: str = "auto") -> Created:
    text = TEXT.format(dataset=DATASET, begins=BEGINS, session=session, entries=",\n".join(entries), tier=tier)
    scene = venue.scene
    text, session_ = wired(text)
    stage = stage_of(scene.store, shipped_instruments(), session_)
    found = create(scene.store, scene.bots, text, session_, stage, WallClock().now_ns())
    venue.launch(found)
    return found


def in_lockstep(venue: Standing, entries: Sequence[str], trader: Careful | None = None) -> Lived:
    """A careful bot of ours, by its own socket, in virtual time."""
    trader = trader or Careful()
    made = created(venue, entries, LOCKSTEP)
    config = venue.config(made, "careful")
    clock, tally = WallClock(), Tally()
    signer = Signer(config.run.api_key, config.run.api_secret, 5000, lambda: 0)
    rest = Rest(config.run.base_url, signer, 10.0, time.sleep, tally, clock)
    facts = native.facts_of(rest.get(native.PLAN_PATH))
    rest.close()
    began = time.monotonic()
    barrier = Barrier(
        config, facts, trader, signer, tally, clock, time.sleep, lambda: time.monotonic() - began > 30
    )  # fmt: skip
    barrier.run()
    assert barrier.client.failure is None
    return lived(venue, made, tally=tally, told=trader.told, **believed(barrier.client.desk))


def believed(desk: Any) -> dict[str, Any]:
    assets = desk.assets().values()
    units = {one: held for one in assets if (held := desk._account.units(one))}
    return {"units": units, "open_orders": len(desk.orders())}


def assert_borne(run: Lived, faults: AbstractSet[str]) -> None:
    """What is asked of every bot, whatever went wrong: nothing was made twice, the bot has what the exchange says that
    it has, and never had more than it may."""
    assert set(run.faults) == {KINDS[one] for one in faults}, "a fault did not happen, or not alone"
    assert run.report.duplicates == ()
    assert 0 < run.report.exposure <= (run.report.exposure_limit or 0)
    assert run.report.is_calm
    assert run.report.is_borne, [one for one in run.report.judged if one.verdict is Verdict.VIOLATED]
    assert run.units == run.balances
    assert run.open_orders == 0


NAIVE: Final = Path(__file__).with_name("naive.py")
PACED: Final = 'pace = "600"\nto = "2024-03-01T00:21:00Z"'


def naively(venue: Standing, entries: Sequence[str], timeout_s: float = 0.5) -> Lived:
    """A naive bot, in a process of its own that knows nothing of us, at a session that goes on by itself."""
    made = created(venue, entries, PACED, "unmodified")
    seat, place = made.seats[0], f"127.0.0.1:{venue.port}/s/{made.session.id}"
    told = {"http": f"http://{place}", "ws": f"ws://{place}", "key": seat.api_key, "secret": seat.api_secret}
    told |= {"symbol": "BTCUSDT", "pause_s": 0.03, "timeout_s": timeout_s}
    command = [sys.executable, str(NAIVE), json.dumps(told)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return lived(venue, made, told=[done.stdout])


def in_time(venue: Standing, entries: Sequence[str], **run: Any) -> Lived:
    """A careful bot of ours by plain streams, whose time goes on by itself."""
    made = created(venue, entries, PACED, "unmodified")
    settings = {"symbol": "BTCUSDT", "pending_poll_seconds": 0.2, "ws_timeout_seconds": 0.5, **run}
    config = venue.config(made, "careful", **settings)
    clock, tally, trader = WallClock(), Tally(), Careful()
    signer = Signer(config.run.api_key, config.run.api_secret, 5000, lambda: clock.now_ns() // 1_000_000)
    rest = Rest(config.run.base_url, signer, 0.3, time.sleep, tally, clock)
    began = time.monotonic()
    live = Live(
        config, public_facts(rest, config, clock.now_ns()), trader, rest, signer, tally, clock, time.sleep,
        lambda: time.monotonic() - began > 30,
    )  # fmt: skip
    trader.ends_ns = parse_instant("2024-03-01T00:21:00Z")
    try:
        live.run()
    finally:
        live.close()
        rest.close()
    assert live.failure is None
    return lived(venue, made, tally=tally, told=trader.told, **believed(live.desk))
