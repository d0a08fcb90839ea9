"""A fixed list of records, one of every type, and what their digests are: `python -m tests.replay.fixed_records` prints
them (for `tests/golden/digests.json`, under "journal")."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import Any

from gnomon.exchange.draws import Draws
from gnomon.replay.bodies import REQUESTS, TYPE_OF, Body, End, Failure, Genesis, Pending
from gnomon.replay.digests import canonical, config_digest, dataset_digest
from gnomon.replay.journal import Journal
from gnomon.replay.record import Kept, Record


def value(metadata: Any, salt: int) -> Any:
    """A value of the kind that no other salt has."""
    match metadata["kind"]:
        case "text":
            return f"tëxt {salt}"
        case "texts":
            return tuple(f"{salt}.{i}" for i in range(salt % 4))
        case "digest":
            return bytes((salt * 7 + i) % 256 for i in range(32))
        case "digests":
            return tuple(bytes((salt * i) % 256 for _ in range(32)) for i in range(salt % 3))
        case "u64s":
            return tuple(salt**i % 2**64 for i in range(salt % 5))
        case "rows":
            return tuple(body(metadata["shape"], salt + i) for i in range(salt % 3 + 1))
    bits = int(metadata["kind"][1:])
    return pow(3, salt + 5, 2 ** (bits - 1)) * (-1 if metadata["kind"][0] == "i" and salt % 2 else 1)


def body(shape: type[Body], salt: int) -> Body:
    made: Any = shape
    action = next((number for number, other in REQUESTS.items() if other is shape), None)
    values = {one.name: value(one.metadata, salt + 3 * i) for i, one in enumerate(fields(made))}
    return made(**(values | ({"action": action} if action else {})))  # type: ignore[no-any-return]  # a body, by its shape


def write() -> Kept:
    config = canonical({"seed": 7, "fees": {"taker": 50_000, "maker": 10_000}, "fills": ["queue", 1]})
    data = dataset_digest([("x/trades", bytes(range(64))), ("instruments", b"x")])
    genesis = Genesis(1, 1, data, config_digest(config), config, ("engine", "trader"), ("X",), ("USD", "X"))
    kept, draws = Kept(), Draws(7)
    journal = Journal(genesis, 1_700_000_000_000_000_000, sink=kept)
    # a note that came later is left out: it would move the turns of all the others
    shapes = [shape for shape in TYPE_OF if shape not in (Genesis, End, Pending, Failure)]
    for i in range(1_500):
        now = 1_700_000_000_000_000_000 + 1_000 * i
        journal.deliver(80, now, i, 1, [(0, i - 1, i)], by_rule=i % 5 > 0, cause_is_position=True)
        if not i % 2:
            journal.put(body(shapes[i // 2 % len(shapes)], i), 60, now, journal.seq, i % 3)
            draws.u64("latency.entry", i)
    journal.end(1_700_000_000_100_000_000, 1, draws.tallies(), [(0, 0, 10**30), (4, 0, -(10**30))])
    return kept


def digests() -> dict[str, Any]:
    kept = write()
    assert kept.digests is not None
    assert Record(kept).check().ok
    return {
        **kept.digests.row(),
        "notes": kept.digests.notes.hex(),
        "prefixes": {str(one.seq): one.chain.hex() for one in kept.prefixes},
        "records": Record(kept).check().records,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests(), indent=2) + "\n")
