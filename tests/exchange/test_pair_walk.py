"""The walk of a standing pair: item by item what the compiled loop tells. Whole runs: replay/test_array_run.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.exchange import course, kernels, pair_walk
from gnomon.exchange.prints import Prints
from gnomon.market.block_index import BlockIndex

SECOND_NS = 1_000_000_000


def tape(chance: Any, rows: int) -> Prints:
    steps = chance.integers(0, 3, rows) * SECOND_NS
    price = 1_000 + np.cumsum(chance.integers(-2, 3, rows))
    return Prints(np.cumsum(steps), price, chance.integers(1, 9, rows), chance.integers(-1, 2, rows).astype(np.int8))


def terms_of(chance: Any, end_ns: int) -> dict[str, int]:
    known = dict.fromkeys(course.TERMS, 0)
    return known | {
        "feed_ns": int(chance.choice((0, 1, SECOND_NS))), "entry_ns": int(chance.choice((1, 3 * SECOND_NS))),
        "end_ns": end_ns, "resting": int(chance.integers(0, 3)), "share": int(chance.choice((0, 1_000_000, 200_000))),
        "ahead": int(chance.choice((-1, 0, 9))), "is_synthetic": int(chance.integers(0, 2)), "spread": 1,
        "notional_unit": 10_000, "lot_unit": 100_000, "rate": int(chance.choice((0, 50_000, -20_000))),
        "reserve_rate": int(chance.choice((0, 50_000))), "is_fee_in_quote": int(chance.integers(0, 2)),
        "keeps": int(chance.integers(0, 2)), "is_post_only": 1, "min_lots": 2,
        "max_orders": int(chance.choice((0, 1, 2))), "lowest_price": 0,
    }  # fmt: skip


def told_by_kernel(arguments: tuple[Any, ...], state: Any, terms: Any, prints: Prints, index: BlockIndex) -> list[Any]:
    kinds = np.zeros(4_096, np.int8)
    placed = np.zeros((4_096, len(course.PLACED_FIELDS)), np.int64)
    filled = np.zeros((4_096, len(course.FILLED_FIELDS)), np.int64)
    ended = kernels.quote_on_prints(
        prints.time_ns, prints.price, prints.lots, prints.side, *(one.table for one in index.levels), *arguments, terms,
        state, np.zeros((2, course.ORDER_FIELDS), np.int64), np.zeros((2, 4_000), np.int64), kinds, placed, filled,
    )  # fmt: skip
    assert ended == course.DONE
    counts = (int(state[one]) for one in (course.ITEMS, course.PLACED, course.FILLED))
    return [one[:count].tolist() for one, count in zip((kinds, placed, filled), counts, strict=True)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from((2, 7, 4_096)), st.sampled_from((3, 1 << 15)))
def test_the_walk_tells_what_the_compiled_loop_tells(seed: int, room: int, sparse_rows: int) -> None:
    chance = np.random.default_rng(seed)
    prints = tape(chance, 300)
    index = BlockIndex.of_prints(prints.price, prints.lots, prints.side)
    at = np.sort(chance.choice(300, int(chance.integers(0, 60)), replace=False))
    price = prints.price[at]
    quotes = (
        at,
        np.where(chance.random(len(at)) < 0.9, price - chance.integers(0, 4, len(at)), 0),
        np.where(chance.random(len(at)) < 0.9, price + chance.integers(0, 4, len(at)), 0),
        chance.integers(1, 6, len(at)),
    )
    terms = np.array(list(terms_of(chance, int(prints.time_ns[-1]) + int(chance.integers(0, 2))).values()), np.int64)
    state = np.zeros(course.STATE_FIELDS, np.int64)
    state[course.FREE_QUOTE], state[course.FREE_BASE] = chance.choice((10**9, 5 * 10**7)), chance.choice((10**8, 10**6))
    mine = state.copy()
    whole = told_by_kernel(quotes, state, terms, prints, index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_walk, "SPARSE_ROWS", sparse_rows)
        patch.setattr(pair_walk, "CHUNK_ROWS", 4 * sparse_rows)
        walk = pair_walk.PairWalk(prints, index, quotes, terms, mine, room)
        told: list[list[Any]] = [[], [], []]
        ended = course.MORE
        while ended == course.MORE:
            ended = walk.go_on()
            for column, more in zip(told, (walk.kinds, walk.placed, walk.filled), strict=True):
                column += more.tolist()
    assert ended == course.DONE
    assert told == whole
    kept = slice(course.FREE_QUOTE, course.FILLS + 1)
    assert mine[kept].tolist() == state[kept].tolist()
