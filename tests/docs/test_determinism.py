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
