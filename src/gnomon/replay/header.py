"""The header that every record begins with: 40 bytes, little-endian.

| offset | type | field |
|---|---|---|
| 0 | u32 | length in bytes, header included |
| 4 | u16 | type; its high byte says what kind: frame, input, output or note |
| 6 | u8 | lane |
| 7 | u8 | flags |
| 8 | i64 | t, ns |
| 16 | u64 | seq, from 1 without gaps over frame, input and output records; a note has that of the record it stands at |
| 24 | u64 | cause: seq (or tape position) of what led to this one; 0 none |
| 32 | u32 | source |
| 36 | u16 | version of the body |
| 38 | u16 | zero |
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, NamedTuple

HEADER: Final = Struct("<IHBBqQQIHH")
HEADER_BYTES: Final = 40


class RecordType(IntEnum):
    """What a record tells. The numbers are stored, so they never change."""

    GENESIS = 0x0001
    BRANCH = 0x0002
    END = 0x0003

    ATTACH = 0x0101
    DETACH = 0x0102
    WAKE = 0x0103
    TIMER_SET = 0x0104
    REQUEST = 0x0105
    DECISION = 0x0106
    FORECAST = 0x0107
    ANSWER = 0x0108
    CREDIT = 0x0109

    DELIVER = 0x0201
    ACCEPT = 0x0202
    REJECT = 0x0203
    ORDER = 0x0204
    FILL = 0x0205
    POSTING = 0x0206
    QUOTED = 0x0207
    TIMER = 0x0208
    LIMIT = 0x0209
    FAULT = 0x020A
    TRIGGER = 0x020B

    READ = 0x0301
    DOOR = 0x0302
    RESPONSE = 0x0303
    PENDING = 0x0304
    FAILURE = 0x0305

    @property
    def is_input(self) -> bool:
        return self >> 8 == 1

    @property
    def is_output(self) -> bool:
        return self >> 8 == 2

    @property
    def is_note(self) -> bool:
        return self >> 8 == 3


class Flag(IntFlag):
    """Frames and notes have neither of the first two."""

    INPUT = 1
    OUTPUT = 2
    CAUSE_IS_POSITION = 4


FIRST_INPUT: Final = 0x0100
FIRST_OUTPUT: Final = 0x0200
FIRST_NOTE: Final = 0x0300


class Header(NamedTuple):
    """The fields in the order of the bytes; `type` as a plain integer, so that unknown ones can still be read."""

    length: int
    type: int
    lane: int
    flags: int
    t: int
    seq: int
    cause: int
    source: int
    version: int
    zero: int


def flag_of(kind: int) -> int:
    """The flag that the type implies: 1 an input, 2 an output, 0 a frame or a note."""
    return kind >> 8 if kind >> 8 in (1, 2) else 0
