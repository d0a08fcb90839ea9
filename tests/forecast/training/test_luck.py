"""PyTorch's chance belongs to a name while it is needed, and is given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from gnomon.forecast.training.luck import luck

CPU = torch.device("cpu")


def drawn(seed: int, *name: str | int) -> list[float]:
    """What dropout would draw, and what the generator that is handed out draws."""
    with luck(CPU, seed, "test", *name) as generator:
        return [*torch.rand(2).tolist(), *torch.rand(2, generator=generator).tolist()]


def test_a_name_has_its_luck_and_no_other() -> None:
    assert drawn(1, "step", 5) == drawn(1, "step", 5)
    names = [drawn(1, "step", 5), drawn(2, "step", 5), drawn(1, "step", 6), drawn(1, "start", 5)]
    assert len({number for one in names for number in one}) == 16


def test_what_is_drawn_elsewhere_is_as_if_nothing_had_been_drawn() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = torch.rand(4).tolist()
        torch.manual_seed(3)
        found = torch.rand(2).tolist()
        drawn(1, "step", 5)
        found += torch.rand(2).tolist()
    assert found == expected


def test_threads_do_not_share_their_luck() -> None:
    expected = [drawn(1, step) for step in range(40)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda step: drawn(1, step), range(40))) == expected
