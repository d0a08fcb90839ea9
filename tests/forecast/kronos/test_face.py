"""What `gnomon.forecast.kronos` offers, and what it costs to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gnomon.forecast.kronos as face


def test_the_face_is_the_two_names_that_are_promised() -> None:
    from gnomon.forecast.kronos import Kronos, load_kronos

    assert face.__all__ == ["Kronos", "load_kronos"]
    assert (Kronos.__module__, load_kronos.__module__) == (
        "gnomon.forecast.kronos.kronos",
        "gnomon.forecast.kronos.weights",
    )
    with pytest.raises(AttributeError, match="no attribute 'kronos_model'"):
        _ = face.kronos_model


def test_without_pytorch_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["torch"] = None  # as if it were not there
from gnomon.errors import Unavailable
import gnomon.forecast.kronos as face
try:
    face.load_kronos
except Unavailable as error:
    print(error.message, "|", error.hint)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600).stdout
    assert said.strip() == "torch is not installed | pip install 'gnomon[kronos]'"
