"""Products in panels, against the product."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.forecast.kronos.panels import COLUMNS, in_panels, multiply


@settings(deadline=None, max_examples=80)
@given(rows=st.integers(1, 33), inputs=st.integers(1, 70), panels=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_whatever_the_sizes_the_product_is_added(rows: int, inputs: int, panels: int, seed: int) -> None:
    luck = np.random.default_rng(seed)
    weight = luck.normal(size=(inputs, panels * COLUMNS)).astype(np.float32)
    x, total = (luck.normal(size=(rows, size)).astype(np.float32) for size in (inputs, panels * COLUMNS))
    wanted = total.astype(np.float64) + x.astype(np.float64) @ weight
    multiply(x, in_panels(weight), total)
    assert np.allclose(total, wanted, atol=1e-4)


def test_a_row_is_the_same_to_the_byte_whatever_rows_are_beside_it() -> None:
    luck = np.random.default_rng(3)
    weight = in_panels(luck.normal(size=(100, 64)).astype(np.float32))
    x = luck.normal(size=(30, 100)).astype(np.float32)
    together = np.zeros((30, 64), np.float32)
    multiply(x, weight, together)
    for at in range(30):
        alone = np.zeros((1, 64), np.float32)
        multiply(x[at : at + 1], weight, alone)
        assert alone.tobytes() == together[at].tobytes()


def test_nothing_is_written_past_the_last_row() -> None:
    room = np.full((12, 32), 7.0, np.float32)
    multiply(np.ones((11, 5), np.float32), in_panels(np.ones((5, 32), np.float32)), room[:11])
    assert (room[:11] == 12.0).all()
    assert (room[11] == 7.0).all()
