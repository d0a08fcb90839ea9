"""Ingest from providers that fail: what each source was asked, what came, and what a rerun asks.

    python examples/ingest_with_faults.py

Offline and in a temporary folder. A server on this machine speaks the providers' formats (those of `tests/sources`) and
answers with faults in between; `make setup` installs what it needs. Each
source is asked three times: the second run asks only for what the first did not get, the third for nothing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.jobs.test_fetch_from_sources import CASES, Case, subject
from tests.sources.loopback import Fault, Loopback, Seen

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.jobs.fetch import Fetched, fetch_one
from gnomon.sources.http import HttpRetries
from gnomon.store.engine import open_engine, upgrade
from gnomon.store.store import Store

FAULTS = {
    "cut off": Fault(keep_bytes=40),
    "503": Fault(status=503),
    "429": Fault(status=429, headers={"Retry-After": "1"}),
    "403": Fault(status=403),
}
"""Three that pass by themselves, then one that ends the run."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            home = Path(folder) / str(number)
            home.mkdir()
            show(case, home)


def show(case: Case, home: Path) -> None:
    """Both runs of one source, with the log of its provider."""
    url = f"sqlite:///{home / 'gnomon.db'}"
    upgrade(open_engine(url))
    store = Store.open(url, home / "datasets")
    print(f"\n{case.name}: {case.symbol} {case.timeframe} from {case.first} at {case.now}")
    with Loopback(case.routes()) as provider:
        provider.script(*[None] * case.before, *FAULTS.values(), path=case.path)
        for run in ("first run", "rerun", "once more"):
            asked = len(provider.requests)
            report = fetched(case, store, provider.url, home)
            print(f"  {run}: {report.added} new bars{said(report)}")
            print("\n".join(log(provider.requests[asked:])) or "    nobody was asked")


def fetched(case: Case, store: Store, url: str, home: Path) -> Fetched:
    clock = SimClock(parse_instant(case.now))
    timeframe, first_ns = Timeframe.parse(case.timeframe), parse_instant(case.first)
    with case.opened(url, clock, HttpRetries(attempts=5, base_s=0.01), home / "cache") as source:
        return fetch_one(store, source, subject(case), timeframe, clock, first_ns=first_ns)


def said(report: Fetched) -> str:
    return f", then {report.error['error']}: {report.error['message'][:90]}" if report.error else ""


def log(requests: list[Seen]) -> Iterator[str]:
    """The requests, a line each, repetitions counted."""
    for line, same in groupby(map(address, requests)):
        times = len(list(same))
        yield f"    GET {line}" + (f"   ({times} times)" if times > 1 else "")


def address(seen: Seen) -> str:
    """Path and parameters, a key masked."""
    params: dict[str, Any] = {name: "***" if name == "apikey" else value for name, value in seen.params.items()}
    return seen.path + ("?" if params else "") + "&".join(f"{name}={value}" for name, value in params.items())


if __name__ == "__main__":
    main()
