"""The deliberate faults of determinism: each a change of the real source, and the tests that must see it.

A change is a pattern and what takes its place; it must fit exactly once, so a fault that no longer applies is noticed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TIDY = "tests/house/test_pure.py::test_the_pure_packages_keep_the_rules[exchange]"
GOLDEN = "tests/replay/test_run.py::test_no_output_moves_while_the_engine_version_stands"
TWICE = "tests/replay/test_determinism.py::test_a_random_session_is_the_same_twice_and_again_from_its_inputs_alone"
TRIPWIRE = "tests/replay/test_tripwire.py::test_a_run_asks_the_machine_for_nothing[late]"
ENGINE = "tests/replay/test_engine.py::"
LISTED = "tests/replay/test_ghost.py::test_every_kind_of_request_is_read_back_as_it_was_sent"


@dataclass(frozen=True)
class Fault:
    """One change of one module, and the tests that fail on it."""

    what: str
    module: str
    changes: tuple[tuple[str, str], ...]
    caught_by: tuple[str, ...]

    def plant(self, source: str) -> str:
        for pattern, instead in self.changes:
            source, count = re.subn(pattern, instead, source, flags=re.MULTILINE)
            assert count == 1, f"{self.what}: {pattern!r} fits {count} times in {self.module}: the source has changed"
        return source


FAULTS = {
    "a": Fault(
        "iterate a set",
        "exchange/exchange.py",
        ((r"orders = \[(one for one in self\.working\.orders\.values\(\) if [^\]\n]*)\]$", r"orders = {\1}"),),
        (TIDY,),
    ),
    "b": Fault(
        "read the wall clock",
        "exchange/draws.py",
        (
            (r"^import hashlib$", "import hashlib\nimport time"),
            (r"return table\.at\(", "return time.time_ns() % 1_000 + table.at("),
        ),
        (TIDY, TRIPWIRE, GOLDEN, TWICE + "[1019]"),
    ),
    "b, hidden": Fault(
        "read the wall clock by another way, and hide that it matters",
        "exchange/draws.py",
        ((r"return table\.at\(", "return 0 * getattr(datetime.datetime, 'now')().year + table.at("),
         (r"^import hashlib$", "import datetime\nimport hashlib")),
        (TIDY, TRIPWIRE),
    ),
    "c": Fault(
        "compute with a float",
        "exchange/fees.py",
        ((r"^    product = amount_units \* rate\n.*\n", "    return int(amount_units * (rate / 1e8))\n"),),
        (TIDY, "tests/exchange/test_funds.py::test_a_fee_is_exact_whatever_its_size"),
    ),
    "d": Fault(
        "draw under another component",
        "exchange/draws.py",
        ((r"return table\.at\(self\.u64\(component, ", 'return table.at(self.u64("choice", '),),
        (GOLDEN, "tests/replay/test_determinism.py::test_each_leg_draws_under_its_own_component_once_for_each_event"),
    ),
    "e": Fault(
        "order requests by socket arrival",
        "replay/engine.py",
        ((r"for request in (\S*outbox):", r"for request in reversed(\1):"),),
        (ENGINE + "test_requests_of_one_call_arrive_in_the_order_in_which_they_were_made", LISTED),
    ),
    "f": Fault(
        "drop the 1 ns rule",
        "replay/engine.py",
        ((r"(= now_ns \+ \(.*) or 1\)", r"\1 or 0)"),),
        (ENGINE + "test_a_request_is_at_the_venue_one_nanosecond_later_at_the_earliest[0]", GOLDEN),
    ),
    "g": Fault(
        "swap the lanes of prints and arrivals",
        "market/lanes.py",
        ((r"^    PRINT = 30$", "    PRINT = 61"), (r"^    ARRIVAL = 60$", "    ARRIVAL = 30"),
         (r"^    PRINT = 61$", "    PRINT = 60")),
        (GOLDEN, "tests/market/test_lanes.py::test_an_order_never_trades_with_a_print_of_its_own_instant"),
    ),
    "h": Fault(
        "keep state in a module between runs",
        "exchange/exchange.py",
        (
            (r"^_BUY: Final = Side\.BUY$", "_BUY: Final = Side.BUY\n_MADE: Final = [0]"),
            (r"self\.lists_made \+= 1", "_MADE[0] += 1"),
            (r"OrderList\(self\.lists_made, ", "OrderList(_MADE[0], "),
        ),
        (TIDY, TWICE + "[1009]"),
    ),
}  # fmt: skip
