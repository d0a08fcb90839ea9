"""HTML that holds what it is given, escaped once."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from gnomon.report.markup import Column, Markup, code, facts, html_of, link, page, quiet, section, sheet, table, toned

EVIL = '<script>alert("x")</script>&'
SAFE = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;"


class Balanced(HTMLParser):
    """Fails on a tag that is closed but not open, or open at the end."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the parser's own signature
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Closed where it was opened."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "made",
    [
        html_of(EVIL),
        section(EVIL, "", name=EVIL),
        facts({EVIL: EVIL}),
        sheet([(EVIL, EVIL)]),
        quiet(EVIL),
        link(EVIL, EVIL).html,
        code(EVIL).html,
        toned(1.0, EVIL).html,
        table([Column(EVIL)], [[EVIL]], anchors=[EVIL]),
        table([Column("a"), Column("b")], [["1", "2"]], notes=[EVIL]),
        page(EVIL, []),
    ],
)
def test_what_comes_from_outside_is_text(made: str) -> None:
    assert "<script" not in made
    assert SAFE in made or "alert" not in made
    Balanced(made)


def test_a_table_heads_its_rows_and_anchors_them() -> None:
    made = table([Column("Fill"), Column("Price", "n")], [["1", "9.5"]], anchors=["fill-1"], kind="cards")
    assert (
        '<tr id="fill-1"><th scope=row data-label="Fill">1</th><td class="n" data-label="Price">9.5</td></tr>' in made
    )
    assert '<table class="cards">' in made


def test_a_row_with_a_cell_too_few_is_a_fault() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table([Column("a"), Column("b")], [["1"]])


def test_a_tone_is_that_of_the_sign() -> None:
    assert 'class="gain"' in toned(1.0, "+1").html
    assert 'class="loss"' in toned(-1.0, "-1").html
    assert "class" not in toned(0.0, "0").html
    assert "class" not in toned(None, "–").html


def test_markup_is_not_escaped_twice() -> None:
    assert html_of(Markup("<b>x</b>")) == "<b>x</b>"
