"""Canonical bytes: what is the same has one text, and what differs has two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.replay.digests import (
    Digests,
    canonical,
    config_digest,
    dataset_digest,
    differences,
    trader_fingerprint,
)

words = st.text("abcé", max_size=3)
configs = st.dictionaries(
    words,
    st.recursive(
        st.integers() | st.booleans() | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@dataclass(frozen=True)
class Fees:
    taker: int = 50_000
    maker: int = 10_000


def test_a_config_has_one_text_with_sorted_keys_and_no_default_left_out() -> None:
    text = '{"bps":5,"fees":{"maker":10000,"taker":50000},"levels":["a",1,true],"é":"ü"}'
    assert canonical({"levels": ("a", 1, True), "fees": Fees(), "e\u0301": "u\u0308", "bps": 5}) == text
    state = hashlib.blake2b(text.encode(), digest_size=32, person=b"gnomon.config")
    assert config_digest({"levels": ["a", 1, True], "fees": Fees(), "é": "ü", "bps": 5}) == state.digest()
    assert config_digest(text) == state.digest()


@given(configs)
def test_the_order_of_keys_means_nothing_and_the_text_comes_back(config: dict[str, Any]) -> None:
    text = canonical(config)
    assert canonical(dict(reversed(config.items()))) == text
    assert canonical(json.loads(text)) == text


@pytest.mark.parametrize("value", [0.5, None, b"x", {1: 2}, {"a": {"b": 1.0}}, object(), {"é": 1, "e\u0301": 2}])
def test_what_has_no_one_text_is_refused_with_its_path(value: object) -> None:
    with pytest.raises(Invalid, match=r"config(\.a\.b)?"):
        canonical(value if isinstance(value, dict) else {"a": value})


def test_a_changed_unit_of_fee_is_another_config() -> None:
    assert config_digest(Fees()) != config_digest(Fees(taker=50_001))
    assert config_digest({"a": True}) != config_digest({"a": 1})


def test_differences_name_the_paths() -> None:
    a = canonical({"fees": {"maker": 1, "taker": 2}, "levels": [1, 2], "seed": 7})
    b = canonical({"fees": {"maker": 1, "taker": 3}, "levels": [1], "pace": "max", "seed": 7})
    assert differences(a, b) == (("fees.taker", "2", "3"), ("levels[1]", "2", ""), ("pace", "", '"max"'))
    assert differences(a, a) == ()


def test_a_dataset_is_its_parts_in_order_with_their_names() -> None:
    parts = [("x/trades", b"\1\2"), ("instruments", b"\3")]
    by_hand = b"".join(len(one).to_bytes(8, "little") + one for pair in parts for one in (pair[0].encode(), pair[1]))
    assert dataset_digest(parts) == hashlib.blake2b(by_hand, digest_size=32, person=b"gnomon.dataset").digest()
    others = [
        parts[::-1],
        parts[:1],
        [("x/trades", b"\1\3"), parts[1]],
        [("x/trade", b"s\1\2"), parts[1]],
        [("y/trades", b"\1\2"), parts[1]],
    ]
    assert len({dataset_digest(one) for one in [parts, *others]}) == 6


def test_a_trader_is_known_by_everything_that_makes_it() -> None:
    def of(**change: Any) -> bytes:
        who: dict[str, Any] = {
            "kind": "strategy",
            "name": "sma",
            "version": "1",
            "parameters": {"fast": 10},
            "code": "ab",
        }
        return trader_fingerprint(**(who | change))

    changes: list[dict[str, Any]] = [{}, {"kind": "agent"}, {"name": "x"}, {"version": "2"}, {"code": "cd"}]
    assert len({of(**one) for one in [*changes, {"parameters": {"fast": 11}}]}) == 6


@pytest.mark.parametrize("changed", ["dataset", "config", "inputs", "outputs"])
def test_a_fingerprint_hangs_on_each_of_the_four(changed: str, run: Callable[..., Any]) -> None:
    digests = run(3).digests
    values = {name: getattr(digests, name) for name in digests.__slots__}
    other = Digests(**(values | {changed: bytes(32)}))
    assert other.fingerprint != digests.fingerprint
    assert Digests(**(values | {"notes": bytes(32), "chain": bytes(32)})).fingerprint == digests.fingerprint
    assert set(digests.row()) == {"dataset", "config", "inputs", "outputs", "chain", "fingerprint"}
