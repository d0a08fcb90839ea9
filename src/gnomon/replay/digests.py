"""The digests of a run: BLAKE2b-256, each under its own `person` tag, over bytes that only one content can have.

| digest | person | over |
|---|---|---|
| dataset | `gnomon.dataset` | name and content of every part, length-prefixed, in the order given |
| config | `gnomon.config` | the canonical config |
| inputs | `gnomon.inputs` | the input records in seq order |
| outputs | `gnomon.outputs` | the output records in seq order |
| chain | `gnomon.chain` | frame, input and output records in seq order |
| notes | `gnomon.notes` | the notes, in the order written: it guards the file and is in no fingerprint |
| fingerprint | `gnomon.run` | dataset ‖ config ‖ inputs ‖ outputs |
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, NamedTuple

from gnomon.errors import Invalid

PREFIX_RECORDS: Final = 1_024
"""After so many frame, input and output records the value of the chain is kept."""


class Prefix(NamedTuple):
    """The chain digest after a multiple of 1,024 records."""

    seq: int
    chain: bytes


def hasher(person: str) -> hashlib.blake2b:
    """A BLAKE2b-256 under `gnomon.<person>`."""
    return hashlib.blake2b(digest_size=32, person=b"gnomon." + person.encode("ascii"))


@dataclass(frozen=True, slots=True)
class Digests:
    """What a run is known by; 32 bytes each."""

    dataset: bytes
    config: bytes
    inputs: bytes
    outputs: bytes
    chain: bytes
    notes: bytes

    @property
    def fingerprint(self) -> bytes:
        state = hasher("run")
        state.update(self.dataset + self.config + self.inputs + self.outputs)
        return state.digest()

    def row(self) -> dict[str, str]:
        """JSON-ready: the four digests and the fingerprint as 64 hex digits each."""
        four = {name: getattr(self, name).hex() for name in ("dataset", "config", "inputs", "outputs")}
        return {**four, "chain": self.chain.hex(), "fingerprint": self.fingerprint.hex()}


# --- canonical bytes ------------------------------------------------------------------------------------------------


def canonical(value: object) -> str:
    """The one text of a config: JSON with sorted keys and no spaces; every field of a dataclass stands in it.

    Maps with text keys, dataclasses, lists, tuples, integers, booleans and NFC text; anything else (a float, None) is
    `Invalid` with its path.
    """
    plain = _plain(value, "config")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def config_digest(config: object) -> bytes:
    """Of the canonical text; of a text, as it stands."""
    state = hasher("config")
    state.update((config if isinstance(config, str) else canonical(config)).encode())
    return state.digest()


def dataset_digest(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Of named parts in order: (layer name, its canonical bytes or its content hash), then the instrument and calendar
    tables. Names and contents are length-prefixed (u64 LE)."""
    state = hasher("dataset")
    for name, content in parts:
        for piece in (unicodedata.normalize("NFC", name).encode(), content):
            state.update(len(piece).to_bytes(8, "little"))
            state.update(piece)
    return state.digest()


def trader_fingerprint(kind: str, name: str, version: str, parameters: Mapping[str, object], code: str) -> bytes:
    """Provenance, in no digest of the run: who decided."""
    state = hasher("trader")
    who = {"kind": kind, "name": name, "version": version, "parameters": parameters, "code": code}
    state.update(canonical(who).encode())
    return state.digest()


def differences(a: str, b: str) -> tuple[tuple[str, str, str], ...]:
    """Where two canonical texts differ: (path, of a, of b), by path; an absent value is an empty text."""
    of_a, of_b = dict(_leaves(json.loads(a), "")), dict(_leaves(json.loads(b), ""))
    paths = sorted({**of_a, **of_b})
    found = ((path, of_a.get(path, ""), of_b.get(path, "")) for path in paths)
    return tuple(one for one in found if one[1] != one[2])


def _plain(value: object, path: str) -> Any:
    if isinstance(value, bool | int):
        return value if isinstance(value, bool) else int(value)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", str(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name), f"{path}.{one.name}") for one in fields(value)}
    if isinstance(value, Mapping):
        return _plain_map(value, path)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(one, f"{path}[{i}]") for i, one in enumerate(value)]
    raise Invalid(
        f"{path} = {value!r} has no canonical form",
        hint="a config holds integers, texts, booleans, lists and maps; write 'none' for nothing, a text for a decimal",
        detail={"path": path},
    )


def _plain_map(value: Mapping[Any, object], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in value.items():
        if not isinstance(key, str):
            raise Invalid(f"{path} has the key {key!r}", hint="keys of a config are texts", detail={"path": path})
        name = unicodedata.normalize("NFC", key)
        if name in found:
            raise Invalid(f"{path} has the key {name!r} twice", hint="two spellings of one text", detail={"path": path})
        found[name] = _plain(one, f"{path}.{name}")
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _leaves(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for i, one in enumerate(value):
            yield from _leaves(one, f"{path}[{i}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)
