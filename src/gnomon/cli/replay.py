"""Verbs of replays: replay, runs, compare, diff, explain."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gnomon.cli.verb import Json, app, opened, settings_of, verb
from gnomon.errors import Invalid, NotFound
from gnomon.terminal import say, show, show_json

if TYPE_CHECKING:
    from gnomon.exchange.listing import Listing
    from gnomon.exchange.rules import Leg, Rules
    from gnomon.jobs.labels import Labels
    from gnomon.jobs.replay import Done, Replays
    from gnomon.jobs.sweep import Swept
    from gnomon.replay.session import Entry, Session
    from gnomon.replay.state import OpenOrder
    from gnomon.report.run_page import Header
    from gnomon.score.label import Standing
    from gnomon.store.runs import StoredRun

FAILED: Final = "failed"
SAID_LINES: Final = 12
"""Of a traceback: the record has all of it."""

Spec = Annotated[Path, typer.Argument(help="A session as TOML.")]
Params = Annotated[list[str] | None, typer.Option("--param", help="A parameter of the trader, k=v; may be repeated.")]
Runner = Annotated[str, typer.Option("--runner", help="jump, or naive: print by print; the same answer.")]
Run = Annotated[str, typer.Argument(help="A run: its id, the beginning of it, or of its fingerprint.")]


@app.command()
@verb
def replay(
    spec: Annotated[Path | None, typer.Argument(help="A session as TOML.")] = None,
    trader: Annotated[str, typer.Option("--trader", help="A shipped strategy, module:Class or file.py:name.")] = "",
    param: Params = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the session's.")] = None,
    branch: Annotated[str, typer.Option("--branch", help="Instead of SPEC: go on from this run, at --at.")] = "",
    at: Annotated[str, typer.Option("--at", help="Where in that run: an instant, UTC.")] = "",
    runner: Runner = "jump",
    debug: Annotated[bool, typer.Option("--debug", help="Refuse trades and bars kept beyond their hook.")] = False,
    snapshots: Annotated[int, typer.Option("--snapshots", min=0, help="Keep one after so many records; 0 none.")] = 0,
    report: Annotated[Path | None, typer.Option("--report", help="Write the page of the run to this file.")] = None,
    faults: Annotated[
        list[str] | None, typer.Option("--faults", help="A plan of faults by name; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a session in process, at full pace: every entry, or the one trader that is named."""
    from gnomon.jobs.replay import entries_of

    replays = replays_of()
    if branch or at or spec is None:
        done = [_branched(replays, spec, branch, at, trader, params_of(param), seed, runner, debug)]
    else:
        text, session = session_of(spec, faults or ())
        stage = replays.stage(session)
        done = [
            replays.run(stage, text, entry, number, seed, runner, debug=debug, snapshots=snapshots)
            for number, entry in enumerate(entries_of(session, trader, params_of(param)), 1)
        ]
    for number, one in enumerate(done):
        if report is not None:
            _write_page(one, report if number == 0 else report.with_stem(f"{report.stem}-{number + 1}"))
    if as_json:
        rows = [_row(one.stored) for one in done]
        show_json(rows[0] if len(rows) == 1 else {"runs": rows})
    else:
        for one in done:
            _say_run(one.stored)
            say(*_failure_of(replays, one.stored))
    if any(one.stored.status == FAILED for one in done):
        raise typer.Exit(1)


@app.command()
@verb
def runs(
    session: Annotated[str, typer.Option("--session", help="Of this session alone.")] = "",
    sweep: Annotated[str, typer.Option("--sweep", help="Of this sweep alone.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """The runs that are stored, the newest first."""
    from gnomon.terminal import labels_told, runs_table

    replays = replays_of()
    found = replays.runs.list(session=session, sweep=sweep, limit=limit)
    standings = labels_of(replays).of(found)
    if as_json:
        show_json({"runs": [{**one.row(), "label": standings[one.id].row()} for one in found]})
    elif found:
        show(runs_table(found, standings))
        say(*labels_told(standings.values()))
    else:
        say("no run is stored; `gnomon replay SPEC` makes one")


@app.command()
@verb
def state(
    run: Run,
    at: Annotated[str, typer.Option("--at", help="An instant, UTC; default: the end.")] = "",
    as_json: Json = False,
) -> None:
    """What a run had at an instant: open orders, balances, how much had happened. From its record, for looking."""
    from gnomon.clock import iso, parse_instant
    from gnomon.replay.state import state_at

    replays = replays_of()
    stored = replays.runs.find(run)
    stage, plan = replays.again(stored)
    at_ns = parse_instant(at) if at else plan.end_ns
    if not plan.start_ns <= at_ns <= plan.end_ns:
        raise Invalid(
            f"{iso(at_ns)} is not inside {stored.id}", hint=f"from {iso(plan.start_ns)} to {iso(plan.end_ns)}"
        )
    record = replays.record_of(stored)
    found = state_at(record, at_ns)
    units = {asset.name: asset for one in stage.ground.listings for asset in (one.base, one.quote)}
    names = record.genesis.assets
    balances = {
        names[number]: {
            word: f"{units[names[number]].decimal(amount):f}"
            for word, amount in zip(("free", "locked"), both, strict=True)
        }
        for number, both in found.balances.items()
    }
    orders = [_order_row(one, stage.ground.listings[one.instrument]) for one in found.orders.values()]
    counts = {"records": found.seq}
    counts |= {name: getattr(found, name) for name in ("wakes", "requests", "fills", "rejects")}
    if as_json:
        show_json({"run": stored.id, "at": iso(at_ns), "balances": balances, "orders": orders, "counts": counts})
        return
    say(f"{stored.id} at {iso(at_ns)}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    say(*(f"  {name}: {one['free']} free, {one['locked']} locked" for name, one in balances.items()))
    say(*(_order_words(one) for one in orders))


def _order_row(one: OpenOrder, listing: Listing) -> dict[str, Any]:
    return {
        "order": one.number,
        "instrument": listing.id,
        "side": one.side.name,
        "type": one.type.name,
        "price": f"{one.price * listing.tick:f}" if one.price else None,
        "stop": f"{one.stop * listing.tick:f}" if one.stop else None,
        "remaining": f"{one.remaining * listing.lot:f}",
        "executed": f"{one.executed * listing.lot:f}",
        "status": one.status.name,
    }


def _order_words(one: dict[str, Any]) -> str:
    price = f" at {one['price']}" if one["price"] else ""
    stop = f", stop {one['stop']}" if one["stop"] else ""
    what = f"{one['type']} {one['side']} {one['remaining']} {one['instrument']}"
    return f"  order {one['order']}: {what}{price}{stop}, {one['status']}"


@app.command()
@verb
def explain(
    run: Run,
    fill: Annotated[str, typer.Argument(help="A fill by its number, an order: order:17, or faults.")],
    as_json: Json = False,
) -> None:
    """Why a fill happened: the print that allowed it, what stood before it, by which rule; or why an order had none.
    Of `faults`: which befell the run, and how its bot bore each."""
    from gnomon.replay.explain import explain_fill, explain_order

    replays = replays_of()
    stored = replays.runs.find(run)
    if fill == "faults":
        _explain_faults(replays, stored, as_json)
        return
    stage, _ = replays.again(stored)
    record = replays.record_of(stored)
    kind, _, number = fill.rpartition(":")
    if not number.isdigit() or kind not in ("", "fill", "order"):
        raise Invalid(f"{fill!r} is neither a fill nor an order", hint="a number, order:17, or faults")
    found = (explain_order if kind == "order" else explain_fill)(record, stage.ground, int(number))
    if as_json:
        show_json({"run": stored.id, "sentences": list(found.sentences), "neighbours": list(found.neighbours)})
        return
    say(*found.sentences)
    if found.neighbours:
        say("", *found.neighbours)


def _explain_faults(replays: Replays, stored: StoredRun, as_json: bool) -> None:
    from gnomon.score.fault_verdicts import fault_report, in_words

    found = fault_report(replays.record_of(stored))
    if found is None:
        raise NotFound(f"no fault was planned for {stored.id}", hint='faults = ["flaky-acks"] in [rules] plans some')
    if as_json:
        show_json({"run": stored.id, **found.row()})
    else:
        say(*in_words(found.row()))


@app.command()
@verb
def diff(
    first: Run,
    second: Annotated[str, typer.Argument(help="Another run.")],
    as_json: Json = False,
) -> None:
    """Where two runs part, and whose doing it is. Exit 1 where they differ."""
    from gnomon.replay.divergence import Verdict, first_divergence

    replays = replays_of()
    left, right = replays.runs.find(first), replays.runs.find(second)
    found = first_divergence(replays.record_of(left), replays.record_of(right))
    if as_json:
        show_json(
            {
                "runs": [left.id, right.id],
                "verdict": str(found.verdict),
                "sentence": found.sentence,
                "seq": found.seq,
                "keys": [list(one) for one in found.keys],
            }
        )
    else:
        say(found.sentence, *(f"  {path}: {a or '-'} | {b or '-'}" for path, a, b in found.keys))
        for name, side in (("first", found.a), ("second", found.b)):
            say(*(f"{name}: {one.seq} {one.type.name} {one.body}" for one in side.causes))
    if found.verdict is not Verdict.SAME:
        raise typer.Exit(1)


@app.command()
@verb
def compare(
    names: Annotated[list[str], typer.Argument(help="Two to six runs.")],
    report: Annotated[Path | None, typer.Option("--report", help="Write the page of the comparison to it.")] = None,
    as_json: Json = False,
) -> None:
    """Runs side by side: their settings, figures, and in pairs how sure the difference is."""
    from gnomon.report.comparison import Entrant, comparison_page
    from gnomon.score.contest import contest
    from gnomon.terminal import runs_table

    replays = replays_of()
    stored = [replays.runs.find(name) for name in names]
    standings = labels_of(replays).of(stored)
    entrants = [Entrant(replays.read(one), header_of(one, standings[one.id])) for one in stored]
    page = comparison_page(entrants)
    if report is not None:
        report.write_text(page, encoding="utf-8")
    pairs = [contest(left.record, right.record) for i, left in enumerate(entrants) for right in entrants[i + 1 :]]
    if as_json:
        rows = [{**one.row(), "label": standings[one.id].row()} for one in stored]
        show_json({"runs": rows, "pairs": [asdict(one) for one in pairs]})
        return
    show(runs_table(stored, standings))
    say(*(one.verdict.words for one in pairs))


@app.command()
@verb
def sweep(
    spec: Spec,
    trader: Annotated[str, typer.Option("--trader", help="The trader; default: the session's first entry.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", help="Values of a parameter, k=1,2,3; of none: its whole range.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option("--rule", help="Values of a rule, fees.taker=0.0005,0.001.")] = None,
    drawn: Annotated[int, typer.Option("--random", min=0, help="Draw so many parameter sets instead of all.")] = 0,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0: one a core.")] = 0,
    ray: Annotated[bool, typer.Option("--ray", help="Fan out by Ray.")] = False,
    as_json: Json = False,
) -> None:
    """One trader over many parameters and rules: every run is stored, and how many were tried is said."""
    from gnomon.compat.named import trader_of
    from gnomon.jobs.executor import LocalExecutor, RayExecutor
    from gnomon.jobs.replay import entries_of
    from gnomon.jobs.run_ids import new_id
    from gnomon.jobs.sweep import Trial, combinations
    from gnomon.jobs.sweep import sweep as run_sweep
    from gnomon.wallclock import WallClock

    text, session = session_of(spec)
    replays = replays_of()
    replays.stage(session)  # a fault of the session is said once, before any process starts
    entry, seed = entries_of(session, trader, {})[0], session.seed or 0
    settings, sweep_id = settings_of(), new_id("sweep", WallClock().now_ns())
    chosen = parameter_sets(entry, axes_of(param), drawn, seed)
    trials = [
        Trial(
            number, settings.url, settings.root, text, rules, replace(entry, params=params), seed, sweep_id, trader_of
        )
        for number, (params, rules) in enumerate(combinations(chosen, _listed(axes_of(rule))), 1)
    ]
    with nullcontext(RayExecutor()) if ray else LocalExecutor(workers or None) as executor:
        swept = run_sweep(trials, executor, replays.runs.keep)
    _show_sweep(swept, len(trials), as_json)
    if swept.failed:
        raise typer.Exit(1)


def _branched(
    replays: Replays,
    spec: Path | None,
    branch: str,
    at: str,
    trader: str,
    params: dict[str, Any],
    seed: int | None,
    runner: str,
    debug: bool,
) -> Done:
    """A run that goes on from another. `Invalid` where it is not said from which and when, or too much is."""
    from gnomon.clock import parse_instant

    if not branch and not at:
        raise Invalid("nothing to replay", hint="name a session: gnomon replay SPEC; or a run: --branch RUN --at TIME")
    if not (branch and at) or spec is not None or seed is not None:
        raise Invalid(
            "a branch goes on from a run at an instant", hint="--branch RUN --at TIME, without SPEC and --seed"
        )
    return replays.branch(replays.runs.find(branch), parse_instant(at), trader, params, runner, debug)


# --- composing ------------------------------------------------------------------------------------------------------


def replays_of() -> Replays:
    """The runs of the settings' home and database."""
    from gnomon.compat.named import trader_of
    from gnomon.jobs.replay import Replays
    from gnomon.wallclock import WallClock

    settings, store, configured = opened()
    return Replays(store, settings.root, configured, WallClock(), trader_of)


def labels_of(replays: Replays) -> Labels:
    """The labels of these runs."""
    from gnomon.jobs.labels import Labels
    from gnomon.wallclock import WallClock

    return Labels(replays, WallClock())


def session_of(path: Path, faults: Sequence[str] = ()) -> tuple[str, Session]:
    """The text of a session file, and the session; `faults` are plans beside those that it names."""
    from gnomon.replay.session import Session, with_plans

    if not path.is_file():
        raise NotFound(f"no session file {path}", hint="see docs/replay.md for one to begin with")
    from gnomon.sources.files.latencies import with_latencies

    text = with_plans(with_latencies(path.read_text(encoding="utf-8"), path.parent), faults)
    return text, Session.parse(text)


def params_of(given: list[str] | None) -> dict[str, Any]:
    """`k=v` pairs; a value is read as TOML where it is such, else it is text."""
    import tomllib

    found: dict[str, Any] = {}
    for pair in given or ():
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise Invalid(f"--param {pair!r}", hint="write name=value, e.g. --param fast=20")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value
    return found


def axes_of(given: list[str] | None) -> dict[str, list[Any] | None]:
    """`k=1,2,3` names values, `k` alone its whole range (None)."""
    axes: dict[str, list[Any] | None] = {}
    for one in given or ():
        name, separator, values = one.partition("=")
        if not name or (separator and not values):
            raise Invalid(f"{one!r} names no values", hint="write name=1,2,3")
        axes[name] = [params_of([f"{name}={value}"])[name] for value in values.split(",")] if separator else None
    return axes


def _listed(axes: dict[str, list[Any] | None]) -> dict[str, list[Any]]:
    for name, values in axes.items():
        if values is None:
            raise Invalid(f"--rule {name} names no values", hint=f"e.g. --rule {name}=1,2")
    return {name: values or [] for name, values in axes.items()}


def parameter_sets(entry: Entry, axes: dict[str, list[Any] | None], drawn: int, seed: int) -> list[dict[str, Any]]:
    """Every combination of what varies, or `drawn` of them chosen by identity; the rest is as the entry has it.

    Without axes everything varies over its whole range.
    """
    from gnomon.compat.named import tunable
    from gnomon.trader import params

    shape = tunable(entry.trader)
    if shape is None:
        return listed_sets(entry, axes, drawn)
    fixed = {**params.document(params.build(shape, {})), **entry.params} if axes else dict(entry.params)
    unknown = [name for name in axes if name not in {one.name for one in fields(shape)}]
    if unknown:
        params.build(shape, {unknown[0]: 0})  # says which one was meant
    only = {name: value for name, value in fixed.items() if name not in axes}
    only |= {name: values for name, values in axes.items() if values is not None}
    return params.sample(shape, drawn, seed, **only) if drawn else list(params.grid(shape, **only))


def listed_sets(entry: Entry, axes: dict[str, list[Any] | None], drawn: int) -> list[dict[str, Any]]:
    """Of a trader whose parameters say no range: every combination of the values that are named."""
    listed = {name: values for name, values in axes.items() if values is not None}
    if drawn or not listed or len(listed) < len(axes):
        raise Invalid(f"the parameters of {entry.trader} have no ranges", hint="name values: --param k=1,2,3")
    return [{**entry.params, **dict(zip(listed, values, strict=True))} for values in product(*listed.values())]


def _show_sweep(swept: Swept, tried: int, as_json: bool) -> None:
    from gnomon.terminal import sweep_table

    if as_json:
        rows = [
            {**_row(stored), "params": dict(stored.params), "deflated": asdict(luck)} for stored, luck in swept.runs
        ]
        show_json({"sweep": swept.sweep, "tried": tried, "failed": list(swept.failed), "runs": rows})
        return
    show(sweep_table(swept.runs[:20]))
    say(f"{swept.sweep}: {tried:,} tried, {len(swept.failed):,} failed", *swept.failed[:5])


def header_of(stored: StoredRun, standing: Standing) -> Header:
    """What a report says above the figures."""
    from gnomon.exchange.rules import Taker
    from gnomon.replay.session import Session
    from gnomon.report.run_page import Header

    rules = Session.parse(stored.spec).rules
    branch = [f"branch of {stored.parent[:12]}"] if stored.parent else []
    labels = [*branch, *(["bar-modelled"] if stored.counts.get("bar_modelled") else [])]
    if rules.fills.taker in (Taker.AUTO, Taker.QUOTE) and stored.counts.get("unquoted"):
        labels.append("takers meet a synthetic quote")
    if stored.counts.get("ambiguous_bars"):
        labels.append(f"{stored.counts['ambiguous_bars']} ambiguous bars")
    return Header(
        trader=stored.trader,
        dataset=stored.dataset[:12],
        status=f"{stored.status}: {stored.reason}" if stored.reason else stored.status,
        seed=stored.seed,
        labels=tuple(labels),
        rules=rules_in_words(rules),
        params={name: str(value) for name, value in stored.params.items()},
        digests={name: stored.digests[name] for name in ("dataset", "config", "inputs", "outputs")},
        fingerprint=stored.fingerprint,
        versions=f"engine {stored.engine}",
        standing=standing,
        again=f"gnomon {'certify' if standing.label == 'certified' else 'verify'} {stored.id}",
        faults=stored.summary.get("faults", {}),
    )


def rules_in_words(rules: Rules) -> dict[str, str]:
    """The settings of a session as a person reads them."""
    from gnomon.exchange.rules import RATE_ONE, SHARE_ONE

    fills, fees, latency = rules.fills, rules.fees, rules.latency
    ahead = {-1: "the book, or a model of the last minute", 0: "nobody"}.get(fills.ahead, f"{fills.ahead} lots")
    share = f"at most {fills.share / SHARE_ONE:g} of a print" if fills.share else "whatever qualifies fills whole"
    legs = (("feed", latency.feed), ("entry", latency.entry), ("reply", latency.reply))
    return {
        "Resting": f"{fills.resting}, ahead: {ahead}, {share}",
        "Taking": f"{fills.taker}, spread {fills.spread_ticks}, slippage {fills.slippage_ticks} ticks",
        "Bars": f"path {fills.path}, {fills.moment}, resolve {fills.resolve}",
        "Fees": f"maker {fees.maker / RATE_ONE:.4%}, taker {fees.taker / RATE_ONE:.4%}, in {fees.other or fees.asset}",
        "Latency": ", ".join(f"{name} {_leg(leg)}" for name, leg in legs),
        "Balances": ", ".join(f"{amount:,f} {name}" for name, amount in rules.balances.items()),
        **({} if rules.faults.is_empty else {"Faults": _faults_in_words(rules)}),
    }


def _faults_in_words(rules: Rules) -> str:
    counts: dict[str, int] = {}
    for entry in rules.faults.entries:
        counts[entry.fault.word] = counts.get(entry.fault.word, 0) + 1
    return ", ".join(name if n == 1 else f"{name} ({n})" for name, n in counts.items())


def _leg(leg: Leg) -> str:
    from gnomon.exchange.latency import LatencyCurve

    if leg.table is None:
        return f"{leg.const_ns / 1e6:g} ms"
    return "recorded" if isinstance(leg.table, LatencyCurve) else "from a table"


def plot_run(name: str, path: Path, as_json: bool) -> None:
    """Write the page of a stored run."""
    from gnomon.report.run_page import run_page

    replays = replays_of()
    stored = replays.runs.find(name)
    (standing,) = labels_of(replays).of([stored]).values()
    path.write_text(run_page(replays.read(stored), header_of(stored, standing)), encoding="utf-8")
    if as_json:
        show_json({"run": stored.id, "file": str(path)})
    else:
        say(f"the page of {stored.id} is {path}")


def _write_page(done: Done, path: Path) -> None:
    from gnomon.report.run_page import run_page
    from gnomon.score.label import Standing

    path.write_text(run_page(done.record, header_of(done.stored, Standing()), done.summary), encoding="utf-8")
    say(f"the page of {done.stored.id} is {path}")


def _failure_of(replays: Replays, stored: StoredRun) -> list[str]:
    """Where a trader failed: the end of its traceback, from the record."""
    found = replays.journals.read(stored.id).failure if stored.status == FAILED else None
    if found is None:
        return []
    unsent = [f"  {found.unsent} requests of the failed hook were not sent"] if found.unsent else []
    return [f"  {line}" for line in found.what.rstrip().split("\n")[-SAID_LINES:]] + unsent


def _row(stored: StoredRun) -> dict[str, Any]:
    from gnomon.score.label import Standing

    return {
        "run": stored.id,
        "entry": stored.entry,
        "trader": stored.trader,
        "status": stored.status,
        "reason": stored.reason,
        **({"parent": stored.parent} if stored.parent else {}),
        "seed": str(stored.seed),
        "digests": {name: stored.digests[name] for name in ("dataset", "config", "inputs", "outputs")},
        "fingerprint": stored.fingerprint,
        "label": Standing().row(),  # of a run that was made just now
        "fills": stored.counts["fills"],
        "counts": dict(stored.counts),
        "metrics": dict(stored.summary),
    }


def _say_run(stored: StoredRun) -> None:
    growth = stored.summary["growth"]
    counts = stored.counts
    sharpe = "-" if growth["sharpe"] is None else f"{growth['sharpe']:.2f}"
    why = f" ({stored.reason})" if stored.reason else ""
    say(
        f"{stored.id} {stored.entry}: {stored.status}{why}, {growth['total_return']:+.4%} "
        f"(hold {stored.summary['hold']['total_return']:+.4%}), Sharpe {sharpe}, "
        f"drawdown {growth['drawdown']['depth']:.4%}",
        f"  {counts['fills']:,} fills of {counts['orders']:,} orders, {counts['rejects']:,} rejected, "
        f"fingerprint {stored.fingerprint[:12]}",
    )
