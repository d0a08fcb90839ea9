"""The page on determinism names every record type with its fields, every lane, component and digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.exchange.draws import COMPONENTS
from gnomon.market.lanes import Lane
from gnomon.replay.bodies import LAYOUTS, REQUESTS, TYPE_OF, Body
from gnomon.replay.digests import Digests
from gnomon.replay.header import RecordType
from gnomon.replay.layout import Layout
from gnomon.replay.session import TIERS, Drive
from gnomon.score.label import Label, bars

PAGE = (Path(__file__).parents[2] / "docs/determinism.md").read_text(encoding="utf-8")


def table_of(shape: type[Body]) -> str:
    """The section of one body, as the page must have it."""
    kind = TYPE_OF[shape]
    action = next((f", action {number}" for number, other in REQUESTS.items() if other is shape), "")
    head = f"#### `{kind.name}` 0x{kind:04x}{action}\n\n{' '.join((shape.__doc__ or '').split())}\n\n"
    if not (rows := list(LAYOUTS[shape].table())):
        return head
    lines = [f"| `{name}` | {kind} | {what} |" for name, kind, what in rows]
    return head + "| field | kind | what, unit |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def record_tables() -> str:
    return "\n".join(table_of(shape) for shape in TYPE_OF)


@pytest.mark.parametrize("shape", list(TYPE_OF), ids=lambda shape: shape.__name__)
def test_the_page_has_every_field_of_every_record(shape: type[Body]) -> None:
    assert table_of(shape) in PAGE, f"write this into docs/determinism.md:\n{table_of(shape)}"


def test_the_page_names_every_type_lane_component_kind_and_digest() -> None:
    words = [f"`{kind.name}` 0x{kind:04x}" for kind in RecordType]
    words += [f"| `{lane.name}` | {int(lane)} |" for lane in Lane]
    words += [f"`{component}`" for component in COMPONENTS]
    words += [f"`gnomon.{name}`" for name in (*Digests.__slots__, "run")]
    words += [f"`{kind}`" for shape in LAYOUTS for _, kind, _ in Layout(shape).table()]
    assert [word for word in words if word not in PAGE] == []


def section_of(title: str) -> str:
    """The text below a heading of the second level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_scope_names_every_tier_drive_and_kind_of_note() -> None:
    scope = section_of("Scope")
    words = [f"tier `{tier}`" for tier in TIERS if tier != "auto"]
    words += [f"drive `{drive}`" for drive in Drive if drive is not Drive.IN_PROCESS] + ["trader in process"]
    words += [kind.name for kind in RecordType if kind >> 8 == 3]
    assert [word for word in words if word not in scope] == []
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    assert f"{numbers[len(Lane)]} lanes" in scope
    assert f"{numbers[len(COMPONENTS)]} components" in scope


def test_every_label_is_explained() -> None:
    labels = section_of("Labels")
    assert [label for label in Label if f"| `{label}` | " not in labels] == []


def test_every_bar_of_a_label_stands_in_the_table() -> None:
    """As many rows as there are bars in the code, the two of the session's settings in one."""
    table = section_of("Labels").partition("| bar | why |\n|---|---|\n")[2].partition("\n\n")[0]
    assert len(table.splitlines()) == len(bars_there_are()) - 1


def bars_there_are() -> set[str]:
    """Every reason that `bars` can give."""
    from gnomon.replay.session import Session
    from gnomon.score.label import BY_WALL

    def session(**table: str) -> Session:
        return Session.of({"session": {"dataset": "d", "pace": "lockstep", **table}, "rules": {}})

    worst = session(drive="paced", pace="60", rate_limits="wall", time_check="wall")
    seen = {*bars(worst, "unmodified", {BY_WALL: 1}, is_by_operator=True)}
    return seen | {*bars(session(), "native", {}, is_by_operator=False)}
