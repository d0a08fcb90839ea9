"""Moving-block bootstrap over cutoffs: sums of whole blocks, redrawn with replacement (Künsch 1989).

Blocks keep neighbouring cutoffs together, because their targets overlap. Each replicate draws ceil(C / L) blocks of L
successive cutoffs and cuts the last one to length, so that it holds exactly C cutoffs. Sums come from running totals,
one block number at a time: memory is (replicates, columns) whatever C is, and the order of additions is fixed, so the
bytes do not depend on the machine's linear algebra.
"""

from __future__ import annotations

import numpy as np

from gnomon import chance
from gnomon.errors import Invalid
from gnomon.units import FloatArray


def block_sums(per_cutoff: FloatArray, block_cutoffs: int, replicates: int, *, seed: int, identity: str) -> FloatArray:
    """Column sums over redrawn cutoffs: (C, M) in the order of time -> (replicates, M).

    The draw depends on seed, identity, C and the block length alone: two tables over as many cutoffs share their luck.
    `Invalid` for a block that is not between 1 and C cutoffs.
    """
    cutoffs = len(per_cutoff)
    if not 1 <= block_cutoffs <= cutoffs:
        raise Invalid(
            f"blocks of {block_cutoffs} in {cutoffs} cutoffs", hint="a block has at least one and at most all"
        )
    blocks = -(-cutoffs // block_cutoffs)
    luck = chance.generator(seed, "score/bootstrap", identity, cutoffs, block_cutoffs)
    starts = luck.integers(0, cutoffs - block_cutoffs + 1, size=(blocks, replicates))
    running = np.concatenate([np.zeros((1, per_cutoff.shape[1])), np.cumsum(per_cutoff, axis=0)])
    whole = running[block_cutoffs:] - running[:-block_cutoffs]
    total = np.zeros((replicates, per_cutoff.shape[1]))
    for start in starts[:-1]:
        total += whole[start]
    last = cutoffs - (blocks - 1) * block_cutoffs
    total += running[starts[-1] + last] - running[starts[-1]]
    return total


def interval_95(replicates: FloatArray) -> tuple[float, float]:
    """The 2.5 and 97.5 % points of the replicates (R,)."""
    low, high = np.quantile(replicates, (0.025, 0.975))
    return float(low), float(high)
