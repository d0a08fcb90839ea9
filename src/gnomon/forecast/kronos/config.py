"""The sizes of a tokenizer and of a model: the `config.json` of a checkpoint, and those that were published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from gnomon.errors import Invalid, NotFound, nearest

FIELDS: Final = ("open", "high", "low", "close", "volume", "amount")
STAMPS: Final = ("minute", "hour", "weekday", "day", "month")
STAMP_SIZES: Final = (60, 24, 7, 32, 13)
"""Rows of the calendar tables; day 0 and month 0 are never read."""

DEPENDENCY_HEADS: Final = 4
"""Heads of the dependency layer, whatever the trunk has."""

DEFAULT_CONTEXT_BARS: Final = 512

LARGEST: Final = 1 << 20
"""No width, and no count of heads or layers, is larger: a config that asks for more is refused before it is built."""


@dataclass(frozen=True, slots=True)
class _Config:
    @classmethod
    def of(cls, document: Mapping[str, Any], where: str = "config.json") -> Self:
        """The config that a JSON object says. `Invalid` lists every key that is missing, unknown or of a wrong type."""
        kinds = {one.name: one.type for one in fields(cls)}
        faults = [f"{name} is missing" for name in kinds if name not in document]
        faults += [f"{name} is unknown" for name in document if name not in kinds]
        faults += [
            f"{name} is {document[name]!r}, expected {kind}"
            for name, kind in kinds.items()
            if name in document and not _is_a(document[name], str(kind))
        ]
        if faults:
            raise Invalid(f"{where}: {'; '.join(faults)}", hint=f"the keys of {cls.__name__}: {', '.join(kinds)}")
        found = cls(**{name: float(value) if kinds[name] == "float" else value for name, value in document.items()})
        broken = found.faults()
        if broken:
            raise Invalid(f"{where}: {'; '.join(broken)}", hint="take the file of the checkpoint as it was published")
        return found

    def document(self) -> dict[str, Any]:
        """What `config.json` holds: the arguments and nothing else."""
        return asdict(self)

    def faults(self) -> list[str]:
        """What contradicts itself."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TokenizerConfig(_Config):
    """Sizes of a tokenizer. `n_enc_layers` and `n_dec_layers` count one more than there are blocks."""

    d_in: int = 6
    d_model: int = 256
    n_heads: int = 4
    ff_dim: int = 512
    n_enc_layers: int = 4
    n_dec_layers: int = 4
    ffn_dropout_p: float = 0.0
    attn_dropout_p: float = 0.0
    resid_dropout_p: float = 0.0
    s1_bits: int = 10
    s2_bits: int = 10
    beta: float = 0.05
    gamma0: float = 1.0
    gamma: float = 1.1
    zeta: float = 0.05
    group_size: int = 4

    @property
    def code_bits(self) -> int:
        return self.s1_bits + self.s2_bits

    def faults(self) -> list[str]:
        counts = ("d_model", "n_heads", "ff_dim", "n_enc_layers", "n_dec_layers", "s1_bits", "s2_bits", "group_size")
        return _out_of_range(self, *counts) or [
            *_heads(self.d_model, self.n_heads, "n_heads"),
            *([] if self.d_in == len(FIELDS) else [f"d_in is {self.d_in}, the features of a bar are {len(FIELDS)}"]),
            *_bits(self.s1_bits, self.s2_bits),
            *(
                []
                if self.code_bits % self.group_size == 0
                else [f"group_size {self.group_size} does not divide the {self.code_bits} bits of a code"]
            ),
            *_shares(self, "ffn_dropout_p", "attn_dropout_p", "resid_dropout_p"),
            *_finite(self, "beta", "gamma0", "gamma", "zeta"),
        ]


@dataclass(frozen=True, slots=True)
class ModelConfig(_Config):
    """Sizes of a model."""

    s1_bits: int = 10
    s2_bits: int = 10
    n_layers: int = 4
    d_model: int = 256
    n_heads: int = 4
    ff_dim: int = 512
    ffn_dropout_p: float = 0.0
    attn_dropout_p: float = 0.0
    resid_dropout_p: float = 0.0
    token_dropout_p: float = 0.0
    learn_te: bool = True

    def faults(self) -> list[str]:
        counts = ("n_layers", "d_model", "n_heads", "ff_dim", "s1_bits", "s2_bits")
        return _out_of_range(self, *counts) or [
            *_heads(self.d_model, self.n_heads, "n_heads"),
            *_heads(self.d_model, DEPENDENCY_HEADS, "heads of the dependency layer"),
            *_bits(self.s1_bits, self.s2_bits),
            *_shares(self, "ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "token_dropout_p"),
        ]


def _is_a(value: object, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if kind == "int" else isinstance(value, (int, float))


def _out_of_range(config: _Config, *names: str) -> list[str]:
    """Layers are built one by one: of those there may be fewer."""
    most = {name: 1024 if name.endswith("layers") else LARGEST for name in names}
    return [
        f"{name} is {getattr(config, name)}, expected 1 to {most[name]}"
        for name in names
        if not 1 <= getattr(config, name) <= most[name]
    ]


def _finite(config: _Config, *names: str) -> list[str]:
    return [f"{name} is no finite number" for name in names if not math.isfinite(getattr(config, name))]


def _heads(width: int, heads: int, name: str) -> list[str]:
    if width % heads or (width // heads) % 2:
        return [f"a width of {width} does not part into {heads} even slices ({name})"]
    return []


def _bits(s1_bits: int, s2_bits: int) -> list[str]:
    if max(s1_bits, s2_bits) > 20:
        return [f"{s1_bits} + {s2_bits} bits: a vocabulary of more than 2^20 tokens"]
    return []


def _shares(config: _Config, *names: str) -> list[str]:
    return [
        f"{name} is {getattr(config, name)}, expected 0 up to 1" for name in names if not 0 <= getattr(config, name) < 1
    ]


# --- what was published -----------------------------------------------------------------------------------------------

LICENCE: Final = "MIT"
"""Of the published weights."""

TRAINED_UNTIL: Final = "2024-06"
"""The month in which the data end that the published weights were trained on."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published folder: where it lies, which revision was looked at, and the SHA-256 of its files where known."""

    name: str
    hf_id: str
    revision: str
    config: TokenizerConfig | ModelConfig
    weights_sha256: str
    config_sha256: str = ""
    tokenizer: str = ""  # of a model: the name of its tokenizer
    context_bars: int = DEFAULT_CONTEXT_BARS
    parameters: int = 0


PUBLISHED: Final = {
    one.name: one
    for one in (
        Checkpoint(
            "Kronos-Tokenizer-base",
            "NeoQuasar/Kronos-Tokenizer-base",
            "0e0117387f39004a9016484a186a908917e22426",
            TokenizerConfig(group_size=4),
            "59d85f6af76a2c3b8240ea06cb21db4213b4eeca053f246b23e29cf832fc6bee",
            "2366e7ccfec76cbc19cf3c4c1b9c5d901be336ca1e83f2d2292c9bff381b77a2",
            parameters=3_958_042,
        ),
        Checkpoint(
            "Kronos-Tokenizer-2k",
            "NeoQuasar/Kronos-Tokenizer-2k",
            "26966d0035065a0cae0ebad7af8ece35bc1fb51c",
            TokenizerConfig(group_size=5),
            "b97ec46b3b72160509e289183eaf7bdf5f0dac5bb9b49522f6d46638a99a8717",
            "0b30a443affb03e05a876a083857de9164f899feb7b4d261da02c485c9a3e3b6",
            context_bars=2048,
            parameters=3_958_042,
        ),
        Checkpoint(
            "Kronos-mini",
            "NeoQuasar/Kronos-mini",
            "f4e68697d9d5aed55cef5c96aabc3376bcad9f81",
            ModelConfig(n_layers=4, d_model=256, n_heads=4, ff_dim=512, ffn_dropout_p=0.2, resid_dropout_p=0.2),
            "a7d5f37e2e9fbd9891f7d7d4f72574512dd1f704fee14223e0a8cd0fbf54197c",
            "70daca2cb11e3a979dd6b8ac12ee08e2aace877acf28f5b8dfb4fe5609736201",
            tokenizer="Kronos-Tokenizer-2k",
            context_bars=2048,
            parameters=4_108_032,
        ),
        Checkpoint(
            "Kronos-small",
            "NeoQuasar/Kronos-small",
            "901c26c1332695a2a8f243eb2f37243a37bea320",
            ModelConfig(
                n_layers=8,
                d_model=512,
                n_heads=8,
                ff_dim=1024,
                ffn_dropout_p=0.25,
                attn_dropout_p=0.1,
                resid_dropout_p=0.25,
                token_dropout_p=0.1,
            ),
            "b082dfcbd8e8c142a725c8bbb99781802f38fec81210e13479effb32b3c3e020",
            "5e0f6a605d5f81b5c9b559fe5cf716a1acb041c744e6f41bd05b097b7a685396",
            tokenizer="Kronos-Tokenizer-base",
            parameters=24_741_376,
        ),
        Checkpoint(
            "Kronos-base",
            "NeoQuasar/Kronos-base",
            "2b554741eca47781b64468546e77fef3e85130e6",
            ModelConfig(n_layers=12, d_model=832, n_heads=16, ff_dim=2048, ffn_dropout_p=0.2, resid_dropout_p=0.2),
            "abff193acab6db1a0368e9773e75799d11403b6d054ee6d5f0a11aeabc5f4b83",
            tokenizer="Kronos-Tokenizer-base",
            parameters=102_310_592,
        ),
    )
}


def published(name: str) -> Checkpoint:
    """The published checkpoint of a name or a Hub id. `NotFound` offers the nearest."""
    for one in PUBLISHED.values():
        if name in (one.name, one.hf_id):
            return one
    close = nearest(name, PUBLISHED)
    raise NotFound(f"no published checkpoint {name!r}", hint=f"one of {', '.join(close or PUBLISHED)}")
