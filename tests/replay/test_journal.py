"""The journal against an oracle that hashes one record at a time, and what may and may not move a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import Invalid, Refused
from gnomon.exchange.draws import Draws
from gnomon.replay.bodies import (
    Accept,
    Body,
    Branch,
    Credit,
    Deliver,
    Detach,
    End,
    Entry,
    Fill,
    Genesis,
    OrderChange,
    Pending,
    PostingGroup,
    Quoted,
    Read,
    RequestPlace,
    RequestQuote,
    Span,
    TimerFired,
)
from gnomon.replay.digests import PREFIX_RECORDS, Prefix
from gnomon.replay.header import HEADER, RecordType
from gnomon.replay.journal import NOTES_HELD, Journal
from gnomon.replay.record import Kept, Record, Recorded

Run = Callable[..., Kept]
Bodies = Callable[[type[Body]], st.SearchStrategy[Body]]


def oracle(records: Sequence[Recorded], genesis: Genesis) -> tuple[dict[str, bytes], list[Prefix]]:
    """Every digest by one update a record, straight from the definition."""
    hashes = {
        name: hashlib.blake2b(digest_size=32, person=f"gnomon.{name}".encode())
        for name in ("inputs", "outputs", "chain", "notes")
    }
    prefixes, count = [], 0
    for one in records:
        kind = one.header.type >> 8
        hashes["notes" if kind == 3 else "chain"].update(one.raw)
        if kind in (1, 2):
            hashes["inputs" if kind == 1 else "outputs"].update(one.raw)
        count += kind != 3
        if kind != 3 and count % 1_024 == 0:
            prefixes.append(Prefix(count, hashes["chain"].digest()))
    digests = {name: state.digest() for name, state in hashes.items()}
    run = genesis.dataset + genesis.config_digest + digests["inputs"] + digests["outputs"]
    digests["fingerprint"] = hashlib.blake2b(run, digest_size=32, person=b"gnomon.run").digest()
    return digests, prefixes


def matches(kept: Kept, genesis: Genesis) -> None:
    digests, prefixes = oracle(list(Record(kept).everything()), genesis)
    assert kept.digests is not None
    assert {name: getattr(kept.digests, name) for name in digests} == digests
    assert kept.prefixes == prefixes


@pytest.mark.parametrize("steps", [0, 1, 200, 420])
def test_digests_and_prefixes_are_those_of_one_update_a_record(steps: int, run: Run, genesis: Genesis) -> None:
    kept = run(steps)
    matches(kept, genesis)
    assert len(kept.prefixes) == len(list(Record(kept).entries())) // PREFIX_RECORDS


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_mixture_of_records_and_notes_has_the_digests_of_the_oracle(data: st.DataObject) -> None:
    genesis = Genesis(1, 1, bytes(32), bytes(32), "{}", (), (), ())
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    many = st.lists(st.sampled_from("rondfe"), max_size=40)
    for what in data.draw(many):
        for i in range(data.draw(st.sampled_from([1, 3, 700]))):
            match what:
                case "r":
                    journal.put(Detach(1), 0, i, 0, 1)
                case "o":
                    journal.put(TimerFired(i), 70, i, journal.seq, 0)
                case "n":
                    journal.put(Read(1, i), 0, i, 0, 1)
                case "d":
                    journal.deliver(80, i, 0, 1, [(0, i, i + 1)], by_rule=i % 3 > 0)
                case "f":
                    journal.flush()
                case "e":
                    assert journal.put(Credit(0, i), 0, i, 0, 0) == journal.seq
    journal.end(10**6, 1)
    matches(kept, genesis)
    assert [one.seq for one in Record(kept).entries()] == list(range(1, journal.seq + 1))
    assert Record(kept).check().ok


def test_only_what_is_kept_differs_between_the_modes(genesis: Genesis) -> None:
    def play(journal: Journal) -> dict[str, str]:
        for i in range(3_000):
            told = journal.deliver(80, i, 0, 1, [(0, i, i + 1)])
            journal.quote(60, i, told, 1, i, i, 0, 99, 101, 10, 1)
            journal.put(Read(1, i), 0, i, 0, 1)
        return journal.end(4_000, 1).row()

    kept = Kept()
    assert play(Journal(genesis, 0, sink=kept)) == play(Journal(genesis, 0, mode="digest"))
    off = Journal(genesis, 0, mode="off")
    assert play(off)["outputs"] == hashlib.blake2b(digest_size=32, person=b"gnomon.outputs").hexdigest()
    assert off.seq == Record(kept).check().records


FILL = (
    7,
    1,
    0,
    1,
    3,
    2,
    1,
    2,
    1,
    8,
    1,
    2,
    600_000,
    10,
    5,
    -1,
    600_001,
    40,
    6,
    2,
    4,
    3,
    599_999,
    600_001,
    10,
    11,
    -5,
    1,
)
QUOTED = (3, 2, 0, 1, 8, 9, 6, 7, 50, 60)
NEGATIVE = -(2**90)


def test_every_hot_writer_packs_what_the_layouts_pack(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 5, sink=kept)
    at = (60, 1_000, 1, 2)
    leg = (0, 1, 2, 3, 4, 1, 10, 600_000, -5, 25, 2**100, 9)
    entries = [(0, 1, NEGATIVE), (2, 1, -NEGATIVE)]
    journal.place(*at, 3, 990, *leg)
    journal.quote(*at, 4, 991, 0, 599_995, 600_005, 10, 3)
    journal.accept(*at, 7, 3, 2, 1, 2**70, 55, 8)
    journal.order(*at, 7, 5, 2, 4, 6, 1, NEGATIVE)
    journal.fill(*at, FILL, NEGATIVE, 1, 2**80, cause_is_position=True)
    journal.quoted(*at, QUOTED, 2**70, 10, 2**71, 11)
    journal.deliver(80, 1_000, 1, 2, [(0, -1, 4), (5, 6, 7)], (8, 9), wakes=2, first=900, cause_is_position=True)
    journal.deliver(80, 1_002, 1, 2, [(0, 4, 9)], by_rule=False)
    for count in (0, 1, 2, 8, 9, 30):
        journal.posting(*at, (entries * 15)[:count])
    journal.end(2_000, 1)
    slow: list[Body] = [
        RequestPlace(1, 3, 990, *leg),
        RequestQuote(7, 4, 991, 0, 599_995, 600_005, 10, 3),
        Accept(7, 3, 2, 1, 2**70, 55, 8),
        OrderChange(7, 5, 2, 4, 6, 1, NEGATIVE),
        Fill(*FILL, NEGATIVE, 1, 2**80),
        Quoted(*QUOTED, 2**70, 10, 2**71, 11),
        Deliver(2, 900, 8, 9, (Span(0, -1, 4), Span(5, 6, 7))),
        Deliver(1, 1_002, 0, 0, (Span(0, 4, 9),)),
        *(PostingGroup(tuple(Entry(*one) for one in (entries * 15)[:count])) for count in (0, 1, 2, 8, 9, 30)),
    ]
    again = Kept()
    other = Journal(genesis, 5, sink=again)
    for body in slow:
        t, lane = {Deliver: (1_000, 80)}.get(type(body), (1_000, 60))
        t += 2 if body == slow[7] else 0
        other.put(body, lane, t, 1, 2, cause_is_position=isinstance(body, Fill) or body is slow[6])
    other.end(2_000, 1)
    assert [one.body for one in Record(kept).entries(2)][:-1] == slow
    assert kept.blocks == again.blocks
    assert Record(kept).check().ok


def test_wakes_told_one_by_one_or_at_once_are_the_same_bytes(genesis: Genesis) -> None:
    def play(cuts: list[int]) -> Kept:
        kept = Kept()
        journal = Journal(genesis, 0, sink=kept)
        for first, last in zip([0, *cuts], [*cuts, 100], strict=True):
            if last > first:
                spans = [(0, first, last), (3, 10 * first, 10 * last)]
                journal.deliver(80, 1_000 + last, last, 1, spans, wakes=last - first, first=1_001 + first)
        journal.end(5_000, 1)
        return kept

    whole = play([])
    assert Record(whole).at(2).body == Deliver(100, 1_001, 0, 0, (Span(0, 0, 100), Span(3, 0, 1_000)))
    assert Record(whole).at(2).header[4:7] == (1_100, 2, 100)
    assert play(list(range(1, 100))).blocks == whole.blocks
    assert play([30, 31, 90]).blocks == whole.blocks


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({}, 1),
        ({"by_rule": False}, 2),
        ({"source": 2}, 2),
        ({"spans": [(0, 6, 7)]}, 2),
        ({"spans": [(1, 5, 7)]}, 2),
        ({"spans": []}, 2),
        ({"own": (3, 4)}, 2),
    ],
)
def test_only_wakes_that_go_on_by_rule_extend_a_delivery(change: dict[str, Any], count: int, genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.deliver(80, 1, 0, 1, [(0, 0, 5)])
    following = {"lane": 80, "t": 2, "cause": 0, "source": 1, "spans": [(0, 5, 7)]} | change
    assert journal.deliver(**following) == journal.seq
    journal.end(3, 1)
    assert sum(one.type is RecordType.DELIVER for one in Record(kept).entries()) == count


def test_another_record_ends_a_delivery_and_a_note_or_a_flush_does_not(genesis: Genesis) -> None:
    def play(*between: Callable[[Journal], object]) -> tuple[dict[str, str], int]:
        kept = Kept()
        journal = Journal(genesis, 0, sink=kept)
        journal.deliver(80, 1, 0, 1, [(0, 0, 5)])
        for act in between:
            act(journal)
        journal.deliver(80, 2, 0, 1, [(0, 5, 6)])
        row = journal.end(3, 1).row()
        assert Record(kept).check().ok
        return row, sum(one.type is RecordType.DELIVER for one in Record(kept).entries())

    plain = play()
    assert plain[1] == 1
    assert play(lambda journal: journal.put(Read(1, 2), 0, 1, 0, 1)) == plain
    assert play(Journal.flush) == plain
    assert play(Journal.flush, lambda journal: journal.put(Read(1, 2), 0, 1, 0, 1), Journal.flush) == plain
    assert play(lambda journal: journal.put(TimerFired(1), 70, 1, 0, 0))[1] == 2


def test_notes_move_no_digest_wherever_they_stand(genesis: Genesis) -> None:
    def play(every: int) -> tuple[dict[str, str], list[Prefix], int]:
        kept = Kept()
        journal = Journal(genesis, 0, sink=kept)
        for i in range(2_500):
            journal.put(TimerFired(i), 70, i, 0, 0)
            if every and not i % every:
                for _ in range(NOTES_HELD // 500):
                    journal.put(Read(1, i), 0, i, 0, 1)
        row = journal.end(9_999, 1).row()
        assert Record(kept).check().ok
        return row, kept.prefixes, sum(1 for _ in Record(kept).notes())

    plain = play(0)
    noted = play(1)
    assert noted[:2] == plain[:2]
    assert (plain[2], noted[2]) == (0, 2_500 * 8)


def test_a_note_stands_at_the_newest_record(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.put(TimerFired(1), 70, 1, 0, 0)
    assert journal.put(Read(1, 2), 0, 1, 0, 1) == 2
    journal.put(TimerFired(2), 70, 2, 0, 0)
    journal.end(3, 1)
    assert [one.seq for one in Record(kept).notes()] == [2]


def test_a_flush_says_how_far_the_open_delivery_has_come(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.deliver(80, 1, 0, 1, [(0, 0, 5)])
    journal.flush()
    journal.flush()
    journal.deliver(80, 2, 0, 1, [(0, 5, 6)])
    journal.flush()
    pending = [one.body for one in Record(kept).notes()]
    assert pending == [
        Pending(1, 1, 0, 2, 1, 1, 0, 0, (Span(0, 0, 5),)),
        Pending(1, 2, 0, 2, 2, 1, 0, 0, (Span(0, 0, 6),)),
    ]


@pytest.mark.parametrize("tail", [0, 1, 5])
def test_a_journal_goes_on_from_what_a_dead_process_left(tail: int, genesis: Genesis) -> None:
    def act(journal: Journal, first: int, last: int) -> None:
        for i in range(first, last):
            told = journal.deliver(80, i, 0, 1, [(0, i, i + 1)])
            if not i % 3:
                journal.put(Read(1, i), 0, i, 0, 1)
            if not i % 5:
                journal.quote(60, i, told, 1, i, i, 0, 99, 101, 10, 1)
            if not i % 7:
                journal.flush()

    whole = Kept()
    journal = Journal(genesis, 0, sink=whole)
    act(journal, 0, 5_000)
    expected = journal.end(6_000, 1)

    killed = Kept()
    journal = Journal(genesis, 0, sink=killed)
    stop = 3_500 + tail
    act(journal, 0, stop)
    journal.flush()
    left = [one.raw for one in Record(killed).everything()]
    killed.prefixes.clear()
    resumed = Journal.resumed(genesis, left, killed)
    assert resumed.seq == journal.seq
    act(resumed, stop, 5_000)
    found = resumed.end(6_000, 1)
    assert found.row() == expected.row()
    assert Record(killed).check().ok
    assert killed.prefixes == whole.prefixes


def test_nothing_follows_the_end(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.end(1, 1)
    after: list[Callable[[], object]] = [
        lambda: journal.put(TimerFired(1), 70, 1, 0, 0),
        lambda: journal.quote(60, 1, 0, 1, 1, 1, 0, 99, 101, 10, 1),
        lambda: journal.deliver(80, 2, 0, 1, [(0, 5, 6)]),
        lambda: journal.posting(60, 1, 0, 0, []),
        lambda: journal.end(1, 1),
        lambda: Journal.resumed(genesis, [one.raw for one in Record(kept).everything()], kept),
    ]
    for act in after:
        with pytest.raises(Refused, match="has ended"):
            act()


def test_the_end_says_what_was_counted_drawn_and_left(genesis: Genesis) -> None:
    kept, draws = Kept(), Draws(7)
    journal = Journal(genesis, 0, sink=kept)
    draws.u64("choice", 4)
    journal.put(Detach(1), 0, 1, 0, 1)
    journal.put(TimerFired(1), 70, 1, 0, 0)
    journal.put(TimerFired(2), 70, 1, 0, 0)
    journal.end(9, 3, draws.tallies(), [(0, 1, -5)])
    end = Record(kept).end
    assert end is not None
    assert (end.reason, end.inputs, end.outputs, end.balances) == (3, 1, 2, (Entry(0, 1, -5),))
    assert [(one.component, one.count, one.digest) for one in end.tallies] == [(8, 1, draws.tallies()[0].digest)]


def test_a_branch_comes_first(genesis: Genesis) -> None:
    kept = Kept()
    branch = Branch(b"f" * 32, 77, 4)
    Journal(genesis, 77, sink=kept, branch=branch).end(78, 1)
    assert [one.type.name for one in Record(kept).entries()] == ["BRANCH", "GENESIS", "END"]
    assert Record(kept).branch == branch
    assert Record(kept).genesis == genesis


def test_a_record_packed_elsewhere_must_be_the_next_one(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    body = TimerFired(5).pack()

    def packed(length: int = 48, kind: int = 0x0208, flags: int = 2, seq: int = 2) -> bytes:
        return HEADER.pack(length, kind, 70, flags, 3, seq, 1, 0, 1, 0) + body

    for wrong in (packed(length=47), packed(flags=1), packed(seq=3), packed(kind=0x0301, flags=0)):
        with pytest.raises(Invalid, match="a packed record"):
            journal.add_packed(wrong)
    assert journal.add_packed(packed()) == 2
    journal.end(4, 1)
    assert Record(kept).at(2).body == TimerFired(5)
    assert Record(kept).check().ok


def test_a_mode_and_a_sink_that_do_not_go_together_are_refused(genesis: Genesis) -> None:
    for sink, mode in [(None, "full"), (Kept(), "digest"), (Kept(), "off"), (Kept(), "some")]:
        with pytest.raises(Invalid, match=r"mode|sink"):
            Journal(genesis, 0, sink=sink, mode=mode)  # type: ignore[arg-type]  # a wrong mode is the point


def test_a_header_is_forty_bytes_as_published(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 5, sink=kept)
    journal.put(TimerFired(3), 70, -6, 1, 9, cause_is_position=True)
    journal.end(7, 1)
    raw = Record(kept).at(2).raw
    fields = [
        (0, 4, 48),
        (4, 2, 0x0208),
        (6, 1, 70),
        (7, 1, 6),
        (16, 8, 2),
        (24, 8, 1),
        (32, 4, 9),
        (36, 2, 1),
        (38, 2, 0),
    ]
    assert [int.from_bytes(raw[at : at + size], "little") for at, size, _ in fields] == [value for *_, value in fields]
    assert int.from_bytes(raw[8:16], "little", signed=True) == -6
    assert raw[40:] == (3).to_bytes(8, "little")
    assert End.pack(Record(kept).end) == Record(kept).at(3).raw[40:]  # type: ignore[arg-type]  # it has one
