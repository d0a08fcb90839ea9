"""The public face: what `gnomon` says it exports, what it exports and what the docs list are one."""

from __future__ import annotations

import ast
import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gnomon

ROOT = Path(__file__).parents[2]


def imported_for_types() -> dict[str, str]:
    """Name to module, from the imports that only a type checker reads."""
    tree = ast.parse((ROOT / "src/gnomon/__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    lines = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {one.name: str(node.module) for node in lines for one in node.names}


def homes() -> dict[str, str]:
    return {name: module for module, names in gnomon._HOMES.items() for name in names}


def test_the_list_the_homes_and_the_types_are_one() -> None:
    assert homes() == imported_for_types()
    assert set(gnomon.__all__) == {*homes(), "__version__"}
    assert len(gnomon.__all__) == len(set(gnomon.__all__))


@pytest.mark.parametrize("name", gnomon.__all__)
def test_every_name_is_importable_and_is_the_one_of_its_home(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from gnomon import {name}", namespace)
    if name != "__version__":
        assert namespace[name] is getattr(importlib.import_module(homes()[name]), name)


def test_a_star_import_brings_the_whole_face() -> None:
    namespace: dict[str, object] = {}
    exec("from gnomon import *", namespace)
    assert set(gnomon.__all__) <= set(namespace)


def test_the_docs_list_the_whole_face_and_nothing_else() -> None:
    page = (ROOT / "docs/reference/face.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)`", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted(gnomon.__all__)


def test_dir_shows_the_face_before_anything_is_loaded() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import gnomon; print(*dir(gnomon))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    ).stdout.split()
    assert set(gnomon.__all__) <= set(shown)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Candle'"):
        gnomon.Candle  # noqa: B018 - asking is the test
    with pytest.raises(ImportError, match="Candle"):
        exec("from gnomon import Candle")


def test_the_version_is_that_of_the_installed_package() -> None:
    from importlib.metadata import version

    assert gnomon.__version__ == version("gnomon")


@pytest.mark.parametrize("name", [name for name, home in homes().items() if home == "gnomon.errors"])
def test_errors_of_the_face_survive_a_process_boundary(name: str) -> None:
    error = getattr(gnomon, name)("what", hint="how", detail={"a": 1})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.document() == error.document()
