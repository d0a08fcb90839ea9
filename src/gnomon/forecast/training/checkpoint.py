"""What a training keeps on disk: one safetensors file, written at once or not at all, in which nothing is code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from gnomon.errors import Invalid


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where a training stands: numbers as a JSON object, and tensors by name."""

    standing: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def write(self, path: Path) -> None:
        """Replace the file: whoever is killed meanwhile leaves the old one whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: one.detach().cpu().contiguous() for name, one in self.tensors.items()}
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            file.write(save_tensors(tensors, metadata={"standing": json.dumps(self.standing, sort_keys=True)}))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Checkpoint | None:
        """The checkpoint in a file, None where there is no file. `Invalid` for one that is damaged."""
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                return cls(json.loads(file.metadata()["standing"]), tensors)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise Invalid(f"{path} is no checkpoint of a training: {error}", hint="delete it to begin anew") from None
