"""Chance for PyTorch, keyed by identity: dropout, draws and start values of a step depend on that step's name alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gnomon import chance

_ONE_AT_A_TIME = threading.Lock()  # dropout reads PyTorch's own generator, of which a process has one


@contextmanager
def luck(device: torch.device, seed: int, component: str, *parts: str | int) -> Iterator[torch.Generator]:
    """Inside, PyTorch's own generator and the one that is handed out belong to (seed, component, parts).

    Afterwards PyTorch's own is as it was before, on the CPU and on CUDA.
    """
    own, other = (chance.digest(seed, component, *parts)[at : at + 7] for at in (0, 8))
    cards = [device] if device.type == "cuda" else []
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=cards):
        if device.type == "cpu":
            torch.default_generator.manual_seed(int.from_bytes(own, "little"))
        else:
            torch.manual_seed(int.from_bytes(own, "little"))
        yield torch.Generator(device).manual_seed(int.from_bytes(other, "little"))
