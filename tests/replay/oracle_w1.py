"""Two moving averages on bars, bar by bar: the slow and plain reading of `engine.md` 8 (`next_open`), 9 and 15.3.

Closes are compared as integers, three times the sum of ten with the sum of thirty. An order decided at the close of a
bar fills at the open of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

from .oracle_w2 import Account, Fill

FAST, SLOW, LOTS = 10, 30, 10


def crossing(opens: Sequence[int], closes: Sequence[int]) -> Account:
    """Long while the fast average is above the slow one. `Fill.k` is the number, from 0, of the bar filled at."""
    account = Account()
    waiting = ""
    for i in range(len(closes)):
        if waiting:
            account.book(Fill(i, waiting, opens[i], LOTS))
            waiting = ""
        if i >= SLOW - 1:
            above = 3 * sum(closes[i - FAST + 1 : i + 1]) > sum(closes[i - SLOW + 1 : i + 1])
            if above and not account.position:
                waiting = "B"
            elif not above and account.position:
                waiting = "S"
    return account
