"""Checkpoints: a folder with `config.json` and `model.safetensors`, read with suspicion and written as the public ones.

Nothing of a file is executed: safetensors is a header of JSON and raw bytes, and nothing else is opened. Names, shapes
and types are compared with what the config asks for, and every difference is reported at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.kronos.config import (
    DEFAULT_CONTEXT_BARS,
    PUBLISHED,
    Checkpoint,
    ModelConfig,
    TokenizerConfig,
)
from gnomon.forecast.kronos.kronos import Kronos
from gnomon.forecast.kronos.linear import Precision
from gnomon.forecast.kronos.memory import DEFAULT_BUDGET_BYTES
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
TRAINED_WITH: Final = "gnomon.json"
"""A file beside a model that we saved: the digest of the tokenizer it was trained with."""

_HEADER_BYTES: Final = 8
_LARGEST_HEADER: Final = 100_000_000
_PICKLES: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TYPES: Final = {"F32": torch.float32, "I64": torch.int64}


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network from a folder, with the SHA-256 of its weights: the identity of what was loaded."""

    network: KronosModel | KronosTokenizer
    sha256: str
    folder: Path
    known_as: Checkpoint | None


def load_kronos(
    model: str | Path,
    tokenizer: str | Path,
    max_context: int = DEFAULT_CONTEXT_BARS,
    device: str = "cpu",
    *,
    precision: Precision = "float32",
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
) -> Kronos:
    """A Kronos from two folders, or from names or Hub ids of published checkpoints that have been fetched.

    Raises `Invalid` for files that are not what they should be or do not belong together, `Unavailable` for those that
    are not there, with the command that fetches them.
    """
    of_model, of_tokenizer = load_model(find(model)), load_tokenizer(find(tokenizer))
    check_pair(of_model, of_tokenizer)
    assert isinstance(of_model.network, KronosModel)
    assert isinstance(of_tokenizer.network, KronosTokenizer)
    return Kronos(
        of_model.network,
        of_tokenizer.network,
        max_context=max_context,
        device=device,
        precision=precision,
        budget_bytes=budget_bytes,
    )


def load_model(folder: Path) -> Loaded:
    """The model of a folder."""
    config = ModelConfig.of(_config(folder), str(folder / CONFIG))
    with torch.device("meta"):
        network = KronosModel(config)
    return _loaded(network, folder)


def load_tokenizer(folder: Path) -> Loaded:
    """The tokenizer of a folder."""
    config = TokenizerConfig.of(_config(folder), str(folder / CONFIG))
    with torch.device("meta"):
        network = KronosTokenizer(config)
    return _loaded(network, folder)


def save(network: KronosModel | KronosTokenizer, folder: Path, *, tokenizer_sha256: str = "") -> str:
    """Write the public layout, each file at once or not at all; the SHA-256 of the weights.

    A model names the tokenizer it was trained with in `gnomon.json`, which other programs ignore.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: one.detach().cpu().contiguous() for name, one in network.state_dict().items()}
    payload = save_tensors(state, metadata={"format": "pt"})
    _write(folder / WEIGHTS, payload)
    _write(folder / CONFIG, json.dumps(network.config.document(), indent=2).encode())
    if tokenizer_sha256:
        _write(folder / TRAINED_WITH, json.dumps({"tokenizer_sha256": tokenizer_sha256}).encode())
    return hashlib.sha256(payload).hexdigest()


def check_pair(model: Loaded, tokenizer: Loaded) -> None:
    """`Invalid` where the model is known to have been trained with another tokenizer."""
    wanted = _tokenizer_of(model)
    if wanted is not None and wanted[0] != tokenizer.sha256:
        raise Invalid(
            f"the tokenizer in {tokenizer.folder} is not the one of the model in {model.folder}",
            hint=f"load {wanted[1]}: tokens of one tokenizer mean nothing to a model of another",
            detail={"expected_sha256": wanted[0], "sha256": tokenizer.sha256},
        )
    like = _published_like(model.network)
    if like is None or model.known_as is not None:
        return
    expected = PUBLISHED[like.tokenizer].config
    if tokenizer.network.config != expected and tokenizer.network.config in _published_tokenizers():
        raise Invalid(
            f"a model of the size of {like.name} with {_name_of(tokenizer.network.config)}",
            hint=f"its tokenizer is {like.tokenizer}",
        )


def find(name: str | Path) -> Path:
    """The folder of a checkpoint: itself, or where a published one was fetched to.

    `Unavailable` says how to fetch what is not there.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    known = next((one for one in PUBLISHED.values() if str(name) in (one.name, one.hf_id)), None)
    if known is None:
        raise Unavailable(
            f"no checkpoint in {folder}", hint=f"a folder with {CONFIG} and {WEIGHTS}, or a published name"
        )
    found = home() / known.name / known.revision
    if (found / WEIGHTS).is_file():
        return found
    raise Unavailable(
        f"the weights of {known.name} are not on this machine (looked in {found})",
        hint=f"gnomon weights fetch {known.name}",
        detail={"hf_id": known.hf_id, "revision": known.revision},
    )


def home() -> Path:
    """Where fetched weights are kept: `weights` in `GNOMON_HOME`."""
    return Path(os.environ.get("GNOMON_HOME", "~/.gnomon")).expanduser() / "weights"


# --- reading ----------------------------------------------------------------------------------------------------------


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / CONFIG
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Unavailable(
            f"{path}: {error.strerror}", hint=f"a checkpoint is a folder with {CONFIG} and {WEIGHTS}"
        ) from None
    except ValueError as error:
        raise Invalid(f"{path} is no JSON: {error}", hint="fetch the checkpoint again") from None
    if not isinstance(document, dict):
        raise Invalid(f"{path} holds no object", hint="fetch the checkpoint again")
    return document


def _loaded(network: KronosModel | KronosTokenizer, folder: Path) -> Loaded:
    path = folder / WEIGHTS
    payload = _payload(path)
    _compare(path, _declared(path, payload), network.state_dict())
    tensors = load_tensors(payload)
    broken = [name for name, one in tensors.items() if one.is_floating_point() and not torch.isfinite(one).all()]
    if broken:
        raise Invalid(f"{path}: {broken[0]} holds values that are no finite numbers", hint="fetch the checkpoint again")
    network.load_state_dict(tensors, assign=True)
    sha256 = hashlib.sha256(payload).hexdigest()
    known = next((one for one in PUBLISHED.values() if one.weights_sha256 == sha256), None)
    return Loaded(network.eval().requires_grad_(False), sha256, folder, known)


def _payload(path: Path) -> bytes:
    try:
        payload = path.read_bytes()
    except OSError as error:
        others = [one.name for one in path.parent.glob("*.bin")] + [one.name for one in path.parent.glob("*.pt*")]
        hint = f"{others[0]} is a pickle and is never opened; " if others else ""
        raise Unavailable(f"{path}: {error.strerror}", hint=f"{hint}fetch the checkpoint with its {WEIGHTS}") from None
    if payload.startswith(_PICKLES):
        raise Invalid(f"{path} is a pickle, not safetensors; it was not opened", hint=f"fetch the public {WEIGHTS}")
    return payload


def _declared(path: Path, payload: bytes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each tensor, by the header; the size of the file has to be what the header says."""
    truncated = Invalid(f"{path} is truncated: {len(payload)} bytes", hint="fetch the checkpoint again")
    if len(payload) < _HEADER_BYTES:
        raise truncated
    (size,) = struct.unpack("<Q", payload[:_HEADER_BYTES])
    if size > _LARGEST_HEADER:
        raise Invalid(f"{path} is no safetensors file", hint="fetch the checkpoint again")
    if len(payload) < _HEADER_BYTES + size:
        raise truncated
    try:
        header = json.loads(payload[_HEADER_BYTES : _HEADER_BYTES + size])
        header.pop("__metadata__", None)
        declared = {name: (str(one["dtype"]), tuple(one["shape"])) for name, one in header.items()}
        end = max((one["data_offsets"][1] for one in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"{path} is no safetensors file: {error!r}", hint="fetch the checkpoint again") from None
    if len(payload) < _HEADER_BYTES + size + end:
        raise Invalid(
            f"{path} is truncated: {len(payload)} bytes, {_HEADER_BYTES + size + end} expected",
            hint="fetch the checkpoint again",
        )
    return declared


def _compare(path: Path, declared: Mapping[str, tuple[str, tuple[int, ...]]], wanted: Mapping[str, Tensor]) -> None:
    """`Invalid` with every difference of names, shapes and types."""
    faults = [f"{name} is missing" for name in wanted if name not in declared]
    faults += [f"{name} is unknown" for name in declared if name not in wanted]
    for name, tensor in wanted.items():
        if name not in declared:
            continue
        kind, shape = declared[name]
        if shape != tuple(tensor.shape):
            faults.append(f"{name} has shape {list(shape)}, expected {list(tensor.shape)}")
        if _TYPES.get(kind) != tensor.dtype:
            faults.append(f"{name} has type {kind}, expected {str(tensor.dtype).removeprefix('torch.')}")
    if faults:
        shown = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        raise Invalid(
            f"{path} does not fit its config: {shown}",
            hint="the weights and the config of one checkpoint belong together",
            detail={"differences": faults},
        )


def _tokenizer_of(model: Loaded) -> tuple[str, str] | None:
    """The SHA-256 and the name of the tokenizer that the model was trained with, where that is known."""
    if model.known_as is not None:
        wanted = PUBLISHED[model.known_as.tokenizer]
        return wanted.weights_sha256, wanted.name
    beside = model.folder / TRAINED_WITH
    if beside.is_file():
        try:
            return str(json.loads(beside.read_bytes())["tokenizer_sha256"]), "the tokenizer it was trained with"
        except (ValueError, KeyError, TypeError):
            raise Invalid(f"{beside} is damaged", hint="delete it, or copy the checkpoint again") from None
    return None


def _published_like(network: KronosModel | KronosTokenizer) -> Checkpoint | None:
    return next((one for one in PUBLISHED.values() if one.config == network.config), None)


def _published_tokenizers() -> list[TokenizerConfig]:
    return [one.config for one in PUBLISHED.values() if isinstance(one.config, TokenizerConfig)]


def _name_of(config: TokenizerConfig | ModelConfig) -> str:
    return next(one.name for one in PUBLISHED.values() if one.config == config)


def _write(path: Path, payload: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(payload)
    part.replace(path)
