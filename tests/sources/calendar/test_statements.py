"""What a row says, and from when it could be known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import parse_instant
from gnomon.errors import Invalid
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.sources.calendar.rows import Reading, read_row
from gnomon.sources.calendar.statements import Declared, Row, impact_of, one_line_a_release, statements
from gnomon.units import DAY_NS, HOUR_NS

AT = "2024-09-11T12:30:00Z"
AT_NS = parse_instant(AT)
READ_NS = parse_instant("2024-10-01")
NOTHING = Declared()


def row(**cells: Any) -> Row:
    return read_row(1, {"title": "CPI m/m", "country": "US", "scheduled_at": AT, **cells}, Reading())


def said(read_ns: int = READ_NS, declared: Declared = NOTHING, **cells: Any) -> list[CalendarEvent]:
    return statements(row(**cells), "test", read_ns, declared)


def test_an_event_to_come_is_listed_when_it_was_read() -> None:
    read_ns = AT_NS - 3 * DAY_NS
    (one,) = said(read_ns, forecast="0.2%", previous="0.1%")
    assert (one.listed_ns, one.knowable_ns, one.released_ns) == (read_ns, read_ns, None)
    assert (one.forecast, one.previous, one.actual, one.unit) == (0.2, 0.1, None, "%")


def test_an_event_to_come_with_a_listing_is_knowable_from_then() -> None:
    (one,) = said(AT_NS - DAY_NS, listed_at="2024-01-05T15:00:00Z")
    assert one.listed_ns == one.knowable_ns == parse_instant("2024-01-05T15:00:00Z")


def test_an_actual_is_knowable_at_its_release_and_not_before() -> None:
    listing, release = said(listed_at="2024-01-05T15:00:00Z", released_at=AT, forecast=0.2, actual=0.3)
    assert (listing.knowable_ns, listing.actual, listing.released_ns) == (
        parse_instant("2024-01-05T15:00:00Z"),
        None,
        None,
    )
    assert (release.knowable_ns, release.actual, release.released_ns) == (AT_NS, 0.3, AT_NS)
    assert listing.id == release.id == "test:us-cpi-m-m-2024-09-11"


def test_a_release_without_a_listing_says_nothing_before_it() -> None:
    (release,) = said(released_at=AT, forecast=0.2, actual=0.3)
    assert release.listed_ns == release.knowable_ns == AT_NS


def test_an_actual_without_a_release_is_knowable_when_it_was_read() -> None:
    (release,) = said(forecast=0.2, actual=0.3)
    assert (release.released_ns, release.knowable_ns) == (AT_NS, READ_NS)


def test_a_source_that_is_on_time_released_at_the_scheduled_time() -> None:
    (release,) = said(declared=Declared(on_time=True), forecast=0.2, actual=0.3)
    assert (release.released_ns, release.knowable_ns) == (AT_NS, AT_NS)
    (waiting,) = said(forecast=0.2)
    assert waiting.released_ns is None
    (assumed,) = said(declared=Declared(on_time=True), forecast=0.2)
    assert (assumed.released_ns, assumed.actual) == (AT_NS, None)


def test_a_source_may_declare_how_long_ahead_it_lists() -> None:
    declared = Declared(listed_ahead_ns=7 * DAY_NS, on_time=True)
    listing, release = said(declared=declared, forecast=0.2, actual=0.3)
    assert (listing.listed_ns, listing.knowable_ns, listing.forecast) == (AT_NS - 7 * DAY_NS, AT_NS - 7 * DAY_NS, 0.2)
    assert (release.listed_ns, release.knowable_ns) == (AT_NS - 7 * DAY_NS, AT_NS)
    (early,) = said(AT_NS - 30 * DAY_NS, declared)
    assert early.listed_ns == AT_NS - 30 * DAY_NS, "what is read today is known today"


def test_a_row_with_knowable_at_is_one_statement() -> None:
    (one,) = said(listed_at="2024-01-05T15:00Z", knowable_at="2024-09-10T20:00:00Z", forecast=0.2)
    assert one.knowable_ns == parse_instant("2024-09-10T20:00:00Z")
    (revision,) = said(listed_at="2024-01-05T15:00Z", knowable_at="2024-09-20T12:30:00Z", released_at=AT, actual=0.4)
    assert (revision.released_ns, revision.knowable_ns) == (AT_NS, parse_instant("2024-09-20T12:30:00Z"))


def test_a_statement_of_a_bank_that_is_past_came_out() -> None:
    (release,) = said(title="FOMC Statement")
    assert (release.kind, release.subject, release.released_ns, release.knowable_ns) == ("fomc", "FED", AT_NS, READ_NS)
    (ahead,) = said(AT_NS - HOUR_NS, title="FOMC Statement")
    assert ahead.released_ns is None


@pytest.mark.parametrize(
    ("actual", "previous", "change"),
    [("5.00%", "5.50%", -50.0), ("3.65", "4.25", -60.0), ("5.5%", "5.5%", 0.0), ("-0.25%", "-0.1%", -15.0)],
)
def test_a_decision_says_by_how_many_basis_points(actual: str, previous: str, change: float) -> None:
    *_, release = said(title="Federal Funds Rate", actual=actual, previous=previous, listed_at="2024-01-01T00:00Z")
    assert release.detail == {"rate_change_bp": change}
    listing, _ = said(title="Federal Funds Rate", actual=actual, previous=previous, listed_at="2024-01-01T00:00Z")
    assert listing.detail == {}, "a listing does not know what will be decided"


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({"released_at": "2024-12-01T00:00Z"}, "released_at lies after the row was read"),
        ({"scheduled_at": "2024-12-11T13:30Z", "actual": 0.2}, "an actual before the scheduled time"),
        ({"knowable_at": "2024-12-01T00:00Z"}, "knowable_at lies after the row was read"),
        ({"listed_at": "2024-09-01T00:00Z", "knowable_at": "2024-08-01T00:00Z"}, "before listed_at"),
        ({"actual": 0.2, "knowable_at": "2024-09-11T12:00Z"}, "before the release that the row holds"),
        ({"listed_at": "2024-09-20T00:00Z", "released_at": AT}, "released_at lies before listed_at"),
        ({"country": ""}, "neither a country"),
        ({"impact": "huge"}, "impact is 'huge'"),
        ({"title": "Nonfarm Payrolls", "actual": 187000}, "counts thousands"),
    ],
)
def test_what_cannot_be_is_refused(cells: dict[str, Any], rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        said(**cells)


def test_employment_in_persons_is_said_so() -> None:
    assert said(title="Nonfarm Payrolls", actual=187000, unit="persons")[0].actual == 187000.0


def test_an_impact_that_is_not_said_is_the_usual_one_of_the_kind() -> None:
    assert [impact_of("", kind) for kind in ("cpi", "earnings", "other")] == ["high", "medium", "low"]
    assert [impact_of(one, "other") for one in ("High", "2", "Non-Economic", "Medium Impact Expected")] == [
        "high",
        "medium",
        "low",
        "medium",
    ]


def test_one_line_of_a_release_carries_the_kind() -> None:
    rows = [row(title=title) for title in ("CPI y/y", "CPI", "CPI m/m", "Core CPI m/m")]
    kinds = {one.title: (one.classified.kind, one.own_id) for one in one_line_a_release(rows)}
    assert kinds == {
        "CPI m/m": ("cpi", ""),
        "CPI": ("other", "us-cpi-2024-09-11:other"),
        "CPI y/y": ("other", "us-cpi-y-y-2024-09-11:other"),
        "Core CPI m/m": ("other", ""),
    }


def test_a_line_alone_keeps_its_kind_and_so_does_a_declared_one() -> None:
    later = row(title="CPI y/y", scheduled_at="2024-10-10T12:30:00Z")
    assert one_line_a_release([row(), later])[1].classified.kind == "cpi"
    both = one_line_a_release([row(), row(title="CPI y/y", kind="cpi")])
    assert [one.classified.kind for one in both] == ["other", "cpi"]


def test_revisions_of_one_line_are_one_event() -> None:
    rows = [row(id="x"), row(id="x", actual=0.2), row(id="y", title="CPI y/y")]
    assert [one.own_id for one in one_line_a_release(rows)] == ["x", "x", "y:other"]


def test_talks_of_one_title_on_one_day_are_apart() -> None:
    morning, evening = (
        said(title="Fed Chair Powell Speaks", scheduled_at=at)[0].id
        for at in ("2024-09-11T12:30Z", "2024-09-11T20:00Z")
    )
    assert morning != evening


instants = st.integers(-40, 40).map(lambda days: AT_NS + days * DAY_NS)


@given(
    read_ns=instants,
    listed=st.none() | instants,
    released=st.none() | instants,
    figures=st.tuples(*[st.none() | st.floats(-5, 5)] * 3),
    ahead_days=st.none() | st.integers(0, 60),
    on_time=st.booleans(),
)
def test_nothing_is_knowable_before_anybody_said_it(
    read_ns: int,
    listed: int | None,
    released: int | None,
    figures: tuple[float | None, float | None, float | None],
    ahead_days: int | None,
    on_time: bool,
) -> None:
    forecast, actual, previous = figures
    declared = Declared(None if ahead_days is None else ahead_days * DAY_NS, on_time)
    one = row(forecast=forecast, actual=actual, previous=previous)
    one = Row(**{name: getattr(one, name) for name in Row.__slots__} | {"listed_ns": listed, "released_ns": released})
    try:
        found = statements(one, "test", read_ns, declared)
    except Invalid:
        return
    assert 1 <= len(EventBook(found).statements) == len(found) <= 2
    for statement in found:
        assert statement.knowable_ns <= max(read_ns, statement.scheduled_ns if on_time else read_ns)
        if statement.actual is not None:
            assert statement.knowable_ns >= (released or AT_NS)
        if listed is None and ahead_days is None and statement.released_ns is None:
            assert statement.knowable_ns == read_ns
