"""Reading a Record back: seeking, causes, and every flipped byte seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from gnomon.errors import Invalid, NotFound
from gnomon.replay.bodies import Genesis, Read, TimerFired
from gnomon.replay.digests import Prefix
from gnomon.replay.header import RecordType
from gnomon.replay.journal import Journal
from gnomon.replay.record import Kept, Record

Run = Callable[..., Kept]


def copy(kept: Kept) -> Kept:
    other = Kept()
    other.blocks, other.firsts = list(kept.blocks), list(kept.firsts)
    other.prefixes, other.digests = list(kept.prefixes), kept.digests
    return other


def noted(genesis: Genesis, count: int) -> Kept:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    for i in range(count):
        journal.put(TimerFired(i), 70, i, journal.seq, 0)
        journal.put(Read(1, i), 0, i, 0, 1)
    journal.end(count, 1)
    return kept


def test_a_whole_record_checks(run: Run) -> None:
    kept = run(300)
    checked = Record(kept).check()
    assert checked.ok
    assert checked.digests == kept.digests
    assert checked.records == Record(kept).at(checked.records).seq


def test_seeking_finds_what_walking_finds(run: Run) -> None:
    record = Record(run(420))
    walked = list(record.entries())
    assert [one.seq for one in walked] == list(range(1, len(walked) + 1))
    assert all(record.at(one.seq) == one for one in walked[:: len(walked) // 40])
    for first, last in [(1, 1), (1_023, 1_026), (1_024, 1_024), (1_025, 1_025), (2_000, None), (5, 3)]:
        assert list(record.entries(first, last)) == walked[first - 1 : last if last is None or last >= first else 0]
    assert record.around(1_024) == tuple(walked[1_018:1_029])
    assert record.around(2) == tuple(walked[:7])
    assert list(record.inputs()) == [one for one in walked if one.type is RecordType.REQUEST]
    assert len(list(record.outputs())) == len(walked) - 2 - len(list(record.inputs()))
    with pytest.raises(NotFound, match=str(len(walked) + 1)) as missing:
        record.at(len(walked) + 1)
    assert str(len(walked)) in missing.value.hint


def test_blocks_of_notes_alone_hide_no_record(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    for i in range(10):
        journal.put(TimerFired(i), 70, i, 0, 0)
        journal.flush()
        journal.put(Read(1, i), 0, i, 0, 1)
        journal.flush()
    journal.end(10, 1)
    record = Record(kept)
    assert [record.at(seq).seq for seq in range(1, 13)] == list(range(1, 13))
    assert len(list(record.notes())) == 10
    assert record.check().ok


def test_causes_lead_up_and_consequences_down(run: Run) -> None:
    record = Record(run(5))
    fill = next(one for one in record.entries() if one.type is RecordType.FILL)
    up = [one.type.name for one in record.causes(fill.seq)]
    assert up == ["FILL", "QUOTED", "REQUEST", "DELIVER"]
    request = record.causes(fill.seq)[2]
    down = [one.type.name for one in record.consequences(request.seq)]
    assert down == ["REQUEST", "QUOTED", "FILL", "POSTING", "ORDER"]
    everything = list(record.entries())
    for one in everything:  # the naive way: whose causes go through it
        below = [other for other in everything if one in record.causes(other.seq)]
        assert list(record.consequences(one.seq)) == below


def test_a_cause_on_the_tape_is_no_record(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.put(TimerFired(1), 70, 1, 1, 0, cause_is_position=True)
    journal.put(TimerFired(2), 70, 1, 2, 0)
    journal.end(2, 1)
    assert [one.seq for one in Record(kept).causes(3)] == [3, 2]
    assert [one.seq for one in Record(kept).consequences(1)] == [1]


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_any_flipped_byte_of_the_records_is_seen(bit: int, genesis: Genesis) -> None:
    kept = noted(genesis, 4)
    (block,) = kept.blocks
    for at in range(len(block)):
        broken = copy(kept)
        broken.blocks[0] = block[:at] + bytes([block[at] ^ 1 << bit]) + block[at + 1 :]
        assert not Record(broken).check().ok, f"byte {at}"


def test_flips_in_a_long_record_are_seen(run: Run) -> None:
    kept, luck = run(420), Random(7)
    for _ in range(25):
        broken = copy(kept)
        i = luck.randrange(len(kept.blocks))
        at = luck.randrange(len(kept.blocks[i]))
        block = bytearray(kept.blocks[i])
        block[at] ^= 1 << luck.randrange(8)
        broken.blocks[i] = bytes(block)
        assert not Record(broken).check().ok


def test_a_false_index_is_seen(run: Run) -> None:
    kept = run(420)
    assert len(kept.prefixes) == 2
    wrong_chain, wrong_place, wrong_end = copy(kept), copy(kept), copy(kept)
    wrong_chain.prefixes[1] = Prefix(2_048, bytes(32))
    wrong_place.prefixes[1] = Prefix(3_072, kept.prefixes[1].chain)
    assert kept.digests is not None
    wrong_end.digests = replace(kept.digests, outputs=bytes(32))
    found = [Record(one).check().faults for one in (wrong_chain, wrong_place, wrong_end)]
    assert "2,048" in found[0][0]
    assert "3,072" in found[1][0]
    assert "outputs" in found[2][0]


def test_a_record_that_lost_its_tail_says_where_it_ends(run: Run) -> None:
    kept = run(420)
    cut = copy(kept)
    cut.blocks, cut.firsts, cut.digests = cut.blocks[:2], cut.firsts[:2], None
    checked = Record(cut).check()
    assert not checked.ok
    assert not checked.faults
    assert "after record 2,048" in checked.ending
    assert Record(cut).end is None


def test_records_taken_out_or_swapped_are_seen(genesis: Genesis) -> None:
    kept = noted(genesis, 6)
    records = [one.raw for one in Record(kept).everything()]
    for changed in (records[:2] + records[3:], [*records[:2], records[3], records[2], *records[4:]], records[1:]):
        broken = copy(kept)
        broken.blocks = [b"".join(changed)]
        assert Record(broken).check().faults


def test_a_cut_anywhere_is_damage_or_an_early_end(genesis: Genesis) -> None:
    kept = noted(genesis, 3)
    (block,) = kept.blocks
    ends = {0}
    for one in Record(kept).everything():
        ends.add(max(ends) + len(one.raw))
    for at in range(len(block)):
        cut = copy(kept)
        cut.blocks, cut.digests = [block[:at]], None
        checked = Record(cut).check()
        assert not checked.ok
        assert bool(checked.faults) == (at not in ends or at == 0), at


def test_an_empty_record_is_refused_kindly() -> None:
    assert Record(Kept()).last() is None
    assert "no record" in Record(Kept()).ending
    with pytest.raises(Invalid, match="no GENESIS"):
        _ = Record(Kept()).genesis
