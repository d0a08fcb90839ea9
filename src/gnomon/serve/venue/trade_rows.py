"""Trade rows: prints as REST lists them, a block of them made at once and kept for whoever asks next."""

from __future__ import annotations

from typing import Final

from gnomon.exchange.prints import Prints
from gnomon.serve.venue.decimals import Decimals

MILLISECOND_NS: Final = 1_000_000
BLOCK: Final = 256
BLOCKS_KEPT: Final = 64


class TradeRows:
    """Of one tape of prints; ids are positions."""

    __slots__ = ("_blocks", "_prints", "_texts")

    def __init__(self, prints: Prints, texts: Decimals) -> None:
        self._prints = prints
        self._texts = texts
        self._blocks: dict[int, list[bytes]] = {}

    def rows(self, first: int, stop: int) -> list[bytes]:
        """Of the prints [first, stop)."""
        found: list[bytes] = []
        while first < stop:
            block = first // BLOCK
            found += self._block(block)[first - block * BLOCK : stop - block * BLOCK]
            first = (block + 1) * BLOCK
        return found

    def _block(self, block: int) -> list[bytes]:
        rows = self._blocks.get(block)
        if rows is None:
            if len(self._blocks) >= BLOCKS_KEPT:
                del self._blocks[next(iter(self._blocks))]
            rows = self._blocks[block] = self._made(block * BLOCK)
        return rows

    def _made(self, first: int) -> list[bytes]:
        prints, texts, rows = self._prints, self._texts, slice(first, first + BLOCK)
        columns = (prints.time_ns[rows], prints.price[rows], prints.lots[rows], prints.side[rows])
        return [
            (
                f'{{"id":{number},"price":"{texts.price(price)}","qty":"{texts.qty(lots)}",'
                f'"quoteQty":"{texts.worth(price * lots)}","time":{at_ns // MILLISECOND_NS},'
                f'"isBuyerMaker":{"true" if side < 0 else "false"},"isBestMatch":true}}'
            ).encode()
            for number, (at_ns, price, lots, side) in enumerate(
                zip(*(one.tolist() for one in columns), strict=True), first
            )
        ]
