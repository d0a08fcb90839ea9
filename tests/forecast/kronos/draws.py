"""Tokens of a tiny Kronos, with no frames: also a program, for processes of another environment."""

from __future__ import annotations

import json
import sys

import torch

from gnomon import compiled
from gnomon.forecast.kronos.config import ModelConfig
from gnomon.forecast.kronos.generate import Prompt, draw
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.packed import PackedModel
from gnomon.forecast.kronos.sampling import KeyedLuck
from gnomon.forecast.kronos.window import Rules


def tokens() -> list[list[int]]:
    """Of 1 and of 5 samples, the last steps with a window that slides."""
    torch.manual_seed(3)
    network = KronosModel(ModelConfig(n_layers=2, d_model=64, n_heads=2, ff_dim=64, s1_bits=5, s2_bits=5)).eval()
    s1, s2 = torch.randint(0, 32, (2, 30))
    found = []
    with torch.inference_mode():
        model = PackedModel(network, "float32")
        prompt = Prompt(s1, s2, torch.zeros(40, 5, dtype=torch.long))
        for samples in (1, 5):
            luck = KeyedLuck(7, ["series"], range(samples), model.vocabularies)
            found += [one.flatten().tolist() for one in draw(model, [prompt], samples, Rules(10, 36), luck)]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"compiled": compiled.AVAILABLE, "tokens": tokens()}))
