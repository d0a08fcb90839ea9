"""Gnomon's side of the benches of the exchange. Every function answers what a peer's script prints.

The engine is not in this tree yet: until it is, each of them ends with a line that says so, and the benches report
peers and physical limits alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

NOT_YET = "Gnomon's engine is not here yet: bench/workload/ours.py has to call it"


def gnomon_w1(folder: Path, *, runner: str) -> dict[str, Any]:  # noqa: ARG001 - the face that the engine gets
    """Two averages on bars, a Python callback a bar and full accounts; `runner` is `jump` or `kernel`."""
    raise SystemExit(NOT_YET)


def gnomon_w2(folder: Path, *, runner: str, wake: str, every: int, latency_ns: int = 0) -> dict[str, Any]:  # noqa: ARG001 - the face that the engine gets
    """Quoting on prints; `wake` is `every` (a decision every so many prints), `each` (a callback a print) or `quotes`
    (arrays)."""
    raise SystemExit(NOT_YET)


def gnomon_w3(folder: Path, *, runs: int, decisions: int) -> dict[str, Any]:  # noqa: ARG001 - the face that the engine gets
    """Buy and hold many times over, or so many decisions a run."""
    raise SystemExit(NOT_YET)


def answered(work: str, call: Any, *given: Any, **options: Any) -> dict[str, Any]:
    """The row of a bench: what `call` says, or why it is absent."""
    said = {"peer": "gnomon", "work": work}
    try:
        return {**said, **call(*given, **options)}
    except SystemExit as why:
        return {**said, "absent": str(why)}
