"""The ids as text agree with the forecasters that exist."""

from __future__ import annotations

from gnomon.forecast import catalog
from gnomon.serve.gateway.roster import BASELINE, DEFAULT_MODEL, ROSTER


def test_every_forecaster_of_the_catalog_is_listed_with_its_role_and_information() -> None:
    for name in catalog.names():
        entry = catalog.entry(name)
        assert (ROSTER[name].role, ROSTER[name].information) == (entry.role, entry.information), name


def test_the_baseline_is_the_reference_of_every_skill() -> None:
    assert BASELINE == catalog.REFERENCE
    assert ROSTER[BASELINE].role == "baseline"


def test_the_default_is_the_one_of_old_clients() -> None:
    assert DEFAULT_MODEL == "kronos-base"
    assert DEFAULT_MODEL in ROSTER


def test_every_forecaster_is_described_in_a_sentence() -> None:
    assert all(one.description.endswith(".") for one in ROSTER.values())
