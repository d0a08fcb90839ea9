"""Evaluation gates over what is stored: scores and releases in, a report in JSON and Markdown out.

A report holds no clock: the same store gives the same bytes. It lies in a folder named by its content, written beside
its place and renamed into it, so that it is there whole or not at all; the same report twice is one folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.jobs.cast import POOL
from gnomon.jobs.engine.port import Work
from gnomon.score.gates import EVENT_KINDS, LEAST_EVENTS, Figure, Gate
from gnomon.score.gates import gates as ask
from gnomon.store.boards import BoardFilter, read
from gnomon.store.store import Store
from gnomon.units import DAY_NS

STAGES: Final = ("raw", "calibrated")
REPORTS: Final = "reports"
"""The folder of reports, beside that of datasets."""
_JSON, _MARKDOWN = "gates.json", "gates.md"


@dataclass(frozen=True, slots=True)
class GateReport:
    """The gates of one set of scores: which scores, how many releases lay among them, and the answers."""

    which: BoardFilter
    choose_until_ns: int | None
    n: int
    releases: int
    first_cutoff_ns: int
    last_cutoff_ns: int
    gates: tuple[Gate, ...]

    def document(self) -> dict[str, Any]:
        """JSON-ready. Instants are ISO 8601, None where there is none."""
        which = self.which
        return {
            "lane": which.lane,
            "timeframe": str(which.timeframe),
            "stage": STAGES[which.stage],
            "variant": which.variant,
            "instruments": list(which.instruments),
            "forecasters": list(which.forecasters),
            "from": _iso(which.first_cutoff_ns),
            "to": _iso(which.last_cutoff_ns),
            "choose_until": _iso(self.choose_until_ns),
            "first_cutoff": iso(self.first_cutoff_ns),
            "last_cutoff": iso(self.last_cutoff_ns),
            "scored_steps": self.n,
            "releases": self.releases,
            "event_kinds": ["/".join(pair) for pair in EVENT_KINDS],
            "outcomes": dict(sorted(Counter(one.outcome for one in self.gates).items())),
            "gates": [one.row() for one in self.gates],
        }

    def json(self) -> str:
        """The report for programs."""
        return json.dumps(self.document(), ensure_ascii=False, indent=1) + "\n"

    def markdown(self) -> str:
        """The report for people: a table of verdicts, then the figures of every gate."""
        return "\n".join(_markdown(self)) + "\n"


def gates(
    store: Store, which: BoardFilter, *, choose_until_ns: int | None = None, ensembles: Sequence[str] = (POOL,)
) -> GateReport:
    """Put every gate to the scores that a filter names, with the releases that are stored.

    `choose_until_ns` is when an ensemble's rival is chosen, inside the filter's span; by default its middle cutoff.
    Raises `Invalid` when the filter leaves several walk-forwards, or nothing.
    """
    scores, keys = read(store.scores, which)
    if not len(scores):
        raise Invalid(
            f"nothing is scored in lane {which.lane} at {which.timeframe}",
            hint="gnomon evaluate, or gnomon score, comes first; or choose a wider span",
        )
    first_ns, last_ns = int(keys.data_cutoff_ns.min()), int(scores.target_close_ns.max())
    releases_ns = store.events.book(first_ns - 8 * DAY_NS, last_ns + 8 * DAY_NS).releases(EVENT_KINDS).released_ns
    answers = ask(
        scores,
        keys,
        releases_ns=releases_ns,
        timeframe=which.timeframe,
        identity=which.identity,
        ensembles=ensembles,
        choose_until_ns=choose_until_ns,
    )
    return GateReport(
        which=which,
        choose_until_ns=choose_until_ns,
        n=len(scores),
        releases=int(((releases_ns >= first_ns) & (releases_ns < last_ns)).sum()),
        first_cutoff_ns=first_ns,
        last_cutoff_ns=int(keys.data_cutoff_ns.max()),
        gates=answers,
    )


def write_report(report: GateReport, folder: Path) -> Path:
    """Write `gates.json` and `gates.md` under a name made of their content, whole or not at all; the folder of both."""
    texts = {_JSON: report.json(), _MARKDOWN: report.markdown()}
    digest = hashlib.blake2b("\0".join(texts.values()).encode(), digest_size=6).hexdigest()
    which = report.which
    target = folder / f"gates-{which.timeframe}-{which.lane}-{STAGES[which.stage]}-{digest}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        for name, text in texts.items():
            with (writing / name).open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        writing.chmod(0o755)
        _publish(writing, target)
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return target


def run_gates(work: Work, store: Store) -> Any:
    """The job `gates`: ask about a timeframe's newest `days` (default 365) of a lane; write the report, answer briefly.

    Arguments: `timeframe`, `lane` (`live`), `variant`, `stage` (`calibrated` or `raw`), `days`, `folder`.
    """
    which = _filter_of(work.args, work.due_ns)
    folder = Path(work.args["folder"]) if "folder" in work.args else store.datasets.root.parent / REPORTS

    def answer() -> dict[str, Any]:
        if not len(read(store.scores, which)[0]):
            return {"report": None, "outcomes": {}, "why": f"nothing is scored in lane {which.lane}"}
        report = gates(store, which)
        return {"report": str(write_report(report, folder)), "outcomes": report.document()["outcomes"]}

    return work.step("gates", answer)


def _filter_of(args: Mapping[str, Any], due_ns: int) -> BoardFilter:
    try:
        timeframe = Timeframe.parse(args["timeframe"])
    except KeyError:
        raise Invalid("a gates job has no timeframe", hint='args: {"timeframe": "1h"}') from None
    stage, lane = args.get("stage", "raw"), args.get("lane", "live")
    if stage not in STAGES or lane not in ("live", "backfill"):
        raise Invalid(f"stage {stage!r}, lane {lane!r}", hint="raw or calibrated; live or backfill")
    return BoardFilter(
        lane=lane,
        timeframe=timeframe,
        variant=args.get("variant"),
        stage=STAGES.index(stage),
        first_cutoff_ns=due_ns - int(args.get("days", 365)) * DAY_NS,
        last_cutoff_ns=due_ns,
    )


def _publish(writing: Path, target: Path) -> None:
    try:
        writing.rename(target)
    except OSError:
        if not target.exists():
            raise  # else another writer was first: the name says that it wrote the same


def _iso(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso(at_ns)


# --- words ----------------------------------------------------------------------------------------------------------


def _markdown(report: GateReport) -> list[str]:
    told = report.document()
    span = f"{told['first_cutoff']} to {told['last_cutoff']}"
    kinds = ", ".join(told["event_kinds"])
    lines = [
        f"# Gates: {told['timeframe']}, lane {told['lane']}, {told['stage']}",
        "",
        f"{report.n:,} scored steps at cutoffs from {span}.",
        f"{report.releases} releases among them ({kinds}); fewer than {LEAST_EVENTS} are too early to say.",
        "",
        "| gate | forecaster | outcome | in words |",
        "|---|---|---|---|",
        *(f"| {one.gate} | {one.forecaster} | {one.outcome.replace('_', ' ')} | {one.words} |" for one in report.gates),
    ]
    for one in report.gates:
        lines += ["", f"## {one.gate}: {one.forecaster}", "", f"{one.question} Rule: {one.rule}.", ""]
        lines += ["| figure | value | 95 % interval | n |", "|---|---|---|---|", *map(_figure_line, one.figures)]
    return lines


def _figure_line(one: Figure) -> str:
    value = "" if one.value is None else f"{one.value:.4f}"
    span = "" if one.lo is None or one.hi is None else f"{one.lo:.4f} … {one.hi:.4f}"
    return f"| {one.name} | {value} | {span} | {one.n:g} |"
