"""Pieces of HTML that the pages are put together from. What comes from outside is escaped here, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that is done: it is not escaped again."""

    html: str


Text = str | Markup


def html_of(text: Text) -> str:
    return text.html if isinstance(text, Markup) else escape(text)


def page(title: str, body: Iterable[str]) -> str:
    """A whole document: its style inside, nothing to fetch, nothing that runs."""
    style = resources.files("gnomon.report").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str, name: str = "") -> str:
    anchor = f' id="{escape(name)}"' if name else ""
    return f"<section{anchor}>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def sheet(rows: Iterable[tuple[str, Text]]) -> str:
    """Figures in one column, or in two where there is room."""
    inside = "".join(f"<div><dt>{escape(name)}</dt><dd>{html_of(value)}</dd></div>" for name, value in rows)
    return f'<dl class="sheet">{inside}</dl>'


def quiet(text: Text) -> str:
    """A paragraph that explains."""
    return f'<p class="quiet">{html_of(text)}</p>'


def facts(rows: Mapping[str, Text] | Iterable[tuple[str, Text]]) -> str:
    """Names with their values."""
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    inside = "".join(f"<dt>{escape(name)}</dt><dd>{html_of(value)}</dd>" for name, value in pairs)
    return f'<dl class="facts">{inside}</dl>'


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, and its class (`n` for numbers, `when` for instants)."""

    head: str
    kind: str = ""


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Text]],
    *,
    anchors: Sequence[str] = (),
    notes: Sequence[Text] = (),
    kind: str = "",
) -> str:
    """A table whose first column heads its rows, each with a note below it where `notes` are given.

    On a narrow page the rows of kind `cards` become cards and the cells of kind `figures` wrap; other tables scroll.
    """
    head = "".join(f"<th{_class(one)} scope=col>{escape(one.head)}</th>" for one in columns)
    lines, noted = [], ' class="noted"' if notes else ""
    for index, row in enumerate(rows):
        cells = [
            _cell(one, text, "td" if place else "th")
            for place, (one, text) in enumerate(zip(columns, row, strict=True))
        ]
        anchor = f' id="{escape(anchors[index])}"' if anchors else ""
        lines.append(f"<tr{anchor}{noted}>{''.join(cells)}</tr>")
        if notes:
            lines.append(f'<tr class="note"><td></td><td colspan={len(columns) - 1}>{html_of(notes[index])}</td></tr>')
    name, body = f' class="{kind}"' if kind else "", "\n".join(lines)
    top = f"<thead><tr>{head}</tr></thead>"
    return f'<div class="scroll"><table{name}>{top}<tbody>\n{body}\n</tbody></table></div>'


def link(target: str, text: str) -> Markup:
    return Markup(f'<a href="#{escape(target)}">{escape(text)}</a>')


def code(text: str) -> Markup:
    return Markup(f"<code>{escape(text)}</code>")


def toned(value: float | None, text: str) -> Markup:
    """A gain or a loss in its colour; the sign says it too."""
    kind = "" if not value else ' class="gain"' if value > 0 else ' class="loss"'
    return Markup(f"<span{kind}>{escape(text)}</span>")


def _cell(column: Column, text: Text, tag: str) -> str:
    scope = " scope=row" if tag == "th" else ""
    return f'<{tag}{_class(column)}{scope} data-label="{escape(column.head)}">{html_of(text)}</{tag}>'


def _class(column: Column) -> str:
    return f' class="{column.kind}"' if column.kind else ""
