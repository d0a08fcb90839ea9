"""The block index of a stored series, in files beside its columns.

    index_64.npy  index_4096.npy  index_262144.npy   the bounds of each level, (bound, block) int64
    index.json                                       the digest of the index, and of the series it is of

The index is derived: where it is absent or wrong it is made anew from the columns (`DatasetFiles.block_index`). It is
no part of an identity.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from gnomon.errors import Invalid
from gnomon.market.block_index import BLOCKS, BlockIndex, Bounds

_HEAD: Final = "index.json"


def index_names() -> list[str]:
    """The files of an index; the one that vouches for the others comes last."""
    return [*map(_name, BLOCKS), _HEAD]


def write_index(folder: Path, index: BlockIndex, of: str) -> None:
    """Write the index of the series whose digest is `of`; all of it is on the disk at the end."""
    for length, level in zip(BLOCKS, index.levels, strict=True):
        with (folder / _name(length)).open("wb") as file:
            np.save(file, level.table, allow_pickle=False)
            _sync(file)
    head = {"digest": index.digest().hex(), "of": of}
    with (folder / _HEAD).open("wb") as file:
        file.write(json.dumps(head).encode())
        _sync(file)


def read_index(folder: Path, rows: int, of: str) -> BlockIndex | None:
    """The index in the folder, mapped; None where it is absent, damaged, or of another series."""
    try:
        head: dict[str, Any] = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
        index = BlockIndex(rows, tuple(Bounds(_mapped(folder / _name(length))) for length in BLOCKS))
        return index if (head["of"], head["digest"]) == (of, index.digest().hex()) else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, Invalid):  # whatever a file may hold
        return None


# --- inside -----------------------------------------------------------------------------------------------------


def _mapped(file: Path) -> Any:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except ValueError:  # no blocks: there is nothing to map
        return np.load(file, allow_pickle=False)


def _name(length: int) -> str:
    return f"index_{length}.npy"


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
