"""The kinds of jobs and the queues they wait in: all that a door which only enqueues and asks has to know."""

from __future__ import annotations

from typing import Final

from gnomon.errors import Refused
from gnomon.jobs.engine.port import Handler, Handlers, Json, Queue, Work

KINDS: Final = {
    "ingest": "io",
    "predict": "cpu",
    "score": "cpu",
    "weigh": "cpu",
    "gates": "cpu",
    "digest": "cpu",
    "board": "cpu",
    "prune": "cpu",
}
"""Each kind and its queue, unless a schedule or a call names another."""

QUEUES: Final = (
    Queue("io", worker_limit=8),
    Queue("cpu", limit=1),
    Queue("llm", worker_limit=4),
    Queue("sim", worker_limit=2),
    Queue("gpu:cuda:0", limit=1),
)


def doors_only() -> Handlers:
    """The kinds without their handlers, for a process that never runs a job: the gateway, the verbs of jobs."""
    return Handlers([Handler(kind, _not_here, queue) for kind, queue in KINDS.items()])


def _not_here(work: Work) -> Json:
    raise Refused(f"job {work.id} came to a process that runs no jobs", hint="run it in `gnomon work`")
