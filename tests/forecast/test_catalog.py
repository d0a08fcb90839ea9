"""The catalog: names, what is said about them, and how their versions change."""

from __future__ import annotations

import pickle

import pytest

from gnomon.errors import NotFound, Unavailable
from gnomon.forecast import catalog
from gnomon.forecast.forecaster import version_of
from gnomon.jobs.schedules import default_schedules


def test_the_baselines_are_those_of_the_specification():
    assert catalog.BASELINES == ("ewma", "fhs", "drift", "seasonal", "bootstrap", "momentum")
    assert catalog.REFERENCE in catalog.BASELINES
    assert set(catalog.BASELINES) <= set(catalog.names())


@pytest.mark.parametrize("name", catalog.names())
def test_an_entry_tells_what_its_forecaster_is(name):
    entry = catalog.entry(name)
    assert entry.id == name == catalog.forecaster(name).name
    assert entry.traits == catalog.forecaster(name).traits
    assert entry.licence
    assert entry.information in ("bars", "bars+events")
    assert entry.description.endswith(".")
    assert (entry.role == "baseline") == (name in catalog.BASELINES)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(NotFound, match="no forecaster 'emwa'") as caught:
        catalog.forecaster("emwa")
    assert "ewma" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        catalog.forecaster("zzzzzz")
    assert "seasonal" in caught.value.hint


def test_versions_tell_forecasters_apart_and_last():
    """A version that changes here changes the identity of every stored forecast: raise `semantics` on purpose only."""
    versions = {name: catalog.forecaster(name).version for name in catalog.BASELINES}
    assert versions == {
        "ewma": "1-09e34136",
        "fhs": "1-d46d38ea",
        "drift": "1-7d7e314f",
        "seasonal": "1-c3f35625",
        "bootstrap": "1-1bbb607e",
        "momentum": "1-3a081512",
    }


def test_a_version_depends_on_parameters_and_semantics_alone():
    assert version_of(1, {"a": 1, "b": 2}) == version_of(1, {"b": 2, "a": 1})
    assert version_of(1, {"a": 1}) != version_of(1, {"a": 2})
    assert version_of(2, {"a": 1}).startswith("2-")


@pytest.mark.parametrize("name", catalog.BASELINES)
def test_a_baseline_travels_to_another_process(name):
    forecaster = catalog.forecaster(name)
    assert pickle.loads(pickle.dumps(forecaster)) == forecaster


# --- models whose weights are fetched ---------------------------------------------------------------------------------

KRONOS = {"kronos-base": (512, 102_310_592), "kronos-small": (512, 24_741_376), "kronos-mini": (2048, 4_108_032)}


@pytest.mark.parametrize("name", KRONOS)
def test_a_kronos_of_the_catalog_is_a_published_one_with_its_own_tokenizer(name):
    entry, one = catalog.entry(name), catalog.forecaster(name)
    context_bars, parameters = KRONOS[name]
    assert entry.hf_id == f"NeoQuasar/K{name[1:]}"
    assert (entry.role, entry.licence, entry.trained_until) == ("model", "MIT", "2024-06")
    assert entry.parameters == parameters
    assert entry.traits.max_context_bars == entry.traits.max_horizon_bars == context_bars
    assert entry.traits.paths
    assert one.tokenizer.name == ("Kronos-Tokenizer-2k" if name == "kronos-mini" else "Kronos-Tokenizer-base")
    assert len(one.model.revision) == len(one.tokenizer.revision) == 40
    assert (one.samples, one.temperature, one.top_k, one.top_p, one.window) == (30, 1.0, 0, 1.0, "exact")


def test_look_backs_are_those_that_never_slide():
    assert {name: catalog.forecaster(name).lookback(120) for name in KRONOS} == {
        "kronos-base": 393,
        "kronos-small": 393,
        "kronos-mini": 1929,
    }


@pytest.mark.parametrize("name", KRONOS)
def test_without_weights_a_kronos_says_how_to_fetch_them(name, make_context, monkeypatch, tmp_path):
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="are not on this machine") as caught:
        catalog.forecaster(name).predict([make_context()], 24)
    assert caught.value.hint == f"gnomon weights fetch {catalog.forecaster(name).model.name}"
    assert catalog.forecaster(name).predict([], 24) == []


def test_no_default_names_a_model_that_needs_weights():
    assert not set(KRONOS) & set(catalog.BASELINES)
    for row in default_schedules():
        if row.enabled:
            assert not set(KRONOS) & set(row.args.get("forecasters", ()))


def test_the_versions_of_the_published_models_last():
    assert {name: catalog.forecaster(name).version for name in KRONOS} == {
        "kronos-base": "1-1c2eb655",
        "kronos-small": "1-19b5e6e8",
        "kronos-mini": "1-232b40b6",
    }
