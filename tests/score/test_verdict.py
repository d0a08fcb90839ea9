"""The words, exactly."""

from __future__ import annotations

import pytest

from gnomon.score.verdict import THE_REFERENCE, verdict


@pytest.mark.parametrize(
    ("skill", "low", "high", "blocks", "kind", "words"),
    [
        (0.032, 0.011, 0.053, 20.0, "beats", "beats naive by 3.2 % (1.1 … 5.3)"),
        (-0.02, -0.035, -0.005, 26.6, "beaten", "naive beats it by 2.0 % (0.5 … 3.5)"),
        (0.01, -0.01, 0.03, 26.6, "tie", "cannot be told from naive (n = 5742)"),
        (0.0, 0.0, 0.0, 26.6, "tie", "cannot be told from naive (n = 5742)"),
        (0.5, 0.4, 0.6, 19.99, "too_early", "too early to say (n = 5742)"),
        (0.5, None, None, 1.0, "too_early", "too early to say (n = 5742)"),
        (None, None, None, 0.0, "no_figure", "no figure: no keys in common with naive"),
        (0.0005, 0.0001, 0.002, 30.0, "beats", "beats naive by 0.05 % (0.01 … 0.2)"),
    ],
)
def test_the_case_decides_the_words(
    skill: float | None, low: float | None, high: float | None, blocks: float, kind: str, words: str
) -> None:
    said = verdict(skill, low, high, n=5742, blocks=blocks)
    assert (said.kind, said.words) == (kind, words)


def test_another_reference_is_called_by_its_name() -> None:
    assert verdict(0.1, 0.05, 0.2, n=9, blocks=30, naive="drift").words == "beats drift by 10.0 % (5.0 … 20.0)"
    assert THE_REFERENCE.words == "the reference"
