"""A checkpoint is there whole or not at all, and nothing in it is code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gnomon.errors import Invalid
from gnomon.forecast.training.checkpoint import Checkpoint


def checkpoint() -> Checkpoint:
    turned = torch.arange(6.0).view(2, 3).t()
    tensors = {"now.a": turned, "optimiser.step.a": torch.tensor(3.0), "now.b": torch.arange(3)}
    return Checkpoint({"report": {"step": 3, "best_loss": 0.1}, "identity": {"seed": 7}}, tensors)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, written = tmp_path / "deep/run.training", checkpoint()
    written.write(path)
    found = Checkpoint.read(path)
    assert found is not None
    assert found.standing == written.standing
    assert set(found.tensors) == set(written.tensors)
    for name, one in written.tensors.items():
        assert found.tensors[name].dtype == one.dtype
        assert torch.equal(found.tensors[name], one)


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert Checkpoint.read(tmp_path / "run.training") is None


def test_the_rest_of_a_writing_that_was_killed_is_not_read_and_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "run.training"
    checkpoint().write(path)
    (tmp_path / "run.training.part").write_bytes(path.read_bytes()[:100])
    found = Checkpoint.read(path)
    assert found is not None
    assert found.standing["report"]["step"] == 3
    checkpoint().write(path)
    assert [one.name for one in tmp_path.iterdir()] == ["run.training"]


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "stranger"])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run.training"
    checkpoint().write(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickle":
        torch.save({"a": torch.zeros(1)}, path)
    else:
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(Invalid, match="no checkpoint") as caught:
        Checkpoint.read(path)
    assert "delete it" in caught.value.hint
