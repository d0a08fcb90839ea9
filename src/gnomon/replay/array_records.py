"""Records from arrays: what a course of standing pairs leaves in the journal, packed a column at a time.

Every type of record is a packed NumPy structure with the header and the fields that `bodies` declares, so the bytes are
those that `Journal` would write one by one; `kernels.scatter` puts them side by side in the order of their seqs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.exchange.kernels import scatter
from gnomon.market.lanes import Lane
from gnomon.replay.bodies import Body, Deliver, Entry, Fill, PostingGroup, Quoted, Reject, RequestQuote, Span
from gnomon.replay.header import RecordType, flag_of
from gnomon.units import IntArray

Rows = npt.NDArray[Any]
"""Records of one type: a structured array."""

_HEADER: Final = (
    ("length", "<u4"), ("type", "<u2"), ("lane", "u1"), ("flags", "u1"), ("t", "<i8"), ("seq", "<u8"), ("cause", "<u8"),
    ("source", "<u4"), ("version", "<u2"), ("zero", "<u2"),
)  # fmt: skip
_KINDS: Final = {"u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "i64": "<i8"}


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
REQUEST: Final = form(RequestQuote)
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


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Records in the order of their seqs: the bytes, where each ends, and the inputs and outputs among them."""

    chain: npt.NDArray[np.uint8]
    ends: IntArray
    inputs: npt.NDArray[np.uint8]
    outputs: npt.NDArray[np.uint8]
    input_count: int


def pack(groups: Sequence[Rows], first_seq: int) -> Packed:
    """Put the records of all groups together; their seqs are `first_seq` and those that follow, without a gap."""
    count = sum(len(one) for one in groups)
    sizes = np.zeros(count, np.int64)
    of_input = np.zeros(count, np.bool_)
    places = [(one["seq"] - np.uint64(first_seq)).astype(np.int64) for one in groups]
    for rows, at in zip(groups, places, strict=True):
        sizes[at] = rows.dtype.itemsize
        of_input[at] = bool(len(rows)) and rows["flags"][0] & 1
    ends = np.cumsum(sizes)
    output_sizes = np.where(of_input, 0, sizes)
    output_ends = np.cumsum(output_sizes)
    chain = np.empty(int(ends[-1]) if count else 0, np.uint8)
    outputs = np.empty(int(output_ends[-1]) if count else 0, np.uint8)
    inputs = [np.empty(0, np.uint8)]
    for rows, at in zip(groups, places, strict=True):
        if len(rows):
            flat = rows.view(np.uint8).reshape(len(rows), -1)
            scatter(chain, ends[at] - sizes[at], flat)
            if of_input[at[0]]:
                inputs.append(flat.reshape(-1))
            else:
                scatter(outputs, output_ends[at] - output_sizes[at], flat)
    return Packed(chain, ends, np.concatenate(inputs), outputs, int(of_input.sum()))
