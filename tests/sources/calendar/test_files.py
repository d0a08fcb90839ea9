"""Calendar files: layouts, bad rows with their line, and what they say when."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnomon.clock import SimClock, iso, parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.market.events import EventBook
from gnomon.sources.calendar.files import CalendarFile, CalendarSettings, read_calendar
from gnomon.sources.calendar.rows import Reading
from gnomon.sources.calendar.statements import Declared

READ_NS = parse_instant("2024-10-01")
PLAIN = """id,kind,title,country,impact,scheduled_at,listed_at,released_at,forecast,actual,previous,unit
cpi-2024-08,cpi,US CPI,US,high,2024-09-11T12:30:00Z,2024-01-05T15:00:00Z,2024-09-11T12:30:00Z,0.2,0.3,0.2,%
nfp-2024-08,nfp,Payrolls,US,high,2024-09-06T12:30:00Z,2024-01-05T15:00:00Z,2024-09-06T12:30:00Z,164K,142K,89K,
fomc-2024-11,fomc,FOMC statement,US,high,2024-11-07T19:00:00Z,2023-06-01T00:00:00Z,,,,,
"""
WEEK = """# zone: America/New_York
# listed_ahead: 7d
# on_time: yes

Title,Currency,Impact,Date,Time,Forecast,Actual,Previous
CPI m/m,USD,High,2024-09-11,8:30am,0.2%,0.3%,0.2%
CPI y/y,USD,High,2024-09-11,8:30am,2.5%,2.5%,2.9%
Non-Farm Employment Change,USD,High,2024-09-06,8:30am,164K,142K,89K
FOMC Statement,USD,High,2024-09-18,2:00pm,,,
Federal Funds Rate,USD,High,2024-09-18,2:00pm,5.25%,5.00%,5.50%
Main Refinancing Rate,EUR,High,2024-09-12,8:15am,3.65%,3.65%,4.25%
"""

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: Any) -> Path:
        path = tmp_path / name
        data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content))
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write_file


def read(path: Path, **options: Any) -> Any:
    return read_calendar(path, read_ns=READ_NS, **options)


def test_a_csv_becomes_statements_by_event_and_time(write: Write) -> None:
    found = read(write("events.csv", PLAIN))
    assert [(one.id, one.kind, iso(one.knowable_ns), one.actual, one.unit) for one in found.events] == [
        ("file:cpi-2024-08", "cpi", "2024-01-05T15:00:00Z", None, "%"),
        ("file:cpi-2024-08", "cpi", "2024-09-11T12:30:00Z", 0.3, "%"),
        ("file:fomc-2024-11", "fomc", "2023-06-01T00:00:00Z", None, ""),
        ("file:nfp-2024-08", "nfp", "2024-01-05T15:00:00Z", None, "K"),
        ("file:nfp-2024-08", "nfp", "2024-09-06T12:30:00Z", 142.0, "K"),
    ]
    assert (found.rejects, found.rows) == ((), 3)
    assert len(EventBook(found.events)) == 3


def test_a_weekly_calendar_by_titles_with_its_declarations(write: Write) -> None:
    book = EventBook(read(write("week.csv", WEEK)).events)
    assert book.kinds() == (
        *(("cpi", "US"), ("fomc", "FED"), ("nfp", "US"), ("other", "FED"), ("other", "US")),
        ("rate_decision", "ECB"),
    )
    releases = book.releases((("nfp", "US"),))
    assert releases.surprise.tolist() == [142.0 - 164.0], "the consensus was knowable before the release"
    decision = book.releases((("fomc", "FED"),))
    assert (iso(int(decision.released_ns[0])), decision.rate_change_bp.tolist()) == ("2024-09-18T18:00:00Z", [-50.0])


@pytest.mark.parametrize("wrapped", [False, True])
def test_json_says_the_same_as_csv(write: Write, wrapped: bool) -> None:
    header, *lines = PLAIN.strip().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    document = {"events": rows, "source": "file"} if wrapped else rows
    assert read(write("events.json", document)).events == read(write("events.csv", PLAIN)).events


def test_declarations_in_json(write: Write) -> None:
    rows = [
        {"event": "CPI y/y", "country": "US", "date": "2024-09-11", "time": "08:30", "actual": 2.5, "estimate": None}
    ]
    said = {"zone": "America/New_York", "source": "bls", "listed_ahead": "14d", "on_time": True}
    document = {**said, "titles": {"CPI y/y": "cpi"}, "events": rows}
    listing, release = read(write("events.json", document)).events
    assert (listing.id, listing.kind, iso(listing.knowable_ns)) == (
        "bls:us-cpi-y-y-2024-09-11",
        "cpi",
        "2024-08-28T12:30:00Z",
    )
    assert iso(release.knowable_ns) == "2024-09-11T12:30:00Z"


def test_a_packed_file_and_a_byte_order_mark_are_read(write: Write) -> None:
    plain = read(write("events.csv", PLAIN)).events
    assert read(write("events.csv.gz", gzip.compress(PLAIN.encode()))).events == plain
    assert read(write("marked.csv", b"\xef\xbb\xbf" + PLAIN.encode())).events == plain
    assert read(write("windows.csv", PLAIN.replace("\n", "\r\n").encode())).events == plain


def test_without_declarations_nothing_is_known_before_it_was_read(write: Write) -> None:
    header = "title,country,scheduled_at,forecast,actual\n"
    text = f"{header}CPI m/m,US,2024-09-11T12:30Z,0.2%,0.3%\nCPI m/m,US,2024-10-10T12:30Z,0.1%,\n"
    past, ahead = read(write("events.csv", text)).events
    assert (past.released_ns, past.knowable_ns) == (parse_instant("2024-09-11T12:30Z"), READ_NS)
    assert (ahead.listed_ns, ahead.knowable_ns) == (READ_NS, READ_NS)
    assert EventBook([past, ahead]).as_of(READ_NS - 1) == []


def test_settings_are_what_the_file_does_not_declare(write: Write) -> None:
    path = write("events.csv", "title,country,date,time,actual\nCPI m/m,US,2024-09-11,08:30,0.3\n")
    chosen = CalendarSettings("mine", Reading("America/New_York"), Declared(on_time=True))
    (one,) = read(path, settings=chosen).events
    assert (one.source, iso(one.knowable_ns)) == ("mine", "2024-09-11T12:30:00Z")


BAD = """title,country,scheduled_at,forecast,actual,impact
CPI m/m,US,2024-09-11T12:30Z,0.2%,0.3%,high
CPI m/m,US,2024-10-10,0.2%,,high
PPI m/m,US,2024-09-12T12:30Z,many,,low
GDP q/q,US,2024-09-26T12:30Z,3.0%,3.0%
Retail Sales m/m,US,2024-09-17T12:30Z,0.1%,0.1%,enormous
Housing Starts,,2024-09-18T12:30Z,1.3M,1.4M,low
"""


def test_bad_rows_are_reported_with_their_line(write: Write) -> None:
    with pytest.raises(Invalid, match=r"bad.csv, line 3: scheduled_at is '2024-10-10', a date") as error:
        read(write("bad.csv", BAD))
    assert error.value.detail["bad_rows"] == 5


def test_with_skip_bad_the_rest_is_kept(write: Write) -> None:
    found = read(write("bad.csv", BAD), skip_bad=True)
    assert [one.title for one in found.events] == ["CPI m/m"]
    assert [one.line for one in found.rejects] == [3, 4, 5, 6, 7]
    assert [one.rule.split(",")[0] for one in found.rejects] == [
        "scheduled_at is '2024-10-10'",
        "forecast: 'many' is not a figure",
        "not as many cells as the header",
        "impact is 'enormous'",
        "Housing Starts: it says neither a country or currency nor a bank or share",
    ]


def test_lines_are_counted_as_a_person_does_with_declarations_and_quoted_line_ends(write: Write) -> None:
    text = '# zone: UTC\n\ntitle,country,scheduled_at\n"CPI\nm/m",US,2024-09-11 12:30\nPPI,US,soon\n'
    found = read(write("lines.csv", text), skip_bad=True)
    assert ([one.title for one in found.events], [one.line for one in found.rejects]) == (["CPI m/m"], [6])


def test_bad_elements_of_json_are_counted_from_0(write: Write) -> None:
    good = {"title": "CPI m/m", "country": "US", "scheduled_at": "2024-09-11T12:30Z"}
    found = read(write("bad.json", [good, "CPI", {**good, "title": {"a": 1}}, {**good, "actual": True}]), skip_bad=True)
    assert [one.line for one in found.rejects] == [1, 2, 3]


def test_a_row_that_contradicts_an_earlier_one_is_refused(write: Write) -> None:
    twice = PLAIN + PLAIN.splitlines()[1].replace(",0.3,", ",0.4,") + "\n"
    with pytest.raises(Invalid, match="line 5: event file:cpi-2024-08: it says otherwise than line 2"):
        read(write("twice.csv", twice))
    other = PLAIN + "cpi-2024-08,gdp,US GDP,US,high,2024-09-12T12:30:00Z,2024-01-05T15:00:01Z,,,,,%\n"
    with pytest.raises(Invalid, match="is gdp of US here and another above"):
        read(write("other.csv", other))


def test_a_revision_with_knowable_at_is_a_later_statement(write: Write) -> None:
    header, *lines = PLAIN.strip().splitlines()
    rows = [f"{header},knowable_at", *(f"{line}," for line in lines)]
    rows.append(f"{lines[0].replace(',0.3,', ',0.4,')},2024-09-20T12:30:00Z")
    found = read(write("revised.csv", "\n".join(rows))).events
    assert [one.actual for one in found if one.kind == "cpi"] == [None, 0.3, 0.4]


def test_the_same_row_twice_counts_once(write: Write) -> None:
    lines = PLAIN.strip().splitlines()
    assert read(write("same.csv", "\n".join([*lines, *lines[1:]]))).events == read(write("events.csv", PLAIN)).events


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("prices.csv", "date,open,high,low,close\n2024-01-01,1,2,0,1\n", "no calendar of events"),
        ("twice.csv", "title,event,scheduled_at\na,b,c\n", "two columns for title"),
        ("quote.csv", 'title,country,scheduled_at\n"CPI,US,2024-09-11T12:30Z\n', "line 2: unexpected end of data"),
        ("number.json", "[1, 2", "not JSON"),
        ("object.json", '{"rows": []}', "no list of events"),
        ("empty.csv", "title,country,scheduled_at\n", "no rows"),
        ("zone.csv", "# zone: Mars\ntitle,country,scheduled_at\nCPI,US,2024-09-11 12:30\n", "no time zone 'Mars'"),
        ("ahead.csv", "# listed_ahead: long\ntitle,country,scheduled_at\nCPI,US,2024-09-11 12:30\n", "not a timeframe"),
        ("truth.csv", "# on_time: maybe\ntitle,country,scheduled_at\nCPI,US,2024-09-11 12:30\n", "on_time is 'maybe'"),
        ("latin.csv", b"title,country,scheduled_at\n\xe9,US,2024-09-11T12:30Z\n", "not UTF-8"),
    ],
)
def test_what_is_no_calendar_is_refused(write: Write, name: str, content: Any, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        read(write(name, content))


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read(tmp_path / "none.csv")


def test_as_a_source_a_file_answers_for_a_window(write: Write) -> None:
    source = CalendarFile(write("events.csv", PLAIN), SimClock(READ_NS))
    assert source.name == "file"
    (page,) = source.events(parse_instant("2024-09-01"), parse_instant("2024-09-11T12:30:00Z"))
    assert {one.kind for one in page} == {"nfp"}
    assert list(source.events(parse_instant("2020-01-01"), parse_instant("2021-01-01"))) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, len(WEEK)), junk=st.text(max_size=5))
def test_a_damaged_file_is_refused_or_read_and_never_breaks(write: Write, cut: int, junk: str) -> None:
    path = write("damaged.csv", (WEEK[:cut] + junk + WEEK[cut + 1 :]).encode())
    try:
        found = read(path, skip_bad=True)
    except Invalid:
        return
    EventBook(found.events)
