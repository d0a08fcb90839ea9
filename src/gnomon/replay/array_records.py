"""Records from arrays: what a course of standing pairs leaves in the journal, packed a column at a time.

Every type of record is a packed NumPy structure with the header and the fields that `bodies` declares, so the bytes are
those that `Journal` would write one by one; they are put side by side in the order of their seqs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.market.lanes import Lane
from gnomon.replay.bodies import (
    Accept,
    Body,
    Decision,
    Deliver,
    Entry,
    Fill,
    PostingGroup,
    Quoted,
    Reject,
    RequestPlace,
    RequestQuote,
    Span,
)
from gnomon.replay.header import RecordType, flag_of
from gnomon.replay.journal import Buffer
from gnomon.units import IntArray

Rows = npt.NDArray[Any]
"""Records of one type: a structured array."""

Mask = npt.NDArray[np.bool_]

_HEADER: Final = (
    ("length", "<u4"), ("type", "<u2"), ("lane", "u1"), ("flags", "u1"), ("t", "<i8"), ("seq", "<u8"), ("cause", "<u8"),
    ("source", "<u4"), ("version", "<u2"), ("zero", "<u2"),
)  # fmt: skip
_KINDS: Final = {"u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "i64": "<i8", "digest": "V32"}


def _columns(shape: type[Body]) -> list[tuple[str, Any]]:
    """The fields of a body; a wide one as its two words, a variable one by its count alone."""
    found: list[tuple[str, Any]] = []
    for one in fields(shape):  # type: ignore[arg-type]  # every body is a dataclass; its parent is none
        kind = one.metadata["kind"]
        if kind == "i128":
            found += [(one.name, "<u8"), (f"{one.name}_high", "<i8")]
        else:
            found.append((one.name, _KINDS.get(kind, "<u4")))
    return found


def form(shape: type[Body], *more: tuple[Any, ...]) -> np.dtype[Any]:
    """The layout of a whole record whose rows, if it has any, are `more`."""
    return np.dtype([*(_HEADER), *((f"body_{name}", kind) for name, kind in _columns(shape)), *more])


DELIVER: Final = form(Deliver, ("span", np.dtype(_columns(Span))))
DECISION: Final = form(Decision)
REQUEST: Final = form(RequestQuote)
PLACE: Final = form(RequestPlace)
ACCEPT: Final = form(Accept)
QUOTED: Final = form(Quoted)
REJECT: Final = form(Reject)
FILL: Final = form(Fill)


def posting(entries: int) -> np.dtype[Any]:
    return form(PostingGroup, ("entry", np.dtype(_columns(Entry)), (entries,)))


def records(
    layout: np.dtype[Any], kind: RecordType, lane: Lane, source: int, t: IntArray, seq: IntArray, cause: IntArray,
    **body: Any,
) -> Rows:  # fmt: skip
    """Rows of one type: columns of the header, then those of the body; a wide one by its value."""
    rows = np.zeros(len(seq), layout)
    head = {
        "length": layout.itemsize, "type": int(kind), "lane": int(lane), "flags": flag_of(kind), "t": t,
        "seq": seq, "cause": cause, "source": source, "version": 1,
    }  # fmt: skip
    for name, value in head.items():
        rows[name] = value
    for name, value in body.items():
        put(rows, f"body_{name}", value)
    return rows


def put(rows: Rows, name: str, value: Any) -> None:
    """A column of int64; where it is an i128, its two words."""
    rows[name] = value
    if f"{name}_high" in (rows.dtype.names or ()):
        rows[f"{name}_high"] = np.asarray(value) >> 63


def side_by_side(rows: Rows, names: Sequence[str]) -> bytes:
    """Some of the records that stand in each row, as bytes."""
    layout = np.dtype([(name, rows.dtype[name]) for name in names])
    found = np.empty(len(rows), layout)
    for name in names:
        found[name] = rows[name]
    return found.tobytes()


Scatter = Callable[[Any, Any, Any], None]
"""`kernels.scatter`: rows of bytes to their offsets in a buffer."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Records in the order of their seqs: the bytes, where each ends, and the inputs and outputs among them."""

    chain: Buffer
    ends: IntArray
    inputs: Buffer
    outputs: Buffer
    input_count: int


def pack(groups: Sequence[Rows], first_seq: int, scatter: Scatter | None = None) -> Packed:
    """Put the records of all groups together; their seqs are `first_seq` and those that follow, without a gap."""
    groups = [one for one in groups if len(one)]
    count = sum(len(one) for one in groups)
    sizes = np.zeros(count, np.int64)
    is_input = np.zeros(count, np.bool_)
    places = [(one["seq"] - np.uint64(first_seq)).astype(np.int64) for one in groups]
    for rows, at in zip(groups, places, strict=True):
        sizes[at] = rows.dtype.itemsize
        is_input[at] = rows["flags"][0] & 1
    together = _joined(groups, places, is_input) if scatter is None else _laid(groups, places, is_input, sizes, scatter)
    chain, inputs, outputs = together
    return Packed(chain, np.cumsum(sizes), inputs, outputs, int(is_input.sum()))


def _joined(groups: Sequence[Rows], places: Sequence[IntArray], is_input: Mask) -> tuple[bytes, bytes, bytes]:
    """All records, the inputs and the outputs: each record as bytes of its own first."""
    records = np.empty(len(is_input), np.object_)
    for rows, at in zip(groups, places, strict=True):
        records[at] = rows.view(f"V{rows.dtype.itemsize}").tolist()
    chain, inputs, outputs = (b"".join(one.tolist()) for one in (records, records[is_input], records[~is_input]))
    return chain, inputs, outputs


def _laid(
    groups: Sequence[Rows], places: Sequence[IntArray], is_input: Mask, sizes: IntArray, scatter: Scatter
) -> tuple[Buffer, Buffer, Buffer]:
    """The same, every record copied to where it belongs."""
    ends, output_ends = np.cumsum(sizes), np.cumsum(np.where(is_input, 0, sizes))
    chain = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    outputs = np.empty(int(output_ends[-1]) if len(ends) else 0, np.uint8)
    inputs = [np.empty(0, np.uint8)]
    for rows, at in zip(groups, places, strict=True):
        flat = rows.view(np.uint8).reshape(len(rows), -1)
        scatter(chain, ends[at] - sizes[at], flat)
        if is_input[at[0]]:
            inputs.append(flat.reshape(-1))
        else:
            scatter(outputs, output_ends[at] - sizes[at], flat)
    return chain.data, np.concatenate(inputs).data, outputs.data
