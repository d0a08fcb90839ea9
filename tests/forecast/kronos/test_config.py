"""Configs say what is wrong with them, all of it; files and whole checkpoints are in `test_weights`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid, NotFound
from gnomon.forecast.kronos.config import PUBLISHED, ModelConfig, TokenizerConfig, published

KINDS = (ModelConfig, TokenizerConfig)
anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))


@pytest.mark.parametrize("kind", KINDS)
@given(document=st.dictionaries(st.text(min_size=1), anything, max_size=5), seed=st.randoms())
def test_any_document_is_a_config_or_is_refused_with_every_key_that_is_wrong(kind, document, seed):
    whole = kind().document()
    kept = {name: value for name, value in whole.items() if seed.random() < 0.8}
    given_document = kept | document
    found, said = None, ""
    try:
        found = kind.of(given_document)
    except Invalid as error:
        said = error.message
    if found is not None:
        assert found.document() == given_document
        assert found.faults() == []
        return
    assert all(f"{name} is missing" in said for name in set(whole) - set(given_document))
    assert all(f"{name} is unknown" in said for name in set(given_document) - set(whole))
    assert said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, "4", [4], True, 4.5, float("nan"), -1, 0, 10**30])
def test_a_size_is_a_whole_number_that_can_be_built(kind, value):
    for name in ("d_model", "n_heads", "ff_dim", "s1_bits", "s2_bits"):
        with pytest.raises(Invalid, match=f"{name} is "):
            kind.of(kind().document() | {name: value})


def test_an_integer_counts_as_a_float():
    found = ModelConfig.of(ModelConfig().document() | {"ffn_dropout_p": 0})
    assert found == ModelConfig()
    assert isinstance(found.ffn_dropout_p, float)


def test_faults_are_none_of_what_was_published():
    for one in PUBLISHED.values():
        assert one.config.faults() == []
        assert published(one.name) is published(one.hf_id) is one
        assert (one.tokenizer in PUBLISHED) == isinstance(one.config, ModelConfig)


def test_a_model_and_its_published_tokenizer_have_the_same_bits():
    for one in PUBLISHED.values():
        if isinstance(one.config, ModelConfig):
            other = PUBLISHED[one.tokenizer].config
            assert (one.config.s1_bits, one.config.s2_bits) == (other.s1_bits, other.s2_bits)
            assert PUBLISHED[one.tokenizer].context_bars >= one.context_bars


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(NotFound, match="no published checkpoint 'Kronos-bass'") as caught:
        published("Kronos-bass")
    assert "Kronos-base" in caught.value.hint


def test_a_code_has_the_bits_of_both_tokens():
    assert replace(TokenizerConfig(), s1_bits=3, s2_bits=5).code_bits == 8
