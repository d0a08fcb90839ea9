"""Processes of the tests of jobs, forked from a server that has imported everything: what is killed is their work, not
the two seconds that an interpreter takes to load it."""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "gnomon.cli.main",
        "gnomon.jobs.ingest",
        "gnomon.jobs.evaluate",
        "gnomon.store.store",
        "gnomon.sources.instruments",
        "tests.jobs.engine.crew",
    ]
)
