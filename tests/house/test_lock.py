"""The lock file holds a version of everything that is declared, and the environment has those versions."""

from __future__ import annotations

import tomllib
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8").splitlines()
EXTRAS = {"models", "kronos", "agents", "postgres", "ccxt", "fast", "ray", "dev", "ensemble"}


def locked() -> dict[str, list[Requirement]]:
    """Name to its pins; more than one where platforms differ."""
    found: dict[str, list[Requirement]] = {}
    for line in LINES:
        pin = Requirement(line)
        found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def version(pin: Requirement) -> str:
    (exact,) = pin.specifier
    assert exact.operator == "=="
    return exact.version


def declared() -> list[Requirement]:
    """What the base install and every extra ask for."""
    lines = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    return [one for one in map(Requirement, lines) if one.name != PROJECT["name"]]


def test_the_extras_are_those_that_the_design_names() -> None:
    assert set(PROJECT["optional-dependencies"]) == EXTRAS


@pytest.mark.parametrize("requirement", declared(), ids=lambda one: one.name)
def test_every_requirement_has_a_pin_that_satisfies_it(requirement: Requirement) -> None:
    pins = locked()[canonicalize_name(requirement.name)]
    assert all(requirement.specifier.contains(version(pin)) for pin in pins)


SEEDED = {"pip", "setuptools"}
"""What `python -m venv` puts into an environment by itself, in the version of the interpreter."""


def test_the_environment_has_the_locked_versions() -> None:
    installed = {canonicalize_name(one.name): one.version for one in distributions()}
    different = {
        name: installed[name]
        for name, pins in locked().items()
        if name in installed.keys() - SEEDED and installed[name].split("+")[0] not in {version(pin) for pin in pins}
    }
    assert different == {}, "run `make setup`"


def test_the_base_install_has_no_model_library() -> None:
    base = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not base & {"torch", "transformers", "chronos-forecasting", "lightgbm", "numba", "ray"}
