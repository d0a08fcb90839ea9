"""Layouts: bytes written out by hand, and what does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gnomon.errors import Invalid
from gnomon.replay.layout import Layout, digest32, digests, i64, i128, rows, text, texts, u8, u16, u32, u64, u64s


@dataclass(frozen=True, slots=True)
class Row:
    small: int = u8("")
    large: int = i128("")


@dataclass(frozen=True, slots=True)
class Everything:
    one: int = u8("")
    two: int = u16("")
    four: int = u32("")
    eight: int = u64("")
    signed: int = i64("ticks")
    money: int = i128("")
    hashed: bytes = digest32("")
    word: str = text("")
    words: tuple[str, ...] = texts("")
    numbers: tuple[int, ...] = u64s("")
    hashes: tuple[bytes, ...] = digests("")
    table: tuple[Row, ...] = rows(Row, "a row")


FULL = Everything(1, 2, 3, 4, -5, -6, b"h" * 32, "né", ("a", ""), (7, 8), (b"x" * 32,), (Row(9, 2**100),))


def test_the_bytes_are_those_of_the_table() -> None:
    def le(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little", signed=value < 0)

    by_hand = [le(1, 1), le(2, 2), le(3, 4), le(4, 8), le(-5, 8), le(-6, 16), b"h" * 32]
    by_hand += [le(3, 4), "né".encode(), le(2, 4), le(1, 4), b"a", le(0, 4), le(2, 4), le(7, 8), le(8, 8)]
    by_hand += [le(1, 4), b"x" * 32, le(1, 4), le(9, 1), le(2**100, 16)]
    assert Layout(Everything).pack(FULL) == b"".join(by_hand)
    assert Layout(Everything).unpack(b"".join(by_hand)) == FULL


def test_two_spellings_of_one_text_are_the_same_bytes() -> None:
    decomposed = Everything(*(getattr(FULL, name) if name != "word" else "ne\u0301" for name in FULL.__slots__))
    assert decomposed.word != FULL.word
    assert Layout(Everything).pack(decomposed) == Layout(Everything).pack(FULL)


def test_every_shorter_or_longer_text_of_bytes_is_refused() -> None:
    layout = Layout(Everything)
    whole = layout.pack(FULL)
    for end in range(len(whole)):
        with pytest.raises(Invalid, match="Everything"):
            layout.unpack(whole[:end])
    with pytest.raises(Invalid, match="1 bytes more"):
        layout.unpack(whole + b"\0")


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("one", 256, "u8"),
        ("one", -1, "u8"),
        ("two", 2**16, "u16"),
        ("four", -1, "u32"),
        ("eight", 2**64, "u64"),
        ("signed", 2**63, "i64"),
        ("signed", 0.5, "i64"),
        ("money", 2**127, "i128"),
        ("money", -(2**127) - 1, "i128"),
        ("hashed", b"short", "digest"),
        ("numbers", (1, -1), "u64"),
        ("hashes", (b"short",), "digest"),
    ],
)
def test_a_value_that_does_not_fit_names_its_field(name: str, value: object, kind: str) -> None:
    values = {one: getattr(FULL, one) for one in FULL.__slots__} | {name: value}
    with pytest.raises(Invalid, match=f"Everything.{name}") as refused:
        Layout(Everything).pack(Everything(**values))
    assert kind in str(refused.value)


def test_the_table_lists_every_field_and_those_of_rows() -> None:
    listed = list(Layout(Everything).table())
    assert listed[4] == ("signed", "i64", "ticks")
    assert [name for name, _, _ in listed[-2:]] == ["table.small", "table.large"]
