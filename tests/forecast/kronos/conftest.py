"""Golden arrays, tiny networks with random weights, and frames of synthetic bars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnomon import compiled
from gnomon.forecast.kronos.config import ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.kronos import Kronos
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer


@dataclass(frozen=True, slots=True)
class Golden:
    """The folder of golden vectors: arrays by name, and what they were made with."""

    folder: Path
    arrays: dict[str, Any]
    meta: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return torch.from_numpy(self.arrays[name])

    def frame(self, row: int, rows: int, columns: list[str] | None = None) -> pd.DataFrame:
        table = pd.read_csv(self.folder / "input.csv", parse_dates=["timestamps"]).iloc[row : row + rows]
        return table[["timestamps", *columns]] if columns else table


@pytest.fixture(scope="session")
def golden(shared: Path) -> Golden:
    from safetensors.numpy import load_file

    folder = shared / "golden" / "kronos"
    if not folder.is_dir():
        pytest.skip("needs the golden vectors of Kronos in the shared folder")
    meta = json.loads((folder / "meta.json").read_text())
    return Golden(folder, load_file(folder / "expected.safetensors"), meta)


def networks(seed: int = 0, *, model: dict[str, Any] | None = None, tokenizer: dict[str, Any] | None = None) -> Any:
    """A tiny model and its tokenizer, with every bias and gain away from its start so that a missing term shows."""
    bits = {"s1_bits": 5, "s2_bits": 5}
    of_tokenizer = {"d_model": 16, "n_heads": 2, "ff_dim": 24, "n_enc_layers": 2, "n_dec_layers": 3, "group_size": 5}
    of_model = {"n_layers": 2, "d_model": 32, "n_heads": 2, "ff_dim": 40}
    torch.manual_seed(seed)
    made = (
        KronosModel(ModelConfig(**(bits | of_model | (model or {})))),
        KronosTokenizer(TokenizerConfig(**(bits | of_tokenizer | (tokenizer or {})))),
    )
    with torch.no_grad():
        for network in made:
            for name, one in network.named_parameters():
                if name.endswith("bias"):
                    one.normal_(0, 0.1)
                elif "norm" in name:
                    one.uniform_(0.5, 1.5)
        made[0].head.proj_s1.weight.mul_(3.0)  # livelier than flat
        made[0].head.proj_s2.weight.mul_(3.0)
    return tuple(one.eval().requires_grad_(False) for one in made)


@contextmanager
def arithmetic(is_compiled: bool) -> Iterator[None]:
    """With the kernels, or as it is where numba is not installed."""
    assert compiled.AVAILABLE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "AVAILABLE", is_compiled)
        yield


@pytest.fixture(scope="session")
def tiny() -> Kronos:
    return Kronos(*networks(), max_context=48)


def bars(rows: int, seed: int = 0, start: str = "2024-01-30 21:00") -> pd.DataFrame:
    """Synthetic hourly bars."""
    luck = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(luck.normal(0, 0.01, rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.002,
            "low": np.minimum(opened, close) * 0.998,
            "close": close,
            "volume": luck.lognormal(3, 1, rows),
            "amount": luck.lognormal(7, 1, rows),
        },
        index=pd.date_range(start, periods=rows, freq="h", name="timestamps"),
    )


@pytest.fixture(scope="session")
def frames() -> Callable[..., tuple[pd.DataFrame, pd.DatetimeIndex]]:
    """Past and future of a synthetic series: `frames(lookback, horizon, seed)`."""

    def made(lookback: int, horizon: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
        table = bars(lookback + horizon, seed)
        return table.iloc[:lookback], pd.DatetimeIndex(table.index[lookback:])

    return made
