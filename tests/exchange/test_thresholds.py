"""Thresholds: four prices stand for all orders of a book."""

from __future__ import annotations

import numpy as np

from gnomon.exchange.thresholds import IDLE, NEVER_DOWN, NEVER_UP, Thresholds, any_of


def test_where_nothing_waits_no_price_reaches_anything() -> None:
    assert Thresholds(NEVER_DOWN, NEVER_UP, NEVER_UP, NEVER_DOWN) == IDLE


def test_masks_are_joined_row_by_row() -> None:
    masks = [np.array([True, False, False]), np.array([False, False, True])]
    assert any_of(masks, 3).tolist() == [True, False, True]


def test_without_a_mask_no_row_is_reached() -> None:
    assert any_of([], 4).tolist() == [False] * 4
