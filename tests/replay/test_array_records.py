"""Records from arrays: the bytes of a journal that was told the same one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.exchange.kernels import scatter
from gnomon.market.lanes import Lane
from gnomon.replay import array_records as forms
from gnomon.replay.bodies import (
    LAYOUTS,
    TYPE_OF,
    Body,
    Deliver,
    Entry,
    Fill,
    Genesis,
    PostingGroup,
    Quoted,
    Reject,
    RequestQuote,
    Span,
    unpack,
)
from gnomon.replay.header import HEADER, HEADER_BYTES, Header
from gnomon.replay.journal import Journal, Mode
from gnomon.replay.record import Kept, Record

GENESIS = Genesis(1, 1, bytes(32), bytes(32), "{}", ("venue",), ("i",), ("a", "b"))
FORMS: dict[type[Body], np.dtype[Any]] = {
    RequestQuote: forms.REQUEST,
    Quoted: forms.QUOTED,
    Reject: forms.REJECT,
    Fill: forms.FILL,
}


@pytest.mark.parametrize("shape", FORMS, ids=lambda one: one.__name__)
def test_a_column_a_field_and_the_bytes_come_back_as_the_body(shape: type[Body]) -> None:
    names = [one for one in FORMS[shape].names or () if one.startswith("body_") and not one.endswith("_high")]
    values = {name.removeprefix("body_"): np.array([7 * place + 1, place + 2]) for place, name in enumerate(names)}
    wide = [name for name in values if f"body_{name}_high" in (FORMS[shape].names or ())]
    for name in wide:
        values[name] = np.array([-(2**62), 2**62 + 3])
    if "action" in values:
        values["action"][:] = 7
    made = forms.records(FORMS[shape], TYPE_OF[shape], Lane.PRINT, 3, np.array([5, -6]), np.array([1, 2]),
                         np.array([0, 9]), **values)  # fmt: skip
    for number in range(2):
        raw = made[number].tobytes()
        body = unpack(int(TYPE_OF[shape]), raw[HEADER_BYTES:])
        assert body == shape(**{name: int(column[number]) for name, column in values.items()})
        assert LAYOUTS[shape].pack(body) == raw[HEADER_BYTES:]
        header = Header._make(HEADER.unpack_from(raw))
        assert header[:3] == (len(raw), int(TYPE_OF[shape]), int(Lane.PRINT))
        assert header[4:] == ((5, -6)[number], number + 1, (0, 9)[number], 3, 1, 0)


def test_rows_of_a_record_come_back_as_its_rows() -> None:
    zeros = np.zeros(1, np.int64)
    made = forms.records(forms.DELIVER, TYPE_OF[Deliver], Lane.DELIVERY, 1, zeros, zeros, zeros, wakes=4, spans=1)
    made["span"]["after"], made["span"]["upto"] = -1, 2**40
    body = unpack(int(TYPE_OF[Deliver]), made[0].tobytes()[HEADER_BYTES:])
    assert body == Deliver(4, 0, 0, 0, (Span(0, -1, 2**40),))
    group = forms.records(forms.posting(2), TYPE_OF[PostingGroup], Lane.PRINT, 2, zeros, zeros, zeros, entries=2)
    for place, amount in enumerate((-(2**61), 2**61)):
        group["entry"][:, place]["asset"] = place
        forms.put(group["entry"][:, place], "amount", np.array([amount]))
    body = unpack(int(TYPE_OF[PostingGroup]), group[0].tobytes()[HEADER_BYTES:])
    assert body == PostingGroup((Entry(0, 0, -(2**61)), Entry(0, 1, 2**61)))


def told(groups: list[forms.Rows], journal: Journal) -> None:
    """One by one."""
    rows = sorted((int(one["seq"]), one.tobytes()) for group in groups for one in group)
    for _, raw in rows:
        journal.add_packed(raw)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 2_500), min_size=1, max_size=3), st.integers(0, 2**32), st.booleans(),
    st.sampled_from((None, scatter)),
)  # fmt: skip
def test_many_at_once_are_the_journal_of_one_after_the_other(
    stretches: list[int], seed: int, full: bool, how: forms.Scatter | None
) -> None:
    chance = np.random.default_rng(seed)
    mode: Mode = "full" if full else "digest"
    sinks = Kept(), Kept()
    one, many = (Journal(GENESIS, 1, sink=sink if full else None, mode=mode) for sink in sinks)
    for count in stretches:
        kinds = chance.integers(0, 4, count)
        seq = one.seq + 1 + np.arange(count)
        groups = []
        for number, (shape, layout) in enumerate(FORMS.items()):
            at = seq[kinds == number]
            body = {"action": 7} if shape is RequestQuote else {}
            groups.append(forms.records(layout, TYPE_OF[shape], Lane.PRINT, 1, at * 3, at, at - 1, **body))
        told(groups, one)
        packed = forms.pack(groups, many.next_seq(), how)
        counts = packed.input_count, count - packed.input_count
        many.add_many(packed.chain, packed.ends.tolist(), packed.inputs, packed.outputs, counts)
        for journal in (one, many):  # a record of the ordinary kind between the stretches
            journal.posting(0, 9, 0, 0, [(0, 1, -5), (1, 1, 5)])
    digests = [journal.end(10, 1) for journal in (one, many)]
    assert digests[0] == digests[1]
    assert one.prefixes == many.prefixes
    assert (one.input_count, one.output_count, one.seq) == (many.input_count, many.output_count, many.seq)
    assert sinks[0].blocks == sinks[1].blocks
    assert sinks[0].firsts == sinks[1].firsts
    if full:
        assert Record(sinks[1]).check().ok


def test_a_journal_that_is_off_counts_and_keeps_nothing() -> None:
    journal = Journal(GENESIS, 1, mode="off")
    before = journal.seq
    zeros = np.zeros(3, np.int64)
    packed = forms.pack(
        [forms.records(forms.FILL, TYPE_OF[Fill], Lane.PRINT, 1, zeros, before + 1 + np.arange(3), zeros)], before + 1
    )
    journal.add_many(packed.chain, packed.ends.tolist(), packed.inputs, packed.outputs, (0, 3))
    assert journal.seq == before + 3
    assert journal.output_count == 0
