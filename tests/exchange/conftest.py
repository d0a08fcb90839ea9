"""Both venues for every test of a rule."""

from __future__ import annotations

import pytest
from tests.exchange.venue import Venue

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.naive import NaiveExchange


@pytest.fixture(params=[Exchange, NaiveExchange], ids=["fast", "naive"])
def venue(request: pytest.FixtureRequest) -> type[Venue]:
    """Every rule is shown on both exchanges."""
    return request.param  # type: ignore[no-any-return]  # pytest has no type for parameters
