"""The catalog: names, what is said about them, and how their versions change."""

from __future__ import annotations

import pickle

import pytest

from gnomon.errors import NotFound
from gnomon.forecast import catalog
from gnomon.forecast.forecaster import version_of


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
