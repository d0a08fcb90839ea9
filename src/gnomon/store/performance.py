"""`signal_performance`: how each forecaster did on each symbol and step, as of its last refresh.

| database   | what it is                                | how it is refreshed                                   |
|------------|-------------------------------------------|-------------------------------------------------------|
| PostgreSQL | a materialised view over `signal_moments` | CONCURRENTLY, by a function with the owner's rights   |
| SQLite     | a view over `signal_performance_rows`     | its rows are replaced in one transaction: all or none |
"""

from __future__ import annotations

import math
from typing import Any, Final

from sqlalchemy import Engine, Row, delete, func, insert, select, text
from sqlalchemy.exc import ProgrammingError

from gnomon.errors import Refused
from gnomon.store.engine import reading, writing
from gnomon.store.tables import signal_performance_rows
from gnomon.store.views import signal_performance

_NO_RIGHT: Final = "InsufficientPrivilege"


class PerformanceStore:
    """The figures in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def refresh(self, now_ns: int) -> int:
        """Compute the figures from the scores of now; how many rows there are. Readers are not held up.

        `now_ns` stamps SQLite's rows; PostgreSQL stamps them with its own clock. Raises `Refused` where the role of
        this connection may not ask for a refresh.
        """
        if self._engine.dialect.name == "sqlite":
            return self._refill(now_ns)
        try:
            with writing(self._engine) as connection:
                connection.execute(text("SELECT refresh_signal_performance()"))
        except ProgrammingError as error:
            if type(error.orig).__name__ != _NO_RIGHT:
                raise
            raise Refused(
                f"this role may not refresh signal_performance: {error.orig}".splitlines()[0],
                hint="as the owner: GRANT EXECUTE ON FUNCTION gnomon.refresh_signal_performance() TO the_role",
            ) from None
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(signal_performance)).scalar_one()

    def _refill(self, now_ns: int) -> int:
        with reading(self._engine) as connection:
            found = [_row(row, now_ns) for row in connection.execute(text("SELECT * FROM signal_moments"))]
        with writing(self._engine) as connection:
            connection.execute(delete(signal_performance_rows))
            if found:
                connection.execute(insert(signal_performance_rows), found)
        return len(found)


def _row(moments: Row[Any], now_ns: int) -> dict[str, Any]:
    row = dict(moments._mapping)
    mean, variance, holdings = (row.pop(name) for name in ("mean_return", "variance", "holdings_a_year"))
    known = variance is not None and holdings is not None
    return row | {"sharpe": mean / math.sqrt(variance) * math.sqrt(holdings) if known else None, "refreshed": now_ns}
