"""Where checkpoints lie on this machine: fetched ones under `GNOMON_HOME/weights/NAME/REVISION`, others in any folder.

What is known of a published file is its SHA-256; what lies here is held against it. Nothing here loads PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.kronos.config import PUBLISHED, Checkpoint, ModelConfig, TokenizerConfig

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
FILES: Final = (CONFIG, WEIGHTS)

_LAYOUT: Final = f"a checkpoint is a folder with {CONFIG} and {WEIGHTS}"

State = Literal["ok", "absent", "damaged"]


@dataclass(frozen=True, slots=True)
class Found:
    """A folder, and what was published in it, if it is such a one."""

    folder: Path
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What lies here of a published checkpoint."""

    checkpoint: Checkpoint
    folder: Path
    state: State
    nbytes: int
    faults: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        one = self.checkpoint
        return {
            "name": one.name,
            "hf_id": one.hf_id,
            "revision": one.revision,
            "tokenizer": one.tokenizer,
            "state": self.state,
            "bytes": self.nbytes,
            "folder": str(self.folder),
            "sha256": one.weights_sha256,
            "faults": list(self.faults),
        }


def home() -> Path:
    """Where fetched weights are kept: `weights` in `GNOMON_HOME`."""
    return Path(os.environ.get("GNOMON_HOME") or "~/.gnomon").expanduser() / "weights"


def folder_of(checkpoint: Checkpoint) -> Path:
    """Where a published checkpoint is fetched to."""
    return home() / checkpoint.name / checkpoint.revision


def find(name: str | Path) -> Found:
    """A folder itself, or where the published checkpoint of a name or Hub id was fetched to.

    `Unavailable` says how to fetch what is not there.
    """
    known = next((one for one in PUBLISHED.values() if str(name) in (one.name, one.hf_id)), None)
    folder = Path(name).expanduser()
    if known is None or folder.is_dir():
        if not folder.is_dir():
            raise Unavailable(
                f"no checkpoint in {folder}",
                hint=f"a folder with {CONFIG} and {WEIGHTS}, or one of {', '.join(PUBLISHED)}",
            )
        return Found(folder)
    return fetched(known)


def fetched(checkpoint: Checkpoint) -> Found:
    """Where a checkpoint was fetched to; `Unavailable` with the command that fetches it where it was not."""
    folder = folder_of(checkpoint)
    if all((folder / name).is_file() for name in FILES):
        return Found(folder, checkpoint)
    raise Unavailable(
        f"the weights of {checkpoint.name} are not on this machine (looked in {folder})",
        hint=f"gnomon weights fetch {checkpoint.name}",
        detail={"hf_id": checkpoint.hf_id, "revision": checkpoint.revision},
    )


def held(checkpoint: Checkpoint) -> Held:
    """What lies here of a checkpoint; its files are read and hashed."""
    folder = folder_of(checkpoint)
    there = [folder / name for name in FILES if (folder / name).is_file()]
    if not there:
        return Held(checkpoint, folder, "absent", 0)
    faults = faults_of(folder, checkpoint)
    return Held(checkpoint, folder, "damaged" if faults else "ok", sum(one.stat().st_size for one in there), faults)


def faults_of(folder: Path, checkpoint: Checkpoint) -> tuple[str, ...]:
    """How the files of a folder differ from what was published; none where they are the same."""
    faults = []
    for name, expected in ((CONFIG, checkpoint.config_sha256), (WEIGHTS, checkpoint.weights_sha256)):
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif expected and (found := sha256_of(path)) != expected:
            faults.append(f"{name}: {path.stat().st_size:,} bytes of SHA-256 {found}, expected {expected}")
        elif not expected and name == CONFIG:
            faults += _sizes_differ(path, checkpoint)
    return tuple(faults)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """The object in the `config.json` of a folder. `Unavailable` without the file, `Invalid` where it is none."""
    path = folder / CONFIG
    try:
        return read_object(path)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", hint=_LAYOUT) from None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object in a file, no key of it twice; `Invalid` for anything else."""
    return object_in(path.read_bytes(), str(path))


def object_in(text: bytes, where: str) -> dict[str, Any]:
    """The JSON object of a text, no key of it twice; `Invalid` for anything else."""
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        said = str(error) or "too deep"
        raise Invalid(f"{where} is no JSON: {said[:200]}", hint="fetch the checkpoint again") from None
    if not isinstance(document, dict):
        raise Invalid(f"{where} holds no object", hint="fetch the checkpoint again")
    return document


def of_folder(folder: Path, kind: type[ModelConfig | TokenizerConfig], name: str, context_bars: int) -> Checkpoint:
    """A folder of one's own as a checkpoint: its identity is the SHA-256 of its files."""
    config = kind.of(read_config(folder), str(folder / CONFIG))
    if not (folder / WEIGHTS).is_file():
        raise Unavailable(f"{folder / WEIGHTS} is not there", hint=_LAYOUT)
    return Checkpoint(
        name,
        hf_id="",
        revision="",
        config=config,
        weights_sha256=sha256_of(folder / WEIGHTS),
        config_sha256=sha256_of(folder / CONFIG),
        context_bars=context_bars,
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return found


def _sizes_differ(path: Path, checkpoint: Checkpoint) -> list[str]:
    """Differences to the published sizes, without dropouts: these change no forecast."""
    try:
        found = type(checkpoint.config).of(read_object(path), path.name)
    except Invalid as error:
        return [error.message]
    expected = checkpoint.config.document()
    return [
        f"{path.name}: {name} is {value!r}, expected {expected[name]!r}"
        for name, value in found.document().items()
        if value != expected[name] and not name.endswith("_dropout_p")
    ]
