"""Layouts: how the fields of a frozen dataclass become bytes and come back.

Fixed fields first, packed little-endian without padding, then the variable ones, each with its count. A field says its
own kind and unit, so the table on the documentation page is this very declaration.

| kind | bytes |
|---|---|
| `u8` `u16` `u32` `u64` `i64` | 1, 2, 4, 8, 8 |
| `i128` | two words, low first; two's complement |
| `digest` | 32 |
| `text` | u32 length, then UTF-8 (NFC) |
| `texts` | u32 count, then so many texts |
| `u64s`, `digests` | u32 count, then 8 or 32 bytes each |
| `rows` | u32 count, then rows of fixed fields |
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import Field, field, fields
from struct import Struct, error
from typing import Any, Final, Generic, TypeVar

from gnomon.errors import Invalid

Shape = TypeVar("Shape")

WORD_MASK: Final = 2**64 - 1
_COUNT = Struct("<I")
_FIXED: Final = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "i128": "Qq", "digest": "32s"}


def u8(what: str) -> Any:
    return field(metadata={"kind": "u8", "what": what})


def u16(what: str) -> Any:
    return field(metadata={"kind": "u16", "what": what})


def u32(what: str) -> Any:
    return field(metadata={"kind": "u32", "what": what})


def u64(what: str) -> Any:
    return field(metadata={"kind": "u64", "what": what})


def i64(what: str) -> Any:
    return field(metadata={"kind": "i64", "what": what})


def i128(what: str) -> Any:
    return field(metadata={"kind": "i128", "what": what})


def digest32(what: str) -> Any:
    return field(metadata={"kind": "digest", "what": what})


def text(what: str) -> Any:
    return field(metadata={"kind": "text", "what": what})


def texts(what: str) -> Any:
    return field(metadata={"kind": "texts", "what": what})


def u64s(what: str) -> Any:
    return field(metadata={"kind": "u64s", "what": what})


def digests(what: str) -> Any:
    return field(metadata={"kind": "digests", "what": what})


def rows(shape: type, what: str) -> Any:
    return field(metadata={"kind": "rows", "what": what, "shape": shape})


class Layout(Generic[Shape]):
    """The bytes of one dataclass."""

    __slots__ = ("_has_wide", "_inner", "_kinds", "_names", "_values", "_variable", "head", "shape")

    def __init__(self, shape: type[Shape]) -> None:
        self.shape = shape
        declared = fields(shape)  # type: ignore[arg-type]  # every shape is a dataclass; a protocol cannot say so
        kinds = [one.metadata["kind"] for one in declared]
        count = next((i for i, kind in enumerate(kinds) if kind not in _FIXED), len(kinds))
        assert not any(kind in _FIXED for kind in kinds[count:]), f"{shape.__name__}: fixed fields come first"
        self._names = [one.name for one in declared[:count]]
        self._kinds = kinds[:count]
        self._has_wide = "i128" in self._kinds
        self._variable = declared[count:]
        self._inner = {one.name: Layout(one.metadata["shape"]) for one in self._variable if "shape" in one.metadata}
        self.head = Struct("<" + "".join(_FIXED[kind] for kind in self._kinds))

    def pack(self, body: Shape) -> bytes:
        """The bytes. `Invalid` names the field whose value does not fit its kind."""
        try:
            packed = self.head.pack(*self._words(body))
        except (error, OverflowError):
            raise self._misfit(body) from None
        if not self._variable:
            return packed
        return packed + b"".join(part for one in self._variable for part in self._pack_variable(body, one))

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> Shape:
        """The dataclass back. `Invalid` where bytes are missing or left over."""
        try:
            values, end = self._unpack_from(data, offset)
        except (error, UnicodeDecodeError, ValueError) as fault:
            raise Invalid(
                f"the bytes are not those of {self.shape.__name__}: {fault}", hint="the record is damaged, or newer"
            ) from None
        if end != len(data):
            raise Invalid(
                f"{len(data) - end} bytes more than {self.shape.__name__} has", hint="the record is damaged, or newer"
            )
        return self.shape(*values)

    def accepts(self, data: bytes | memoryview) -> bool:
        """Whether `unpack` would take the bytes."""
        if not self._variable:
            return len(data) == self.head.size
        try:
            self.unpack(data)
        except Invalid:
            return False
        return True

    def table(self) -> Iterator[tuple[str, str, str]]:
        """Rows of (field, kind, what and unit), those of a row's shape below it."""
        for one in fields(self.shape):  # type: ignore[arg-type]  # as above
            yield one.name, one.metadata["kind"], one.metadata["what"]
            if one.name in self._inner:
                for name, kind, what in self._inner[one.name].table():
                    yield f"{one.name}.{name}", kind, what

    def _words(self, body: Shape) -> list[Any]:
        words: list[Any] = []
        for name, kind in zip(self._names, self._kinds, strict=True):
            value = getattr(body, name)
            if kind == "i128":
                words += (value & WORD_MASK, value >> 64)
            elif kind == "digest" and len(value) != 32:
                raise error(f"{len(value)} bytes")
            else:
                words.append(value)
        return words

    def _unpack_from(self, data: bytes | memoryview, offset: int) -> tuple[list[Any], int]:
        values = list(self.head.unpack_from(data, offset))
        if self._has_wide:
            words = iter(values)
            values = [next(words) | next(words) << 64 if kind == "i128" else next(words) for kind in self._kinds]
        at = offset + self.head.size
        for one in self._variable:
            value, at = self._unpack_variable(data, at, one)
            values.append(value)
        return values, at

    def _pack_variable(self, body: Shape, one: Field[Any]) -> Iterator[bytes]:
        value = getattr(body, one.name)
        kind = one.metadata["kind"]
        if kind == "text":
            yield from _pack_text(value)
            return
        yield _COUNT.pack(len(value))
        if kind == "texts":
            for each in value:
                yield from _pack_text(each)
        elif kind == "digests":
            if any(len(each) != 32 for each in value):
                raise Invalid(f"{self.shape.__name__}.{one.name}: a digest has 32 bytes", hint="BLAKE2b-256")
            yield from value
        elif kind == "rows":
            yield from map(self._inner[one.name].pack, value)
        else:
            try:
                yield Struct(f"<{len(value)}Q").pack(*value)
            except error:
                raise self._refusal(one.name, value, "u64") from None

    def _unpack_variable(self, data: bytes | memoryview, at: int, one: Field[Any]) -> tuple[Any, int]:
        kind = one.metadata["kind"]
        if kind == "text":
            return _unpack_text(data, at)
        (count,) = _COUNT.unpack_from(data, at)
        at += 4
        if kind == "u64s":
            return Struct(f"<{count}Q").unpack_from(data, at), at + 8 * count
        found: list[Any] = []
        value: Any
        for _ in range(count):
            if kind == "texts":
                value, at = _unpack_text(data, at)
            elif kind == "digests":
                value, at = _slice(data, at, 32), at + 32
            else:
                inner = self._inner[one.name]
                values, at = inner._unpack_from(data, at)
                value = inner.shape(*values)
            found.append(value)
        return tuple(found), at

    def _misfit(self, body: Shape) -> Invalid:
        for name, kind in zip(self._names, self._kinds, strict=True):
            value = getattr(body, name)
            if kind == "digest" and len(value) != 32:
                return self._refusal(name, value, "digest")
            if kind != "digest" and not _fits(value, kind):
                return self._refusal(name, value, kind)
        raise AssertionError("a body that does not pack has a field that does not fit")

    def _refusal(self, name: str, value: object, kind: str) -> Invalid:
        return Invalid(
            f"{self.shape.__name__}.{name} = {value!r} does not fit {kind}",
            hint="ranges are checked where a value enters; this one was not",
            detail={"field": name, "kind": kind},
        )


def _fits(value: object, kind: str) -> bool:
    bits = int(kind[1:])
    lowest, above = (0, 2**bits) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return isinstance(value, int) and lowest <= value < above


def _pack_text(value: str) -> Iterator[bytes]:
    encoded = unicodedata.normalize("NFC", value).encode()
    yield _COUNT.pack(len(encoded))
    yield encoded


def _unpack_text(data: bytes | memoryview, at: int) -> tuple[str, int]:
    (length,) = _COUNT.unpack_from(data, at)
    return _slice(data, at + 4, length).decode(), at + 4 + length


def _slice(data: bytes | memoryview, at: int, length: int) -> bytes:
    found = bytes(data[at : at + length])
    if len(found) != length:
        raise ValueError(f"{length - len(found)} bytes are missing")
    return found
