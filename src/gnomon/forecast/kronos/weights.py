"""Checkpoints: a folder with `config.json` and `model.safetensors`, read with suspicion and written as the public ones.

Nothing of a file is executed: safetensors is a header of JSON and raw bytes, and nothing else is opened. Names, shapes
and types are compared with what the config asks for, and every difference is reported at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
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
from gnomon.forecast.kronos.layers import frequencies
from gnomon.forecast.kronos.linear import Precision
from gnomon.forecast.kronos.memory import DEFAULT_BUDGET_BYTES
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.shelf import CONFIG, WEIGHTS, Found, find, object_in, read_config, read_object
from gnomon.forecast.kronos.tokenizer import KronosTokenizer

TRAINED_WITH: Final = "gnomon.json"
"""A file beside a model that we saved: the digest of the tokenizer it was trained with."""

_HEADER_BYTES: Final = 8
_LARGEST_HEADER: Final = 100_000_000
_PICKLES: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TYPES: Final = {"F32": torch.float32, "I64": torch.int64}
_AGAIN: Final = "fetch the checkpoint again"
_SHOWN_DIFFERENCES: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network from a folder, with the SHA-256 of its weights: the identity of what was loaded."""

    network: KronosModel | KronosTokenizer
    sha256: str
    folder: Path
    known_as: Checkpoint | None


def load_kronos(
    model: str | Path | Found,
    tokenizer: str | Path | Found,
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
    of_model, of_tokenizer = load_model(model), load_tokenizer(tokenizer)
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


def load_model(where: str | Path | Found) -> Loaded:
    """The model of a folder, or of a name."""
    found = where if isinstance(where, Found) else find(where)
    config = ModelConfig.of(read_config(found.folder), str(found.folder / CONFIG))
    with torch.device("meta"):
        network = KronosModel(config)
    return _loaded(network, found)


def load_tokenizer(where: str | Path | Found) -> Loaded:
    """The tokenizer of a folder, or of a name."""
    found = where if isinstance(where, Found) else find(where)
    config = TokenizerConfig.of(read_config(found.folder), str(found.folder / CONFIG))
    with torch.device("meta"):
        network = KronosTokenizer(config)
    return _loaded(network, found)


def save(network: KronosModel | KronosTokenizer, folder: Path, *, tokenizer_sha256: str = "") -> str:
    """Write the public layout, each file at once or not at all; the SHA-256 of the weights.

    A model names the tokenizer it was trained with in `gnomon.json`, which other programs ignore.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: one.detach().cpu().contiguous() for name, one in network.state_dict().items()}
    payload = save_tensors(state, metadata={"format": "pt"})
    (folder / TRAINED_WITH).unlink(missing_ok=True)  # what stood here before may have had another tokenizer
    _write(folder / CONFIG, json.dumps(network.config.document(), indent=2).encode())
    _write(folder / WEIGHTS, payload)
    if tokenizer_sha256:
        _write(folder / TRAINED_WITH, json.dumps({"tokenizer_sha256": tokenizer_sha256}).encode())
    return hashlib.sha256(payload).hexdigest()


def check_pair(model: Loaded, tokenizer: Loaded) -> None:
    """`Invalid` where the model is known to have been trained with another tokenizer."""
    wanted = _tokenizer_of(model)
    if wanted is not None:
        if wanted[0] != tokenizer.sha256:
            raise Invalid(
                f"the tokenizer in {tokenizer.folder} is not the one of the model in {model.folder}",
                hint=f"load {wanted[1]}: tokens of one tokenizer mean nothing to a model of another",
                detail={"expected_sha256": wanted[0], "sha256": tokenizer.sha256},
            )
        return
    like = _published_like(model.network)
    if like is None:
        return
    expected = PUBLISHED[like.tokenizer].config
    if tokenizer.network.config != expected and tokenizer.network.config in _published_tokenizers():
        raise Invalid(
            f"a model of the size of {like.name} with {_name_of(tokenizer.network.config)}",
            hint=f"its tokenizer is {like.tokenizer}",
        )


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a header says of one tensor."""

    kind: str
    shape: tuple[int, ...]
    first: int
    last: int


def _loaded(network: KronosModel | KronosTokenizer, found: Found) -> Loaded:
    path = found.folder / WEIGHTS
    payload = _payload(path)
    sha256 = hashlib.sha256(payload).hexdigest()
    _check_published(path, sha256, found.checkpoint)
    _compare(path, _declared(path, payload), network.state_dict())
    try:
        tensors = load_tensors(payload)
    except SafetensorError as error:
        raise Invalid(f"{path} is no safetensors file: {error}", hint=_AGAIN) from None
    _check_values(path, tensors)
    network.load_state_dict(tensors, assign=True)
    known = found.checkpoint or next((one for one in PUBLISHED.values() if one.weights_sha256 == sha256), None)
    return Loaded(network.eval().requires_grad_(False), sha256, found.folder, known)


def _payload(path: Path) -> bytes:
    try:
        payload = path.read_bytes()
    except OSError as error:
        others = sorted(one.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for one in path.parent.glob(kind))
        hint = f"{others[0]} is a pickle and is never opened; " if others else ""
        raise Unavailable(f"{path}: {error.strerror}", hint=f"{hint}fetch the checkpoint with its {WEIGHTS}") from None
    if payload.startswith(_PICKLES):
        raise Invalid(f"{path} is a pickle, not safetensors; it was not opened", hint=f"fetch the public {WEIGHTS}")
    return payload


def _check_published(path: Path, sha256: str, checkpoint: Checkpoint | None) -> None:
    if checkpoint is not None and sha256 != checkpoint.weights_sha256:
        raise Invalid(
            f"{path} is not the file of {checkpoint.name} at revision {checkpoint.revision}",
            hint=f"gnomon weights fetch {checkpoint.name}",
            detail={"expected_sha256": checkpoint.weights_sha256, "sha256": sha256},
        )


def _declared(path: Path, payload: bytes) -> dict[str, _Declared]:
    """What the header says of each tensor. It has to be true: no gap, no overlap, no byte too few or too many."""
    if len(payload) < _HEADER_BYTES:
        raise _truncated(path, len(payload), _HEADER_BYTES)
    (size,) = struct.unpack("<Q", payload[:_HEADER_BYTES])
    if size > _LARGEST_HEADER:
        raise Invalid(f"{path} is no safetensors file: a header of {size:,} bytes", hint=_AGAIN)
    start = _HEADER_BYTES + size
    if len(payload) < start:
        raise _truncated(path, len(payload), start)
    header = object_in(payload[_HEADER_BYTES:start], f"the header of {path}")
    header.pop("__metadata__", None)
    declared = {name: _entry(path, name, one) for name, one in header.items()}
    faults = [fault for name, one in declared.items() for fault in _size_faults(name, one)]
    if not faults:
        places = sorted((one.first, one.last, name) for name, one in declared.items())
        faults = [
            f"{name} begins at byte {first}, {before} was to be its first"
            for (_, before, _), (first, _, name) in pairwise([(0, 0, ""), *places])
            if first != before
        ]
        end = start + (places[-1][1] if places else 0)
        if len(payload) < end:
            raise _truncated(path, len(payload), end)
        if len(payload) > end:
            faults.append(f"{len(payload) - end:,} bytes follow the last tensor")
    if faults:
        raise _refused(f"the header of {path} is not true of the file", faults, _AGAIN)
    return declared


def _entry(path: Path, name: str, said: Any) -> _Declared:
    try:
        (first, last), kind, shape = said["data_offsets"], said["dtype"], said["shape"]
        if not (isinstance(kind, str) and isinstance(shape, list) and _are_counts([first, last, *shape])):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        shown = json.dumps(said)[:80]
        raise Invalid(f"{path} is no safetensors file: its header says {shown} of {name}", hint=_AGAIN) from None
    return _Declared(kind, tuple(shape), first, last)


def _are_counts(values: list[Any]) -> bool:
    return all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in values)


def _size_faults(name: str, one: _Declared) -> list[str]:
    if one.kind not in _TYPES:
        return []  # reported as a wrong type, if the name is one of ours
    needed = math.prod(one.shape) * _TYPES[one.kind].itemsize
    given = one.last - one.first
    return [] if given == needed else [f"{name} has {given} bytes, {one.kind} of {list(one.shape)} needs {needed}"]


def _compare(path: Path, declared: Mapping[str, _Declared], wanted: Mapping[str, Tensor]) -> None:
    """`Invalid` with every difference of names, shapes and types."""
    faults = [f"{name} is missing" for name in wanted if name not in declared]
    faults += [f"{name} is unknown" for name in declared if name not in wanted]
    for name, tensor in wanted.items():
        if name not in declared:
            continue
        kind, shape = declared[name].kind, declared[name].shape
        if shape != tuple(tensor.shape):
            faults.append(f"{name} has shape {list(shape)}, expected {list(tensor.shape)}")
        if _TYPES.get(kind) != tensor.dtype:
            faults.append(f"{name} has type {kind}, expected {str(tensor.dtype).removeprefix('torch.')}")
    if faults:
        raise _refused(
            f"{path} does not fit its config", faults, "the weights and the config of one checkpoint belong together"
        )


def _check_values(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """`Invalid` for numbers that are none, and for stored constants that are not what their name says."""
    faults = []
    for name, one in tensors.items():
        expected = _constant(name, one)
        if one.is_floating_point() and not torch.isfinite(one).all():
            faults.append(f"{name} holds values that are no finite numbers")
        elif expected is not None and not torch.allclose(one, expected, rtol=1e-5, atol=0.0):
            faults.append(f"{name} is not the constant that belongs there")
    if faults:
        raise _refused(f"{path} is damaged", faults, _AGAIN)


def _constant(name: str, stored: Tensor) -> Tensor | None:
    """What a buffer has to hold; None for weights."""
    if name.endswith("rotary.inv_freq"):
        return frequencies(2 * len(stored))
    if name.endswith((".basis", ".group_basis")):
        return 2 ** torch.arange(len(stored) - 1, -1, -1)
    return None


def _refused(said: str, faults: list[str], hint: str) -> Invalid:
    more = len(faults) - _SHOWN_DIFFERENCES
    shown = "; ".join(faults[:_SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
    return Invalid(f"{said}: {shown}", hint=hint, detail={"differences": faults})


def _truncated(path: Path, nbytes: int, expected: int) -> Invalid:
    return Invalid(f"{path} is truncated: {nbytes:,} bytes, {expected:,} expected", hint=_AGAIN)


# --- which tokenizer --------------------------------------------------------------------------------------------------


def _tokenizer_of(model: Loaded) -> tuple[str, str] | None:
    """The SHA-256 and the name of the tokenizer that the model was trained with, where that is known."""
    if model.known_as is not None and (wanted := PUBLISHED.get(model.known_as.tokenizer)) is not None:
        return wanted.weights_sha256, wanted.name
    beside = model.folder / TRAINED_WITH
    if not beside.is_file():
        return None
    said = read_object(beside).get("tokenizer_sha256")
    if not isinstance(said, str) or len(said) != 64:
        raise Invalid(f"{beside} names no tokenizer", hint="copy the checkpoint again, or delete that file knowingly")
    return said, "the tokenizer it was trained with"


def _published_like(network: KronosModel | KronosTokenizer) -> Checkpoint | None:
    return next((one for one in PUBLISHED.values() if one.config == network.config), None)


def _published_tokenizers() -> list[TokenizerConfig]:
    return [one.config for one in PUBLISHED.values() if isinstance(one.config, TokenizerConfig)]


def _name_of(config: TokenizerConfig | ModelConfig) -> str:
    return next(one.name for one in PUBLISHED.values() if one.config == config)


# --- writing ----------------------------------------------------------------------------------------------------------


def _write(path: Path, payload: bytes) -> None:
    """The file is there whole, or not at all, whoever writes beside us."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
