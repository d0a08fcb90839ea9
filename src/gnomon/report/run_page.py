"""The page of one run: what ran, what came of it beside buy-and-hold, every fill with its reason, what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gnomon.report.drawing import MOST_INSTRUMENTS, equity_chart, price_chart, queue_chart
from gnomon.report.figures import EXECUTION, GROWTH, TRADING, Figure, stated
from gnomon.report.markup import (
    Column,
    Markup,
    Text,
    code,
    facts,
    html_of,
    link,
    page,
    quiet,
    section,
    sheet,
    table,
    toned,
)
from gnomon.report.wording import (
    amount_of,
    clock_text,
    count,
    duration,
    instant,
    money,
    number,
    plural,
    share,
    signed_share,
)
from gnomon.score.execution import slippage_bps
from gnomon.score.fault_verdicts import Verdict, expected, in_words
from gnomon.score.label import Label, Standing
from gnomon.score.round_trips import OPENING, round_trips
from gnomon.score.run_record import RunRecord
from gnomon.score.runs import Summary, hold_equity, summary
from gnomon.units import IntArray

MOST_FILLS: Final = 200
MOST_REJECTS: Final = 200
MOST_TRIPS: Final = 5


@dataclass(frozen=True, slots=True)
class Header:
    """What ran, under which rules, and by which digests anybody can check it.

    `labels` are the warnings and models that a reader must know (bar-modelled, synthetic quote, optimistic fills);
    `rules` the session's settings in words, latency and fees always among them; `params` those of the trader;
    `digests` by name (dataset, config, inputs, outputs); `standing` how well it can be repeated, as far as that was
    tried when the page was written; `again` the command that checks it.
    """

    trader: str
    dataset: str
    status: str = "completed"
    seed: int | None = None
    labels: tuple[str, ...] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    standing: Standing = field(default_factory=Standing)
    versions: str = ""
    again: str = ""
    faults: Mapping[str, Any] = field(default_factory=dict)  # `score.fault_verdicts.FaultReport.row`


def run_page(record: RunRecord, header: Header, figures: Summary | None = None, *, most_fills: int = MOST_FILLS) -> str:
    """The report of one run, as the text of one self-contained HTML file.

    Of more than `most_fills` fills the first and the last half are listed, and the page says how many are not.
    """
    found = figures or summary(record)
    symbols = ", ".join(one.symbol for one in record.listings)
    parts = [
        _head(record, header, found, symbols),
        _equity(record, found),
        _growth(found),
        *_prices(record),
        _trading(found),
        _execution(record, found),
        _queue(record),
        _trips(record, {int(record.fills.number[row]) for row in _listed(record, most_fills)}),
        _fills(record, most_fills),
        _rejects(record),
        *_faults(header),
        _identity(header),
    ]
    return page(f"{header.trader} on {symbols} · {record.run}", parts)


# --- what ran ---------------------------------------------------------------------------------------------------------


def _head(record: RunRecord, header: Header, found: Summary, symbols: str) -> str:
    labels = "".join(f"<li>{html_of(one)}</li>" for one in header.labels)
    window = f"{instant(found.start_ns)} to {instant(found.end_ns)}, {duration(found.end_ns - found.start_ns)}"
    params = ", ".join(f"{name} = {value}" for name, value in header.params.items())
    rows: list[tuple[str, Text]] = [
        ("Run", code(record.run)),
        ("Status", header.status),
        ("Dataset", header.dataset),
        ("Window", window),
        *([("Seed", str(header.seed))] if header.seed is not None else []),
        *header.rules.items(),
        *([("Parameters", params)] if params else []),
    ]
    return (
        f"<header>\n<h1>{html_of(f'{header.trader} on {symbols}')}</h1>\n"
        + _standing(header)
        + (f'<ul class="labels">{labels}</ul>\n' if labels else "")
        + _headline(found)
        + f"\n<h3>What ran</h3>\n{facts(rows)}\n</header>"
    )


MARKS: Final = {Label.CERTIFIED: "\u2742", Label.REPLAYABLE: "\u2713", Label.OBSERVED: "\u25cb"}
"""A seal, a tick, an empty ring."""


def _standing(header: Header) -> str:
    """The label: a seal with the fingerprint, a tick, or grey; the reason beside it."""
    one = header.standing
    print_ = f" {code(header.fingerprint[:12]).html}" if one.label is Label.CERTIFIED else ""
    measured = f", {one.measured}" if one.measured else ""
    return (
        f'<p class="standing {one.label}"><strong><span aria-hidden="true">{MARKS[one.label]}</span> '
        f"{one.label}{measured}</strong>{print_} {html_of(one.reason)}</p>\n"
    )


def _headline(found: Summary) -> str:
    """The five figures that a reader looks for first."""
    ran, hold, done = found.growth, found.hold, found.execution
    items: list[tuple[str, Text, str]] = [
        ("Return", toned(ran.total_return, signed_share(ran.total_return)), f"hold {signed_share(hold.total_return)}"),
        ("Deepest drawdown", share(ran.drawdown.depth), f"hold {share(hold.drawdown.depth)}"),
        ("Sharpe", number(ran.sharpe), f"hold {number(hold.sharpe)}"),
        ("Fills", count(done.fills), f"{share(done.maker_share, 0)} maker by notional"),
        ("Fees", money(done.fees_quote, found.quote), number(done.fees_bps, 2, "bps of what was traded")),
    ]
    inside = "".join(f"<dt>{a}</dt><dd>{html_of(b)}<small>{html_of(c)}</small></dd>" for a, b, c in items)
    boxes = inside.replace("<dt>", "<div><dt>").replace("</dd>", "</dd></div>")
    return f'<dl class="headline">{boxes}</dl>'


def _identity(header: Header) -> str:
    rows: list[tuple[str, Text]] = [(f"{name} digest", code(value)) for name, value in header.digests.items()]
    rows = [("Fingerprint", code(header.fingerprint)), *rows] if header.fingerprint else rows
    rows += [("Versions", header.versions)] if header.versions else []
    rows += [("To check it", code(header.again))] if header.again else []
    note = quiet("Equal digests are the same run. No figure of this page enters them.")
    return section("Identity", note, facts(rows), name="identity")


# --- what came of it --------------------------------------------------------------------------------------------------


def _equity(record: RunRecord, found: Summary) -> str:
    hold = hold_equity(record.marks, fee=found.hold_fee)
    return section("Equity", equity_chart(record, hold).markup(), name="equity")


def _growth(found: Summary) -> str:
    fee = f", bought for a fee of {share(found.hold_fee, 3)}" if found.hold_fee else ", without a fee"
    note = f"Buy and hold: the opening equity in equal parts in the window's instruments at the first mark{fee}."
    columns = Column("Figure"), Column("This run", "n"), Column("Buy and hold", "n")
    rows = [(one.name, one.of(found), one.of_hold(found)) for one in GROWTH]
    notes = quiet(f"{stated(found.growth)} {note}")
    return section("Return and risk", table(columns, rows, kind="figures"), notes, name="figures")


def _prices(record: RunRecord) -> Iterator[str]:
    for index, one in enumerate(record.listings[:MOST_INSTRUMENTS]):
        drawn = price_chart(record, index).markup()
        yield section(f"{one.symbol}: price, fills and inventory", drawn, name=f"price-{index}")
    left = len(record.listings) - MOST_INSTRUMENTS
    if left > 0:
        text = f"{plural(left, 'further instrument')} of the run {'is' if left == 1 else 'are'} not drawn."
        yield section("Further instruments", quiet(text))


def _sheet(figures: tuple[Figure, ...], found: Summary) -> str:
    return sheet((one.name, one.of(found)) for one in figures)


def _trading(found: Summary) -> str:
    return section("Trading", _sheet(TRADING, found), name="trading")


def _execution(record: RunRecord, found: Summary) -> str:
    columns = (
        Column("Against"),
        Column("Role"),
        Column("Fills", "n"),
        Column("Mean, bps", "n"),
        Column("Median, bps", "n"),
        Column("p95, bps", "n"),
        Column(f"Cost, {record.quote}", "n"),
    )
    rows = [
        (one.reference, one.role, count(one.n), number(one.mean), number(one.median), number(one.p95), number(one.cost))
        for one in found.execution.slippage
        if one.n
    ]
    missing = max((one.missing for one in found.execution.slippage if one.role == "all"), default=0)
    note = "Against the price at decision and at arrival, weighed by notional. "
    note += "Above 0 is a cost: a buyer paid more, a seller got less."
    note += f" {plural(missing, 'fill')} had no such price." if missing else ""
    slipped = "<h3>Slippage</h3>" + quiet(note) + table(columns, rows, kind="cards") if rows else ""
    return section("Execution", _sheet(EXECUTION, found), slipped, name="execution")


def _queue(record: RunRecord) -> str:
    waited: IntArray = record.fills.queued_ns[record.fills.maker]
    inside = queue_chart(waited).markup() if len(waited) else quiet("No order was filled as a maker.")
    return section("Time in queue", inside, name="queue")


def _trips(record: RunRecord, listed: Set[int]) -> str:
    """Round trips; the numbers of `listed` fills are links to them."""
    trips = round_trips(record)
    if not len(trips):
        return ""
    order = np.argsort(trips.profit, kind="stable")[::-1]
    chosen = order if len(order) <= 2 * MOST_TRIPS else np.concatenate([order[:MOST_TRIPS], order[-MOST_TRIPS:]])
    columns = (
        Column("Instrument"),
        Column("Side"),
        Column("From fill", "n"),
        Column("To fill", "n"),
        Column("Held", "n"),
        Column("Quantity", "n"),
        Column(f"Profit, {record.quote}", "n"),
        Column("Gain", "n"),
        Column("MAE", "n"),
        Column("MFE", "n"),
    )
    rows: list[tuple[Text, ...]] = []
    for row in chosen.tolist():
        listing = record.listings[int(trips.instrument[row])]
        profit = float(trips.profit[row])
        rows.append(
            (
                listing.symbol,
                "long" if trips.side[row] > 0 else "short",
                _fill_link(int(trips.entry[row]), listed),
                _fill_link(int(trips.exit[row]), listed),
                duration(int(trips.exit_ns[row] - trips.entry_ns[row])),
                number(float(trips.quantity[row]), listing.quantity_decimals),
                toned(profit, number(profit, 4 if abs(profit) < 1 else 2)),
                signed_share(float(trips.gain[row])),
                share(float(trips.adverse[row])),
                share(float(trips.favourable[row])),
            )
        )
    some = f"The {MOST_TRIPS} best and the {MOST_TRIPS} worst of {len(order):,} pieces"
    note = "All pieces" if len(chosen) == len(order) else some
    note += ", by profit after fees. MAE and MFE: how far the price went against the holding and in its favour."
    return section("Round trips", quiet(note), table(columns, rows, kind="cards"), name="round-trips")


def _fill_link(number_of_fill: int, listed: Set[int]) -> Text:
    if number_of_fill == OPENING:
        return "opening"
    return link(f"fill-{number_of_fill}", str(number_of_fill)) if number_of_fill in listed else str(number_of_fill)


def _listed(record: RunRecord, most: int) -> list[int]:
    """The rows of the fills that the page lists: the first and the last."""
    n = len(record.fills)
    return list(range(n)) if n <= most else [*range(most // 2), *range(n - most // 2, n)]


def _fills(record: RunRecord, most: int) -> str:
    n = len(record.fills)
    if not n:
        return section("Fills", quiet("None."), name="fills")
    rows = _listed(record, most)
    heads = ("Time, UTC", "when"), ("Instrument", ""), ("Side", ""), ("Role", ""), ("Price", "n"), ("Quantity", "n")
    columns = [
        Column(*one) for one in (("Fill", ""), *heads, ("Fee", "n"), ("Slippage, bps", "n"), ("Holds after", "n"))
    ]
    note = f"The first {most // 2:,} and the last {most // 2:,} of {n:,}. " if n > len(rows) else ""
    note += "Slippage is against the price at arrival; a fill's number is what <code>gnomon explain</code> takes."
    anchors = [f"fill-{int(record.fills.number[row])}" for row in rows]
    why = [record.fills.why[row] for row in rows] if record.fills.why else ()
    listed = table(columns, [_fill_row(record, row) for row in rows], anchors=anchors, notes=why, kind="cards")
    return section("Fills", quiet(Markup(note)), listed, name="fills")


def _fill_row(record: RunRecord, row: int) -> tuple[Text, ...]:
    fills = record.fills
    listing = record.listings[int(fills.instrument[row])]
    name, side, arrival = int(fills.number[row]), int(fills.side[row]), float(fills.arrival_price[row])
    slipped = float(slippage_bps(side, fills.price[row], arrival)) if np.isfinite(arrival) else None
    return (
        link(f"fill-{name}", str(name)),
        clock_text(int(fills.at_ns[row])),
        listing.symbol,
        Markup('<span class="gain">buy</span>' if side > 0 else '<span class="loss">sell</span>'),
        "maker" if fills.maker[row] else "taker",
        number(float(fills.price[row]), listing.price_decimals),
        number(float(fills.quantity[row]), listing.quantity_decimals),
        amount_of(float(fills.fee[row]), record.assets[int(fills.fee_asset[row])]),
        number(slipped),
        number(float(fills.position_after[row]), listing.quantity_decimals),
    )


def _faults(header: Header) -> Iterator[str]:
    """How each planned fault was borne, and the checks of the whole run."""
    if not header.faults:
        return
    first, *_, position, refusals = in_words(header.faults)
    columns = Column("At, UTC", "when"), Column("Fault"), Column("Expected"), Column("Verdict"), Column("Events", "n")
    rows: list[tuple[Text, ...]] = []
    why: list[str] = []
    for one in header.faults["verdicts"][:MOST_REJECTS]:
        tone = -1.0 if one["verdict"] == Verdict.VIOLATED else 0.0
        rows.append(
            (clock_text(int(one["at_ns"])), one["fault"], expected(one["fault"]), toned(tone, one["verdict"]),
             str(one["events"]))
        )  # fmt: skip
        why.append(f"{one['why']}.")
    twice = header.faults["checks"]["duplicates"]
    orders = f"{plural(len(twice), 'order')} made twice." if twice else "No order was made twice."
    yield section(
        "Faults", quiet(f"{first} {orders} {position} {refusals}"), table(columns, rows, notes=why, kind="cards"),
        name="faults",
    )  # fmt: skip


def _rejects(record: RunRecord) -> str:
    orders = record.orders
    refused = [row for row, code_of in enumerate(orders.reject_code) if code_of]
    if not refused:
        return section("Rejects", quiet("No order was refused."), name="rejects")
    counts = Counter(orders.reject_code[row] for row in refused)
    by_code = ", ".join(f"{name}: {n:,}" for name, n in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
    columns = [Column("Order"), Column("Decided, UTC", "when"), Column("Instrument"), Column("Type"), Column("Code")]
    rows = [
        (
            str(int(orders.number[row])),
            clock_text(int(orders.decided_ns[row])),
            record.listings[int(orders.instrument[row])].symbol,
            f"{orders.kind[row]} {'buy' if orders.side[row] > 0 else 'sell'}",
            orders.reject_code[row],
        )
        for row in refused[:MOST_REJECTS]
    ]
    why = [orders.reject_text[row] for row in refused[:MOST_REJECTS]] if orders.reject_text else ()
    left = f" The first {MOST_REJECTS} are listed." if len(refused) > MOST_REJECTS else ""
    note = f"{plural(len(refused), 'order')} refused, by code: {by_code}.{left}"
    return section("Rejects", quiet(note), table(columns, rows, notes=why, kind="cards"), name="rejects")
