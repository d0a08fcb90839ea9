"""Records of every kind: hypothesis strategies read off the layouts, and a run made by a naive engine."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from gnomon.replay.bodies import Body, Genesis
from gnomon.replay.digests import config_digest
from gnomon.replay.journal import Journal
from gnomon.replay.record import Kept

if TYPE_CHECKING:
    from hypothesis import strategies as st

CONFIG = '{"fees":{"maker":10000,"taker":50000},"seed":7}'


def _values(metadata: Any) -> st.SearchStrategy[Any]:
    from hypothesis import strategies as st  # costs more than all the rest, and most tests of this folder do without

    kind = metadata["kind"]
    words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12).map(_nfc)
    match kind:
        case "text":
            return words
        case "texts":
            return st.lists(words, max_size=3).map(tuple)
        case "digest":
            return st.binary(min_size=32, max_size=32)
        case "digests":
            return st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple)
        case "u64s":
            return st.lists(st.integers(0, 2**64 - 1), max_size=5).map(tuple)
        case "rows":
            return st.lists(_bodies(metadata["shape"]), max_size=3).map(tuple)
    bits = int(kind[1:])
    return st.integers(0, 2**bits - 1) if kind[0] == "u" else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _bodies(shape: type[Body]) -> st.SearchStrategy[Body]:
    from hypothesis import strategies as st

    return st.builds(shape, **{one.name: _values(one.metadata) for one in fields(shape)})  # type: ignore[arg-type]  # every body is a dataclass


@pytest.fixture(scope="session")
def bodies_of() -> Callable[[type[Body]], st.SearchStrategy[Body]]:
    """A strategy for bodies of a shape; the whole range of every field."""
    return _bodies


@pytest.fixture
def genesis() -> Genesis:
    return Genesis(1, 1, bytes(range(32)), config_digest(CONFIG), CONFIG, ("engine", "alice"), ("X",), ("USD", "X"))


Run = Callable[..., Kept]


@pytest.fixture
def run(genesis: Genesis) -> Run:
    """Journal a small market-making run: wakes, quotes, fills, postings; `bend` may change what happens at a step."""

    def play(
        steps: int = 30, *, genesis: Genesis = genesis, bend: Callable[[int, dict[str, int]], None] | None = None
    ) -> Kept:
        kept = Kept()
        journal = Journal(genesis, 1_000, sink=kept)
        balances = {(4, 0): -(10**12), (0, 0): 10**12, (4, 1): -(10**9), (0, 1): 10**9}
        t = 1_000
        journal.posting(0, t, 1, 0, [(*key, units) for key, units in balances.items()])
        order = 0
        for step in range(1, steps + 1):
            at = {"price": 600_000 + step * 7 % 11, "lots": 10, "fee": 300, "wakes": 2, "stop": 0}
            if bend is not None:
                bend(step, at)
            if at["stop"]:
                break
            for _ in range(at["wakes"]):
                t += 50
                told = journal.deliver(80, t, 0, 1, [(0, (t - 50) // 50, t // 50)])
            asked = journal.quote(80, t, told, 1, step, t + 1, 0, at["price"] - 5, at["price"] + 5, at["lots"], 1)
            lock = (at["price"] - 5) * at["lots"]
            fields = (step, 0, 0, 1, order + 1, order + 2, order, max(0, order - 1), 0, 0)
            quoted = journal.quoted(60, t + 1, asked, 0, fields, lock, at["lots"], 0, 0)
            order += 2
            why = (order - 1, step, 0, 1, 4, 1, 1, 2, 1, 0, 0, 1, at["price"] - 5, at["lots"], 0, t // 50 + 1)
            why += (at["price"] - 6, 40, 0, 0, 0, 10, 0, 0, t, t + 1, 50_000, 0)
            filled = journal.fill(30, t + 20, quoted, 0, why, at["fee"], 0, 0)
            entries = [(1, 0, -lock), (2, 0, lock), (2, 1, -at["lots"]), (0, 1, at["lots"]), (0, 0, -at["fee"])]
            entries.append((3, 0, at["fee"]))
            journal.posting(30, t + 20, filled, 0, entries)
            released = journal.order(60, t + 25, quoted, 0, order, 5, 0, 0, at["lots"], 1, at["lots"])
            assert released == journal.seq
            balances[0, 0] -= lock + at["fee"]
            balances[0, 1] += at["lots"]
            balances[2, 0] = balances.get((2, 0), 0) + lock
            balances[2, 1] = balances.get((2, 1), 0) - at["lots"]
            balances[3, 0] = balances.get((3, 0), 0) + at["fee"]
        journal.end(t + 100, 1, (), [(*key, units) for key, units in balances.items()])
        return kept

    return play
