"""The Record: what a journal holds, read back record by record.

It reads blocks of whole records through a small port, so a run in memory and one in a file are the same to it. It
trusts nothing: `check` walks every byte that a digest covers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol, cast

from gnomon.errors import Invalid, NotFound
from gnomon.replay.bodies import SCHEMA, Body, Branch, End, Failure, Genesis, has_form, unpack
from gnomon.replay.digests import PREFIX_RECORDS, Digests, Prefix, hasher
from gnomon.replay.header import HEADER, HEADER_BYTES, Flag, Header, RecordType, flag_of


@dataclass(frozen=True, slots=True)
class Index:
    """What was kept beside the records: the chain every 1,024 of them, and the digests once the run had ended."""

    prefixes: tuple[Prefix, ...] = ()
    digests: Digests | None = None


class Blocks(Protocol):
    """Where a Record reads: blocks of whole records, each with the seq of the first that is not a note."""

    def starts(self) -> Sequence[int]: ...

    def block(self, i: int) -> bytes: ...

    def index(self) -> Index: ...

    def ending(self) -> str:
        """Empty, or how the bytes end where they should not."""
        ...


class Kept:
    """Blocks in memory: a sink for a journal, and what a Record reads."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.firsts: list[int] = []
        self.prefixes: list[Prefix] = []
        self.digests: Digests | None = None

    def write(self, plain: bytes, first_seq: int) -> None:
        self.blocks.append(plain)
        self.firsts.append(first_seq)

    def mark(self, prefix: Prefix) -> None:
        self.prefixes.append(prefix)

    def seal(self, digests: Digests) -> None:
        self.digests = digests

    def starts(self) -> Sequence[int]:
        return self.firsts

    def block(self, i: int) -> bytes:
        return self.blocks[i]

    def index(self) -> Index:
        return Index(tuple(self.prefixes), self.digests)

    def ending(self) -> str:
        return ""


class Recorded(NamedTuple):
    """One record: its header, and its bytes."""

    header: Header
    raw: bytes

    @property
    def seq(self) -> int:
        return self.header.seq

    @property
    def t(self) -> int:
        return self.header.t

    @property
    def type(self) -> RecordType:
        """`Invalid` for a type that this version does not know."""
        try:
            return RecordType(self.header.type)
        except ValueError:
            raise Invalid(
                f"record {self.seq} has the unknown type 0x{self.header.type:04x}", hint="written by a newer version"
            ) from None

    @property
    def body(self) -> Body:
        """The fields. `Invalid` where the bytes are not those of the type."""
        return unpack(self.header.type, self.raw[HEADER_BYTES:])

    @property
    def cause(self) -> int:
        """The seq of the record that led here; 0 where none did, or a tape position did."""
        return 0 if self.header.flags & Flag.CAUSE_IS_POSITION else self.header.cause

    @property
    def is_note(self) -> bool:
        return self.header.type >> 8 == 3


@dataclass(frozen=True, slots=True)
class Checked:
    """What a walk over a Record found."""

    records: int
    notes: int
    digests: Digests
    faults: tuple[str, ...] = ()
    ending: str = ""

    @property
    def ok(self) -> bool:
        """Whole and intact; a record that only ends early is not."""
        return not self.faults and not self.ending


class Record:
    """The records of one run."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    # --- what it is -------------------------------------------------------------------------------------------------

    @cached_property
    def genesis(self) -> Genesis:
        """`Invalid` for a record without one."""
        for one in self.entries(1, 2):
            if one.header.type == RecordType.GENESIS:
                return cast(Genesis, one.body)
        raise Invalid("the record has no GENESIS", hint="the journal is empty, or not one")

    @cached_property
    def branch(self) -> Branch | None:
        """Where it goes on from another run, if it does."""
        first = next(self.entries(1, 1), None)
        return cast(Branch, first.body) if first is not None and first.header.type == RecordType.BRANCH else None

    @cached_property
    def end(self) -> End | None:
        """None while it runs, or where it was cut off."""
        last = self.last()
        return cast(End, last.body) if last is not None and last.header.type == RecordType.END else None

    @cached_property
    def failure(self) -> Failure | None:
        """What its trader raised, where it failed."""
        told = [one for one in self.notes() if one.header.type == RecordType.FAILURE]
        return cast(Failure, told[-1].body) if told else None

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        return self._blocks.index().prefixes

    @property
    def sealed(self) -> Digests | None:
        """The digests that were kept when the run ended."""
        return self._blocks.index().digests

    @property
    def ending(self) -> str:
        """Empty for a run that ended; else where its record stops, in words."""
        if self._blocks.ending():
            return self._blocks.ending()
        last = self.last()
        if last is None:
            return "there is no record in it"
        return "" if last.header.type == RecordType.END else f"no END: cut off after record {last.seq:,}, at {last.t}"

    # --- reading ----------------------------------------------------------------------------------------------------

    def entries(self, first: int = 1, last: int | None = None) -> Iterator[Recorded]:
        """Frame, input and output records in seq order, from `first` to `last`, both included.

        `Invalid` where the bytes are damaged.
        """
        starts = self._blocks.starts()
        for i in range(max(0, bisect_right(starts, first) - 1), len(starts)):
            if last is not None and starts[i] > last:
                return
            for one in walk(self._blocks.block(i)):
                if not one.is_note and one.seq >= first:
                    if last is not None and one.seq > last:
                        return
                    yield one

    def notes(self) -> Iterator[Recorded]:
        """Notes in the order written; each has the seq of the record it stands at."""
        return (one for one in self.everything() if one.is_note)

    def inputs(self) -> Iterator[Recorded]:
        return (one for one in self.entries() if one.header.flags & Flag.INPUT)

    def outputs(self) -> Iterator[Recorded]:
        return (one for one in self.entries() if one.header.flags & Flag.OUTPUT)

    def everything(self) -> Iterator[Recorded]:
        """Every record, notes too, in the order of the bytes: what `Journal.resumed` takes (their `raw`)."""
        for i in range(len(self._blocks.starts())):
            yield from walk(self._blocks.block(i))

    def at(self, seq: int) -> Recorded:
        """The record of that number. `NotFound` where there is none."""
        found = next(self.entries(seq, seq), None)
        if found is None:
            last = self.last()
            raise NotFound(f"no record {seq}", hint=f"they go from 1 to {last.seq if last else 0}")
        return found

    def last(self) -> Recorded | None:
        """The newest record that is not a note."""
        for i in range(len(self._blocks.starts()) - 1, -1, -1):
            found = None
            for one in walk(self._blocks.block(i)):
                found = found if one.is_note else one
            if found is not None:
                return found
        return None

    def around(self, seq: int, distance: int = 5) -> tuple[Recorded, ...]:
        """The record and its neighbours."""
        return tuple(self.entries(max(1, seq - distance), seq + distance))

    # --- the tree of causes -----------------------------------------------------------------------------------------

    def causes(self, seq: int) -> tuple[Recorded, ...]:
        """The record and what led to it, upwards, until nothing or a tape position did."""
        chain = [self.at(seq)]
        while 0 < chain[-1].cause < chain[-1].seq:
            chain.append(self.at(chain[-1].cause))
        return tuple(chain)

    def consequences(self, seq: int) -> tuple[Recorded, ...]:
        """The record and all that it led to, in seq order."""
        tree = {seq: self.at(seq)}
        for one in self.entries(seq + 1):
            if one.cause in tree:
                tree[one.seq] = one
        return tuple(tree.values())

    # --- checking ---------------------------------------------------------------------------------------------------

    def check(self) -> Checked:
        """Walk every byte: headers, bodies, sequence, causes, the chain against the prefixes, the digests against those
        that were kept at the end."""
        return _Walk(self, self._blocks).run()


def walk(block: bytes) -> Iterator[Recorded]:
    """The records of a block. `Invalid` where a length cannot be."""
    at = 0
    while at < len(block):
        if len(block) - at < HEADER_BYTES:
            raise Invalid(f"a header is cut off after {len(block) - at} bytes", hint="the block is damaged")
        header = Header._make(HEADER.unpack_from(block, at))
        end = at + header.length
        if header.length < HEADER_BYTES or end > len(block):
            raise Invalid(
                f"a record of {header.length} bytes where {len(block) - at} are left", hint="the block is damaged"
            )
        yield Recorded(header, block[at:end])
        at = end


@dataclass(slots=True)
class _Walk:
    """One walk of `Record.check`, with what it has found so far."""

    record: Record
    blocks: Blocks
    seq: int = 0
    notes: int = 0
    last_note: int = 0
    faults: list[str] = field(default_factory=list)

    def run(self) -> Checked:
        chain, inputs, outputs, notes = (hasher(one) for one in ("chain", "inputs", "outputs", "notes"))
        due = {one.seq: one for one in self.blocks.index().prefixes}
        ending, genesis = "", Genesis(SCHEMA, 0, bytes(32), bytes(32), "", (), (), ())
        try:
            for i, start in enumerate(self.blocks.starts()):
                block = self.blocks.block(i)
                self._expect(start == self.seq + 1, f"block {i} says it begins at record {start}, not {self.seq + 1}")
                records = list(walk(block))
                for one in records:
                    self._look(one)
                for kind, state in enumerate((None, inputs, outputs, notes)):
                    if state is not None:
                        state.update(b"".join([one.raw for one in records if one.header.type >> 8 == kind]))
                chain.update(b"".join([one.raw for one in records if one.header.type >> 8 != 3]))
                if self.seq and not self.seq % PREFIX_RECORDS and self.seq in due:
                    kept = due.pop(self.seq).chain
                    self._expect(kept == chain.digest(), f"the chain at record {self.seq:,} is not what the index has")
            genesis, ending = self.record.genesis, self.record.ending
        except Invalid as damage:
            self.faults.append(f"after record {self.seq:,}: {damage.message}")
        for seq in due:
            self.faults.append(f"the index has a prefix at record {seq:,}, the journal has not")
        found = Digests(
            genesis.dataset,
            genesis.config_digest,
            inputs.digest(),
            outputs.digest(),
            chain.digest(),
            notes.digest(),
        )
        sealed = self.blocks.index().digests
        if sealed is not None:
            for name in found.__slots__:
                same = getattr(found, name) == getattr(sealed, name)
                self._expect(same, f"the {name} digest is not the one kept at the end")
        elif not ending:
            ending = "the index was not closed: its last digests are missing"
        return Checked(self.seq, self.notes, found, tuple(self.faults), ending)

    def _look(self, one: Recorded) -> None:
        """Rules of one record: its flag, its number, its cause, its body."""
        _, kind, _, flags, _, seq, cause, _, version, zero = one.header
        fault = ""
        if kind >> 8 == 3:
            self.notes += 1
            if not self.last_note <= seq <= self.seq + 1:
                fault = f"a note that stands after {self.last_note:,} and {self.seq:,}"
            self.last_note = seq
        else:
            if seq != self.seq + 1:
                fault = f"it follows {self.seq:,}"
            elif cause >= seq and not flags & Flag.CAUSE_IS_POSITION:
                fault = f"its cause {cause} comes after it"
            self.seq = seq
        if zero or version != 1:
            fault = "a version or padding that cannot be"
        elif flags > 7 or flags & 3 != flag_of(kind) or not has_form(kind, one.raw[HEADER_BYTES:]):
            fault = f"flags {flags} or a body that are not those of type 0x{kind:04x}"
        if fault:
            self.faults.append(f"record {seq:,}: {fault}")

    def _expect(self, is_so: bool, fault: str) -> None:
        if not is_so:
            self.faults.append(fault)
