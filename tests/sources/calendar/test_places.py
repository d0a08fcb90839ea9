"""Countries, currencies and banks."""

from __future__ import annotations

import pytest

from gnomon.sources.calendar.places import BANKS, country_code


@pytest.mark.parametrize(
    ("spelled", "code"),
    [
        *[(one, "US") for one in ("US", "us", "USD", "United States", " united  states ", "USA", "U.S.")],
        *[(one, "EA") for one in ("EUR", "EA", "EU", "Euro Area", "Eurozone", "European Monetary Union", "EMU")],
        *[(one, "GB") for one in ("GBP", "UK", "GB", "United Kingdom", "Great Britain")],
        *[("JPY", "JP"), ("Japan", "JP"), ("AUD", "AU"), ("CAD", "CA"), ("CHF", "CH"), ("NZD", "NZ")],
        *[("CNY", "CN"), ("DE", "DE"), ("Germany", "DE"), ("PL", "PL"), ("", "")],
    ],
)
def test_a_country_is_found_by_name_currency_or_code(spelled: str, code: str) -> None:
    assert country_code(spelled) == code


def test_an_unknown_name_is_kept_in_capitals_and_taken_for_nothing_else() -> None:
    assert country_code("Isle of Man") == "ISLE-OF-MAN"


def test_the_eight_central_banks_each_have_a_country() -> None:
    assert set(BANKS.values()) == {"FED", "ECB", "BOE", "BOJ", "RBA", "BOC", "SNB", "RBNZ"}
