"""How many wakes a second does a bot in lock-step answer, beside the bare round trip; how long is a year of minutes?

The physical limit first: in lock-step nothing overlaps. A wake costs at least one round trip between two processes
(two writes, two reads, two wake-ups of the scheduler: `bare`, which does nothing else with frames of the same sizes);
the work of both sides comes on top of it, and 525,600 wakes in 60 s leave 114 us for each. Only wakes that need no
round trip of their own can be cheaper: those told at once (`ahead`), and those that a filter never makes (`hundredth`).

| case | |
|---|---|
| `bare` | a server of raw asyncio (uvloop) and a client of a blocking socket exchange bytes of such sizes |
| `bars` | `gnomon serve venue` and `gnomon pulse run`, a process each; it hears every bar, says nothing |
| `bars_ahead` | the same with `ahead = 256` in the session |
| `cross` | the shipped cross of averages, which trades; with and without |
| `prints`, `hundredth` | a wake at every print; at every hundredth, by its wake filter, over the same window |

`ratio` is of wakes a second by the wall to round trips of `bare`; `cpu_us` is of CPU a wake, both processes. The run
has the fingerprint of the run in process, or no figure is given. The year is 525,600 minutes; `--quick` plays 20 days.

python bench/venue_lockstep.py [--quick] [--only bars,bars_ahead]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from gnomon.clock import iso, parse_instant
from gnomon.units import DAY_NS, HOUR_NS
from workload.venue import BARS, PRINTS, VenueProcess, free_port, pinned, write_bars, write_prints

END = "2026-01-01"
YEAR_DAYS, QUICK_DAYS, PRINT_HOURS = 365, 20, 12
TOLD_BYTES, SAID_BYTES = 165, 36  # a bar on the wire with its head, and its acknowledgement under a mask
AHEAD, GOAL_S, GOAL_US = 256, 60.0, 114.0

SESSION = """
[session]
dataset = "{dataset}"
from = "{opens}"
to = "{closes}"
{timeframe}
seed = 7
pace = "lockstep"
ahead = {ahead}

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
latency = {{ feed = {{ const_ms = 5 }}, entry = {{ const_ms = 10 }}, reply = {{ const_ms = 15 }} }}
balances = {{ USDT = "100000" }}

[[entry]]
name = "bot"
"""

BOTS = Path(__file__).parent / "workload" / "bots.py"
FIXED = {"size": "fixed", "lots": 1_000}

# case: dataset, strategy, its parameters, ahead
CASES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "bars": (BARS, "Silent", {}, 0),
    "bars_ahead": (BARS, "Silent", {}, AHEAD),
    "cross": (BARS, "Cross", FIXED, 0),
    "cross_ahead": (BARS, "Cross", FIXED, AHEAD),
    "prints": (PRINTS, "Prints", {}, 0),
    "hundredth": (PRINTS, "Hundredth", {}, 0),
}


# --- the bare round trip --------------------------------------------------------------------------------------------


class Echo(asyncio.Protocol):
    """Answers so many bytes with others, and nothing else."""

    answer = b"x" * TOLD_BYTES

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - the form of the callback
        self.transport.write(self.answer)


def serve(port: int) -> None:
    """Be the server, until killed."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(forever())


def bare(trips: int) -> dict[str, float]:
    port = free_port()
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(port)], preexec_fn=pinned(0))
    try:
        client = connected(port)
        said = b"y" * SAID_BYTES
        began_s, used_s = time.perf_counter(), time.process_time()
        for _ in range(trips):
            client.sendall(said)
            client.recv(4_096)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - used_s
        client.close()
    finally:
        server.terminate()
        server.wait(20)
    return {"wakes_s": round(trips / wall_s), "wall_us": round(1e6 * wall_s / trips, 1),
            "client_cpu_us": round(1e6 * cpu_s / trips, 1)}  # fmt: skip


def connected(port: int) -> socket.socket:
    until = time.monotonic() + 30
    while True:
        try:
            found = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
        else:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return found


# --- lock-step ------------------------------------------------------------------------------------------------------


def spec_of(dataset: str, ahead: int, days: int) -> str:
    if dataset == BARS:
        opens, closes = parse_instant(END) - days * DAY_NS, parse_instant(END)
        timeframe = 'timeframe = "1m"'
    else:
        opens = parse_instant("2024-03-01T01:00:00Z")
        closes, timeframe = opens + PRINT_HOURS * HOUR_NS, ""
    return SESSION.format(dataset=dataset, opens=iso(opens), closes=iso(closes), timeframe=timeframe, ahead=ahead)


def lockstep(venue: VenueProcess, case: str, days: int) -> dict[str, Any]:
    """One run over the wire, and the same in process."""
    dataset, strategy, params, ahead = CASES[case]
    session = venue.launch(spec_of(dataset, ahead, days))
    config = session.pulse(venue.home / "bot.json", strategy_name=f"{BOTS}:{strategy}", strategy=params)
    says, before_s = venue.home / "says.json", venue.cpu_s()
    bot = venue.bot(config, says)
    out, err = bot.communicate(timeout=1_800)
    assert bot.returncode == 0, out + err
    venue_s, said, told = venue.cpu_s() - before_s, json.loads(says.read_text()), json.loads(out)
    run = venue.run_of(session.id)
    assert run["session"] == "completed", run
    inside = in_process(venue, strategy, params)
    assert venue.fingerprint(run["run"]) == inside.pop("fingerprint"), f"{case}: not the run in process"
    wakes, seconds = told["wakes"], said["seconds"]
    return {
        "wakes": wakes,
        "orders": told["orders"],
        "wall_s": round(seconds, 2),
        "bot_cpu_s": round(said["cpu_s"], 2),
        "venue_cpu_s": round(venue_s, 2),
        "wakes_s": round(wakes / seconds),
        "wall_us": round(1e6 * seconds / wakes, 1),
        "cpu_us": round(1e6 * (said["cpu_s"] + venue_s) / wakes, 1),
        "in_process": inside,
        "load": os.getloadavg()[0],
    }


def in_process(venue: VenueProcess, strategy: str, params: dict[str, Any]) -> dict[str, Any]:
    given = [word for name, value in params.items() for word in ("--param", f"{name}={value}")]
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    made = venue.verb("replay", str(venue.home / "session.toml"), "--trader", f"{BOTS}:{strategy}", *given)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.perf_counter() - began_s, 2), "cpu_s": round(cpu_s, 2),
            "fingerprint": venue.fingerprint(made["run"])}  # fmt: skip


# --- the answer -----------------------------------------------------------------------------------------------------


def measure(days: int, trips: int, only: Sequence[str], folder: Path) -> dict[str, Any]:
    bars, prints = folder / f"{BARS}.parquet", folder / f"{PRINTS}.csv"
    write_bars(bars, parse_instant(END) - days * DAY_NS, parse_instant(END))
    opens = parse_instant("2024-03-01T00:00:00Z")
    write_prints(prints, opens, opens + (PRINT_HOURS + 1) * HOUR_NS)
    found: dict[str, Any] = {"bare": max((bare(trips) for _ in range(3)), key=lambda one: one["wakes_s"])}
    home = folder / "home"
    home.mkdir()
    venue = VenueProcess(home, [bars, prints])
    try:
        for case in only:
            found[case] = lockstep(venue, case, days)
            found[case]["ratio"] = round(found[case]["wakes_s"] / found["bare"]["wakes_s"], 3)
            print(case, json.dumps(found[case]), file=sys.stderr)
    finally:
        venue.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DAYS} days, not a year")
    parser.add_argument("--days", type=int, default=0, help="so many days of minutes")
    parser.add_argument("--nice", type=int, default=0, help="priority of all processes, on a machine that others share")
    parser.add_argument("--only", default=",".join(CASES), help="which cases (comma list)")
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    days, trips = (QUICK_DAYS, 20_000) if given.quick else (YEAR_DAYS, 100_000)
    days = given.days or days
    os.nice(given.nice)
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(days, trips, given.only.split(","), Path(folder))
    goals = {
        f"a year of minutes, {case}": {
            "goal_s": GOAL_S,
            "wall_s": round(found[case]["wall_s"] * YEAR_DAYS / days, 1),
            "cpu_s": round((found[case]["bot_cpu_s"] + found[case]["venue_cpu_s"]) * YEAR_DAYS / days, 1),
            "is_measured": days == YEAR_DAYS,
            "reached": found[case]["wall_s"] * YEAR_DAYS / days < GOAL_S,
        }
        for case in ("bars", "bars_ahead", "cross", "cross_ahead")
        if case in found
    }
    document = {
        "question": "wakes a second in lock-step over loopback, beside the bare round trip; a year of one-minute bars",
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": load},
        "versions": {"python": platform.python_version(), "uvloop": version("uvloop")},
        "days": days,
        "nice": given.nice,
        "results": found,
        "goals": goals,
        "notes": f"wall by the bot, from its first word to its last; {GOAL_US} us a wake is the goal of a year",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
