"""The store as one value."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from gnomon.errors import Unavailable
from gnomon.store.engine import open_engine, require_current
from gnomon.store.store import Store


def test_sqlite_is_migrated_by_opening_it(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'home' / 'gnomon.db'}", tmp_path / "datasets")
    require_current(store.engine)
    assert store.market.datasets() == []
    assert [one.ok for one in store.forecasts.verify()] == [True, True]
    store.engine.dispose()


def test_postgresql_is_migrated_by_its_operator(database_url: str, tmp_path: Path) -> None:
    engine = open_engine(database_url)
    is_sqlite = engine.dialect.name == "sqlite"
    engine.dispose()
    if is_sqlite:
        return
    with pytest.raises(Unavailable) as refusal:
        Store.open(database_url, tmp_path)
    assert "gnomon db upgrade" in refusal.value.hint


@pytest.mark.usefixtures("engine")
def test_a_migrated_database_opens(database_url: str, engine: Engine, tmp_path: Path) -> None:
    store = Store.open(database_url, tmp_path)
    assert store.engine.dialect.name == engine.dialect.name
    store.engine.dispose()
